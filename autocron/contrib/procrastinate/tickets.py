"""Tickets: the jobs of procrastinate that bring workers to tasks.

**What is whose.** A task, with all that is known of it, is a row of ``autocron_tasks``, and only
the engine changes one, by compare-and-set. A *ticket* is a job of procrastinate: it waits in
procrastinate's queue for its time, is given to one worker by procrastinate's ``FOR UPDATE SKIP
LOCKED``, is announced by its NOTIFY, and brings that worker to the table, where it takes what is
most urgent. So all that is promised of tasks is kept by the one engine, and all that a queue takes
is procrastinate's.

**The rule.** A waiting task that is not held has one ticket, its own, issued in the transaction
that made it wait; unless it waits for a lock, or in a paused queue, where it gets a new one in the
transaction that frees the lock, or resumes the queue. A ticket is used once. Since workers take
what is most urgent, a ticket's own task may wait still when it is used: then it gets the next one
at once.

Tickets that come in vain are harmless, so none is ever taken back.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any, Callable, List, NamedTuple, Optional, Sequence

from procrastinate import App, SyncPsycopgConnector

from autocron.contrib.procrastinate.connections import Connection

# Under this name procrastinate knows what a ticket is for; a worker of any version of an
# application knows it, whatever functions that has.
TICKET = "autocron.ticket"


class Wanted(NamedTuple):
    """A ticket to be issued.

    Attributes:
        task_id: The task.
        queue: Its queue.
        priority: Its priority.
        at: When the ticket is to be used; None is now.
    """

    task_id: str
    queue: str
    priority: int
    at: Optional[datetime]


class Tickets:
    """Issues tickets; needs no connection of its own.

    Arguments:
        server_at: Tells which instant of the server's clock one of autocron's is. They are the
            same, but where a test moves the time.
    """

    def __init__(self, server_at: Callable[[datetime], datetime] = lambda at: at) -> None:
        _have_no_line_for_each_call()
        # Never opened: each ticket is issued in a transaction that is there.
        self._app = App(connector=SyncPsycopgConnector())
        self._server_at = server_at

    def issue(
        self,
        connection: Connection,
        task_id: str,
        queue: str,
        priority: int,
        at: Optional[datetime],
    ) -> int:
        """Issue the ticket of a task, in the transaction of a connection.

        Arguments:
            connection: The connection.
            task_id: The task.
            queue: Its queue.
            priority: Its priority.
            at: When the ticket is to be used; None is now.

        Returns:
            The number of the ticket.
        """
        deferrer = self._deferrer(connection, Wanted(task_id, queue, priority, at))
        return int(deferrer.defer(task_id=task_id))

    def issue_all(self, connection: Connection, wanted: Sequence[Wanted]) -> List[int]:
        """Issue many tickets at once, in the transaction of a connection; return their numbers."""
        if not wanted:
            return []
        jobs = [
            self._deferrer(connection, each).job.evolve(task_kwargs={"task_id": each.task_id})
            for each in wanted
        ]
        issued = self._app.job_manager.batch_defer_jobs(jobs, connection=connection)
        return [int(job.id or 0) for job in issued]

    def _deferrer(self, connection: Connection, wanted: Wanted) -> Any:
        at = wanted.at
        options: Any = {} if at is None else {"schedule_at": self._server_at(at)}
        return self._app.configure_task(
            TICKET,
            queue=wanted.queue,
            priority=wanted.priority,
            connection=connection,
            **options,
        )


def _have_no_line_for_each_call() -> None:
    """Let procrastinate log what is wrong, unless the application has set its level."""
    log = logging.getLogger("procrastinate")
    if log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)
