"""Sessions: an App's calls, a store in memory and a clock, for the length of a test."""

from __future__ import annotations

import itertools
import logging
import os
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Dict, List, Optional, Type, Union

from autocron import zones
from autocron.app import App, Service
from autocron.core.errors import AutocronError
from autocron.core.schedule import Schedule
from autocron.core.task import Task
from autocron.engine import Engine
from autocron.firing import SERVICE
from autocron.registry import TaskFunction
from autocron.shell.local import LocalBackend
from autocron.shell.sqlite import SQLiteStore
from autocron.testing.clock import FollowingClock, ManualClock
from autocron.testing.runner import RecordingInvoker, Report, run_due

logger = logging.getLogger("autocron")

_count = itertools.count(1)
_active: List[Session] = []


def active_session() -> Session:
    """Return the session that was begun last and is not over."""
    return _active[-1]


def reset(app: App) -> None:
    """Begin the session of the process, ending the one before; see :func:`autocron.testing.reset`.

    Arguments:
        app: The App whose calls it takes.

    Raises:
        AutocronError: Another session is not over.
    """
    if len(_active) > 1:
        raise AutocronError(
            "reset() renews the session of the process, and was called inside testing.session(); "
            "leave that first"
        )
    end_all()
    Session(app, FollowingClock()).__enter__()


def end_all() -> None:
    """End every session, the latest first."""
    while _active:
        _active[-1].__exit__()


class Session:
    """Takes the calls of an App, and runs them when told to.

    A context manager: the App's calls come here inside, and go where they went before afterwards.
    See :func:`autocron.testing.session`.

    Arguments:
        app: The App.
        clock: The clock of its engine.
        tz: The zone of schedules that name none, while it lasts; None leaves the App's.
    """

    def __init__(
        self, app: App, clock: Union[ManualClock, FollowingClock], tz: Optional[str] = None
    ) -> None:
        self._app = app
        self._clock = clock
        self._tz = tz
        self._backend = SessionBackend(SQLiteStore(":memory:"))
        self._ids = itertools.count(1)
        self._invoker = RecordingInvoker(self._find, lambda: app.codec)
        self._engine = self._backend.engine = self._make_engine()
        self._began_at = clock.now()
        self._is_running = False
        self._unreachable_before: List[str] = []
        self._before: Optional[Service] = None
        self._rehearsal_before = app.rehearsal
        self._zone_before: Optional[str] = None

    # -- what a test uses ---------------------------------------------------------------------

    @property
    def clock(self) -> Union[ManualClock, FollowingClock]:
        """The clock of this session."""
        return self._clock

    def run_pending(self, *, raise_errors: bool = True, limit: int = 1000) -> Report:
        """Run all that is due; see :func:`autocron.testing.run_pending`."""
        if self not in _active:
            raise AutocronError(
                "this session has not begun, or is over: call run_pending() inside "
                "'with testing.session(…) as session:'"
            )
        if self._is_running:
            raise AutocronError(
                "run_pending() was called by a task that run_pending() runs; what the task calls "
                "is run when the task has ended"
            )
        self._follow_clock()
        self._is_running = True
        try:
            return run_due(self._engine, self._invoker, raise_errors, limit)
        finally:
            self._is_running = False

    def advance(self, by: Optional[timedelta] = None, **units: float) -> datetime:
        """Let time pass, and run nothing; see :meth:`autocron.testing.ManualClock.advance`.

        Raises:
            AutocronError: This session is on the system's clock.
        """
        if not isinstance(self._clock, ManualClock):
            raise AutocronError(
                "this session is on the system's clock, which can not be moved; begin one with "
                'testing.session(now="2026-03-28 12:00")'
            )
        return self._clock.advance(by, **units)

    # -- beginning and ending -----------------------------------------------------------------

    def __enter__(self) -> Session:
        """Take the App's calls."""
        app = self._app
        self._unreachable_before = _unreachable(app)
        self._zone_before = app.default_zone
        if self._tz is not None:
            app.default_zone = self._tz
        self._rehearsal_before, app.rehearsal = app.rehearsal, self
        self._before = app.use(SessionService(self._backend, self._clock, self._declare))
        self._engine.store.put_settings({SERVICE: f"session-{next(_count)}"})
        self._declare()
        _active.append(self)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]] = None,
        error: Optional[BaseException] = None,
        traceback: Optional[TracebackType] = None,
    ) -> None:
        """Give the App's calls back, and leave nothing behind."""
        app = self._app
        _active.remove(self)
        app.use(self._before)
        app.rehearsal = self._rehearsal_before
        if self._tz is not None:
            app.default_zone = self._zone_before
        # What a test decorated inside itself is gone with it. What a module decorated stays, since
        # it is imported only once.
        for name in _unreachable(app):
            if name not in self._unreachable_before:
                app.forget(name)
        self._backend.end()

    # -- what the App asks --------------------------------------------------------------------

    def start(
        self, database: Union[str, os.PathLike[str]], tz: Optional[str], serializer: str
    ) -> None:
        """Do what ``autocron.start()`` does in a test: take over its zone and serializer."""
        logger.info(
            "autocron: start(%r) starts nothing in a test (autocron.testing is imported); "
            "run_pending() runs what was called",
            os.fspath(database),
        )
        self._app.serializer = serializer
        if tz is not None and self._tz is not None:
            # This session was given its own; the application has its when the session is over.
            self._zone_before = tz
        elif tz is not None:
            self._app.default_zone = tz
            self._declare()

    # -- pieces -------------------------------------------------------------------------------

    def _make_engine(self) -> Engine:
        return Engine(
            self._backend.store,
            self._clock,
            zones=zones.load_zone,
            new_id=lambda: f"task-{next(self._ids)}",
            invoker=self._invoker,
            worker="run_pending",
            keeps_house=True,
        )

    def _find(self, name: str) -> Union[TaskFunction, str]:
        return self._app.registry.get(name) or f"no task function {name} is known in this test"

    def _declare(self) -> None:
        now = self._clock.now()
        self._engine.declare(_schedules(self._app, now))

    def _follow_clock(self) -> None:
        """Begin anew where a test has frozen the system's clock, moved it back, or let it go.

        Between the true time and a frozen one no time passes, so nothing was missed. What is due at
        the very instant at which the test has stopped the clock, is due.
        """
        now = self._clock.now()
        if isinstance(self._clock, ManualClock) or self._clock.began_at == self._began_at:
            return
        self._began_at = self._clock.began_at
        store = self._engine.store
        for schedule in store.schedules():
            # What was declared since is known by then.
            if not self._began_at <= schedule.watermark_at <= now:
                watermark_at = self._began_at - timedelta(microseconds=1)
                store.swap_schedule(schedule, replace(schedule, watermark_at=watermark_at))
        self._engine = self._backend.engine = self._make_engine()


