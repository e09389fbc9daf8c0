"""A bench: one store in memory, one clock, one App, and as many engines on them as a clause needs.

No part of it is a stand-in: the store is the one of production, the functions run through the
codec and the invoker that workers use.
"""

from __future__ import annotations

import itertools

from autocron.app import App
from autocron.core.arguments import dump_call
from autocron.core.errors import StoreError
from autocron.core.schedule import Schedule
from autocron.core.task import Message
from autocron.engine import Engine
from autocron.shell.invoke import FunctionInvoker
from autocron.shell.sqlite import SQLiteStore
from autocron.testing import ManualClock
from autocron.testing.runner import name_of
from autocron.zones import load_zone

START = "2024-03-01 00:00"
# When sessions begin.
NOW = "2024-03-01 12:00"


class Wakes:
    """Counts how often a worker would have been woken."""

    def __init__(self):
        self.count = 0
        self.supervisor = 0

    def wake(self):
        self.count += 1

    def wake_supervisor(self):
        self.supervisor += 1


class Bench:
    def __init__(self):
        self.store = SQLiteStore(":memory:")
        self.clock = ManualClock(START)
        self.app = App()
        self.wakes = Wakes()
        self._ids = itertools.count(1)

    def engine(
        self,
        worker="worker-1",
        *,
        runs=True,
        keeps_house=False,
        store=None,
        clock=None,
        passing=(),
        **more,
    ):
        """Return an engine; without ``runs`` it is one as the supervisor has it.

        What it runs may raise what is ``passing`` through it, as if its process ended there.
        """
        return Engine(
            store or self.store,
            clock or self.clock,
            zones=load_zone,
            new_id=lambda: f"task-{next(self._ids)}",
            waker=self.wakes,
            invoker=FunctionInvoker(self._find, lambda: self.app.codec, passing) if runs else None,
            worker=worker,
            keeps_house=keeps_house,
            **more,
        )

    def _find(self, name):
        return self.app.registry.get(name) or f"no task function {name} is known"

    def call(self, function, *args, **options):
        """Store a call of a task function; the options are those of a Message."""
        message = Message(name=name_of(function), payload=dump_call(args, {}, ()), **options)
        return self.engine().enqueue(message)

    def task(self, task):
        """Return a task as the store has it now."""
        return self.store.get(task.id)

    def schedule(self, function, text="30 2 * * *", **changes):
        """Declare a schedule that begins now, and return it."""
        given = {
            "key": f"{name_of(function)} {text}",
            "name": name_of(function),
            "text": text,
            "zone": "UTC",
            "missed": "once",
            "overlap": "skip",
            "grace_seconds": 60.0,
            "at_start": False,
            "watermark_at": self.clock.now(),
        }
        schedule = Schedule(**{**given, **changes})
        self.engine().declare([schedule])
        return schedule


class FailingStore:
    """The store of production, whose disk is full for some operations while a clause says so."""

    def __init__(self, store):
        self._store = store
        self.failing = set()

    def __getattr__(self, operation):
        if operation in self.failing:
            return self._fail
        return getattr(self._store, operation)

    def _fail(self, *args, **kwargs):
        raise StoreError("the disk is full")


def work(engine):
    """Step an engine until it has nothing to do; return what it has ended, in order."""
    ended = []
    while True:
        tick = engine.tick()
        if tick.finished is not None:
            ended.append(tick.finished)
        elif tick.claimed is None:
            return ended
