"""Moving a SQLite file to PostgreSQL: whoever is killed in between, nothing is lost or doubled.

1. The file is *marked*, in the transaction that sees that nobody serves it. From now on it does not
   change any more, whoever has it open.
2. All of it arrives in *one* transaction of the server, with a receipt.
3. The mark is completed.

Cut off before the server has committed, nothing has arrived; after that, the receipt says so. So
to do it again is always right. If it fails, and it is certain that nothing has arrived, the mark is
taken off, and the file is as it was.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from autocron.core.errors import AutocronError, StoreError
from autocron.core.settings import NAMES
from autocron.core.task import TaskState
from autocron.operations import Operations
from autocron.shell import queries
from autocron.shell.chance import draw, new_id
from autocron.shell.kinds import OneHost
from autocron.shell.logbook import logged
from autocron.shell.moved import GUARDS, MOVED_TO, Mark, mark_of
from autocron.shell.overview import processes
from autocron.shell.ownership import Lock, RunFolder, acquire, holder, is_shared, living_workers
from autocron.shell.remote import local_name, shown
from autocron.shell.rows import TASK_COLUMNS
from autocron.shell.sqlite import SQLiteStore

if TYPE_CHECKING:
    from autocron.contrib.procrastinate.arriving import Arrival

# At most so much is in memory at once, unless a single task is larger.
_BATCH_ROWS, _BATCH_BYTES = 1000, 8 * 1024 * 1024
_LONG_TEXTS = ("payload", "given", "result", "progress", "history", "failure_traceback")
_SIZES = (
    "SELECT seq, "
    + " + ".join(f"coalesce(length(CAST({name} AS BLOB)), 0)" for name in _LONG_TEXTS)
    + f" FROM tasks WHERE seq > ? ORDER BY seq LIMIT {_BATCH_ROWS}"
)
_BETWEEN = "FROM tasks WHERE seq > ? AND seq <= ? ORDER BY seq"
_TASKS = f"SELECT {queries.TASK} {_BETWEEN}"
_ROWS = f"SELECT {', '.join(TASK_COLUMNS)} {_BETWEEN}"
_STATE = TASK_COLUMNS.index("state")
_STARTS = f"""
SELECT rate_key, at, until_at, rowid FROM starts WHERE rowid > ? ORDER BY rowid LIMIT {_BATCH_ROWS}
"""
_FIRST = -(2**63)

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Moved:
    """What was moved.

    Attributes:
        to: Where to, as it may be shown.
        tasks: How many tasks, by the name of their state.
        there: How many others were there already.
        schedules: The keys of the schedules.
        schedules_kept: The keys of those that stood there, and stay as they are there.
        schedules_damaged: How many could not be read, and are left out.
        settings: The settings that were set here, and not there.
        settings_kept: The names of those that were set there, and stay.
        paused: The queues that were paused here, and are there now.
        is_news: False if all this was done before, and nothing was left to do.
    """

    to: str
    tasks: Dict[str, int]
    there: int
    schedules: Tuple[str, ...]
    schedules_kept: Tuple[str, ...]
    schedules_damaged: int
    settings: Dict[str, str]
    settings_kept: Tuple[str, ...]
    paused: Tuple[str, ...]
    is_news: bool = True

    def receipt(self) -> str:
        """Return it as a text."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, receipt: str) -> Moved:
        """Return what a receipt tells of."""
        found: Dict[str, Any] = json.loads(receipt)
        lists = {name: tuple(value) for name, value in found.items() if type(value) is list}
        return cls(**{**found, **lists, "is_news": False})


def move(path: str, url: str, tell: Optional[Tell] = None) -> Moved:
    """Move all that a file keeps to a PostgreSQL database, or see that it was moved.

    Arguments:
        path: The absolute path of the file.
        url: The database, as ``postgresql://user@host/name``; its tables are made.
        tell: Is called with how many tasks have been read, of how many, now and then.

    Raises:
        StartError: It may not be used safely, the URL is none, or what it takes is not installed.
        StoreError: One of the two can not be used, the file is in use, or was moved elsewhere.
    """
    name = local_name(url)
    from autocron.contrib.procrastinate.extra import check_extra

    check_extra()
    from autocron.contrib.procrastinate.arriving import Arrival

    kind, folder = OneHost(path), RunFolder(path)
    kind.check()
    with closing(kind.store()) as store, closing(Arrival(url)) as arrival:
        store.open(create=False)
        mark = mark_of(store.settings())
        if mark is not None and mark.name != name:
            raise StoreError(_elsewhere(path, mark))
        # Before anything is touched here.
        arrival.open()
        folder.make()
        lock = _alone(store, folder, mark)
        try:
            wanted = Mark(shown(url), name, new_id(), is_complete=False)
            return _Move(store, folder, arrival, mark, wanted, tell or _be_silent).run()
        finally:
            lock.release()


