"""What kind of database a name stands for, and what of the processes around it depends on that.

A SQLite file is this host's alone; behind a URL is a database that several hosts share. Supervisor
and worker are the same programs for both, and ask a :class:`Kind` for what differs: the store, the
clock that judges what is due, what brings a worker to its tasks, and what else there is to keep in
order.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    List,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
)

from autocron.core.errors import AutocronError
from autocron.operations import Operations
from autocron.ports import Clock, Logbook, Observer, Waker
from autocron.shell.chance import draw, new_id, new_ids
from autocron.shell.clock import SystemClock
from autocron.shell.local import AskedStore, KeptStore, LocalBackend, StoreBackend
from autocron.shell.logbook import FileLogbook
from autocron.shell.moved import check_not_moved
from autocron.shell.ownership import RunFolder
from autocron.shell.private import check_database
from autocron.shell.remote import is_url, remember, url_of
from autocron.shell.sqlite import SQLiteStore
from autocron.shell.turnstile import Turnstile

if TYPE_CHECKING:
    from autocron.engine import Engine, Tick


class Host(NamedTuple):
    """A host that serves a database.

    Attributes:
        name: Its name, with which those of its workers begin.
        workers: The names of its workers that live.
        silent_seconds: For how long nothing was heard of it.
        is_this: Whether it is the one that asks.
    """

    name: str
    workers: Tuple[str, ...]
    silent_seconds: float
    is_this: bool


class Feed(Protocol):
    """What brings a worker to its tasks, and drives its engine."""

    #: After how many seconds to look unasked; None leaves it to the settings.
    idle_seconds: Optional[float]

    def tick(self, engine: Engine, claim: bool) -> Tick:
        """Do one step of the engine; see :meth:`autocron.engine.Engine.tick`."""
        ...

    def share(self, engine: Engine) -> None:
        """Let another worker look, if there may be more than what was found after a rest."""
        ...

    def rest(self) -> None:
        """Let the next task come, since none is in hand."""
        ...

    def close(self) -> None:
        """Give back what was to bring the next task; the worker leaves."""
        ...


class Keeper(Protocol):
    """Keeps house, for the supervisor."""

    def tick(self, fires: bool) -> Tick:
        """Do what is to be done now, and tell when there is something to do again.

        Arguments:
            fires: Whether it is known which schedules the code has, so that they may fire.
        """
        ...

    def close(self) -> None:
        """Take note that this host leaves."""
        ...


class Kind(Protocol):
    """A kind of database, for the processes of one run folder."""

    #: How messages name the database.
    shown: str
    #: Whether other hosts use the same database, of whose doings nobody tells this one.
    is_shared: bool
    #: Judges what is due.
    clock: Clock
    #: The same for who keeps house, and follows its steps.
    house_clock: Clock

    def check(self) -> None:
        """See whether it may be used at all, and safely.

        Raises:
            AutocronError: It may not; the message says what to do.
        """
        ...

    def store(self, durability: str = "full") -> AskedStore:
        """Return a store, which is not opened yet.

        Arguments:
            durability: ``"full"`` or ``"normal"``.
        """
        ...

    def worker_store(self) -> AskedStore:
        """Return the store of a worker's engine; what it notes there need not be synced."""
        ...

    def backend(self, store: KeptStore, operations: Operations) -> StoreBackend[Any]:
        """Return a backend on a store, with what may be done to it."""
        ...

    def hosts(self, store: KeptStore) -> List[Host]:
        """Return who serves it now, by name, if that may be several."""
        ...

    def worker_name(self) -> str:
        """Draw the name of a new worker."""
        ...

    def is_ours(self, worker: str) -> bool:
        """Tell whether a worker of this name is, or was, one of this host."""
        ...

    def logbook(self, worker: str) -> Optional[Logbook]:
        """Return where a worker is to note what it does with tasks; None if it claims them singly.

        Arguments:
            worker: Its name.
        """
        ...

    def feed(
        self, store: KeptStore, queues: Optional[Sequence[str]], stir: Callable[[], None]
    ) -> Feed:
        """Return what brings a worker to its tasks.

        Arguments:
            store: The store of the worker's engine.
            queues: The queues of which it takes tasks; None is any.
            stir: Wakes the worker's main thread.
        """
        ...

    def keeper(self, store: KeptStore, engine: Engine) -> Keeper:
        """Return what keeps house, with an engine that does."""
        ...


