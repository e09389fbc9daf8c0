"""A SQLite database as threads and processes share it: opening, transactions, statements.

Whatever fails becomes a :class:`~autocron.core.errors.StoreError` here; no exception of
:mod:`sqlite3` passes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from types import TracebackType
from typing import (
    Any,
    Callable,
    ContextManager,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
)

from autocron.core.errors import StoreError
from autocron.shell.checkpoints import see_to_log
from autocron.shell.connections import (
    FORKS,
    JOURNAL_START,
    LOOK_AGAIN_SECONDS,
    MEMORY,
    SMALLEST_BYTES,
    SQLITE_ERRORS,
    SYNCHRONOUS,
    MemoryPool,
    Pool,
    connect,
    create_file,
    is_locked,
    not_a_database,
    opening,
    store_error,
)
from autocron.shell.damage import UndecodableText
from autocron.shell.place import Place, alone_beside, remove_left_over
from autocron.shell.schema import check_is_ours, prepare, prepare_in_memory
from autocron.shell.turnstile import Turnstile

Values = Union[Sequence[Any], Mapping[str, Any]]


class _Transaction:
    """The transaction that a thread is in; entered again, inside of itself, it goes on.

    No generator: it is entered once or twice in the life of every task, and this takes a third.
    """

    pool: Pool
    connection: sqlite3.Connection

    def __init__(self, database: Database) -> None:
        self._database = database
        self._depth = 0
        self.rows = 0
        self.undone = False

    def __enter__(self) -> None:
        if self._depth == 0:
            self._database.begin(self)
        self._depth += 1

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._database.end(self, error is not None)
        elif error is not None:
            self.undone = True


class _Local(threading.local):
    """What each thread has of a database."""

    transaction: Optional[_Transaction] = None


class Database:
    """One database of autocron's; the base of :class:`autocron.shell.sqlite.SQLiteStore`.

    Arguments:
        path: An absolute file name, or ``":memory:"`` for a database of this object alone.
        durability: ``"full"``: what was stored survives a power cut. ``"normal"``: it survives
            the death of every process, and a power cut may take the latest changes back.
        timeout_seconds: How long to wait while another process writes.
        turnstile: Where transactions wait for those of other processes that have one, too.

    Raises:
        StoreError: An argument can not be used.
    """

    def __init__(
        self,
        path: str,
        *,
        durability: str = "full",
        timeout_seconds: float = 30.0,
        turnstile: Optional[Turnstile] = None,
    ) -> None:
        if path != MEMORY and not os.path.isabs(path):
            raise StoreError(f"database {path!r}: expected an absolute file name or {MEMORY!r}")
        if durability not in SYNCHRONOUS:
            raise StoreError(f"durability {durability!r}: expected 'full' or 'normal'")
        self.path = path
        self.durability = durability
        self.timeout_seconds = timeout_seconds
        self._turnstile = turnstile
        self._create = True
        # How often the file was found to be another one than that which was open.
        self.replacements = 0
        self._pool: Optional[Pool] = None
        # The file that was opened last, until this is closed.
        self._left: Optional[Place] = None
        self._local = _Local()

    # -- opening and closing ------------------------------------------------------------------

    def open(self, create: bool = True) -> None:
        """Make the database usable; cheap if it is, and safe if others do the same at once.

        A new file has mode 0600; an older schema is migrated.

        Arguments:
            create: False to refuse a file that does not exist.

        Raises:
            ForeignDatabase: The file is no database, or not autocron's; it is untouched.
            NewerDatabase: It was made by a newer autocron; it is untouched.
            StoreError: It can not be opened or created; the message says why.
        """
        self._create = create
        pool = self._pool
        if pool is not None and pool.is_mine:
            return
        with opening():
            pool = self._pool
            if pool is not None and pool.is_mine:
                return
            if pool is not None:
                pool.leave_alone()
                self._leave_what_was_replaced()
            # An empty file in the place of one that was in use would hide that something is lost.
            with FORKS:
                connection, place = self._connect(create and self._left is None)
            if place is None:
                self._pool = MemoryPool(self.timeout_seconds, connection)
            else:
                how = (self.path, self.durability, self.timeout_seconds)
                self._pool = Pool(*how, connection, place)
                self._left = place

    def close(self) -> None:
        """Close what is open; the next use opens it again. What was in memory is forgotten.

        Raises:
            StoreError: This thread is in a transaction.
        """
        if self.in_transaction:
            raise StoreError(f"can not close {self.path} inside a transaction; leave it first")
        pool, self._pool = self._pool, None
        self._left = None
        if pool is not None and pool.is_mine:
            pool.close()

    def _connect(self, create: bool) -> Tuple[sqlite3.Connection, Optional[Place]]:
        doing = "open the database"
        how = (self.path, self.durability, self.timeout_seconds)
        place = None
        try:
            if self.path != MEMORY:
                self._look_at_file(create)
                # Before it is opened: if it is replaced in between, that is noticed later.
                place = Place(self.path)
            connection = connect(*how, mode="rw")
            try:
                if self.path == MEMORY:
                    prepare_in_memory(connection)
                else:
                    prepare(connection, self.path, self.timeout_seconds)
                if place is not None:
                    place.look_beside()
            except BaseException:
                connection.close()
                raise
        except SQLITE_ERRORS as error:
            raise self._error(doing, error) from error
        return connection, place

    def _look_at_file(self, create: bool) -> None:
        """Create a missing file; refuse a foreign or newer one without changing it."""
        try:
            size = os.stat(self.path).st_size
        except (FileNotFoundError, NotADirectoryError) as missing:
            if not create:
                raise StoreError(
                    f"no database at {self.path}; check the name, or start the application that "
                    f"creates it"
                ) from missing
            with alone_beside(self.path):
                # First: once the file is there, others open it, and what is beside it is theirs.
                remove_left_over(self.path)
                create_file(self.path)
            return
        except OSError as error:
            raise StoreError(
                f"can not open the database {self.path} ({error.strerror}); give this user the "
                f"right to read its folder"
            ) from error
        if size == 0:
            return
        if size < SMALLEST_BYTES:
            raise not_a_database(self.path)
        # A connection that may write would, on closing, write what a killed application left in
        # the log into its database; one that may only read would leave an empty log behind.
        left_over = any(os.path.lexists(self.path + end) for end in ("-wal", "-journal"))
        look = connect(
            self.path, self.durability, self.timeout_seconds, mode="ro" if left_over else "rw"
        )
        try:
            check_is_ours(look, self.path)
        except sqlite3.OperationalError as error:
            if not ("readonly" in str(error) and os.path.lexists(f"{self.path}-journal")):
                raise
            self._look_at_what_was_cut_off()
        finally:
            look.close()

    def _look_at_what_was_cut_off(self) -> None:
        """Refuse a foreign file whose last change was cut off, which only who may write can undo.

        That is how a power cut may leave a database that was just being made.
        """
        look = connect(self.path, self.durability, self.timeout_seconds, mode="ro&immutable=1")
        try:
            check_is_ours(look, self.path)
        except sqlite3.DatabaseError:
            # It is half written, so only what it was before can tell; who prepares it looks again.
            with open(f"{self.path}-journal", "rb") as journal:
                if journal.read(len(JOURNAL_START)) != JOURNAL_START:
                    raise not_a_database(self.path) from None
        finally:
            look.close()

    # -- transactions and statements ----------------------------------------------------------

    def transaction(self) -> ContextManager[None]:
        """Make what is done inside one atomic write; an exception undoes all of it.

        A transaction inside another one joins it: an exception in the inner one undoes both.
        """
        return self._current() or _Transaction(self)

    def begin(self, transaction: _Transaction) -> None:
        """Begin a transaction in this thread; only :class:`_Transaction` asks for it."""
        doing = "begin a transaction"
        pool, connection = self._take_turn(doing)
        try:
            if self._turnstile is not None:
                self._turnstile.enter()
            self._count(connection, doing, "BEGIN IMMEDIATE")
            transaction.pool, transaction.connection = pool, connection
            self._local.transaction = transaction
        except BaseException:
            self._give_turn(pool, connection)
            raise

    def _give_turn(self, pool: Pool, connection: sqlite3.Connection) -> None:
        if self._turnstile is not None:
            self._turnstile.leave()
        pool.give_turn(connection)

    def end(self, transaction: _Transaction, undo: bool) -> None:
        """Commit or undo the transaction of this thread; only :class:`_Transaction` asks for it."""
        pool, connection = transaction.pool, transaction.connection
        try:
            self._local.transaction = None
            if undo:
                return
            if not pool.is_mine:
                raise StoreError(
                    f"can not commit a transaction in {self.path}: it was begun before a fork, "
                    f"and is the parent's; fork outside of transactions"
                )
            if transaction.undone or not connection.in_transaction:
                raise self._is_undone("commit a transaction")
            self._count(connection, "commit a transaction", "COMMIT")
            see_to_log(pool, connection, transaction.rows)
        finally:
            if pool.is_mine:
                try:
                    if connection.in_transaction:
                        self._count(connection, "undo a transaction", "ROLLBACK")
                finally:
                    self._give_turn(pool, connection)

    def _current(self) -> Optional[_Transaction]:
        current = self._local.transaction
        # Nobody forks in here without Python's knowledge, so no process id need be asked for.
        return None if current is None or current.pool.is_inherited else current

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in a transaction of this object."""
        return self._current() is not None

    def _is_undone(self, doing: str) -> StoreError:
        # After some errors (a full disk) SQLite has undone the transaction by itself; what came
        # next would be stored without it.
        return StoreError(
            f"can not {doing} in {self.path}: an error has undone this transaction; let the error "
            f"pass and begin again"
        )

    def _take(self, doing: str) -> Tuple[Pool, sqlite3.Connection]:
        pool = self._opened(doing)
        try:
            return pool, pool.take()
        except SQLITE_ERRORS as error:
            raise self._error(doing, error) from error

    def _take_turn(self, doing: str) -> Tuple[Pool, sqlite3.Connection]:
        pool = self._opened(doing)
        try:
            return pool, pool.take_turn()
        except SQLITE_ERRORS as error:
            raise self._error(doing, error) from error

    def _opened(self, doing: str = "use it") -> Pool:
        while True:
            pool = self._pool
            if pool is None or not pool.is_mine:
                self.open(self._create)
                # Unless another thread has closed it just now.
                continue
            if pool.place is None or pool.place.is_still_there():
                return pool
            if not os.path.lexists(self.path):
                # It stays open: it may come back, and until then it can be saved from here.
                raise self._error(doing, sqlite3.OperationalError("unable to open database file"))
            self._follow(pool)

    def _follow(self, pool: Pool) -> None:
        """Leave a file in whose place there is another one now, which is opened next."""
        with opening():
            if self._pool is pool:
                self._pool = None
                self.replacements += 1
                self._leave_what_was_replaced()
                pool.close()

    def _leave_what_was_replaced(self) -> None:
        left = self._left
        if left is not None and not left.is_still_there() and os.path.lexists(self.path):
            left.leave()

    def read(self, doing: str, sql: str, values: Values = ()) -> List[Any]:
        """Run one statement that changes nothing; return its rows.

        Arguments:
            doing: What is done by it, for the error message: ``"read a task"``.
            sql: The statement.
            values: The values for its question marks, or, by name, for its ``:name``.

        Raises:
            StoreError: It failed.
        """
        current = self._current()
        if current is not None:
            if current.undone or not current.connection.in_transaction:
                raise self._is_undone(doing)
            return self._rows(current.connection, doing, sql, values)
        pool, connection = self._take(doing)
        try:
            return self._rows(connection, doing, sql, values)
        finally:
            pool.give(connection)

    def write(self, doing: str, sql: str, values: Values = ()) -> int:
        """Run one statement that changes something; return how many rows it has changed.

        Outside of a transaction it is one. Arguments and errors are those of :meth:`read`.
        """
        current = self._current()
        if current is not None:
            if current.undone or not current.connection.in_transaction:
                raise self._is_undone(doing)
            count = self._count(current.connection, doing, sql, values)
            current.rows += count
            return count
        pool, connection = self._take_turn(doing)
        try:
            count = self._count(connection, doing, sql, values)
            see_to_log(pool, connection, count)
            return count
        finally:
            pool.give_turn(connection)

    def script(self, doing: str, sql: str) -> None:
        """Run a statement to its end that gives rows without columns; not in a transaction.

        Some versions of Python (3.11) take such a statement for ended after its first step.
        """
        pool, connection = self._take_turn(doing)
        try:
            connection.executescript(sql)
        except SQLITE_ERRORS as error:
            if not is_locked(error):
                raise self._error(doing, error) from error
            self._patiently(doing, connection.executescript, sql)
        finally:
            pool.give_turn(connection)

    def _rows(
        self, connection: sqlite3.Connection, doing: str, sql: str, values: Values
    ) -> List[Any]:
        try:
            cursor = connection.execute(sql, values)
            # To the end, always: a statement that is left open keeps its snapshot, and the log
            # from being cut.
            try:
                return cursor.fetchall()
            except BaseException:
                # So also where a row of it can not be read.
                cursor.close()
                raise
        except SQLITE_ERRORS as error:
            if is_locked(error):
                return self._patiently(doing, connection.execute, sql, values).fetchall()
            if "could not decode" in str(error).lower():
                raise UndecodableText(
                    f"can not {doing} in {self.path}: {error!s:.200}; autocron did not write it"
                ) from error
            raise self._error(doing, error) from error

    def _count(
        self, connection: sqlite3.Connection, doing: str, sql: str, values: Values = ()
    ) -> int:
        """Run a statement without rows, which has come to its end with the first step."""
        try:
            return connection.execute(sql, values).rowcount
        except SQLITE_ERRORS as error:
            if is_locked(error):
                return self._patiently(doing, connection.execute, sql, values).rowcount
            raise self._error(doing, error) from error

    def _patiently(
        self, doing: str, execute: Callable[..., sqlite3.Cursor], *what: Any
    ) -> sqlite3.Cursor:
        """Execute what has found the database locked, as soon as it is not."""
        # No clock is read here: the pauses themselves are added up.
        waited_seconds = 0.0
        while True:
            time.sleep(LOOK_AGAIN_SECONDS)
            waited_seconds += LOOK_AGAIN_SECONDS
            try:
                return execute(*what)
            except SQLITE_ERRORS as error:
                if not is_locked(error) or waited_seconds >= self.timeout_seconds:
                    raise self._error(doing, error) from error

    def _error(self, doing: str, error: Exception) -> StoreError:
        return store_error(doing, self.path, self.timeout_seconds, error)
