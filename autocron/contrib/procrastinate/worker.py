"""procrastinate's worker, which takes tickets; each of them brings an engine to a task."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, Callable, Iterable, Optional

from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision

from autocron.contrib.procrastinate.looking import Connector
from autocron.contrib.procrastinate.store import PostgresStore
from autocron.contrib.procrastinate.tickets import TICKET
from autocron.engine import Engine, Tick
from autocron.shell.chance import draw

# So long, at most, a ticket stays away that could not be used.
_LONGEST_PAUSE_SECONDS = 60
POLL_SECONDS = 1.0
_SPREAD = 0.3
HEARTBEAT_SECONDS = 2.0
# A worker that has not been heard of for so long is taken for dead; see `recovery`.
SILENT_SECONDS = 10.0


class _Again(BaseRetryStrategy):
    """Has a ticket come again that could not be used; its task, or another one, waits still."""

    def get_retry_decision(self, *, exception: BaseException, job: Any) -> Any:
        seconds = min(2 ** min(job.attempts, 6), _LONGEST_PAUSE_SECONDS)
        return RetryDecision(retry_in={"seconds": seconds})


class TicketTaker:
    """Takes tickets, one at a time.

    Arguments:
        store: Where the tasks are.
        queues: The queues of which tickets are taken; None is all.
    """

    #: After how many seconds to look unasked, at the latest, for a ticket whose time has come.
    poll_seconds = POLL_SECONDS

    def __init__(self, store: PostgresStore, queues: Optional[Iterable[str]] = None) -> None:
        self._store = store
        self._queues = None if queues is None else list(queues)
        self._leaving = threading.Event()
        self._stop: Optional[Callable[[], object]] = None

    def run(self, wait: bool = True) -> None:
        """Take tickets, in procrastinate's worker.

        Arguments:
            wait: Whether to wait for more once no ticket can be used; else that is the end.
        """
        connector = Connector(
            conninfo=self._store.url,
            min_size=1,
            max_size=4,
            kwargs={"application_name": "autocron"},
        )
        app = App(connector=connector)
        app.task(name=TICKET, pass_context=True, retry=_Again())(self._use)
        # procrastinate looks after its side tasks only while it has a periodic one: without it,
        # after a restart of the server, it goes on without LISTEN. This comes once a year.
        app.periodic(cron="0 0 1 1 *")(app.task(name="autocron.nothing")(_do_nothing))
        asyncio.run(self._run(app, wait))

    async def _run(self, app: Any, wait: bool) -> None:
        async with app.open_async():
            worker = app.run_worker_async(
                queues=self._queues,
                concurrency=1,
                wait=wait,
                listen_notify=wait,
                install_signal_handlers=False,
                # Each at a pace of its own: all of them have looked when the ticket was announced,
                # and the first in that row would be the first each time its time has come.
                fetch_job_polling_interval=self.poll_seconds * (1 - _SPREAD * draw()),
                update_heartbeat_interval=HEARTBEAT_SECONDS,
                stalled_worker_timeout=SILENT_SECONDS,
                # A ticket that was used is nothing that anybody wants to know of.
                delete_jobs="always",
            )
            running = asyncio.ensure_future(worker)
            loop = asyncio.get_running_loop()
            self._stop = lambda: loop.call_soon_threadsafe(running.cancel)
            if self.is_leaving:
                running.cancel()
            try:
                await running
            except asyncio.CancelledError:
                if not self.is_leaving:
                    raise
            finally:
                self._stop = None

    def _use(self, context: JobContext, task_id: str) -> None:
        ticket: Any = context.job.id
        self.use(ticket, task_id)

    def use(self, ticket: int, task_id: str) -> None:
        """Use one ticket; called by procrastinate, in a thread.

        Arguments:
            ticket: The ticket.
            task_id: The task for which it was issued.

        Raises:
            StoreError: It could not be used, and comes again.
        """
        raise NotImplementedError

    def take(self, engine: Engine, ticket: int, task_id: str) -> Tick:
        """Claim the most urgent task, if there is one; see that the ticket's own is not forgotten.

        Arguments:
            engine: Claims it.
            ticket: The ticket.
            task_id: The task for which it was issued.
        """
        with self._store.using(ticket):
            tick = engine.tick()
        if tick.claimed is None or tick.claimed.id != task_id:
            # Before the task is run, which may take hours.
            self._store.renew(task_id, ticket)
        return tick

    def leave(self) -> None:
        """Take no more tickets; for any thread. What is in use is used to the end."""
        self._leaving.set()
        stop = self._stop
        if stop is not None:
            # The loop may have ended just now.
            with contextlib.suppress(RuntimeError):
                stop()

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to leave."""
        return self._leaving.is_set()

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until it is told to leave."""
        self._leaving.wait(seconds)


def _do_nothing(timestamp: int) -> None:
    """Be what happens once a year."""
