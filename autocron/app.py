"""The App: its task functions, the two decorators, and the way from a call to an engine."""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
import warnings
from datetime import datetime, timedelta, tzinfo
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Protocol,
    Tuple,
    TypeVar,
    Union,
    cast,
    overload,
)

from autocron import zones
from autocron.core import arguments, cron, explain
from autocron.core.errors import (
    InvalidSchedule,
    InvalidTask,
    ScheduleWarning,
    StartError,
    TaskNotFound,
)
from autocron.core.task import Message, Task
from autocron.options import Backoff, CronOptions, DelayOptions, Moment, check_policies
from autocron.registry import Registry, TaskFunction, task_function
from autocron.result import TaskResult

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from autocron.ports import Backend, Clock

    P = ParamSpec("P")
    R = TypeVar("R")

    class Delayed(Protocol[P, R]):
        """A delayed function: called like the plain one, it returns a TaskResult."""

        __name__: str
        __qualname__: str
        __wrapped__: Callable[P, R]

        @property
        def function(self) -> Callable[P, R]:
            """The plain function."""
            ...

        def options(
            self,
            *,
            weeks: Optional[float] = None,
            days: Optional[float] = None,
            hours: Optional[float] = None,
            minutes: Optional[float] = None,
            seconds: Optional[float] = None,
            schedule: Optional[Moment] = None,
            retries: Optional[int] = None,
            backoff: Optional[Backoff] = None,
        ) -> Callable[P, TaskResult[R]]:
            """Return the function with other options for one call."""
            ...

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R]: ...


F = TypeVar("F", bound=Callable[..., Any])
Field = Union[int, str, "List[Union[int, str]]", "Tuple[Union[int, str], ...]"]

logger = logging.getLogger("autocron")


class Service(Protocol):
    """How an application is served in this process: what a started App talks to."""

    @property
    def backend(self) -> Backend:
        """The engine that takes the calls."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock of that engine."""
        ...

    @property
    def is_serving(self) -> bool:
        """Whether calls go to workers."""
        ...

    def matches(self, database: Union[str, os.PathLike[str]]) -> bool:
        """Tell whether ``start()`` with this database would be the same again."""
        ...

    def announce(self) -> None:
        """Make a function known that was decorated after the start."""
        ...

    def stop(self) -> None:
        """Give up this process's share in the application."""
        ...


class Rehearsal(Protocol):
    """What a test puts in the place of a service: tasks run in this process, when told to."""

    @property
    def service(self) -> Service:
        """Where calls go."""
        ...

    @property
    def default_zone(self) -> Optional[str]:
        """The name of the time zone of schedules that name none; None is the application's."""
        ...

    def add(self, known: TaskFunction) -> None:
        """Keep a function that was decorated inside a function of the test."""
        ...

    def add_schedule(self, options: CronOptions) -> None:
        """Keep a schedule of such a function."""
        ...

    def forget(self, name: str) -> None:
        """Take such a function and its schedules out again."""
        ...

    def start(
        self, database: Union[str, os.PathLike[str]], tz: Optional[str], serializer: str
    ) -> None:
        """Take over what was given to ``start()``, and start nothing."""
        ...


