"""What the command line does to a database: it looks, sets and deletes; it prints nothing.

Looking creates nothing and changes nothing.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from autocron.core.errors import StoreError
from autocron.core.settings import Settings
from autocron.core.task import TaskState
from autocron.core.values import changed, frozen
from autocron.core.workforce import Workers
from autocron.operations import SCHEDULES_VERSION, next_version
from autocron.shell.counting import counted
from autocron.shell.kinds import Kind, kind_of
from autocron.shell.listing import ENDED, EVERYTHING, UNFINISHED, Filter, count, latest_names, names
from autocron.shell.looking import Listed, look
from autocron.shell.moved import mark_of
from autocron.shell.operating import Operator
from autocron.shell.overview import (
    Overview,
    Planned,
    Processes,
    hosts,
    processes,
    schedules,
)
from autocron.shell.ownership import RunFolder
from autocron.shell.paths import database_path
from autocron.shell.remote import is_url, shown
from autocron.shell.served import Served
from autocron.shell.sqlite import SQLiteStore
from autocron.shell.statistics import Statistics, statistics


@frozen
class TaskList:
    """Tasks that have not ended, and what will bring more of them."""

    running: Listed
    waiting: Listed
    schedules: Tuple[Planned, ...]


@frozen
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
        kind: The database.
        folder: Its run folder.
    """

    def __init__(self, kind: Kind, folder: RunFolder) -> None:
        self.store = store = kind.store()
        self.kind = kind
        self.shown = kind.shown
        self.clock = clock = kind.clock
        self._folder = folder
        self._served = Served(self._folder)
        self.operator = Operator(store, self._folder, clock)

    # -- looking ------------------------------------------------------------------------------

    def overview(self) -> Overview:
        """Return what is worth knowing of the database now."""
        now, stored, paused = self.clock.now(), self.store.settings(), self.store.paused()
        application, modules = self._served.read()
        found = counted(self.store, paused, now)
        return Overview(
            settings=Settings.read(stored),
            application=application,
            modules=tuple(modules),
            processes=processes(self.store, self._folder),
            hosts=hosts(self.kind, self.store),
            schedules=schedules(self.store, now),
            stats=found.stats,
            queues=found.queues,
            paused=paused,
            moved=mark_of(stored),
        )

    def tasks(
        self,
        limit: int,
        only: Filter = EVERYTHING,
        states: Sequence[TaskState] = (),
        is_thorough: bool = True,
    ) -> TaskList:
        """Return the tasks that run and those that wait, at most ``limit`` of each.

        Arguments:
            limit: How many.
            only: Which tasks.
            states: Their states; none is both.
            is_thorough: Whether to look at all, however long it takes.
        """
        found = {
            state: self.listed((state,), limit, only, is_thorough)
            for state in UNFINISHED
            if not states or state in states
        }
        return TaskList(
            running=found.get(TaskState.RUNNING, Listed()),
            waiting=found.get(TaskState.WAITING, Listed()),
            schedules=schedules(self.store, self.clock.now()),
        )

    def listed(
        self,
        states: Sequence[TaskState],
        limit: int,
        only: Filter = EVERYTHING,
        is_thorough: bool = True,
    ) -> Listed:
        """Return tasks in some states, in the order of :func:`autocron.shell.listing.listed`."""
        return look(self.store, states, self.clock.now(), only, limit, is_thorough)

    def statistics(self, only: Filter = EVERYTHING, is_thorough: bool = False) -> Statistics:
        """Return the figures of what has ended within a day, as far as it is kept.

        Arguments:
            only: Which tasks: of which function, or queue.
            is_thorough: Whether to look at all, however long it takes.
        """
        return statistics(self.store, self.clock.now(), only, is_thorough)

    def ended_within(self, seconds: float) -> Dict[str, int]:
        """Return how many tasks have ended within so many seconds, by the name of their state."""
        only, now = Filter(newer_than_seconds=seconds), self.clock.now()
        return {state.value: count(self.store, (state,), now, only) for state in ENDED}

    def names(self) -> List[str]:
        """Return the names of all task functions that the database has heard of."""
        return names(self.store)

    def latest_names(self) -> Tuple[List[str], Optional[int]]:
        """Return such names in bounded time: those of so many of the latest tasks; None is all."""
        return latest_names(self.store)

    # -- changing -----------------------------------------------------------------------------

    def change(self, changes: Mapping[str, Optional[str]]) -> Changed:
        """Change settings, all of them or none, and tell a living supervisor.

        Unlocking lets every schedule begin now: nothing is owed for the time of the lock.

        Arguments:
            changes: The texts of :func:`autocron.core.settings.check_setting`; None is the default.

        Returns:
            What was changed.
        """
        from autocron.shell.wakeup import Sender, Sent

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
        application = self._served.application
        return Changed(
            before=before,
            after=after,
            processes=processes(self.store, self._folder),
            was_told=was_told,
            start_workers=None if application is None else application.workers,
        )

    def _begin_schedules_now(self, stored: Mapping[str, str]) -> None:
        now = self.clock.now()
        for schedule in self.store.schedules():
            if schedule.watermark_at < now:
                self.store.swap_schedule(schedule, changed(schedule, watermark_at=now))
        # A supervisor that lives has the watermarks in its memory.
        self.store.put_settings({SCHEDULES_VERSION: next_version(stored)})

    def delete(self) -> None:
        """Delete the database with all that belongs to it.

        Raises:
            StoreError: A process uses it, or a file can not be removed.
        """
        if not isinstance(self.store, SQLiteStore):
            raise StoreError(
                f"{self.shown} is not deleted from here, since other hosts may use it; stop them, "
                "and drop the tables that begin with autocron_ and procrastinate_, or the database"
            )
        from autocron.shell.deleting import delete

        delete(self.store, self._folder)


def open_existing(name: str) -> Admin:
    """Open a database that exists.

    Arguments:
        name: As ``start()`` takes it.

    Raises:
        StartError: The name can be no database.
        MissingDatabase: There is none of that name.
        StoreError: It can not be used.
    """
    path = _path(name, make_folder=False) if is_url(name) else existing_path(name)
    return _opened(name, path, create=False)


def existing_path(name: str) -> str:
    """Return the path of a file that is there; arguments and errors as open_existing()."""
    if is_url(name):
        raise StoreError(
            f"{shown(name)} is no file; PostgreSQL's own tools are for that, such as pg_dump and "
            "pg_amcheck"
        )
    path = _path(name, make_folder=False)
    if not os.path.lexists(path):
        raise MissingDatabase(path)
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        # Opening would fill it; and it may be anything.
        raise StoreError(f"{path} is an empty file, not a database yet; start the application")
    return path


def open_or_create(name: str) -> Admin:
    """Open a database, creating it if it is missing; arguments and errors as open_existing()."""
    return _opened(name, _path(name, make_folder=not is_url(name)), create=True)


def _opened(name: str, path: str, create: bool) -> Admin:
    folder = RunFolder(path)
    admin = Admin(kind_of(folder, name if is_url(name) else None), folder)
    admin.store.open(create)
    return admin


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
