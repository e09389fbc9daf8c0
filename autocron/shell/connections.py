"""Connections to one SQLite database: opened, pooled, left alone after a fork, their errors told.

POSIX drops every lock that a process has on a file as soon as it closes any descriptor of that
file. So nothing here, or elsewhere in autocron, opens a database or its ``-wal`` and ``-shm`` files
other than through SQLite once they exist, which knows of this and takes care.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import weakref
from typing import List, Optional, Set, Tuple, Type

from autocron.core.errors import ForeignDatabase, StoreError
from autocron.shell.checkpoints import AUTOMATIC_PAGES, WAL_BYTES
from autocron.shell.place import Place

try:
    import ctypes
except ImportError:  # pragma: no cover - some builds of Python come without it
    ctypes = None  # type: ignore[assignment]

MEMORY = ":memory:"
SYNCHRONOUS = {"full": "FULL", "normal": "NORMAL"}
# More than this many idle connections are left over from a rush, and hold three files each.
MAX_IDLE = 16

# Who finds the database locked looks again after so long, each time. SQLite itself looks less often
# the longer it has waited, and others pass by for seconds (`tests.torture.load`: 1.8 s, like this
# 0.2). With half a millisecond somebody always just looks, and the log never begins anew.
LOOK_AGAIN_SECONDS = 0.002

# The smallest page of SQLite. A file of a single byte, whatever it is, SQLite takes for empty.
SMALLEST_BYTES = 512

# With this begins the journal of a database that is not in write-ahead logging, or not yet.
JOURNAL_START = bytes.fromhex("d9d505f920a163d7")

# What SQLite binds with: an id that is no proper text, or a number that is none, is refused before
# SQLite sees it, by these.
SQLITE_ERRORS: Tuple[Type[Exception], ...] = (
    sqlite3.Error,
    sqlite3.Warning,
    UnicodeError,
    OverflowError,
)

# A piece of SQLite's message -> why, and what to do. The error numbers come only with Python 3.11.
_REASONS: Tuple[Tuple[str, str, str], ...] = (
    (
        "moved by autocron",
        "what is in it was moved to another database, or is being moved",
        "start the application with that one; 'autocron FILE --info' names it",
    ),
    (
        "locked",
        "it was locked by another process or thread for longer than {timeout:g} seconds",
        "find out what keeps it open for so long, or try again",
    ),
    ("disk is full", "the disk is full", "free some space and try again"),
    (
        "disk i/o error",
        "the disk reported an error",
        "check the disk, and that it is a local one: SQLite does not work on network disks",
    ),
    (
        "readonly",
        "the file, its folder or its disk can not be written",
        "give this user the right to write the file and its folder",
    ),
    (
        "malformed",
        "the file is damaged, or its disk fails",
        "check the disk, and the file with 'autocron FILE --verify'; if it is damaged, stop what "
        "uses it and restore a copy, or save what can be read with 'sqlite3 FILE .recover'",
    ),
    (
        "no such",
        "its tables were changed by something else while it was in use",
        "restore a copy, or name another file",
    ),
    (
        "unique constraint failed: tasks.id",
        "a task with this id is stored already",
        "give every task an id of its own",
    ),
)


def is_locked(error: BaseException) -> bool:
    """Tell whether a statement failed since another process, or connection, has a lock."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def store_error(doing: str, path: str, timeout_seconds: float, error: Exception) -> StoreError:
    """Make autocron's error of one of SQLite's.

    Arguments:
        doing: What was tried: ``"store a task"``.
        path: The database.
        timeout_seconds: How long was waited for a lock.
        error: What SQLite, or the binding of a value, raised.

    Returns:
        The error to raise: what was tried, where, why it failed and what to do.
    """
    text = str(error)
    lowered = text.lower()
    if "not a database" in lowered:
        return not_a_database(path)
    if "unable to open" in lowered:
        why, remedy = _why_it_does_not_open(path)
    else:
        why, remedy = next(
            ((why, remedy) for piece, why, remedy in _REASONS if piece in lowered),
            (f"{type(error).__name__} was raised", "see the reason that SQLite gave"),
        )
        why = why.format(timeout=timeout_seconds)
    return StoreError(f"can not {doing} in {path}: {why} ({text}); {remedy}")


def not_a_database(path: str) -> ForeignDatabase:
    """Make the error for a file that SQLite did not write."""
    return ForeignDatabase(
        f"{path} is no SQLite database; name another file. This one is left as it is"
    )


def _why_it_does_not_open(path: str) -> Tuple[str, str]:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f"there is no folder {folder}", "create it, or name another file"
    if os.path.isdir(path):
        return "that is a folder", "name a file"
    if not os.path.lexists(path):
        return "the file is gone", "restore it, or start again to create an empty one"
    return (
        "the file or its folder can not be opened",
        "give this user the right to read and write the file and its folder",
    )