class App:
    """Task functions, their decorators, and the engine that takes the calls.

    There is one default App, whose methods are ``autocron.cron``, ``autocron.delay`` and so on.
    """

    def __init__(self) -> None:
        self.registry = Registry()
        self.schedules: Dict[str, CronOptions] = {}
        self.default_zone: Optional[str] = None
        self.serializer = "json"
        # Finds the test that the present thread or asyncio task is in; None outside of tests.
        self.rehearsals: Optional[Callable[[App], Optional[Rehearsal]]] = None
        self._served: Optional[Service] = None
        self._starting = threading.RLock()

    # -- decorators -------------------------------------------------------------------------

    def cron(
        self,
        crontab: Optional[str] = None,
        *,
        seconds: Optional[Field] = None,
        minutes: Optional[Field] = None,
        hours: Optional[Field] = None,
        days: Optional[Field] = None,
        months: Optional[Field] = None,
        days_of_week: Optional[Field] = None,
        dow: Optional[Field] = None,
        tz: Union[str, tzinfo, None] = None,
        missed: Optional[str] = None,
        overlap: str = "skip",
        grace: Union[float, timedelta] = 60.0,
        at_start: bool = False,
    ) -> Callable[[F], F]:
        """Run a function at the times of a cron schedule.

        The function stays a plain function when it is called. Decorators may be stacked; each is a
        schedule of its own.

        Arguments:
            crontab: Five fields (minute hour day-of-month month day-of-week), six with leading
                seconds, or an alias such as ``@daily``.
            seconds: The keyword form, as the five below: a number, a name, a text as in the string
                form, or a list of them; a field left out is ``*``.
            minutes: 0 to 59.
            hours: 0 to 23.
            days: Days of the month, 1 to 31.
            months: 1 to 12, or jan to dec.
            days_of_week: 0 or 7 (Sunday) to 6, or sun to sat.
            dow: Short for ``days_of_week``.
            tz: The time zone, by name or as tzinfo; None is that of ``start(tz=…)``, of Django, or
                of the system.
            missed: What to do about occurrences noticed more than ``grace`` late: ``"once"`` makes
                up one run (the default for fixed times), ``"skip"`` none (the default where minute
                or hour start with ``*``), ``"all"`` up to 1,000.
            overlap: What to do while an earlier run is in hand: ``"skip"`` the occurrence,
                ``"wait"`` for it, or ``"allow"`` both.
            grace: How late an occurrence may be noticed and still be on time, in seconds.
            at_start: Also run once whenever the application starts; without any field only then.

        Returns:
            A decorator that returns the function as it is.

        Raises:
            InvalidSchedule: The schedule or an option can not be used, or would never fire.
            InvalidTask: What is decorated is no function that a worker could find.
        """
        if callable(crontab):
            raise InvalidSchedule(
                '@cron takes a schedule: write @cron("0 2 * * *") for every day at 02:00'
            )
        fields: Dict[str, Any] = {
            "seconds": seconds,
            "minutes": minutes,
            "hours": hours,
            "days": days,
            "months": months,
            "days_of_week": days_of_week,
        }
        if dow is not None:
            if days_of_week is not None:
                raise InvalidSchedule("dow and days_of_week are the same field; give one of them")
            fields["days_of_week"] = dow
        given = {name: value for name, value in fields.items() if value is not None}
        if crontab is not None and given:
            raise InvalidSchedule(
                f"a cron text ({crontab!r}) and {', '.join(given)} were both given; give one form"
            )
        expression: Optional[cron.CronExpression]
        if crontab is not None:
            expression = cron.parse(crontab)
        elif given:
            expression = cron.from_fields(**given)
        elif at_start is True:
            expression = None
        else:
            raise InvalidSchedule(
                'cron needs a schedule: a text such as "0 2 * * *", keywords such as minutes=0, '
                "hours=2, or at_start=True"
            )
        zone = None if tz is None else zones.zone_name(tz)
        missed, overlap, grace_seconds = check_policies(
            missed, overlap, grace, at_start, expression is None or expression.is_fixed_time
        )
        if expression is not None:
            for slip in explain.warnings_for(expression):
                warnings.warn(slip, ScheduleWarning, stacklevel=2)

        def decorate(function: F) -> F:
            plain = getattr(function, "function", function)
            known = self._register(plain, "cron")
            options = CronOptions(
                name=known.name,
                text=None if expression is None else str(expression),
                zone=zone,
                missed=missed,
                overlap=overlap,
                grace_seconds=grace_seconds,
                at_start=at_start,
            )
            rehearsal = self.rehearsal
            if rehearsal is not None and known.unreachable is not None:
                rehearsal.add_schedule(options)
            else:
                self.schedules[options.key] = options
            self._announce(known)
            return function

        return decorate

    @overload
    def delay(self, function: Callable[P, R]) -> Delayed[P, R]: ...

    @overload
    def delay(
        self,
        *,
        weeks: Optional[float] = None,
        days: Optional[float] = None,
        hours: Optional[float] = None,
        minutes: Optional[float] = None,
        seconds: Optional[float] = None,
        schedule: Optional[Moment] = None,
        retries: Optional[int] = None,
        backoff: Optional[Backoff] = None,
    ) -> Callable[[Callable[P, R]], Delayed[P, R]]: ...

    def delay(self, function: Any = None, **options: Any) -> Any:
        """Make calls of a function return at once and run in a worker process.

        Use it bare (``@delay``) or with options (``@delay(minutes=5)``). A call returns a
        :class:`~autocron.result.TaskResult`; ``send.options(seconds=30)(…)`` changes the options
        for one call, and ``send.function`` is the plain function.

        Arguments:
            function: The function, if used bare.
            **options: How long to wait before the task runs, as numbers of ``weeks``, ``days``,
                ``hours``, ``minutes`` and ``seconds``, added up; or ``schedule``, an instant before
                which it does not run (an aware datetime, or one in the application's zone), or a
                callable that gives one at each call. ``retries`` is how many attempts are made
                again after a failure, ``backoff`` how long to wait before each: seconds, or
                ``"exponential"`` (the default), which draws a delay below a bound that doubles with
                each failure, from 5 seconds to an hour.

        Returns:
            The decorated function, with the name, docstring and signature of the plain one.

        Raises:
            InvalidTask: What is decorated is no function that a worker could find, or an option
                can not be used.
        """
        checked = DelayOptions().changed(**options)
        if function is None:
            return lambda plain: self._delayed(plain, checked)
        return self._delayed(function, checked)

    def _delayed(self, plain: Callable[..., Any], options: DelayOptions) -> Callable[..., Any]:
        known = self._register(plain, "delay")

        @functools.wraps(plain)
        def call(*args: Any, **kwargs: Any) -> TaskResult[Any]:
            return self._call(known, args, kwargs, options)

        def with_options(**given: Any) -> Callable[..., TaskResult[Any]]:
            changed = options.changed(**given)

            @functools.wraps(plain)
            def call_with_options(*args: Any, **kwargs: Any) -> TaskResult[Any]:
                return self._call(known, args, kwargs, changed)

            return call_with_options

        delayed = cast(Any, call)
        delayed.options = with_options
        delayed.function = plain
        self._announce(known)
        return call

    def _register(self, function: Callable[..., Any], decorator: str) -> TaskFunction:
        known = task_function(function, decorator)
        rehearsal = self.rehearsal
        if rehearsal is not None and known.unreachable is not None:
            # It runs here, so no worker has to find it; and it is gone with its test.
            rehearsal.add(known)
            return known
        if self.is_active and known.unreachable is not None:
            raise InvalidTask(known.unreachable)
        self.registry.add(known)
        return known

    def _announce(self, known: TaskFunction) -> None:
        service = self.service
        if service is not None:
            service.announce()

    # -- calls ------------------------------------------------------------------------------

    def _call(
        self,
        known: TaskFunction,
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
        options: DelayOptions,
    ) -> TaskResult[Any]:
        known.check_call(args, kwargs)
        payload = self.codec.dump_call(args, kwargs, known.parameters)
        run_at = options.moment(self.zone) if options.schedule is not None else None
        message = Message(
            name=known.name,
            payload=payload,
            run_at=run_at,
            delay_seconds=options.delay_seconds,
            retries=options.retries,
            backoff_seconds=options.backoff_seconds,
        )
        service = self.service
        if service is None:
            from autocron.inplace import run_in_place

            return run_in_place(self, known, message)
        return TaskResult(service.backend.enqueue(message), self._source(service))

    def _source(self, service: Service) -> _Source:
        return _Source(service.backend, service.clock, self.codec, self.rehearsal is None)

    def get_result(self, task_id: str) -> TaskResult[Any]:
        """Return the result of an earlier call by the id of its task.

        Arguments:
            task_id: ``TaskResult.id`` of that call, perhaps from another process.

        Returns:
            The TaskResult.

        Raises:
            TaskNotFound: No such task is stored: it never was, or its result has expired.
            StartError: autocron was not started here, so there is no database to look into.
        """
        service = self.service
        if service is None:
            raise StartError("get_result looks into the database: call autocron.start(…) first")
        task = service.backend.get(task_id) if isinstance(task_id, str) else None
        if task is None:
            raise TaskNotFound(
                f"no task {task_id!r} is stored: there never was one, or its result has expired"
            )
        return TaskResult(task, self._source(service))

    def now(self) -> datetime:
        """Return the present time, as the tasks of this application are to see it.

        In a test session it is the session's time, which the test moves; else the system's, read at
        each call.

        Returns:
            An aware UTC datetime; ``now().astimezone(zone)`` is the wall clock of a zone.
        """
        service = self.service
        if service is not None:
            return service.clock.now()
        from autocron.shell.clock import SystemClock

        return SystemClock().now()

    @property
    def codec(self) -> Any:
        """The module that encodes arguments and results."""
        if self.serializer == "pickle":
            from autocron.core import pickled

            return pickled
        return arguments

    @property
    def zone(self) -> tzinfo:
        """The application's default time zone."""
        return zones.load_zone(self.zone_name)

    @property
    def zone_name(self) -> str:
        """The name of the application's default time zone."""
        rehearsal = self.rehearsal
        rehearsed = None if rehearsal is None else rehearsal.default_zone
        return rehearsed or self.default_zone or self._django_zone() or zones.LOCAL

    @staticmethod
    def _django_zone() -> Optional[str]:
        """Django's TIME_ZONE, where Django is configured, not merely installed."""
        conf = sys.modules.get("django.conf")
        if conf is None or not conf.settings.configured:
            return None
        return cast(Optional[str], conf.settings.TIME_ZONE)

    # -- starting and stopping ----------------------------------------------------------------

    def start(
        self,
        database: Union[str, os.PathLike[str]],
        *,
        workers: Optional[int] = None,
        tz: Union[str, tzinfo, None] = None,
        serializer: str = "json",
        durability: str = "full",
    ) -> bool:
        """Let the tasks of this application run in worker processes.

        Call it once in every process of the application, at any place; a second call changes
        nothing. It decides between three modes and logs which and why: *serve* (workers run),
        *attach* (calls are stored, no workers are started) and *in place* (the database is locked
        by ``--set-autocron-lock on``: calls run here, at once).

        Arguments:
            database: A name such as ``"project.db"``, kept in ``~/.autocron``, or an absolute path.
            workers: How many workers run; 0 only attaches. None is what ``--set-max-workers`` says,
                else 1.
            tz: The time zone of cron schedules that name none, and of datetimes without one; None
                is Django's TIME_ZONE or the system's zone.
            serializer: ``"json"``, or ``"pickle"`` for arguments that JSON can not hold.
            durability: ``"full"`` syncs each call to the disk before it returns; ``"normal"``
                survives any crash of processes, but a power cut may lose the last moments.

        Returns:
            True if calls go to workers.

        Raises:
            StartError: It can not start: the name or an option is wrong, autocron is already
                started with another database, or another application is using this one.
            StoreError: The database can not be used.
            InvalidTask: A task function is where no worker can find it.
        """
        with self._starting:
            rehearsal = self.rehearsal
            if rehearsal is not None:
                zone = None if tz is None else zones.zone_name(tz)
                rehearsal.start(database, zone, serializer)
                return False
            if self._served is not None and self._served.matches(database):
                return self._served.is_serving
            if sys.platform == "win32":
                logger.warning("workers are not supported on Windows yet: calls run in place")
                return False
            from autocron.shell.service import start_service

            caller: Mapping[str, Any] = sys._getframe(1).f_globals
            self._served = start_service(
                self,
                database,
                caller=caller,
                workers=workers,
                tz=None if tz is None else zones.zone_name(tz),
                serializer=serializer,
                durability=durability,
            )
            return self._served is not None and self._served.is_serving

    def stop(self) -> None:
        """Give up this process's share in the application.

        The last process waits up to 10 seconds until all workers have ended. Later calls are still
        stored, and run when the application is started again. Without a start, nothing happens.
        """
        with self._starting:
            service = self.service
            if service is not None:
                service.stop()

    @property
    def is_active(self) -> bool:
        """Whether calls are stored for workers, rather than run in place."""
        return self.service is not None

    @property
    def rehearsal(self) -> Optional[Rehearsal]:
        """The test that the present thread or asyncio task is in; None outside of tests."""
        return None if self.rehearsals is None else self.rehearsals(self)

    @property
    def service(self) -> Optional[Service]:
        """Where calls go: to the present test, or as this process was started; None is here."""
        rehearsal = self.rehearsal
        return self._served if rehearsal is None else rehearsal.service

    def use(self, service: Optional[Service]) -> Optional[Service]:
        """Take the calls of this process to another service; for workers.

        Arguments:
            service: The service; None runs calls in place.

        Returns:
            The service before.
        """
        before, self._served = self._served, service
        return before

    def forget(self, name: str) -> None:
        """Take a task function and its schedules out again; for tests.

        Arguments:
            name: The name of the task function, ``"module:qualname"``.
        """
        rehearsal = self.rehearsal
        if rehearsal is not None:
            rehearsal.forget(name)
        self.registry.remove(name)
        for options in list(self.schedules.values()):
            if options.name == name:
                del self.schedules[options.key]

    def check_reachable(self) -> None:
        """Check that workers can find every task function.

        Raises:
            InvalidTask: One is where no worker could find it.
        """
        for known in self.registry.all():
            if known.unreachable is not None:
                raise InvalidTask(known.unreachable)


class _Source:
    """What a TaskResult reads from."""

    __slots__ = ("_backend", "_codec", "clock", "has_workers")

    def __init__(self, backend: Backend, clock: Clock, codec: Any, has_workers: bool) -> None:
        self._backend = backend
        self._codec = codec
        self.clock = clock
        self.has_workers = has_workers

    def get(self, task_id: str) -> Optional[Task]:
        return self._backend.get(task_id)

    def cancel(self, task_id: str) -> bool:
        return self._backend.cancel(task_id)

    def load_result(self, text: str) -> Any:
        return self._codec.load_result(text)


default_app = App()
