"""procrastinate's worker, which runs tickets: each brings the engine to one task."""

from __future__ import annotations

import logging
import threading
from typing import Any, Iterable, Optional

from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision

from autocron.contrib.procrastinate.store import PostgresStore
from autocron.contrib.procrastinate.tickets import TICKET
from autocron.core.errors import StoreError
from autocron.engine import Engine

logger = logging.getLogger("autocron")

# How long is waited before an outcome that could not be stored is tried again.
_TROUBLE_PAUSE_SECONDS = 0.5
# So long, at most, a ticket stays away that could not be used.
_LONGEST_PAUSE_SECONDS = 60
POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 2.0
# A worker that has not been heard of for so long is taken for dead; see `recovery`.
SILENT_SECONDS = 10.0


class _Again(BaseRetryStrategy):
    """Has a ticket come again that could not be used; its task, or another one, waits still."""

    def get_retry_decision(self, *, exception: BaseException, job: Any) -> Any:
        seconds = min(2 ** min(job.attempts, 6), _LONGEST_PAUSE_SECONDS)
        return RetryDecision(retry_in={"seconds": seconds})


class TicketWorker:
    """Runs tickets, one at a time, and with each the task that is most urgent then.

    Arguments:
        store: Where the tasks are.
        engine: Claims, runs and ends them.
        queues: The queues of which tickets are used; None is all.
    """

    def __init__(
        self, store: PostgresStore, engine: Engine, queues: Optional[Iterable[str]] = None
    ) -> None:
        self._store = store
        self._engine = engine
        self._queues = None if queues is None else list(queues)
        self._leaving = threading.Event()

    def run(self, wait: bool = True) -> None:
        """Run tickets, in procrastinate's worker.

        Arguments:
            wait: Whether to wait for more once no ticket can be used; else that is the end.
        """
        connector = PsycopgConnector(conninfo=self._store.url, min_size=1, max_size=4)
        app = App(connector=connector)
        app.task(name=TICKET, pass_context=True, retry=_Again())(self._use)
        app.run_worker(
            queues=self._queues,
            concurrency=1,
            wait=wait,
            listen_notify=wait,
            install_signal_handlers=False,
            fetch_job_polling_interval=POLL_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=SILENT_SECONDS,
            # A ticket that was used is nothing that anybody wants to know of.
            delete_jobs="always",
        )

    def _use(self, context: JobContext, task_id: str) -> None:
        """Use one ticket; called by procrastinate, in a thread."""
        ticket: Any = context.job.id
        try:
            self.use(ticket, task_id)
        except StoreError as error:
            # It comes again.
            logger.error("a ticket could not be used: %s", error)
            raise

    def use(self, ticket: int, task_id: str) -> None:
        """Take the most urgent task, if there is one; see that the ticket's own is not forgotten.

        Arguments:
            ticket: The ticket.
            task_id: The task for which it was issued.
        """
        with self._store.using(ticket):
            claimed = self._engine.tick().claimed
        if claimed is None or claimed.id != task_id:
            # Before the task is run, which may take hours.
            self._store.renew(task_id, ticket)
        while self._engine.in_hand is not None:
            trouble = self._engine.tick(claim=False).trouble
            if trouble is not None:
                # The task has been run, and is not run again: what came of it is kept here until
                # it can be stored.
                logger.error("the outcome of a task could not be stored yet: %s", trouble)
                if self._leaving.wait(_TROUBLE_PAUSE_SECONDS):
                    raise trouble

    def leave(self) -> None:
        """Give up on what can not be stored; the task is run again by another worker."""
        self._leaving.set()
