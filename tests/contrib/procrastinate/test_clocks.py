"""Hosts whose clocks differ: the server's judges what is due, and when a second is over."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from tests.contrib.procrastinate.host import Host

# As if somebody had set the wall clock of that machine.
_SET_CLOCK = """
from datetime import timedelta
from autocron.shell.clock import SystemClock

now = SystemClock.now
SystemClock.now = lambda self: now(self) + timedelta(seconds={seconds})
"""
_TASKS = """
import autocron
from shared import mark

@autocron.cron("* * * * * *", tz="UTC")
def tick():
    mark("tick")

@autocron.delay
def touch(name):
    mark("touch", name)
"""
AHEAD, BEHIND = 3600, -3600


@pytest.fixture
def make_host(tmp_path, make_url):
    url, hosts = make_url(), []

    def make(seconds):
        folder = tmp_path / f"host-{len(hosts)}"
        folder.mkdir()
        hosts.append(host := Host(folder, url))
        host.write("planted/sitecustomize.py", _SET_CLOCK.format(seconds=seconds))
        path = host.environment["PYTHONPATH"]
        host.environment["PYTHONPATH"] = f"{folder / 'planted'}{os.pathsep}{path}"
        host.write("tasks.py", _TASKS)
        return host

    yield make
    for host in hosts:
        host.close()


def test_a_host_that_is_an_hour_ahead_and_one_that_is_behind_do_the_same(make_host):
    ahead, behind = make_host(AHEAD), make_host(BEHIND)
    applications = [host.application() for host in (ahead, behind)]
    now = ahead.store.server_time()
    for application, name in zip(applications, ("ahead", "behind")):
        task_id = application.ask(f"tasks.touch.options(seconds=1)({name!r}).id")
        called_at = ahead.task(task_id).enqueued_at
        assert abs(called_at - now) < timedelta(minutes=1)
        assert ahead.task(task_id).run_at == called_at + timedelta(seconds=1)
        # Neither at once, nor in an hour.
        task = ahead.await_task(task_id, "succeeded")
        assert task.started_at >= task.run_at
    # Workers of both have run some of them; none is made up, and none comes before its time.
    before = len(ahead.store.find(name="tasks:tick"))
    ahead.await_marks("tick", count=1)
    behind.await_marks("tick", count=1)
    seconds = [task.occurrence_at for task in ahead.store.find(name="tasks:tick")]
    assert len(seconds) == len(set(seconds)) >= before
    assert now - timedelta(minutes=1) < min(seconds)
    assert max(seconds) <= ahead.store.server_time()
