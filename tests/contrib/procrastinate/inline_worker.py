"""A worker that runs its tasks in procrastinate's own threads, with an engine that a test gives."""

from __future__ import annotations

import logging

from autocron.contrib.procrastinate.worker import TicketTaker

logger = logging.getLogger("autocron")

PAUSE_SECONDS = 0.5


class InlineWorker(TicketTaker):
    """Uses each ticket where procrastinate's worker brings it."""

    def __init__(self, store, engine, queues=None):
        super().__init__(store, queues)
        self._engine = engine

    def use(self, ticket, task_id):
        self.take(self._engine, ticket, task_id)
        while self._engine.in_hand is not None:
            trouble = self._engine.tick(claim=False).trouble
            if trouble is not None:
                logger.error("the outcome of a task could not be stored yet: %s", trouble)
                # What came of it is kept until it can be stored.
                self.wait(PAUSE_SECONDS)
                if self.is_leaving:
                    raise trouble
