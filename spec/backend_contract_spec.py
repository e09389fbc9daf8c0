"""The backend: all that decorators, results and the admin tool know of an engine.

A call that has returned is stored. It runs at least once, in its turn, from its due time on; what
it returned or raised is kept for a time. One occurrence of a schedule gives one run, whoever asks
and however many ask. Each promise is one check of ``autocron.testing.contract``, which anyone's
backend can be held against. Here our own is: the engine over the SQLite store, and over the plain
one.
"""

from __future__ import annotations

import itertools
from datetime import timedelta, timezone

import pytest

from autocron.engine import Engine
from autocron.shell.local import LocalBackend
from autocron.shell.sqlite import SQLiteStore
from autocron.testing.contract import BACKEND_CHECKS
from autocron.testing.contract.tools import NOW
from autocron.testing.plain_store import PlainStore


class Hands:
    """A bench for the local backend: it implements ``autocron.testing.contract.Bench``."""

    def __init__(self, store):
        self._now = NOW
        self._ids = map(str, itertools.count())
        self._store = store
        self.backend = LocalBackend(store, self._engine())
        self.backend.open()

    def _engine(self, **options):
        return Engine(
            self._store,
            self,
            zones=lambda name: timezone.utc,
            new_id=lambda: next(self._ids),
            **options,
        )

    def now(self):
        return self._now

    def monotonic(self):
        return (self._now - NOW).total_seconds()

    def advance(self, seconds):
        self._now += timedelta(seconds=seconds)

    def work(self, invoke, worker="worker-1"):
        engine = self._engine(invoker=_Invoker(invoke), worker=worker)
        while engine.tick().claimed is not None:
            pass


class _Invoker:
    def __init__(self, invoke):
        self.invoke = invoke


@pytest.fixture(params=["file", "memory", "plain"])
def make_bench(request, tmp_path):
    """Makes benches with a new and empty backend, closed at the end."""
    made = []

    def make():
        if request.param == "plain":
            made.append(Hands(PlainStore()))
            return made[-1]
        where = str(tmp_path / f"{len(made)}.db") if request.param == "file" else ":memory:"
        made.append(Hands(SQLiteStore(where, durability="normal")))
        return made[-1]

    yield make
    for bench in made:
        bench.backend.close()


@pytest.mark.parametrize("check", BACKEND_CHECKS, ids=lambda check: check.__name__[6:])
def it_keeps_the_promise_that(check, make_bench):
    check(make_bench)


def it_has_each_check_in_the_contract_once():
    names = [check.__name__ for check in BACKEND_CHECKS]
    assert len(set(names)) == len(names)
    assert all(check.__doc__ for check in BACKEND_CHECKS)