def connect(path: str, durability: str, timeout_seconds: float, mode: str) -> sqlite3.Connection:
    """Open a database that exists; a file is never created by this.

    Arguments:
        path: An absolute file name, or ``":memory:"``.
        durability: ``"full"`` or ``"normal"``.
        timeout_seconds: How long to wait for the locks of others.
        mode: ``"rw"``, ``"ro"``, or ``"ro&immutable=1"`` to see the file as it is, whatever stands
            beside it.

    Returns:
        A connection that any thread may use, one at a time, in which only an explicit BEGIN begins
        a transaction.
    """
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(
        MEMORY if path == MEMORY else f"file://{quoted}?mode={mode}",
        uri=path != MEMORY,
        timeout=timeout_seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _distrust(connection)
    except sqlite3.Error:
        connection.close()
        raise
    if mode == "rw":
        try:
            connection.execute(f"PRAGMA synchronous={SYNCHRONOUS[durability]}")
            # On macOS a plain sync leaves it in the memory of the disk; elsewhere these do nothing.
            connection.execute(f"PRAGMA fullfsync={int(durability == 'full')}")
            connection.execute("PRAGMA checkpoint_fullfsync=1")
            connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}").fetchall()
            connection.execute(f"PRAGMA wal_autocheckpoint={AUTOMATIC_PAGES}").fetchall()
        except sqlite3.Error:
            connection.close()
            raise
    return connection


def _distrust(connection: sqlite3.Connection) -> None:
    """Let what somebody has put into the schema do as little on its own as possible.

    A database with triggers is refused when it is opened; one that comes later can write what its
    author could write himself. They are not switched off, since by them a database that was moved
    refuses what a process would store that has had it open since before; see `moved.py`.
    """
    connection.execute("PRAGMA trusted_schema=OFF")
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False)


class _Inside:
    """How often a thread has begun to use SQLite, and has not come to an end."""

    def __init__(self) -> None:
        self.depth = 0


class _Own(threading.local):
    """What each thread has of that; it is registered when a thread first asks for it."""

    def __init__(self, forks: Forks) -> None:
        self.inside = forks.register()


