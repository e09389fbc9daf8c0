"""What a session is to the App and to the engine: a store, a service, a registry of its own."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple, Union, cast

from autocron import zones
from autocron.app import App
from autocron.core.errors import AutocronError, StartError
from autocron.core.schedule import Schedule
from autocron.core.task import Message, Task, TaskState
from autocron.engine import Engine
from autocron.firing import SERVICE
from autocron.ports import Store
from autocron.registry import Registry, TaskFunction
from autocron.schedule_options import CronOptions
from autocron.shell.local import LocalBackend
from autocron.shell.sqlite import SQLiteStore
from autocron.testing import context
from autocron.testing.clock import FollowingClock, ManualClock
from autocron.testing.invoker import RecordingInvoker
from autocron.testing.plain_store import PlainStore
from autocron.testing.plans import Plans
from autocron.testing.runner import Runner
from autocron.testing.unserved import UnservedService

logger = logging.getLogger("autocron")

ENGINE_VARIABLE = "AUTOCRON_TEST_ENGINE"
ENGINES = ("memory", "plain", "sqlite")
_TEST_FRAMEWORKS = {"pytest", "unittest"}

_count = itertools.count(1)


def chosen_engine(given: Optional[str]) -> str:
    """Return the engine of a session: as given, as the environment says, or ``"memory"``.

    Each has a name, but PostgreSQL, which is the URL of a database.

    Raises:
        AutocronError: There is none of that name.
    """
    chosen = given or os.environ.get(ENGINE_VARIABLE) or "memory"
    origin = "engine" if given else ENGINE_VARIABLE
    if _is_url(chosen):
        # Not before: there are systems on which it can not be imported.
        from autocron.shell.remote import local_name

        try:
            local_name(chosen)
        except StartError as error:
            raise AutocronError(str(error).replace("database", origin, 1)) from None
    elif chosen not in ENGINES:
        raise AutocronError(
            f"{origin}: {chosen!r} is not one of {', '.join(ENGINES)}, nor a URL of PostgreSQL"
        )
    return chosen


def _is_url(engine: str) -> bool:
    return "://" in engine


class Rehearsal:
    """Implements :class:`autocron.app.Rehearsal`; the base of sessions.

    Arguments:
        app: The App.
        clock: The clock of its engine.
        tz: The zone of schedules that name none, while it lasts; None leaves the App's.
        engine: ``"memory"``, ``"plain"``, ``"sqlite"``, or the URL of a PostgreSQL database.
    """

    def __init__(
        self,
        app: App,
        clock: Union[ManualClock, FollowingClock],
        tz: Optional[str],
        engine: str,
    ) -> None:
        self.app = app
        self.is_open = False
        self.outer: Any = None
        self.registry = Registry()
        self.schedules: Dict[str, CronOptions] = {}
        self._clock = clock
        self._tz = tz
        self._engine_name = engine
        self._around: Any = None
        self._is_process_wide = False
        self._has_begun = False
        self._plans = Plans()
        self._stored: List[Task] = []
        self._ids = itertools.count(1)
        self._declared: Dict[str, str] = {}

    # -- beginning and ending -----------------------------------------------------------------

    def begin(self, *, is_process_wide: bool = False) -> None:
        """Take the App's calls, here or, process-wide, wherever no other session takes them."""
        if self._has_begun:
            raise AutocronError(
                "a session is used once, and this one has begun before; make another one with "
                "testing.session(…)"
            )
        self._has_begun = True
        self._around = None if is_process_wide else context.around(self.app)
        self._is_process_wide = is_process_wide
        self._folder: Optional[str] = None
        self._maker = os.getpid()
        self._store = self._make_store()
        self._engine_store: Store = self._store
        self.backend = SessionBackend(self._store)
        self.service = SessionService(self.backend, self._clock, self.declare)
        invoker = RecordingInvoker(self.find, lambda: self.app.codec, self._plans, self._clock)
        self._runner = Runner(lambda: self._make_engine(invoker), invoker, self._zone_of)
        self._began_at = self._clock.now()
        self._begin_service()
        self.app.rehearsals = context.find
        self.is_open = True
        self.outer = context.begin(self, is_process_wide)  # type: ignore[arg-type]
        self.declare()

    def close(self) -> None:
        """Give the App's calls back, and leave nothing behind."""
        self.is_open = False
        context.end(self, self.outer)  # type: ignore[arg-type]
        self.backend.end()
        # A forked child that ends like its parent must not take the parent's folder with it.
        if self._folder is not None and os.getpid() == self._maker:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _make_store(self) -> SQLiteStore:
        if self._engine_name == "plain":
            return cast(SQLiteStore, PlainStore())
        if _is_url(self._engine_name):
            from autocron.contrib.procrastinate.extra import check_extra

            check_extra()
            from autocron.contrib.procrastinate.apart import StoreApart

            return cast(SQLiteStore, StoreApart(self._engine_name, self._clock))
        path = ":memory:"
        if self._engine_name == "sqlite":
            self._folder = tempfile.mkdtemp(prefix="autocron-test-")
            path = os.path.join(os.path.realpath(self._folder), "test.db")
        # Nothing of a test is to survive a power cut.
        return SQLiteStore(path, durability="normal")

    def _begin_service(self) -> None:
        """Begin a period of service, at whose start ``at_start`` functions are due."""
        self._store.put_settings({SERVICE: f"session-{next(_count)}"})

    # -- what the App asks --------------------------------------------------------------------

    @property
    def default_zone(self) -> Optional[str]:
        """The name of the session's zone, or that of the session around it."""
        around = None if self._around is None else self._around.default_zone
        return self._tz or around

    def add(self, known: TaskFunction) -> None:
        """Keep a function that was decorated inside a function of the test, as long as it lasts."""
        self.registry.add(known)

    def add_schedule(self, options: CronOptions) -> None:
        """Keep a schedule of such a function."""
        self.schedules[options.key] = options

    def forget(self, name: str) -> None:
        """Take such a function and its schedules out again."""
        self.registry.remove(name)
        for key in [key for key, options in self.schedules.items() if options.name == name]:
            del self.schedules[key]

    def start(
        self, database: Union[str, os.PathLike[str]], tz: Optional[str], serializer: str
    ) -> None:
        """Do what ``autocron.start()`` does in a test: take over its zone and serializer."""
        # Where nothing tests, the import is a mistake, and calls that stay in memory are lost.
        is_a_test = not _TEST_FRAMEWORKS.isdisjoint(sys.modules)
        logger.log(
            logging.INFO if is_a_test else logging.WARNING,
            "autocron: start(%r) starts nothing in a test (autocron.testing is imported); "
            "run_pending() runs what was called",
            os.fspath(database),
        )
        # The application does that once, so it holds also when this session is over.
        self.app.serializer = serializer
        if tz is not None:
            self.app.default_zone = tz
        self.declare()

    # -- functions and schedules --------------------------------------------------------------

    def find(self, name: str) -> Union[TaskFunction, str]:
        """Return the task function of a name, or a text saying that there is none."""
        rehearsal: Optional[Rehearsal] = self
        while rehearsal is not None:
            known = rehearsal.registry.get(name)
            if known is not None:
                return known
            rehearsal = rehearsal._around
        return self.app.registry.get(name) or f"no task function {name} is known in this test"

    def functions(self) -> List[str]:
        """Return the names of all task functions that are known here."""
        around = [] if self._around is None else self._around.functions()
        own = around + [known.name for known in self.registry.all()]
        return sorted({*own, *(known.name for known in self.app.registry.all())})

    def all_schedules(self) -> Dict[str, CronOptions]:
        """Return all schedules that are known here, by their keys."""
        around = {} if self._around is None else self._around.all_schedules()
        return {**self.app.schedules, **around, **self.schedules}

    def declare(self) -> None:
        """Make schedules known to the engine that were decorated since, or whose zone changed."""
        with context.Inside(self):  # type: ignore[arg-type]
            default_zone = self.app.zone_name
        known = self.all_schedules()
        zone_names = {key: options.zone or default_zone for key, options in known.items()}
        if zone_names != self._declared:
            now = self._clock.now()
            schedules = [options.schedule(default_zone, now) for options in known.values()]
            self._runner.engine.declare(schedules)
            self._declared = zone_names

    @property
    def zone(self) -> tzinfo:
        """The zone in which times are shown, and meant where they name none."""
        with context.Inside(self):  # type: ignore[arg-type]
            return self.app.zone

    def _zone_of(self, task: Task) -> tzinfo:
        name = None if task.schedule is None else self._declared.get(task.schedule)
        return self.zone if name is None else zones.load_zone(name)

    # -- the engine ---------------------------------------------------------------------------

    def _make_engine(self, invoker: RecordingInvoker) -> Engine:
        self.backend.operations = SessionEngine(
            self._engine_store,
            self._clock,
            zones=zones.load_zone,
            new_id=lambda: f"task-{next(self._ids)}",
            invoker=invoker,
            worker="run_pending",
            keeps_house=True,
            observer=self.app.hooks,
        )
        self.backend.operations.remember_in(self._stored)
        return self.backend.operations

    def _follow_clock(self) -> None:
        """Begin anew where a test has frozen the system's clock, moved it back, or let it go.

        Between the true time and a frozen one no time passes, so nothing was missed. What is due at
        the very instant at which the test has stopped the clock, is due.
        """
        now = self._clock.now()
        if isinstance(self._clock, ManualClock) or self._clock.began_at == self._began_at:
            return
        self._began_at = self._clock.began_at
        for schedule in self._store.schedules():
            # What was declared since is known by then.
            if not self._began_at <= schedule.watermark_at <= now:
                watermark_at = self._began_at - timedelta(microseconds=1)
                self._store.swap_schedule(schedule, replace(schedule, watermark_at=watermark_at))
        self._runner.restart()