class SessionService:
    """What a started App is in a test; see :class:`autocron.app.Service`."""

    is_serving = False

    def __init__(self, backend: LocalBackend, clock: Any, declare: Any) -> None:
        self.backend = backend
        self.clock = clock
        self._declare = declare

    def matches(self, database: Union[str, os.PathLike[str]]) -> bool:
        """Tell that ``start()`` starts nothing; the session itself answers it."""
        return True

    def announce(self) -> None:
        """Declare the schedules that were decorated since."""
        self._declare()

    def stop(self) -> None:
        """Do nothing: nothing was started."""


class SessionBackend(LocalBackend):
    """The backend of a session; what is known of its tasks stays readable when it is over."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store
        self._ended: Optional[Dict[str, Task]] = None

    def end(self) -> None:
        """Close the store, and keep what became of its tasks for as long as anyone asks."""
        self._ended = {task.id: task for task in self.store.find()}
        self.store.close()

    def get(self, task_id: str) -> Optional[Task]:
        """Return what is known of a task, or was at the end."""
        return super().get(task_id) if self._ended is None else self._ended.get(task_id)

    def cancel(self, task_id: str) -> bool:
        """Cancel a waiting task; there is none after the end."""
        return super().cancel(task_id) if self._ended is None else False


def _unreachable(app: App) -> List[str]:
    return [known.name for known in app.registry.all() if known.unreachable is not None]


def _schedules(app: App, now: datetime) -> List[Schedule]:
    return [options.schedule(app.zone_name, now) for options in app.schedules.values()]