class Forks:
    """Lets a fork wait until no thread of this process is inside SQLite.

    A child inherits what SQLite knows of the locks that its process holds. Were one of the parent's
    threads just writing, then the child, which has no such thread, would find the database locked
    for ever.

    Threads use SQLite at each call, and forks are few. So a thread takes no lock (0.15 µs, which
    were 0.8): it says that it is inside, and *then* looks whether somebody wants to fork; who forks
    says so, and *then* looks who is inside. In every order one of the two sees the other.
    """

    def __init__(self) -> None:
        self.after_in_child()

    def register(self) -> _Inside:
        """Return what a new thread says of itself; kept here as long as by the thread."""
        inside = _Inside()
        with self._lock:
            self._threads.add(inside)
        return inside

    def enter(self) -> None:
        """Begin to use SQLite; waits for a fork that is under way."""
        own = self._own.inside
        own.depth += 1
        if self._waiting and own.depth == 1:
            self._stand_back(own)

    def _stand_back(self, own: _Inside) -> None:
        with self._lock:
            while self._waiting:
                own.depth = 0
                self._changed.notify_all()
                self._changed.wait()
            own.depth = 1

    def leave(self) -> None:
        """Come to an end with it."""
        own = self._own.inside
        depth = own.depth
        if depth == 0:
            return  # it was begun before a fork, by the parent
        own.depth = depth - 1
        if self._waiting and depth == 1:
            with self._lock:
                self._changed.notify_all()

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *exception: object) -> None:
        self.leave()

    def before(self) -> None:
        """Wait until no other thread is inside, and let none in until the fork is over."""
        own = self._own.inside
        self._lock.acquire()
        self._waiting += 1
        while any(one.depth for one in self._threads if one is not own):
            self._changed.wait()

    def after_in_parent(self) -> None:
        """Let the threads in again."""
        self._waiting -= 1
        self._changed.notify_all()
        self._lock.release()

    def after_in_child(self) -> None:
        """Begin anew: what was begun before the fork is the parent's."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        self._threads: weakref.WeakSet[_Inside] = weakref.WeakSet()
        self._own = _Own(self)


FORKS = Forks()


# Who uses a pool waits itself; see `Database`.
_NO_WAIT = "PRAGMA busy_timeout=0"


class Pool:
    """The connections of one process to one database.

    The one that was used last is used next, since its cache is warm. In a child of the process
    that opened them they are neither used nor closed.

    Arguments:
        path: An absolute file name, or ``":memory:"``.
        durability: ``"full"`` or ``"normal"``.
        timeout_seconds: How long to wait for the locks of others.
        first: A connection that is open already.
        place: The file that it has open.
    """

    def __init__(
        self,
        path: str,
        durability: str,
        timeout_seconds: float,
        first: sqlite3.Connection,
        place: Optional[Place] = None,
    ) -> None:
        self.place = place
        self.path = path
        self._how = (path, durability, timeout_seconds)
        self._pid = os.getpid()
        self._idle: List[sqlite3.Connection] = [first]
        self._open: Set[sqlite3.Connection] = {first}
        self._closed = False
        first.execute(_NO_WAIT)
        # Whether this is a child of who opened it, made by a fork that Python knows of.
        self.is_inherited = False
        self._turn = threading.Lock()
        # About how many pages this process has added to the log since it last saw to it.
        self.logged_pages = 0.0
        # With how many one looks whether it is time.
        self.look_at_pages = 0.0
        _POOLS.add(self)

    @property
    def is_mine(self) -> bool:
        """Whether this process opened it."""
        # The number alone is no proof: a grandchild may get that of a process that has ended.
        return not self.is_inherited and self._pid == os.getpid()

    def take(self) -> sqlite3.Connection:
        """Take a connection out, or open one more; until it is given back, forks wait."""
        FORKS.enter()
        try:
            try:
                return self._idle.pop()
            except IndexError:
                connection = connect(*self._how, mode="rw")
                connection.execute(_NO_WAIT)
                self._open.add(connection)
                return connection
        except BaseException:
            FORKS.leave()
            raise

    def give(self, connection: sqlite3.Connection) -> None:
        """Put a connection back; one with an open transaction is closed, which undoes it."""
        try:
            if connection.in_transaction or len(self._idle) >= MAX_IDLE:
                self._discard(connection)
                return
            self._idle.append(connection)
            # Looked at last, since another thread may close the pool at any moment.
            if self._closed:
                self.close()
        finally:
            FORKS.leave()

    def take_turn(self) -> sqlite3.Connection:
        """Take a connection out to write with it.

        The threads of a process wait here for each other: SQLite would let them sleep for a time
        that has nothing to do with when the other is done.
        """
        # To name a timeout takes longer than to take what is free.
        if not self._turn.acquire(False) and not self._turn.acquire(timeout=self._how[2]):
            raise sqlite3.OperationalError("database is locked")
        try:
            return self.take()
        except BaseException:
            self._turn.release()
            raise

    def give_turn(self, connection: sqlite3.Connection) -> None:
        """Put a connection back that was taken to write with it."""
        try:
            self.give(connection)
        finally:
            self._turn.release()

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        self._closed = True
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # pragma: no cover - another thread closes too
                return
            self._discard(connection)

    def _discard(self, connection: sqlite3.Connection) -> None:
        self._open.discard(connection)
        with FORKS:
            connection.close()

    def leave_alone(self) -> None:
        """Keep the connections from ever being closed by this process, its exit included.

        Closing an inherited connection may undo, in memory shared with the parent, what the parent
        is just writing.
        """
        if self.is_inherited:
            return
        self.is_inherited = True
        _INHERITED.append(self)
        if ctypes is not None:
            for connection in self._open:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


class MemoryPool(Pool):
    """The one connection to a database in memory, used by one thread at a time."""

    def __init__(self, timeout_seconds: float, only: sqlite3.Connection) -> None:
        super().__init__(MEMORY, "full", timeout_seconds, only)
        self._only = only
        self._in_use = threading.RLock()

    def take(self) -> sqlite3.Connection:
        """Wait for the other threads, then take the connection."""
        if not self._in_use.acquire(timeout=self._how[2]):
            raise sqlite3.OperationalError("database is locked")
        if self._closed:
            self._in_use.release()
            raise sqlite3.OperationalError("database is closed")
        return self._only

    def give(self, connection: sqlite3.Connection) -> None:
        """Let the next thread have it."""
        self._in_use.release()

    def close(self) -> None:
        """Close it, and with it forget what it holds."""
        with self._in_use:
            super().close()


# Opening is done by one thread at a time: a file is created by a descriptor of our own, and no
# other thread may have a lock on the file when that is closed.
_opening = threading.Lock()
_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()
_INHERITED: List[Pool] = []


def opening() -> threading.Lock:
    """Return the lock under which databases are opened in this process."""
    return _opening


def _after_fork_in_child() -> None:
    global _opening
    _opening = threading.Lock()
    for pool in list(_POOLS):
        pool.leave_alone()
    _POOLS.clear()
    FORKS.after_in_child()


os.register_at_fork(
    before=FORKS.before,
    after_in_parent=FORKS.after_in_parent,
    after_in_child=_after_fork_in_child,
)


def create_file(path: str) -> None:
    """Create an empty file that only its owner may read, unless it exists.

    Raises:
        StoreError: It can not be created; the message says why.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        why, remedy = _why_it_does_not_open(path)
        if os.path.isdir(os.path.dirname(path)):
            why, remedy = "the file can not be created", "make its folder writable for this user"
        raise StoreError(f"can not create {path}: {why} ({error.strerror}); {remedy}") from error
