"""What is taken back of workers that are gone, and tickets that are lost; for any host to do.

procrastinate has a worker's heartbeat in the database, and we have that of each host. While its
host is heard of, that alone says whether a worker lives: it asks the kernel. Of a host that has not
been heard of for a time nobody can tell whether it is dead, or frozen, or cut off. So it is taken
for dead: the tasks of its workers wait again, and if it comes back, their end fails, since they are
another revision.
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
    living = {name for name, *_ in store.hosts(silent_seconds)} if dead else set()
    taken: List[Task] = []
    done: List[int] = []
    for ticket, task_id in dead:
        workers = store.workers_with(ticket)
        if any(host_in(worker) in living for worker in workers):
            # That host knows better. A call into C that keeps the interpreter is silent, too.
            continue
        for worker in workers:
            taken += operations.reclaim(worker, charged=False)
        store.renew(task_id, ticket)
        done.append(ticket)
    if done:
        with store.said("remove the tickets of silent workers"):
            asyncio.run(_remove(store.url, done))
    return taken


def host_in(worker: str) -> str:
    """Return the name of a worker's host; it has one if a supervisor has named it."""
    return worker.rpartition(".")[0]


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
