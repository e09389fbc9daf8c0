"""The tests of a project under pytest-xdist, in two processes that are at work at the same time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("xdist")
pytest_plugins = "pytester"

ROOT = str(Path(__file__).resolve().parents[2])

TASKS = """
import autocron

ran = []

@autocron.delay
def send(what):
    ran.append(what)
    return what

@autocron.cron("30 2 * * *", tz="UTC")
def nightly():
    ran.append(str(autocron.now()))
"""

# Each half meets the other one between its steps, through two named pipes: whoever opens one end
# goes on when the other end is opened. If one process ran both halves, that would be for ever.
HALF = """
import os

import autocron, pytest, tasks
from autocron import testing

ME, OTHER, NIGHT = {me!r}, {other!r}, {night!r}


def meet():
    order = [("w", ME), ("r", OTHER)] if ME == "first" else [("r", OTHER), ("w", ME)]
    for mode, name in order:
        with open(os.path.join({folder!r}, name), mode):
            pass


@pytest.fixture(autouse=True)
def forget():
    del tasks.ran[:]


def test_the_processes_are_two():
    meet()
    assert os.environ["PYTEST_XDIST_WORKER_COUNT"] == "2"


def test_the_session_of_the_process():
    meet()
    tasks.send(ME)
    meet()
    testing.current().assert_enqueued(tasks.send, args=(ME,), count=1)
    testing.current().assert_enqueued(tasks.send, count=1)
    meet()
    assert testing.run_pending().succeeded == 1
    meet()
    assert tasks.ran == [ME]


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(name, marks=pytest.mark.autocron(NIGHT + " 00:00", "UTC", engine=name))
        for name in ("memory", "sqlite", "plain")
    ],
)
def test_a_session_with_a_clock_of_its_own(autocron_session, engine):
    meet()
    for number in range(20):
        tasks.send(ME)
    meet()
    autocron_session.assert_enqueued(tasks.send, args=(ME,), count=20)
    autocron_session.fail_next(tasks.send, ValueError(ME))
    meet()
    report = autocron_session.run_pending()
    assert (report.failed, report.succeeded) == (1, 19)
    meet()
    autocron_session.travel(days=1)
    meet()
    assert tasks.ran == [ME] * 19 + [NIGHT + " 02:30:00+00:00"]
    assert str(autocron.now()) > NIGHT
"""


def test_sessions_of_two_processes_do_not_touch_each_other(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    names = {"first": "2026-03-28", "second": "2031-07-01"}
    pytester.makepyfile(tasks=TASKS)
    for me, other in (("first", "second"), ("second", "first")):
        os.mkfifo(pytester.path / me)
        half = HALF.format(me=me, other=other, night=names[me], folder=str(pytester.path))
        pytester.makepyfile(**{f"test_{me}": half})
    options = ["-p", "no:cacheprovider", "-p", "no:randomly", "-n", "2", "--dist", "loadfile"]
    plugin = ["-p", "autocron_pytest", "--strict-markers"]
    result = pytester.runpytest_subprocess(*plugin, *options, timeout=300)
    result.assert_outcomes(passed=10)
