"""A database that several hosts share; the kind of database behind a URL of PostgreSQL."""

from __future__ import annotations

import os
from typing import Callable, List, Optional, Sequence

from autocron.contrib.procrastinate.backend import ProcrastinateBackend
from autocron.contrib.procrastinate.clock import ServerClock
from autocron.contrib.procrastinate.connections import Connections
from autocron.contrib.procrastinate.feed import TicketFeed
from autocron.contrib.procrastinate.house import EvenClock, House
from autocron.contrib.procrastinate.recovery import host_in
from autocron.contrib.procrastinate.store import PostgresStore
from autocron.contrib.procrastinate.tickets import Tickets
from autocron.contrib.procrastinate.worker import SILENT_SECONDS
from autocron.engine import Engine
from autocron.operations import Operations
from autocron.ports import Clock
from autocron.shell.kinds import Feed, Host, Keeper
from autocron.shell.local import KeptStore
from autocron.shell.ownership import RunFolder, living_workers
from autocron.shell.private import check_folder
from autocron.shell.remote import host_of, known_host, shown


class ManyHosts:
    """Implements :class:`autocron.shell.kinds.Kind`.

    Arguments:
        url: The database, as ``postgresql://user@host/name``.
        folder: The run folder of this host.
    """

    is_shared = True

    def __init__(self, url: str, folder: RunFolder) -> None:
        self.shown = shown(url)
        self._url = url
        self._folder = folder
        self._tickets = Tickets()
        # All stores of this process share them: a server has not many.
        self._connections = {
            durability: Connections(url, waits_for_disk=durability == "full")
            for durability in ("full", "normal")
        }
        asked = PostgresStore(url, self._tickets, connections=self._connections["full"])
        self.clock: Clock = ServerClock(asked.server_time)
        self.house_clock: Clock = EvenClock(self.clock)

    def check(self) -> None:
        """Refuse a run folder that somebody else may write: the URL stands in it."""
        check_folder(self._folder.path)

    def store(self, durability: str = "full") -> PostgresStore:
        """Return a store of the database."""
        connections = self._connections[durability]
        return PostgresStore(self._url, self._tickets, self.clock, connections)

    def worker_store(self) -> PostgresStore:
        """Return a store as others; the server looks after turns."""
        return self.store("normal")

    def backend(self, store: KeptStore, operations: Operations) -> ProcrastinateBackend:
        """Return a backend on a store."""
        assert isinstance(store, PostgresStore)
        return ProcrastinateBackend(store, operations)

    def hosts(self, store: KeptStore) -> List[Host]:
        """Return the hosts that have been heard of just now."""
        assert isinstance(store, PostgresStore)
        return [
            Host(name, workers, silent_seconds, is_this=name == self._name)
            for name, workers, silent_seconds in store.hosts(SILENT_SECONDS)
        ]

    @property
    def _name(self) -> Optional[str]:
        return known_host(self._folder)

    def worker_name(self) -> str:
        """Draw the name of a new worker; it begins with that of the host."""
        return f"{host_of(self._folder)}.{os.urandom(4).hex()}"

    def is_ours(self, worker: str) -> bool:
        """Tell whether a worker of this name is, or was, one of this host."""
        return host_in(worker) == host_of(self._folder)

    def logbook(self, worker: str) -> None:
        """There is none: a ticket brings one task."""

    def feed(
        self, store: KeptStore, queues: Optional[Sequence[str]], stir: Callable[[], None]
    ) -> Feed:
        """Let procrastinate's worker, in a thread of its own, bring tickets."""
        assert isinstance(store, PostgresStore)
        return TicketFeed(store, queues, stir)

    def keeper(self, store: KeptStore, engine: Engine) -> Keeper:
        """Keep house as all hosts do."""
        assert isinstance(store, PostgresStore)
        return House(store, engine, host_of(self._folder), lambda: living_workers(self._folder))
