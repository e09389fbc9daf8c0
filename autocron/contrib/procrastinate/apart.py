"""A store in a schema of its own, for one test session: it sees nothing of what the database has.

So tests may run side by side, and in any database. The tables are made once for as many sessions
as are open at a time, emptied in between, and dropped when the process ends.
"""

from __future__ import annotations

import atexit
import os
from contextlib import closing, contextmanager, suppress
from typing import Dict, Iterator, List
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from autocron.contrib.procrastinate.connections import ERRORS, Connection, store_error
from autocron.contrib.procrastinate.joining import JoinedCalls, driver_connection
from autocron.contrib.procrastinate.store import PostgresStore
from autocron.contrib.procrastinate.tickets import Tickets
from autocron.core.errors import StoreError
from autocron.ports import Backend, Clock

# Whoever finds such a schema left behind, by a process that was killed, may drop it.
PREFIX = "autocron_test_"
_TABLES = (
    *("autocron_tasks", "autocron_schedules", "autocron_settings", "autocron_starts"),
    *("autocron_busy_rates", "autocron_paused_queues", "autocron_hosts", "procrastinate_jobs"),
)
_PATH = "SELECT set_config('search_path', %s, true)"

# The schemas that this process has made, by URL, and those of them that nobody uses.
_made: Dict[str, List[str]] = {}
_idle: Dict[str, List[str]] = {}
_maker: List[int] = []


class StoreApart(PostgresStore):
    """Keeps the tasks of one session.

    Arguments:
        url: The database, as ``postgresql://user@host/name``, in which this user may make schemas.
        clock: The clock of the session.

    Raises:
        StoreError: The database can not be used.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._base = url
        self._schema = _schema(url)
        super().__init__(_in_schema(url, self._schema), Tickets(), clock)

    def within(self, backend: Backend, connection: object) -> JoinedCalls:
        """Return what takes calls in a transaction of the test's."""
        return JoinedCalls(backend, self, driver_connection(connection))

    @contextmanager
    def joined(self, connection: Connection) -> Iterator[None]:
        """Let what is done inside be part of a transaction, as far as it is about these tables."""
        with super().joined(connection):
            doing = "look into the schema of the session"
            before = self.look(doing, "SELECT current_setting('search_path')")[0][0]
            self.look(doing, _PATH, (self._schema,))
            # An error undoes it by itself.
            yield
            self.look(doing, _PATH, (before,))

    def close(self) -> None:
        """Leave nothing behind, and let the next session have the tables."""
        with suppress(StoreError):
            with self.transaction():
                for table in _TABLES:
                    self.write("empty the tables of a session", f"DELETE FROM {table}")
            _idle.setdefault(self._base, []).append(self._schema)
        super().close()


def _schema(url: str) -> str:
    """Return a schema that nobody uses; if there is none, make one."""
    if _maker != [os.getpid()]:
        # Those from before a fork are the parent's.
        _made.clear()
        _idle.clear()
        _maker[:] = [os.getpid()]
        atexit.register(_drop_all, os.getpid())
    if _idle.get(url):
        return _idle[url].pop()
    schema = f"{PREFIX}{os.urandom(6).hex()}"
    _run(url, f"CREATE SCHEMA {schema}")
    _made.setdefault(url, []).append(schema)
    return schema


def _drop_all(maker: int) -> None:
    if os.getpid() != maker:
        return
    for url, schemas in _made.items():
        for schema in schemas:
            with suppress(StoreError):
                _run(url, f"DROP SCHEMA {schema} CASCADE")


def _run(url: str, sql: str) -> None:
    try:
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            connection.execute(sql.encode())
    except ERRORS as error:
        raise store_error("make a place for a test session", url, error) from error


def _in_schema(url: str, schema: str) -> str:
    parts = urlsplit(url)
    option = f"options={quote(f'-csearch_path={schema}')}"
    query = f"{parts.query}&{option}" if parts.query else option
    return urlunsplit(parts._replace(query=query))