def take_mark_off(path: str) -> str:
    """Let a file be used again of which the move has begun, and not ended.

    Whoever asks for it is certain that nothing has arrived; or all of it would run twice.

    Arguments:
        path: The absolute path of the file.

    Returns:
        Where it was to be moved to.

    Raises:
        StoreError: It was moved, or is being moved, or no move has begun.
    """
    kind, folder = OneHost(path), RunFolder(path)
    kind.check()
    with closing(kind.store()) as store:
        store.open(create=False)
        mark = mark_of(store.settings())
        if mark is None:
            raise StoreError(f"{path} is not being moved; nothing is changed")
        if mark.is_complete:
            raise StoreError(
                f"{path} was moved to {mark.url}, and what was in it has gone on there; to go back "
                "to a file, restore a copy from before. Nothing is changed"
            )
        folder.make()
        lock = _alone(store, folder, mark)
        try:
            _unmark(store)
        finally:
            lock.release()
        return mark.url


def _elsewhere(path: str, mark: Mark) -> str:
    if mark.is_complete:
        return f"{path} was moved to {mark.url}; nothing is left in it that could be moved"
    return (
        f"a move of {path} to {mark.url} has begun, and it is not known whether all has arrived "
        "there: let that one end first"
    )


def _alone(store: SQLiteStore, folder: RunFolder, mark: Optional[Mark]) -> Lock:
    """Take the place of the supervisor, so that none is started meanwhile."""
    lock = acquire(folder.supervisor)
    if lock is not None:
        return lock
    if mark is not None and not mark.is_complete:
        raise StoreError(
            f"{store.path} is being moved by another process ({holder(folder.supervisor)}); wait "
            "until that has ended"
        )
    raise _in_use(store, folder)


def _in_use(store: SQLiteStore, folder: RunFolder, is_ours: bool = False) -> StoreError:
    found = processes(store, folder)
    pids = [] if is_ours else [("supervisor", found.supervisor)]
    pids += [("worker", worker.pid) for worker in found.workers]
    named = [f"{role} {pid}" for role, pid in pids if pid is not None]
    application = ["the application"] if found.is_application_running else []
    who = ", ".join([*application, *named])
    return StoreError(
        f"{store.path} is in use{f' ({who})' if who else ''}; stop the application and its "
        "workers, all of its processes, and move it then. Nothing is changed"
    )