class CollectingRehearsal(Rehearsal):
    """The session of the process while tests are collected.

    What is decorated then, wherever that is, belongs to the application.
    """

    def add(self, known: TaskFunction) -> None:
        """Keep a function for as long as the application lasts."""
        self.app.registry.add(known)

    def add_schedule(self, options: CronOptions) -> None:
        """Keep a schedule for as long as the application lasts."""
        self.app.schedules[options.key] = options


class SessionEngine(Engine):
    """The engine, which also tells when the next event is, and what was ever stored."""

    _remembered: List[Task]
    _seen: Set[str]

    def remember_in(self, remembered: List[Task]) -> None:
        """Add each task that is stored to a list."""
        self._remembered = remembered
        self._seen = {task.id for task in remembered}

    def next_event_at(self) -> Optional[datetime]:
        """Return when a task or an occurrence is next due; to clean up is no event."""
        due_at = self.store.next_due_at(self.clock.now())
        occurrence_at = None if self.house is None else self.house.next_occurrence_at
        return min((at for at in (due_at, occurrence_at) if at is not None), default=None)

    def enqueue(self, message: Message) -> Task:
        """Store the task of one call; see :meth:`autocron.ports.Backend.enqueue`."""
        return self._remember(super().enqueue(message))

    def enqueue_all(
        self,
        messages: Sequence[Message],
        then: Sequence[Message] = (),
        *,
        group: Union[bool, str] = True,
    ) -> Tuple[Sequence[Task], List[Task]]:
        """Store several tasks; see :meth:`autocron.ports.Backend.enqueue_all`."""
        tasks, chain = super().enqueue_all(messages, then, group=group)
        for task in (*tasks, *chain):
            self._remember(task)
        return tasks, chain

    def store_occurrence(
        self, schedule: Schedule, moved: Schedule, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of one occurrence; see :class:`autocron.firing.Firing`."""
        task = super().store_occurrence(schedule, moved, message, unless_active)
        return None if task is None else self._remember(task)

    def fire_at_start(
        self, schedule: Schedule, service: str, message: Message, unless_active: bool
    ) -> Optional[Task]:
        """Store the task of a run at the start, once in each period of service."""
        task = super().fire_at_start(schedule, service, message, unless_active)
        return None if task is None else self._remember(task)

    def _remember(self, task: Task) -> Task:
        if task.id not in self._seen:  # else unique= has given back an earlier one
            self._seen.add(task.id)
            self._remembered.append(task)
        return task


class SessionService(UnservedService["SessionBackend"]):
    """What a started App is in a test; see :class:`autocron.serving.Service`."""

    def __init__(self, backend: SessionBackend, clock: Any, declare: Callable[[], None]) -> None:
        super().__init__(backend, clock)
        self._declare = declare

    def announce(self) -> None:
        """Declare the schedules that were decorated since."""
        self._declare()


class SessionBackend(LocalBackend):
    """The backend of a session; what is known of its tasks stays readable when it is over."""

    operations: SessionEngine

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store
        self._ended: Optional[Dict[str, Task]] = None

    def end(self) -> None:
        """Close the store, and keep what became of its tasks for as long as anyone asks."""
        self._ended = {task.id: task for task in self.store.find()}
        self.store.close()

    def within(self, connection: object, is_asked: bool = True) -> Any:
        """Take calls as without a connection, but on PostgreSQL, where they can be undone with it.

        What nobody asks for, as Django's blocks, is held until the commit; a test's own has none.
        """
        join = getattr(self.store, "within", None) if is_asked else None
        return None if join is None else join(self, connection)

    def get(self, task_id: str) -> Optional[Task]:
        """Return what is known of a task, or was at the end."""
        return super().get(task_id) if self._ended is None else self._ended.get(task_id)

    def list(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        group: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return tasks, as they are or were at the end."""
        if self._ended is None:
            return super().list(state=state, name=name, group=group, limit=limit)
        found = [
            task
            for task in self._ended.values()
            if state in (None, task.state)
            and name in (None, task.name)
            and group in (None, task.group)
        ]
        return found[:limit]

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        """Cancel a task; there is none after the end."""
        return super().cancel(task_id, kill) if self._ended is None else False

    def retry(self, task_id: str) -> bool:
        """Make a task wait again; nothing does after the end."""
        return super().retry(task_id) if self._ended is None else False
