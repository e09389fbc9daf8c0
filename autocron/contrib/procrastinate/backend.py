"""The backend of several machines: the engine over PostgreSQL, woken by procrastinate."""

from __future__ import annotations

from typing import Optional

from autocron.contrib.procrastinate.clock import ServerClock
from autocron.contrib.procrastinate.joining import JoinedCalls, driver_connection
from autocron.contrib.procrastinate.store import PostgresStore
from autocron.contrib.procrastinate.tickets import Tickets
from autocron.core.errors import InvalidTask
from autocron.operations import Operations
from autocron.ports import Observer
from autocron.shell.chance import draw, new_id, new_ids
from autocron.shell.local import StoreBackend


class ProcrastinateBackend(StoreBackend[PostgresStore]):
    """Hands what the front end asks to the engine; implements :class:`autocron.ports.Backend`."""

    def within(self, connection: object, is_asked: bool = True) -> Optional[JoinedCalls]:
        """Return what takes calls in a transaction; see :meth:`autocron.ports.Backend.within`."""
        try:
            return JoinedCalls(self, self.store, driver_connection(connection))
        except InvalidTask:
            if is_asked:
                raise
            return None


def postgres_store(url: str) -> PostgresStore:
    """Return the store of a database, whose clock is the server's.

    Arguments:
        url: The database, as ``postgresql://user@host/name``.
    """
    store = PostgresStore(url, Tickets())
    store.clock = ServerClock(store.server_time)
    return store


def postgres_backend(url: str, observer: Optional[Observer] = None) -> ProcrastinateBackend:
    """Return a backend, as processes use it that only store calls and read results.

    Arguments:
        url: The database, as ``postgresql://user@host/name``.
        observer: Is told what happened to tasks, once it is stored.
    """
    store = postgres_store(url)
    clock = store.clock
    assert clock is not None
    operations = Operations(
        store, clock, new_id=new_id, new_ids=new_ids, draw=draw, observer=observer
    )
    return ProcrastinateBackend(store, operations)
