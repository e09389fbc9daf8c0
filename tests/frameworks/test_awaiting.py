"""Coroutines as tasks, and results that are awaited, in the event loops of real servers."""

from __future__ import annotations

import signal
from typing import Iterator

import pytest

from tests.frameworks.conftest import Sites
from tests.frameworks.site import Plan, Site

PLANS = [
    Plan(
        "awaiting-starlette",
        "tests/frameworks/applications",
        "uvicorn on_starlette:app --port {port}",
        "awaiting.db",
        needs=("starlette", "uvicorn"),
    ),
    Plan(
        "awaiting-tornado",
        "tests/frameworks/applications",
        "python on_tornado.py {port}",
        "awaiting.db",
        needs=("tornado",),
    ),
]


@pytest.fixture(params=PLANS, ids=lambda plan: plan.name, scope="module")
def site(request: pytest.FixtureRequest, sites: Sites) -> Iterator[Site]:
    with sites.serve(request.param) as site:
        yield site


def test_an_awaited_result_does_not_block_the_event_loop(site: Site) -> None:
    value, _, turns = site.get_when_ready("/awaited").partition(" after ")
    assert value == "3"
    # The task alone takes thirty.
    assert int(turns) >= 5


def test_an_awaited_failure_is_raised_where_it_is_awaited(site: Site) -> None:
    assert site.get("/failed").startswith("ValueError: as it was asked to")


def test_wait_for_gives_the_result_in_time(site: Site) -> None:
    assert site.get("/in_time") == "held"


def test_wait_for_gives_up_and_leaves_the_task_alone(site: Site) -> None:
    before = len(site.tasks("hold"))
    said = site.get("/too_late")
    assert said in ("too late, it is running", "too late, it is waiting")
    tasks = site.await_succeeded("hold", before + 1)
    assert tasks[-1].attempt == 1


def test_results_can_be_gathered(site: Site) -> None:
    assert site.get("/many") == "[0, 2, 4]"


def test_the_server_ends_while_a_coroutine_runs_in_a_worker(site: Site) -> None:
    site.signal(signal.SIGTERM)
    site.await_end()
