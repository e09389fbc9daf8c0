"""Commands and test runs that import an application start nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Iterator

import pytest

from tests.frameworks.conftest import Sites, needs
from tests.frameworks.plans import STANDARD
from tests.frameworks.site import Plan, Site

ROOT = Path(__file__).resolve().parents[2]
_PLANS = {plan.name: plan for plan in STANDARD}


@pytest.fixture
def django(sites: Sites) -> Iterator[Site]:
    with sites.make(_PLANS["django"], is_quick=True) as site:
        yield site


@pytest.fixture
def flask(sites: Sites) -> Iterator[Site]:
    with sites.make(_PLANS["flask"], is_quick=True) as site:
        yield site


def _assert_nothing_started(site: Site) -> None:
    # A supervisor that has come and gone would have left its lock file.
    assert not os.path.exists(site.run.supervisor)
    assert site.processes() == {}


@needs("django")
@pytest.mark.parametrize("command", ["migrate", "check", "showmigrations", "--version", "help"])
def test_a_command_of_manage_py_starts_nothing(django: Site, command: str) -> None:
    django.call("python", "manage.py", command)
    _assert_nothing_started(django)


@needs("django")
def test_what_is_called_in_djangos_shell_is_stored_for_the_server(django: Site) -> None:
    code = "from djangoapp.view import do_this_later; print('it is', do_this_later().status)"
    assert "it is waiting" in django.call("python", "manage.py", "shell", "-c", code)
    _assert_nothing_started(django)
    django.start()
    django.await_succeeded("do_this_later", 1)
    # And with a server there are workers for the shell's calls.
    django.call("python", "manage.py", "shell", "-c", code)
    django.await_succeeded("do_this_later", 2)


@needs("django")
def test_in_djangos_tests_calls_run_in_place(django: Site) -> None:
    django.write(
        "djangoapp/tests.py",
        "from django.test import SimpleTestCase\n"
        "class TestIndex(SimpleTestCase):\n"
        "    def test_index(self):\n"
        "        answer = self.client.get('/')\n"
        "        self.assertContains(answer, 'TaskResult is waiting: False')\n",
    )
    said = django.call("python", "manage.py", "test")
    assert "Ran 1 test" in said
    assert "do this later" in said
    _assert_nothing_started(django)


@needs("flask")
def test_under_pytest_calls_run_in_place(flask: Site) -> None:
    flask.write(
        "test_application.py",
        "from application import app\n"
        "def test_index():\n"
        "    assert app.test_client().get('/').text == 'TaskResult is waiting: False'\n",
    )
    assert "1 passed" in flask.call("python", "-m", "pytest", "-p", "no:cacheprovider")
    _assert_nothing_started(flask)


@needs("flask")
@pytest.mark.parametrize("command", [("routes",), ("shell",)])
def test_a_command_of_flask_starts_nothing(flask: Site, command: tuple[str, ...]) -> None:
    flask.call("flask", "--app", "application", *command)
    _assert_nothing_started(flask)


@needs("gunicorn", "flask")
def test_gunicorn_that_only_checks_its_configuration_starts_nothing(flask: Site) -> None:
    flask.call("gunicorn", "--check-config", "application:app")
    _assert_nothing_started(flask)


@needs("flask")
@pytest.mark.parametrize("name", ["django", "flask", "starlette", "tornado"])
def test_importing_autocron_imports_no_framework(flask: Site, name: str) -> None:
    code = f"import autocron, sys; print({name!r} in sys.modules)"
    assert flask.call("python", "-c", code).strip() == "False"


@pytest.mark.parametrize("plan", STANDARD, ids=lambda plan: plan.name)
def test_the_examples_are_started_here_as_their_page_says(plan: Plan) -> None:
    command = re.sub(r" (--port |127\.0\.0\.1:)\{port\}", "", plan.command)
    line = f"| [`{plan.name}`]({plan.name}) | `{command}` |"
    assert line in (ROOT / "examples" / "README.md").read_text()
