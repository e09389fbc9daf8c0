"""Several hosts keep house: each occurrence fires once, whoever freezes and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest

from autocron.contrib.procrastinate.backend import postgres_backend
from autocron.core.errors import AutocronError
from autocron.core.schedule import Schedule
from autocron.core.task import Message, TaskState
from tests.contrib.procrastinate.keeping import house_of, keep
from tests.processes.world import eventually

ROOT = str(Path(__file__).resolve().parents[3])
PATIENCE_SECONDS = 180.0
# Each look is a query.
_await = partial(eventually, seconds=PATIENCE_SECONDS, pause=0.05)


@pytest.fixture
def backend(make_url):
    backend = postgres_backend(make_url())
    backend.open()
    yield backend
    backend.close()


@pytest.fixture
def start_host(backend):
    """Starts hosts, as processes that keep house; they are killed at the end."""
    started = []

    def start():
        started.append(
            subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("one_house.py")), backend.store.url],
                env={**os.environ, "PYTHONPATH": ROOT},
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def _schedule(backend, text="* * * * * *", **changes):
    schedule = Schedule(
        key="every second",
        name="shop.jobs:look",
        text=text,
        zone="UTC",
        missed="all",
        overlap="allow",
        grace_seconds=60.0,
        at_start=False,
        watermark_at=backend.store.clock.now(),
        **changes,
    )
    backend.declare([schedule])


def _fired(backend):
    return [task.occurrence_at for task in backend.list(name="shop.jobs:look")]


def test_each_occurrence_fires_once_whoever_freezes_and_comes_back(backend, start_host):
    hosts = [start_host() for _ in range(3)]
    _schedule(backend)
    _await(lambda: len(_fired(backend)) >= 3, "three occurrences")
    for host in hosts:
        # Two go on; this one comes back to occurrences that have fired.
        os.kill(host.pid, signal.SIGSTOP)
        seen = len(_fired(backend))
        _await(lambda seen=seen: len(_fired(backend)) >= seen + 3, "three without one host")
        os.kill(host.pid, signal.SIGCONT)
        seen = len(_fired(backend))
        _await(lambda seen=seen: len(_fired(backend)) >= seen + 2, "two more with all")
    fired = _fired(backend)
    first, last = min(fired), max(fired)
    count = int((last - first).total_seconds()) + 1
    assert sorted(fired) == [first + timedelta(seconds=number) for number in range(count)]
    with psycopg.connect(backend.store.url) as connection:
        tickets = connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone()[0]
    # One ticket each; more may have fired since they were listed.
    assert len(fired) <= tickets


def test_a_host_fires_expires_and_hears_of_schedules_of_others(backend):
    leaving = threading.Event()
    arguments = (house_of(backend.store), backend.store.clock, leaving.wait)
    thread = threading.Thread(target=keep, args=arguments)
    thread.start()
    try:
        expiring = backend.enqueue(Message("shop.mail:send", "[[],{}]", expires_seconds=0.1))
        _await(lambda: backend.get(expiring.id).state is TaskState.CANCELLED, "it expires")
        _schedule(backend)
        _await(lambda: _fired(backend), "an occurrence")
        with psycopg.connect(backend.store.url, autocommit=True) as connection:
            connection.execute("DELETE FROM procrastinate_jobs")
        house_of(backend.store).tick()
        assert backend.store.reissue() == 0
    finally:
        leaving.set()
        thread.join()


def test_after_an_outage_lost_tickets_are_looked_for_at_once(backend):
    house = house_of(backend.store)
    backend.enqueue(Message("shop.mail:send", "[[],{}]"))
    with psycopg.connect(backend.store.url, autocommit=True) as connection:

        def tickets():
            return connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone()[0]

        house.tick()
        connection.execute("DELETE FROM procrastinate_jobs")
        house.tick()
        assert tickets() == 0, "it has just looked"
        connection.execute("ALTER TABLE autocron_settings RENAME TO away")
        with pytest.raises(AutocronError):
            house.tick()
        connection.execute("ALTER TABLE away RENAME TO autocron_settings")
        house.tick()
        assert tickets() == 1


def test_a_step_of_the_servers_clock_moves_no_delay(backend):
    delayed = backend.enqueue(Message("shop.mail:send", "[[],{}]", delay_seconds=3600.0))
    house = house_of(backend.store)
    house.tick()
    # As after a failover to a machine whose clock is five minutes ahead.
    ask = backend.store.clock._ask
    backend.store.clock._ask = lambda: ask() + timedelta(minutes=5)
    backend.store.clock._asked_at = float("-inf")
    before = backend.store.clock.now()
    house.tick()
    assert backend.store.clock.now() - before < timedelta(minutes=1)
    assert backend.get(delayed.id) == delayed
