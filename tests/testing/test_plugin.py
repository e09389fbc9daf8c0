"""The pytest plugin, as a project meets it: in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = "pytester"

ROOT = str(Path(__file__).resolve().parents[2])

TASKS = """
import autocron

@autocron.delay
def send(what="x"):
    return what

@autocron.cron("30 2 * * *", tz="UTC")
def nightly(): ...
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Run pytest on some test module; return how it ended."""
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    pytester.makepyfile(tasks=TASKS)

    def run(tests):
        pytester.makepyfile(test_it=tests)
        return pytester.runpytest_subprocess(
            "-p",
            "autocron_pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "--strict-markers",
        )

    return run


def test_it_gives_each_test_a_session(run):
    result = run(
        """
        import unittest, autocron, pytest, tasks
        from datetime import datetime, timezone

        def test_the_fixture_is_on_the_systems_clock(autocron_session):
            tasks.send("mail")
            autocron_session.assert_enqueued(tasks.send, args=("mail",), count=1)
            assert autocron_session.run_pending().succeeded == 1
            assert abs((autocron.now() - datetime.now(timezone.utc)).total_seconds()) < 60

        @pytest.mark.autocron(now="2026-03-28 12:00", tz="UTC", engine="sqlite")
        def test_the_marker_gives_it_a_clock(autocron_session):
            autocron_session.assert_not_enqueued()
            assert autocron_session.travel(days=2).count(tasks.nightly) == 2
            assert autocron_session.backend.store.path != ":memory:"

        @pytest.fixture
        def called():
            return tasks.send("from a fixture"), autocron.now()

        @pytest.mark.autocron("2026-03-28 12:00", "UTC")
        def test_the_marker_alone_is_enough(called):
            from autocron import testing
            result, now = called
            assert str(now) == str(autocron.now()) == "2026-03-28 12:00:00+00:00"
            assert testing.run_pending().succeeded == 1
            assert result.result == "from a fixture"

        def test_other_fixtures_are_in_the_session(called, autocron_session):
            autocron_session.assert_enqueued(tasks.send, args=("from a fixture",), count=1)

        @pytest.mark.parametrize(
            "is_marked",
            [False, pytest.param(True, marks=pytest.mark.autocron("2026-03-28 12:00", "UTC"))],
        )
        def test_of_several_one_may_be_marked(is_marked):
            assert (str(autocron.now()) == "2026-03-28 12:00:00+00:00") == is_marked

        @pytest.mark.autocron(now="2026-03-28 12:00", tz="UTC")
        class TestOfAClass(unittest.TestCase):
            def test_of_a_unittest(self):
                assert str(autocron.now()) == "2026-03-28 12:00:00+00:00"

        def test_the_process_has_a_session_1():
            from autocron import testing
            tasks.send("left over")
            testing.current().assert_enqueued(tasks.send, count=1)

        def test_the_process_has_a_fresh_session_2():
            from autocron import testing
            testing.current().assert_not_enqueued()
            assert not testing.run_pending().runs
        """
    )
    result.assert_outcomes(passed=9)


def test_it_fails_a_test_that_has_planned_a_fault_in_vain(run):
    result = run(
        """
        import tasks
        from autocron import testing

        def test_with_the_fixture(autocron_session):
            autocron_session.crash_next(tasks.send)

        def test_without_it():
            testing.current().fail_next(tasks.send, ValueError("no"))

        def test_that_fails_anyway_1(autocron_session):
            autocron_session.crash_next(tasks.send)
            assert "its own reason" == 1

        def test_that_fails_anyway_2():
            testing.current().crash_next(tasks.send)
            assert "its own reason" == 2

        def test_that_uses_it(autocron_session):
            autocron_session.crash_next(tasks.send)
            tasks.send()
            assert autocron_session.run_pending().crashed == 1
        """
    )
    result.assert_outcomes(passed=3, failed=2, errors=2)
    result.stdout.fnmatch_lines_random(
        [
            "*UnusedPlan: crash_next(tasks:send): planned, but the session has ended*",
            "*UnusedPlan: fail_next(tasks:send, ValueError('no')): planned, but the session*",
        ]
    )


def test_it_points_at_the_line_of_the_test_and_shows_the_queue(run):
    result = run(
        """
        import tasks

        def test_it(autocron_session):
            tasks.send("ada")
            autocron_session.assert_enqueued(tasks.send, args=("bob",))
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*autocron_session.assert_enqueued(tasks.send, args=(*bob*,))",
            "E *QueueAssertionError: expected one waiting, found 0:",
            "E *tasks:send('bob')",
            "E *in the queue at *, waiting:",
            "E *tasks:send('ada')  [[]task-1, at *, due[]]",
            "test_it.py:*: QueueAssertionError",
        ],
        consecutive=False,
    )
    assert "queue_asserts.py" not in result.stdout.str()


def test_it_imports_nothing_of_autocron_where_it_is_not_used(run):
    result = run(
        """
        import sys

        def test_it():
            assert "autocron_pytest" in sys.modules
            assert not [name for name in sys.modules if name.partition(".")[0] == "autocron"]
        """
    )
    result.assert_outcomes(passed=1)


def test_it_leaves_an_application_alone_that_is_not_under_test(run):
    result = run(
        """
        import sys, autocron

        def test_it():
            assert "autocron.testing" not in sys.modules
            assert not autocron.default_app.is_active
        """
    )
    result.assert_outcomes(passed=1)


def test_it_costs_next_to_nothing_to_load():
    """Measured in imports, which do not vary: beside pytest itself it needs the module alone."""
    code = (
        "import pytest, sys; before = set(sys.modules); import autocron_pytest; "
        "print(sorted(set(sys.modules) - before))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "['autocron_pytest']"
