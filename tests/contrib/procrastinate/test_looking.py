"""A ticket is used as soon as it is announced, whatever the worker is about at that moment."""

from __future__ import annotations

import threading

import pytest

from autocron.contrib.procrastinate.backend import postgres_backend
from autocron.core.outcome import Returned
from autocron.core.task import Message
from autocron.engine import Engine
from autocron.shell.chance import new_id
from autocron.zones import load_zone
from tests.contrib.procrastinate.inline_worker import InlineWorker

CALLS = 400
PATIENCE_SECONDS = 60


class Worker(InlineWorker):
    """Never looks unasked while the test lasts, and says when a ticket has been used."""

    poll_seconds = 600.0

    def __init__(self, store, engine):
        super().__init__(store, engine)
        self.has_used = threading.Event()

    def use(self, ticket, task_id):
        super().use(ticket, task_id)
        self.has_used.set()

    def invoke(self, task, hand):
        return Returned("null")


@pytest.fixture
def backend(make_url):
    made = postgres_backend(make_url())
    made.open()
    yield made
    made.close()


def test_what_is_announced_while_the_worker_looks_is_not_forgotten(backend):
    store = backend.store
    worker = Worker(store, None)
    worker._engine = Engine(
        store, store.clock, zones=load_zone, new_id=new_id, invoker=worker, worker="worker-1"
    )
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        for _ in range(CALLS):
            worker.has_used.clear()
            # It is about to look whether there is more.
            backend.enqueue(Message("shop:send", "[[],{}]"))
            assert worker.has_used.wait(PATIENCE_SECONDS)
    finally:
        worker.leave()
        thread.join(PATIENCE_SECONDS)
