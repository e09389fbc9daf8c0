"""What is taken back of workers that are gone, and tickets that are lost; for any host to do.

procrastinate has a worker's heartbeat in the database. Of one that has not been heard of for a
time, nobody can tell whether it is dead, or frozen, or cut off. So it is taken for dead: its task
waits again, and if it comes back, its end of the task fails, since the task is another revision.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, List, Tuple

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status

from autocron.contrib.procrastinate.store import PostgresStore
from autocron.contrib.procrastinate.tickets import TICKET
from autocron.core.task import Task
from autocron.operations import Operations


def recover(store: PostgresStore, operations: Operations, silent_seconds: float) -> List[Task]:
    """Take back the tasks of silent workers; give what their tickets were for new ones.

    Any number of hosts may do so at once.

    Arguments:
        store: The store.
        operations: What may be done to its tasks.
        silent_seconds: For how long a worker has not been heard of that is taken for dead.

    Returns:
        The tasks that were taken back, as they are now.

    Raises:
        StoreError: The database can not be used.
    """
    # procrastinate's own connections would wait half a minute for a server that is away.
    store.server_time()
    with store.said("look for silent workers"):
        dead = asyncio.run(_dead_tickets(store.url, silent_seconds))
    taken: List[Task] = []
    for ticket, task_id in dead:
        for worker in store.workers_with(ticket):
            taken += operations.reclaim(worker, charged=False)
        store.renew(task_id, ticket)
    if dead:
        with store.said("remove the tickets of silent workers"):
            asyncio.run(_remove(store.url, [ticket for ticket, _ in dead]))
    return taken


async def _dead_tickets(url: str, silent_seconds: float) -> List[Tuple[int, str]]:
    async with _app(url).open_async() as app:
        jobs = await app.job_manager.get_stalled_jobs(
            task_name=TICKET, seconds_since_heartbeat=silent_seconds
        )
        return [(job.id, str(job.task_kwargs["task_id"])) for job in jobs]


async def _remove(url: str, tickets: List[int]) -> None:
    async with _app(url).open_async() as app:
        for ticket in tickets:
            # Another host may have been quicker.
            with contextlib.suppress(ConnectorException):
                await app.job_manager.finish_job_by_id_async(
                    ticket, status=Status.FAILED, delete_job=True
                )


def _app(url: str) -> Any:
    return App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=1))