class _Move:
    """One move, by the process that has the place of the supervisor.

    Arguments:
        store: The file.
        folder: Its run folder.
        arrival: Where all arrives.
        mark: The mark that the file has.
        wanted: The mark that it gets, if it has none.
        tell: See :func:`move`.
    """

    def __init__(
        self,
        store: SQLiteStore,
        folder: RunFolder,
        arrival: Arrival,
        mark: Optional[Mark],
        wanted: Mark,
        tell: Tell,
    ) -> None:
        self._store = store
        self._folder = folder
        self._arrival = arrival
        self._is_new = mark is None
        self._mark = mark or wanted
        self._tell = tell
        self._has_not_arrived = self._is_new

    def run(self) -> Moved:
        """Move all that is left to be moved."""
        if self._is_new:
            self._look_for_damage()
            self._begin()
        try:
            moved = self._arrive()
        except BaseException:
            # A commit that was cut off may have been one.
            if self._has_not_arrived and not self._arrival.may_be_there:
                with suppress(AutocronError):
                    _unmark(self._store)
            raise
        self._put_mark(self._mark._replace(is_complete=True))
        return moved

    # -- the file -----------------------------------------------------------------------------

    def _look_for_damage(self) -> None:
        """Have what autocron did not write set aside, as by whoever finds it; it moves as such."""
        for after, last in self._batches():
            self._store.tasks_of("look at the tasks", _TASKS, (after, last))

    def _begin(self) -> None:
        """Mark the file, if nobody serves it; what the dead have left running waits again."""
        with self._store.transaction():
            # This takes the turn: whoever starts now sees the mark, or we see his share.
            self._put_mark(self._mark)
            if is_shared(self._folder.application) or living_workers(self._folder):
                raise _in_use(self._store, self._folder, is_ours=True)
            operations = Operations(
                self._store,
                OneHost(self._store.path).clock,
                new_id=new_id,
                draw=draw,
                logbooks=partial(logged, self._folder),
            )
            running = self._store.find(state=TaskState.RUNNING)
            for worker in sorted({task.worker for task in running if task.worker is not None}):
                operations.reclaim(worker, charged=False)
            for guard in GUARDS.values():
                self._store.write("mark the database as moved", guard)

    def _put_mark(self, mark: Mark) -> None:
        self._store.put_settings({MOVED_TO: mark.text()})

    def _batches(self) -> Iterator[Tuple[int, int]]:
        """Yield the tasks in batches, by the number before the first and that of the last."""
        after = _FIRST
        while True:
            sizes = self._store.ask("look at the tasks", _SIZES, (after,))
            if not sizes:
                return
            before, total = after, 0
            for seq, size in sizes:
                if total and total + size > _BATCH_BYTES:
                    yield before, after
                    before, total = after, 0
                after, total = seq, total + size
            yield before, after

    # -- what arrives ---------------------------------------------------------------------------

    def _arrive(self) -> Moved:
        with self._arrival.transaction(self._mark.id) as receipt:
            if receipt is not None:
                return Moved.of(receipt)
            # And nobody else can let it arrive before this transaction is over.
            self._has_not_arrived = True
            tasks, there = self._move_tasks()
            self._move_rates()
            schedules, kept, damaged = self._move_schedules()
            settings, settings_kept = self._move_settings()
            paused = tuple(sorted(self._store.paused()))
            self._arrival.pause(paused)
            moved = Moved(
                to=self._mark.url,
                tasks=tasks,
                there=there,
                schedules=schedules,
                schedules_kept=kept,
                schedules_damaged=damaged,
                settings=settings,
                settings_kept=settings_kept,
                paused=paused,
            )
            self._arrival.sign(self._mark.id, moved.receipt())
        return moved

    def _move_tasks(self) -> Tuple[Dict[str, int], int]:
        doing = "read the tasks"
        total: int = self._store.ask(doing, "SELECT count(*) FROM tasks")[0][0]
        counts: Dict[str, int] = Counter()
        done = there = 0
        for after, last in self._batches():
            rows: List[Sequence[Any]] = self._store.ask(doing, _ROWS, (after, last))
            new, known = self._arrival.add_tasks(rows)
            counts.update(Counter(row[_STATE] for row in new))
            there += known
            done += len(rows)
            self._tell(done, total)
        return {state.value: counts.get(state.value, 0) for state in TaskState}, there

    def _move_rates(self) -> None:
        after = _FIRST
        while True:
            rows = self._store.ask("read the starts of rates", _STARTS, (after,))
            if not rows:
                break
            after = rows[-1][-1]
            # What autocron did not write says nothing of a start.
            kinds = (str, int, int)
            self._arrival.add_starts([r[:3] for r in rows if tuple(map(type, r[:3])) == kinds])
        busy = self._store.ask("read the rates", "SELECT rate_key, free_at FROM busy_rates")
        self._arrival.add_busy([row for row in busy if tuple(map(type, row)) == (str, int)])

    def _move_schedules(self) -> Tuple[Tuple[str, ...], Tuple[str, ...], int]:
        count = self._store.ask("read the schedules", "SELECT count(*) FROM schedules")[0][0]
        schedules = self._store.schedules()
        kept = self._arrival.add_schedules(schedules)
        added = tuple(one.key for one in schedules if one.key not in kept)
        return added, tuple(kept), count - len(schedules)

    def _move_settings(self) -> Tuple[Dict[str, str], Tuple[str, ...]]:
        # Others tell of the processes of this host.
        stored = {name: v for name, v in self._store.settings().items() if name in NAMES}
        kept = self._arrival.add_settings(stored)
        return {name: v for name, v in stored.items() if name not in kept}, tuple(kept)


def _unmark(store: SQLiteStore) -> None:
    doing = "take the mark of a move off"
    with store.transaction():
        for name in GUARDS:
            store.write(doing, f"DROP TRIGGER IF EXISTS {name}")
        store.put_settings({MOVED_TO: None})


def _be_silent(done: int, total: int) -> None:
    """Tell nobody how far it is."""
