"""Workers that are killed, or frozen and come back: what they held runs again, and ends once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from autocron.contrib.procrastinate.backend import postgres_backend
from autocron.contrib.procrastinate.recovery import recover
from autocron.core.errors import StoreError
from autocron.core.outcome import Returned
from autocron.core.task import Message, TaskState
from autocron.engine import Engine
from autocron.shell.chance import new_id
from autocron.zones import load_zone
from tests.contrib.procrastinate.inline_worker import InlineWorker

ROOT = str(Path(__file__).resolve().parents[3])
PATIENCE_SECONDS = 120.0


class Place:
    """A database, a backend on it, and workers in processes of their own."""

    def __init__(self, url):
        self.url = url
        self.backend = postgres_backend(url)
        self.store = self.backend.store
        self.clock = self.store.clock
        self.processes = []

    def call(self, payload="[[],{}]", **options):
        return self.backend.enqueue(Message("shop.mail:send", payload, **options))

    def worker(self):
        """Start a worker process."""
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("one_worker.py")), self.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": ROOT},
            text=True,
        )
        self.processes.append(process)
        return process

    def work(self, result):
        """Run what is due here."""
        engine = Engine(
            self.store,
            self.clock,
            zones=load_zone,
            new_id=new_id,
            invoker=Invoker(lambda task, hand: Returned(result)),
            worker="the second",
        )
        InlineWorker(self.store, engine).run(wait=False)

    def recover(self, count):
        """Look for silent workers until so many tasks were taken back."""
        taken, begun = [], time.monotonic()
        while len(taken) < count:
            assert time.monotonic() - begun < PATIENCE_SECONDS, "nobody is silent"
            taken += recover(self.store, self.backend.operations, 4.0)
        return taken

    def jobs(self):
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute("SELECT status FROM procrastinate_jobs").fetchall()

    def empty_the_jobs(self):
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("DELETE FROM procrastinate_jobs")

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        self.backend.close()


class Invoker:
    def __init__(self, invoke):
        self.invoke = invoke


@pytest.fixture
def place(make_url):
    place = Place(make_url())
    yield place
    place.close()


def test_what_a_killed_worker_held_runs_again_and_its_ticket_is_removed(place):
    urgent = place.call("urgent", priority=1)
    place.call("other")
    worker = place.worker()
    assert worker.stdout.readline() == "begun urgent\n"
    worker.kill()
    worker.wait()
    (taken,) = place.recover(1)
    assert (taken.id, taken.state, taken.deaths) == (urgent.id, TaskState.WAITING, 0)
    place.work('"the second"')
    assert [task.result for task in place.backend.list()] == ['"the second"'] * 2
    assert place.jobs() == []


def test_a_worker_that_was_frozen_can_not_end_what_another_one_has_run(place):
    task = place.call()
    worker = place.worker()
    assert worker.stdout.readline() == "begun [[],{}]\n"
    os.kill(worker.pid, signal.SIGSTOP)
    place.recover(1)
    place.work('"the second"')
    os.kill(worker.pid, signal.SIGCONT)
    worker.stdin.write("\n")
    worker.stdin.flush()
    assert worker.stdout.readline() == "ending [[],{}]\n"
    # It has tried to store its own end; the other's stays.
    assert worker.stdout.readline() == "used\n"
    done = place.backend.get(task.id)
    assert (done.state, done.result, done.attempt) == (
        TaskState.SUCCEEDED,
        '"the second"',
        2,
    )


def test_a_worker_that_is_heard_of_keeps_its_task(place):
    task = place.call()
    worker = place.worker()
    assert worker.stdout.readline() == "begun [[],{}]\n"
    assert recover(place.store, place.backend.operations, 60.0) == []
    worker.stdin.write("\n")
    worker.stdin.flush()
    begun = time.monotonic()
    while not place.backend.get(task.id).state.is_final:
        assert time.monotonic() - begun < PATIENCE_SECONDS
    assert place.backend.get(task.id).result == '"the first"'


def test_several_hosts_take_back_one_task_once(place):
    place.call()
    worker = place.worker()
    assert worker.stdout.readline() == "begun [[],{}]\n"
    worker.kill()
    worker.wait()
    begun = time.monotonic()
    taken = []

    def look():
        while not taken and time.monotonic() - begun < PATIENCE_SECONDS:
            taken.extend(recover(place.store, place.backend.operations, 4.0))

    hosts = [threading.Thread(target=look) for _ in range(3)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join()
    assert len(taken) == 1
    assert place.jobs() == [("todo",)]


def test_tickets_that_somebody_has_deleted_are_issued_again(place):
    for payload in ("one", "two"):
        place.call(payload)
    place.empty_the_jobs()
    place.work('"nothing"')
    assert {task.state for task in place.backend.list()} == {TaskState.WAITING}
    assert place.store.reissue() == 2
    assert place.store.reissue() == 0
    place.work('"1"')
    assert {task.state for task in place.backend.list()} == {TaskState.SUCCEEDED}


def test_a_ticket_that_could_not_be_used_comes_again(place, monkeypatch):
    place.call()

    def away(*args):
        raise StoreError("the server is away")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "tick", away)
        place.work('"nothing"')
    assert place.jobs() == [("todo",)]


def test_nobody_there_is_a_store_error():
    backend = postgres_backend("postgresql://nobody@127.0.0.1:1/x")
    with pytest.raises(StoreError, match="see that the server runs and is reached"):
        recover(backend.store, backend.operations, 4.0)
