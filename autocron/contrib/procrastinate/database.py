"""A PostgreSQL database as threads and processes share it: opening, transactions, statements.

Whatever fails becomes a :class:`~autocron.core.errors.StoreError` here; no exception of psycopg, or
of procrastinate, passes.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from autocron.contrib.procrastinate.connections import (
    ERRORS,
    Connection,
    Connections,
    store_error,
)
from autocron.contrib.procrastinate.schema import VERSION, Versions, migrate, version_of
from autocron.contrib.procrastinate.texts import originals, storable, storables
from autocron.core.errors import StoreError
from autocron.shell.remote import shown

Values = Union[Sequence[Any], Mapping[str, Any]]

# Who holds this lock of the server has the turn.
TURN_LOCK = 0x6175746F7475726E
# No two servers have been started in the same microsecond.
_WHICH = "SELECT pg_postmaster_start_time(), current_database()"


class _Transaction:
    """The transaction that a thread is in."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.undone = False
        self.has_turn = False


class Database:
    """One database of autocron's; base of :class:`autocron.contrib.procrastinate.store.Store`.

    **Turns.** What a transaction has read must still hold when it writes: that a unique key is
    free, that a group has ended. On SQLite writers take turns. Here a transaction takes its turn
    when it first *reads*; one that only writes, as that of a plain call, waits for nobody.

    Arguments:
        url: The database, as ``postgresql://user@host/name``.
        connections: Its connections, which may be others' too; None is its own.
    """

    #: It is never found replaced by another one: a URL is no file.
    replacements = 0

    def __init__(self, url: str, connections: Optional[Connections] = None) -> None:
        self.url = url
        self.shown = shown(url)
        self._connections = connections or Connections(url)
        self._is_checked = False
        self._opening = threading.Lock()
        self._local = threading.local()

    # -- opening and closing ------------------------------------------------------------------

    def open(self, create: bool = True) -> None:
        """Make the database usable; cheap if it is, and safe if others do the same at once.

        Missing tables are made, and older ones brought up to date.

        Arguments:
            create: Whether missing tables are made.

        Raises:
            NewerDatabase: The tables are a newer autocron's; they are untouched.
            StoreError: It can not be reached, or its tables can not be made.
        """
        if self._is_checked:
            return
        with self._opening:
            if self._is_checked:
                return
            with self._taken("open the database") as connection:
                if version_of(connection) < VERSION:
                    if not create:
                        raise StoreError(
                            f"{self.shown} has no tables of this autocron; the next start() of the "
                            "application makes them"
                        )
                    migrate(connection)
            self._is_checked = True

    def migrate(self) -> Tuple[Versions, Versions]:
        """Make missing tables, and bring older ones up to date; return what was, and what is now.

        Raises:
            NewerDatabase: The tables are a newer autocron's; they are untouched.
            StoreError: It can not be reached, or its tables can not be made.
        """
        with self._taken("migrate the database") as connection:
            return migrate(connection)

    def close(self) -> None:
        """Close what is open; the next use opens it again.

        Raises:
            StoreError: This thread is in a transaction.
        """
        if self._current() is not None:
            raise StoreError("can not close the database inside a transaction; leave it first")
        self._connections.close()
        self._is_checked = False

    @property
    def outages(self) -> int:
        """How often the server has ended idle connections, as when it was started anew."""
        return self._connections.ended

    def server_time(self) -> datetime:
        """Ask the server for its time."""
        doing = "ask for the time"
        # On a connection of its own, also inside a transaction: it is no reason to take the turn.
        with self._taken(doing) as connection:
            rows = self._rows(connection, doing, "SELECT clock_timestamp()", ())
        at: datetime = rows[0][0]
        return at.astimezone(timezone.utc)

    # -- transactions and statements ----------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is done inside one atomic write; an exception undoes all of it.

        A transaction inside another one joins it: an exception in the inner one undoes both.
        """
        outer = self._current()
        if outer is not None:
            try:
                yield
            except BaseException:
                outer.undone = True
                raise
            return
        self.open()
        with self._taken("begin a transaction") as connection:
            current = _Transaction(connection)
            connection.execute("BEGIN")
            self._local.transaction = current
            try:
                try:
                    yield
                finally:
                    self._local.transaction = None
                if current.undone:
                    raise StoreError(
                        f"can not commit a transaction in {self.shown}: an error has undone "
                        "it; let the error pass and begin again"
                    )
                connection.execute("COMMIT")
            except BaseException:
                _undo(connection)
                raise

    def is_same_as(self, connection: Connection) -> bool:
        """Tell whether a connection is one to this database: the tables are the same ones.

        It may lead there by another name of the host, a socket, or a pool.
        """
        doing, given = "look which database this is", connection.info
        with self._taken(doing) as ours:
            mine = ours.info
            if (given.host, given.port, given.dbname) == (mine.host, mine.port, mine.dbname):
                return True
            if given.transaction_status is TransactionStatus.INERROR:
                # It answers no more; what is stored next says so.
                return True
            return self._which(connection, doing) == self._which(ours, doing)

    def _which(self, connection: Connection, doing: str) -> Sequence[Any]:
        found: Sequence[Any] = self._rows(connection, doing, _WHICH, ())[0]
        return found

    @contextmanager
    def joined(self, connection: Connection) -> Iterator[None]:
        """Let what this thread does inside be part of a transaction of the application.

        It is undone alone if it fails; the application's transaction may go on.

        Arguments:
            connection: The connection of that transaction; without one, a transaction is begun as
                the connection does it.
        """
        self.open()
        status = connection.info.transaction_status
        if status is TransactionStatus.IDLE and not connection.autocommit:
            # Else what follows would be committed by itself.
            connection.execute("SELECT")
        doing = "store inside a transaction of the application"
        with self.said(doing), connection.transaction():
            before = self._current()
            self._local.transaction = _Transaction(connection)
            try:
                yield
            finally:
                self._local.transaction = before

    def take_turn(self) -> None:
        """Wait until no other transaction has the turn, and keep it to the end of this one."""
        current = self._current()
        if current is not None and not current.has_turn:
            self._on(
                current.connection,
                "wait for the turn",
                "SELECT pg_advisory_xact_lock(%s)",
                (TURN_LOCK,),
            )
            current.has_turn = True

    def read(self, doing: str, sql: str, values: Values = ()) -> List[Any]:
        """Run one statement that changes nothing; return its rows.

        Arguments:
            doing: What is done by it, for the error message: ``"read a task"``.
            sql: The statement.
            values: The values for its ``%s``, or, by name, for its ``%(name)s``.

        Raises:
            StoreError: It failed.
        """
        self.take_turn()
        return self.look(doing, sql, values)

    def look(self, doing: str, sql: str, values: Values = ()) -> List[Any]:
        """Do the same as :meth:`read`, but without the turn: for what needs not hold any longer."""
        current = self._current()
        if current is not None:
            return self._rows(current.connection, doing, sql, values)
        self.open()
        with self._taken(doing) as connection:
            return self._rows(connection, doing, sql, values)

    def write(self, doing: str, sql: str, values: Values = ()) -> int:
        """Run one statement that changes something; return how many rows it has changed.

        Outside of a transaction it is one. Arguments and errors are those of :meth:`read`.
        """
        current = self._current()
        if current is not None:
            return int(self._on(current.connection, doing, sql, values).rowcount)
        self.open()
        with self._taken(doing) as connection:
            return int(self._on(connection, doing, sql, values).rowcount)

    @property
    def in_transaction(self) -> Optional[Connection]:
        """The connection of the transaction that this thread is in; None outside of one."""
        current = self._current()
        return None if current is None else current.connection

    def _current(self) -> Optional[_Transaction]:
        current: Optional[_Transaction] = getattr(self._local, "transaction", None)
        return current

    @contextmanager
    def _taken(self, doing: str) -> Iterator[Connection]:
        try:
            connection = self._connections.take()
        except ERRORS as error:
            raise store_error(doing, self.url, error) from error
        try:
            yield connection
        except ERRORS as error:
            raise store_error(doing, self.url, error) from error
        finally:
            self._connections.give(connection)

    @contextmanager
    def said(self, doing: str) -> Iterator[None]:
        """Let what goes wrong inside be a StoreError that says what was done."""
        try:
            yield
        except ERRORS as error:
            current = self._current()
            if current is not None:
                current.undone = True
            raise store_error(doing, self.url, error) from error

    def _rows(self, connection: Connection, doing: str, sql: str, values: Values) -> List[Any]:
        return [originals(row) for row in self._on(connection, doing, sql, values).fetchall()]

    def _on(self, connection: Connection, doing: str, sql: str, values: Values) -> Any:
        given: Any
        if isinstance(values, Mapping):
            given = {name: storable(value) for name, value in values.items()}
        else:
            given = storables(values)
        with self.said(doing):
            # A connection of the application may make other rows, or cursors that bind otherwise.
            return psycopg.Cursor(connection, row_factory=tuple_row).execute(sql.encode(), given)


def _undo(connection: Connection) -> None:
    """Undo the transaction of a connection, whatever has become of that."""
    if connection.closed:
        return
    if connection.info.transaction_status is TransactionStatus.ACTIVE:
        # Somebody has interrupted a statement (Ctrl-C): nothing more can be said to it.
        connection.close()
    else:
        connection.execute("ROLLBACK")
