"""Starlette before 1.0, where ``on_startup`` was the place of ``start()``."""

from __future__ import annotations

import importlib.util
from typing import Tuple

import pytest

from tests.frameworks.conftest import Sites
from tests.frameworks.plans import STANDARD

_APPLICATION = """
# application.py
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import autocron
from utils import do_this_later

def homepage(request):
    task_result = do_this_later()
    return PlainTextResponse(f"Hello, world! TaskResult is waiting: {task_result.is_waiting}")

def startup():
    print("Ready to go")
    autocron.start("the_starlette_app.db")

routes = [
    Route("/", homepage),
]

app = Starlette(debug=True, routes=routes, on_startup=[startup])
"""


def _version_of_starlette() -> Tuple[int, ...]:
    if importlib.util.find_spec("starlette") is None:
        return (1,)
    import starlette

    return tuple(int(part) for part in starlette.__version__.split(".")[:2])


@pytest.mark.skipif(_version_of_starlette() >= (1,), reason="on_startup is gone from 1.0 on")
def test_start_may_be_called_on_startup(sites: Sites) -> None:
    (plan,) = (plan for plan in STANDARD if plan.name == "starlette")
    with sites.make(plan) as site:
        site.write("application.py", _APPLICATION)
        site.start()
        assert site.get_when_ready() == "Hello, world! TaskResult is waiting: True"
        site.await_succeeded("do_this_later", 1)
        assert "Ready to go" in site.said()
