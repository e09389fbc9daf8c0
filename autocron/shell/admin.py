"""What the command line does to a database: it looks, sets and deletes; it prints nothing.

Looking creates nothing and changes nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import List, Mapping, Optional, Tuple

from autocron.core.cron import parse
from autocron.core.errors import AutocronError, StoreError
from autocron.core.next_run import next_run
from autocron.core.schedule import Schedule
from autocron.core.settings import Settings
from autocron.core.task import Task, TaskState
from autocron.core.workforce import Workers
from autocron.operations import SCHEDULES_VERSION
from autocron.ports import Clock, Stats
from autocron.shell.application import APPLICATION, MODULES, Application
from autocron.shell.connections import SQLITE_ERRORS, connect
from autocron.shell.listing import ended_tasks, next_tasks
from autocron.shell.ownership import RunFolder, holder, is_shared, read_note
from autocron.shell.paths import database_path
from autocron.shell.sqlite import SQLiteStore
from autocron.shell.wakeup import Sender, Sent, unbind
from autocron.zones import load_zone

# How long others may take to end a transaction before a database counts as in use.
_DELETE_PATIENCE_SECONDS = 1.0
_REMOVE_TRIES = 100


@dataclass(frozen=True)
class WorkerProcess:
    """A worker that lives.

    Attributes:
        name: Its name, under which it claims tasks.
        pid: Its process id.
        task: The task in its hands, if any.
        queues: The queues of which it takes tasks; None is any.
    """

    name: str
    pid: int
    task: Optional[Task]
    queues: Optional[Tuple[str, ...]] = None


@dataclass(frozen=True)
class Processes:
    """Who serves a database now.

    Attributes:
        is_application_running: Whether a process that called ``start()`` lives.
        supervisor: The process id of the supervisor, if it lives.
        workers: The workers that live, by name.
    """

    is_application_running: bool
    supervisor: Optional[int]
    workers: Tuple[WorkerProcess, ...]

    @property
    def is_anyone_there(self) -> bool:
        """Whether any process of the application lives."""
        return self.is_application_running or self.supervisor is not None or bool(self.workers)


@dataclass(frozen=True)
class Planned:
    """A schedule and its next run.

    Attributes:
        schedule: The schedule.
        zone: Its time zone; None if this machine does not know it.
        next_at: Its next occurrence; None if there is none.
        problem: Why it can not run here; empty if it can.
    """

    schedule: Schedule
    zone: Optional[tzinfo]
    next_at: Optional[datetime]
    problem: str = ""


@dataclass(frozen=True)
class Overview:
    """All that is worth knowing of a database at one instant."""

    settings: Settings
    application: Optional[Application]
    modules: Tuple[str, ...]
    processes: Processes
    schedules: Tuple[Planned, ...]
    stats: Stats


@dataclass(frozen=True)
class TaskList:
    """Tasks that have not ended, as many of each kind as were asked for, and how many there are."""

    running: Tuple[Task, ...]
    waiting: Tuple[Task, ...]
    schedules: Tuple[Planned, ...]
    stats: Stats


@dataclass(frozen=True)
class ResultList:
    """Tasks that have ended, the latest first, and how many there are."""

    tasks: Tuple[Task, ...]
    count: int


@dataclass(frozen=True)
class Changed:
    """What a change of settings did.

    Attributes:
        before: The settings as they were.
        after: As they are now.
        processes: Who served the database.
        was_told: Whether a supervisor has been told to look at the settings.
        start_workers: What the application gave to ``start(workers=…)``, which wins over a setting.
    """

    before: Settings
    after: Settings
    processes: Processes
    was_told: bool
    start_workers: Optional[Workers]


class Admin:
    """One database as its administrator sees it.

    Arguments:
        store: The database.
        clock: The source of time.
    """

    def __init__(self, store: SQLiteStore, clock: Clock) -> None:
        self.store = store
        self.path = store.path
        self.clock = clock
        self._folder = RunFolder(store.path)

    # -- looking ------------------------------------------------------------------------------

    def overview(self) -> Overview:
        """Return what is worth knowing of the database now."""
        stored = self.store.settings()
        return Overview(
            settings=Settings.read(stored),
            application=_application(stored),
            modules=tuple(json.loads(stored.get(MODULES, "[]"))),
            processes=self.processes(),
            schedules=self.schedules(),
            stats=self.store.stats(self.clock.now()),
        )

    def processes(self) -> Processes:
        """Return who serves the database now."""
        in_hand = {task.worker: task for task in self.store.find(state=TaskState.RUNNING)}
        workers = []
        for name in self._folder.workers():
            pid = holder(self._folder.worker(name))
            if pid is not None:
                note = read_note(self._folder.worker(name))
                queues = tuple(note.split(",")) if note else None
                workers.append(WorkerProcess(name, pid, in_hand.get(name), queues))
        return Processes(
            is_application_running=is_shared(self._folder.application),
            supervisor=holder(self._folder.supervisor),
            workers=tuple(workers),
        )

    def schedules(self) -> Tuple[Planned, ...]:
        """Return the schedules with their next runs, the next one first."""
        now = self.clock.now()
        planned = [_planned(schedule, now) for schedule in self.store.schedules()]
        planned.sort(key=lambda one: (one.next_at is None, one.next_at or now))
        return tuple(planned)

    def tasks(self, limit: int) -> TaskList:
        """Return the tasks that run and those that wait, at most ``limit`` of each."""
        return TaskList(
            running=tuple(self.store.find(state=TaskState.RUNNING, limit=limit)),
            waiting=tuple(next_tasks(self.store, limit)),
            schedules=self.schedules(),
            stats=self.store.stats(self.clock.now()),
        )

    def results(self, limit: int) -> ResultList:
        """Return the tasks that have ended, at most ``limit``, the latest first."""
        counts = self.store.stats(self.clock.now()).counts
        return ResultList(
            tasks=tuple(ended_tasks(self.store, limit)),
            count=sum(count for state, count in counts.items() if state.is_final),
        )

    # -- changing -----------------------------------------------------------------------------

    def change(self, changes: Mapping[str, Optional[str]]) -> Changed:
        """Change settings, all of them or none, and tell a living supervisor.

        Unlocking lets every schedule begin now: nothing is owed for the time of the lock.

        Arguments:
            changes: The texts of :func:`autocron.core.settings.check_setting`; None is the default.

        Returns:
            What was changed.
        """
        with self.store.transaction():
            before = Settings.read(self.store.settings())
            self.store.put_settings(changes)
            stored = self.store.settings()
            after = Settings.read(stored)
            if before.autocron_lock and not after.autocron_lock:
                self._begin_schedules_now(stored)
        sender = Sender(self._folder.control)
        with closing(sender):
            was_told = sender.send() is Sent.YES
        application = _application(stored)
        return Changed(
            before=before,
            after=after,
            processes=self.processes(),
            was_told=was_told,
            start_workers=None if application is None else application.workers,
        )

    def _begin_schedules_now(self, stored: Mapping[str, str]) -> None:
        now = self.clock.now()
        for schedule in self.store.schedules():
            if schedule.watermark_at < now:
                self.store.swap_schedule(schedule, replace(schedule, watermark_at=now))
        # A supervisor that lives has the watermarks in its memory.
        version = int(stored.get(SCHEDULES_VERSION, "0")) + 1
        self.store.put_settings({SCHEDULES_VERSION: str(version)})

    def delete(self) -> None:
        """Delete the database with all that belongs to it.

        Raises:
            StoreError: A process uses it, or a file can not be removed.
        """
        self._check_unused(self.processes())
        self.store.close()
        try:
            connection = connect(self.path, "full", _DELETE_PATIENCE_SECONDS, "rw")
            with closing(connection):
                # Fails while any other process has the database open, also one that holds no lock
                # of ours, as `manage.py` commands do. It also puts the log away.
                connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
                connection.execute("PRAGMA journal_mode=DELETE").fetchall()
                connection.execute("BEGIN EXCLUSIVE")
                for end in ("-wal", "-shm", "-journal", ""):
                    with suppress(FileNotFoundError):
                        os.unlink(self.path + end)
        except SQLITE_ERRORS as error:
            raise StoreError(
                f"{self.path} is open in another process ({error}); end it, and delete the "
                "database then"
            ) from error
        self._remove_run_folder()

    def _check_unused(self, found: Processes) -> None:
        if found.is_anyone_there:
            pids = [("supervisor", found.supervisor), *(("worker", w.pid) for w in found.workers)]
            who = ", ".join(f"{role} {pid}" for role, pid in pids if pid is not None)
            raise StoreError(
                f"{self.path} is in use{f' ({who})' if who else ''}; stop the application, and "
                "delete the database then"
            )

    def _remove_run_folder(self) -> None:
        for path in (self._folder.wake, self._folder.control):
            unbind(path)
        for _ in range(_REMOVE_TRIES):
            shutil.rmtree(self._folder.path, ignore_errors=True)
            if not os.path.lexists(self._folder.path):
                return
            time.sleep(0.01)  # a supervisor on its very last steps may be looking in
        raise StoreError(f"{self.path} is deleted, but not the folder {self._folder.path}")


def open_existing(name: str, clock: Clock) -> Admin:
    """Open a database that exists.

    Arguments:
        name: As ``start()`` takes it.
        clock: The source of time.

    Raises:
        StartError: The name can be no database.
        MissingDatabase: There is none of that name.
        StoreError: It can not be used.
    """
    path = _path(name, make_folder=False)
    if not os.path.lexists(path):
        raise MissingDatabase(path)
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        # Opening would fill it; and it may be anything.
        raise StoreError(f"{path} is an empty file, not a database yet; start the application")
    store = SQLiteStore(path)
    store.open(create=False)
    return Admin(store, clock)


def open_or_create(name: str, clock: Clock) -> Admin:
    """Open a database, creating it if it is missing; arguments and errors as open_existing()."""
    store = SQLiteStore(_path(name, make_folder=True))
    store.open(create=True)
    return Admin(store, clock)


class MissingDatabase(StoreError):
    """There is no database of that name.

    Attributes:
        path: Where it was looked for.
    """

    def __init__(self, path: str, hint: str = "") -> None:
        super().__init__(f"there is no database {path}{hint}")
        self.path = path


def _path(name: str, make_folder: bool) -> str:
    if os.path.isabs(name) and not os.path.isdir(os.path.dirname(name)):
        raise StoreError(f"there is no database {name}, nor its folder")
    return database_path(name, make_folder=make_folder)


def neighbours(path: str) -> List[str]:
    """Return the names of the files beside a database, for a guess at what was meant."""
    try:
        return sorted(os.listdir(os.path.dirname(path)))
    except OSError:
        return []


def _application(stored: Mapping[str, str]) -> Optional[Application]:
    text = stored.get(APPLICATION)
    return None if text is None else Application.from_json(text)


def _planned(schedule: Schedule, now: datetime) -> Planned:
    try:
        zone = load_zone(schedule.zone)
        if schedule.text is None:
            return Planned(schedule, zone, None)
        # After a clock set back, nothing is run up to the watermark.
        after = max(now, schedule.watermark_at)
        return Planned(schedule, zone, next_run(parse(schedule.text), after, zone))
    except AutocronError as error:
        return Planned(schedule, None, None, problem=str(error))
