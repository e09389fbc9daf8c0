"""A worker in a process of its own, whose tasks say that they begin, and end when they are told."""

from __future__ import annotations

import sys

from autocron.contrib.procrastinate.backend import postgres_store
from autocron.core.outcome import Returned
from autocron.engine import Engine
from autocron.shell.chance import new_id
from autocron.zones import load_zone
from tests.contrib.procrastinate.inline_worker import InlineWorker


class Invoker:
    """Runs tasks."""

    def invoke(self, task, hand):
        print("begun", task.payload, flush=True)
        sys.stdin.readline()
        print("ending", task.payload, flush=True)
        return Returned('"the first"')


class TellingWorker(InlineWorker):
    """Says when a ticket has been used, and what came of it was stored, or was not."""

    def use(self, ticket, task_id):
        super().use(ticket, task_id)
        print("used", flush=True)


if __name__ == "__main__":
    store = postgres_store(sys.argv[1])
    engine = Engine(
        store,
        store.clock,
        zones=load_zone,
        new_id=new_id,
        invoker=Invoker(),
        worker="the first",
    )
    TellingWorker(store, engine).run()
