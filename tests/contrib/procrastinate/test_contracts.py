"""The contracts of stores and backends, as they are, on PostgreSQL: what SQLite keeps, this keeps.

The bench's tasks are run by procrastinate's own worker, which fetches tickets from its own tables.
"""

from __future__ import annotations

import itertools
from datetime import timedelta, timezone

import psycopg
import pytest

from autocron.contrib.procrastinate.backend import ProcrastinateBackend
from autocron.contrib.procrastinate.store import PostgresStore
from autocron.contrib.procrastinate.tickets import Tickets
from autocron.engine import Engine
from autocron.operations import Operations
from autocron.testing.contract import BACKEND_CHECKS, STORE_CHECKS
from autocron.testing.contract.tools import NOW
from tests.contrib.procrastinate.inline_worker import InlineWorker


class Clock:
    """A clock that a check moves; what is due on it is due on the server, too."""

    def __init__(self, url):
        self._url = url
        self.at = NOW

    def now(self):
        return self.at

    def monotonic(self):
        return (self.at - NOW).total_seconds()

    def on_server(self, at):
        return self._server("SELECT clock_timestamp()")[0] + (at - self.at)

    def advance(self, seconds):
        self.at += timedelta(seconds=seconds)
        self._server(
            "UPDATE procrastinate_jobs SET scheduled_at = scheduled_at - %s * interval '1 second' "
            "WHERE status = 'todo' RETURNING id",
            seconds,
        )

    def _server(self, sql, *values):
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(sql, values).fetchone()


class Hands:
    """A bench for the backend: it implements ``autocron.testing.contract.Bench``."""

    def __init__(self, url):
        self.clock = Clock(url)
        self._ids = map(str, itertools.count())
        self._store = PostgresStore(url, Tickets(self.clock.on_server), self.clock)
        operations = Operations(self._store, self.clock, new_id=lambda: next(self._ids))
        self.backend = ProcrastinateBackend(self._store, operations)
        self.backend.open()
        self.now, self.advance = self.clock.now, self.clock.advance

    def work(self, invoke, worker="worker-1"):
        invoker = Invoker(invoke)
        engine = Engine(
            self._store,
            self.clock,
            zones=lambda name: timezone.utc,
            new_id=lambda: next(self._ids),
            invoker=invoker,
            worker=worker,
        )
        InlineWorker(self._store, engine).run(wait=False)
        if invoker.raised is not None:
            raise invoker.raised


class Invoker:
    """Runs what a check gives; keeps what ends the worker, since procrastinate's has an own end."""

    def __init__(self, invoke):
        self._invoke = invoke
        self.raised = None

    def invoke(self, task, hand):
        try:
            return self._invoke(task, hand)
        except BaseException as error:
            self.raised = error
            raise


@pytest.fixture
def make_store(make_url):
    made = []

    def make():
        url = make_url()
        made.append(PostgresStore(url, Tickets(), Clock(url)))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def make_bench(make_url):
    made = []

    def make():
        made.append(Hands(make_url()))
        return made[-1]

    yield make
    for bench in made:
        bench.backend.close()


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__[6:])
def test_the_store_keeps_the_promise_that(check, make_store):
    check(make_store)


@pytest.mark.parametrize("check", BACKEND_CHECKS, ids=lambda check: check.__name__[6:])
def test_the_backend_keeps_the_promise_that(check, make_bench):
    check(make_bench)
