"""Connections to PostgreSQL as threads and forked processes share them, and errors in words.

No thread and no task of an event loop is started for them: they live in web applications, too.
"""

from __future__ import annotations

import os
import select
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, List

import psycopg
from procrastinate.exceptions import ProcrastinateException

from autocron.core.errors import StoreError
from autocron.shell.remote import shown

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Connection: TypeAlias = "psycopg.Connection[Any]"
# What statements, and what procrastinate does with them, may raise; the last is for texts that are
# no Unicode, and numbers that PostgreSQL does not have.
ERRORS = (psycopg.Error, ProcrastinateException, UnicodeError, OverflowError)
CONNECT_SECONDS = 10
# A process that is frozen, or cut off, in the middle of a transaction has the turn, and all others
# would wait for it; so the server ends its session. Our transactions take milliseconds.
_SETTINGS = b"SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '30s'"
_NORMAL = b"; SET synchronous_commit = off"

# Connections from before a fork are the parent's: the child must neither use nor end them.
_left_alone: List[List[Connection]] = []


class Connections:
    """The idle connections of one process to one database.

    Arguments:
        url: The database.
        waits_for_disk: Whether a commit waits until it is on the server's disk.
        name: What the server is to show of who is connected.
        most: How many are kept open while nobody uses them.
    """

    def __init__(
        self, url: str, waits_for_disk: bool = True, name: str = "autocron", most: int = 4
    ) -> None:
        self._settings = _SETTINGS if waits_for_disk else _SETTINGS + _NORMAL
        self._url = url
        self._name = name
        self._most = most
        #: How often one was found to have been ended by the server while it was idle.
        self.ended = 0
        self._lock = threading.Lock()
        self._idle: List[Connection] = []
        self._pid = os.getpid()
        self._is_checked = False

    def take(self) -> Connection:
        """Return a connection that nobody else has.

        Raises:
            StoreError: There stands a pool before the server that can not be used.
            psycopg.Error: There can be no connection.
        """
        self._mind_forks()
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._connect()
                connection.execute(self._settings)
                return connection
            if _is_alive(connection):
                return connection
            self.ended += 1
            connection.close()

    def _connect(self) -> Connection:
        connection = self._another()
        if not self._is_checked:
            try:
                # Before anything is set: it would be set for whoever gets that session next.
                if _session(connection) != connection.info.backend_pid:
                    self._check_pool(connection)
            except BaseException:
                connection.close()
                raise
            self._is_checked = True
        return connection

    def _another(self) -> Connection:
        return psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name=self._name,
        )

    def _check_pool(self, connection: Connection) -> None:
        """Refuse a pool that gives a session to the next one while a connection has it still."""
        with closing(self._another()) as other:
            before, its, after = map(_session, (connection, other, connection))
        if its in (before, after) or before != after:
            raise StoreError(
                f"{shown(self._url)} is a pool that gives each transaction another session "
                "(PgBouncer: pool_mode = transaction), and neither LISTEN nor what is set or "
                "prepared lasts there; name the server itself, or a pool by session. The "
                "application's own connections may go by any"
            )

    def give(self, connection: Connection) -> None:
        """Give a connection back; one that is broken, or in the middle of something, is closed."""
        if self._pid != os.getpid():
            return
        if not connection.closed:
            is_idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            with self._lock:
                if is_idle and len(self._idle) < self._most:
                    self._idle.append(connection)
                    return
            connection.close()

    def close(self) -> None:
        """Close what nobody uses."""
        self._mind_forks()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _mind_forks(self) -> None:
        if self._pid != os.getpid():
            _left_alone.append(self._idle)
            self._lock, self._idle, self._pid = threading.Lock(), [], os.getpid()


def _session(connection: Connection) -> int:
    """Return the process of the server that answers; if a pool stands before it, who knows."""
    # Not prepared: of that a pool knows nothing.
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return int(row[0]) if row else 0


def _is_alive(connection: Connection) -> bool:
    """Look, without a question to the server, whether it has ended an idle connection.

    Nothing is said on one, unless that it is over: so a socket that can be read says it is.
    """
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def store_error(doing: str, url: str, error: Exception) -> StoreError:
    """Say what could not be done, why, and what to do about it."""
    cause = error.__cause__ if isinstance(error, ProcrastinateException) else None
    reason = " ".join(_reason(cause or error).split()) or type(error).__name__
    return StoreError(f"can not {doing} in {shown(url)} ({reason}); {_advice(cause or error)}")


def _reason(error: BaseException) -> str:
    """Return what the server says of an error, without the statements in which it came up."""
    said = error.diag if isinstance(error, psycopg.Error) else None
    if said is None or said.message_primary is None:
        return str(error)
    detail = said.message_detail
    return f"{said.message_primary}; {detail}" if detail else said.message_primary


def _advice(error: BaseException) -> str:
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "give this user the rights to create and change tables there"
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return "this server is read-only, perhaps a standby: name the one that takes writes"
    if isinstance(error, psycopg.errors.UniqueViolation):
        return "nothing was changed"
    if isinstance(error, psycopg.OperationalError):
        return "nothing was stored: see that the server runs and is reached, and try again"
    return "nothing was changed"