class OneHost:
    """A SQLite file; implements :class:`Kind`.

    Arguments:
        path: The path of the file.
    """

    is_shared = False

    def __init__(self, path: str) -> None:
        self._path = self.shown = path
        self.clock: Clock = SystemClock()
        self.house_clock: Clock = self.clock

    def check(self) -> None:
        """Refuse a file that others might read or write."""
        check_database(self._path)

    def store(self, durability: str = "full") -> SQLiteStore:
        """Return a store of the file."""
        return SQLiteStore(self._path, durability=durability)

    def worker_store(self) -> SQLiteStore:
        """Return one that waits for those of other workers where the kernel wakes it."""
        turnstile = Turnstile(RunFolder(self._path).turnstile)
        return SQLiteStore(self._path, durability="normal", turnstile=turnstile)

    def backend(self, store: KeptStore, operations: Operations) -> LocalBackend:
        """Return a backend on a store."""
        assert isinstance(store, SQLiteStore)
        return LocalBackend(store, operations)

    def hosts(self, store: KeptStore) -> List[Host]:
        """There is but one."""
        return []

    def worker_name(self) -> str:
        """Draw the name of a new worker."""
        from autocron.shell.launch import new_worker_name

        return new_worker_name()

    def is_ours(self, worker: str) -> bool:
        """All workers are of this host."""
        return True

    def logbook(self, worker: str) -> FileLogbook:
        """Return a file beside the lock of the worker."""
        return FileLogbook(RunFolder(self._path).logbook(worker))

    def feed(
        self, store: KeptStore, queues: Optional[Sequence[str]], stir: Callable[[], None]
    ) -> Feed:
        """Let the engine look for itself."""
        return _Looking()

    def keeper(self, store: KeptStore, engine: Engine) -> Keeper:
        """Keep house, and an eye on the log."""
        return _FileKeeper(engine, self._path)


class _Looking:
    idle_seconds: Optional[float] = None

    def tick(self, engine: Engine, claim: bool) -> Tick:
        return engine.tick(claim)

    def share(self, engine: Engine) -> None:
        engine.share()

    def rest(self) -> None:
        """It looks for itself."""

    def close(self) -> None:
        """There is nothing to give back."""


class _FileKeeper:
    def __init__(self, engine: Engine, path: str) -> None:
        # Commands that look at a database keep no house.
        from autocron.engine import Tick
        from autocron.shell.large_log import LargeLog

        self._nothing = Tick()
        self._engine = engine
        self._log = LargeLog(path)

    def tick(self, fires: bool) -> Tick:
        tick = self._engine.tick() if fires else self._nothing
        self._log.look()
        return tick

    def close(self) -> None:
        """Of one host nobody needs to know."""


def kind_of(folder: RunFolder, url: Optional[str] = None) -> Kind:
    """Return the kind of database that a run folder belongs to.

    Arguments:
        folder: The run folder, which need not be there.
        url: The URL of the database, if it is not to be read there.

    Raises:
        StartError: What it takes is not installed.
    """
    url = url or url_of(folder)
    if url is None:
        return OneHost(folder.database)
    from autocron.contrib.procrastinate.extra import check_extra

    check_extra()
    from autocron.contrib.procrastinate.hosts import ManyHosts

    return ManyHosts(url, folder)


def prepared(name: object, path: str) -> Kind:
    """Return the kind of the database that ``start()`` was given, with its run folder made.

    Arguments:
        name: What was given.
        path: Its path, see :func:`autocron.shell.paths.database_path`.

    Raises:
        AutocronError: It may not be used; the message says what to do.
    """
    folder = RunFolder(path)
    if is_url(name):
        folder.make()
        remember(folder, str(name))
    kind = kind_of(folder)
    kind.check()
    return kind


def opened(kind: Kind, durability: str = "full") -> KeptStore:
    """Return the store of a database, opened, and created if it was missing."""
    store = kind.store(durability)
    store.open(create=True)
    try:
        # Somebody may have been quicker: SQLite opens what stands there by then.
        kind.check()
        check_not_moved(store.settings(), kind.shown)
    except AutocronError:
        store.close()
        raise
    return store


def stored_backend(
    kind: Kind,
    store: KeptStore,
    waker: Optional[Waker] = None,
    observer: Optional[Observer] = None,
) -> StoreBackend[Any]:
    """Put a backend on a store, as processes use it that only store calls and read results."""
    operations = Operations(
        store,
        kind.clock,
        new_id=new_id,
        new_ids=new_ids,
        waker=waker,
        draw=draw,
        observer=observer,
    )
    return kind.backend(store, operations)
