"""Servers with several processes, which come and go: their workers stay the same."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from tests.frameworks.conftest import Sites, needs
from tests.frameworks.site import Plan, Site, parent_of
from tests.processes.world import eventually

pytestmark = needs("gunicorn", "flask")


def _gunicorn(name: str, *options: str) -> Plan:
    return Plan(
        name,
        "examples/flask",
        " ".join(("gunicorn --bind 127.0.0.1:{port}", *options, "application:app")),
        "the_flask_app.db",
    )


@pytest.mark.parametrize("options", ["", "--preload"])
def test_gunicorn_recycles_its_processes_and_nothing_is_lost(sites: Sites, options: str) -> None:
    plan = _gunicorn("recycled", "--workers 2 --max-requests 3", options)
    with sites.serve(plan, is_quick=True) as site:
        site.get_when_ready()
        site.await_succeeded("do_this_later", 1)
        background, servers = sorted(site.background()), {*_children(site)}
        for _ in range(14):
            site.get_when_ready()
        # Each process of the server has ended after its requests, also the one that has started it.
        eventually(lambda: not servers & {*site.servers()}, "others serve", pause=0.1)
        site.get_when_ready()
        for task in site.await_succeeded("do_this_later", len(site.tasks("do_this_later"))):
            assert task.attempt == 1
        assert len(site.tasks("do_this_later")) >= 16
        eventually(lambda: len(site.background()) == 2, "one supervisor, one worker")
        if options == "--preload":
            # Its master has started autocron, too. Without it, all may be recycled at one time.
            assert sorted(site.background()) == background


def _children(site: Site) -> list[int]:
    assert site.process is not None
    return [pid for pid in site.servers() if parent_of(pid) == site.process.pid]


def test_the_gunicorn_process_that_started_the_workers_is_killed(sites: Sites) -> None:
    with sites.serve(_gunicorn("killed", "--workers 2"), is_quick=True) as site:
        site.get_when_ready()
        site.await_succeeded("do_this_later", 1)
        background = sorted(site.background())
        for pid in _children(site):
            sites.kill(pid)
        site.get_when_ready()
        site.await_succeeded("do_this_later", len(site.tasks("do_this_later")))
        # Between the two deaths nobody may have been there, and then they are others.
        eventually(lambda: len(site.background()) == len(background), "one supervisor, one worker")


def test_gunicorn_goes_on_when_all_that_autocron_has_started_is_killed(sites: Sites) -> None:
    """It stops for good when a child of its own ends with 3 or 4; so none of them is its child."""
    plan = _gunicorn("bereft", "--workers 2 --preload")
    with sites.serve(plan, is_quick=True) as site:
        site.get_when_ready()
        site.await_succeeded("do_this_later", 1)
        first = site.background()
        sites.kill(*first)
        # The next call finds nobody to wake, and has them started again.
        site.get()
        site.await_succeeded("do_this_later", 2)
        eventually(lambda: len(site.background()) == 2, "one supervisor, one worker")
        assert not {*first} & {*site.background()}
        assert site.process is not None
        assert site.process.poll() is None


def test_nothing_is_left_when_gunicorns_master_is_killed(sites: Sites) -> None:
    """Its processes notice that it is gone, and end; our workers end with the last of them."""
    with sites.serve(_gunicorn("headless", "--workers 2"), is_quick=True) as site:
        site.get_when_ready()
        site.signal(signal.SIGKILL)
        site.await_end()


def test_sigterm_to_every_process_as_systemd_sends_it_ends_all_and_loses_nothing(
    sites: Sites,
) -> None:
    with sites.serve(_gunicorn("unit", "--workers 2")) as site:
        site.get_when_ready()
        for _ in range(4):
            site.get()
        eventually(lambda: site.workers, "a worker")
        for pid in site.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        site.await_end()
        states = [task.state.value for task in site.tasks("do_this_later")]
        assert len(states) == 5
        assert set(states) <= {"waiting", "succeeded"}
        site.start()
        for task in site.await_succeeded("do_this_later", 5):
            assert (task.attempt, task.deaths) == (1, 0)
