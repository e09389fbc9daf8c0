"""The App: its task functions, the two decorators, and the way from a call to an engine."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from _thread import RLock
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Coroutine,
    Dict,
    Iterable,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Type,
    TypeVar,
    Union,
    cast,
    overload,
)

from autocron import zones
from autocron.core import cron, explain
from autocron.core.errors import (
    AutocronError,
    InvalidSchedule,
    InvalidTask,
    ScheduleWarning,
    StartError,
    TaskNotFound,
)
from autocron.core.values import changed
from autocron.delayed import Link, delayed_function
from autocron.hooks import H, Hooks
from autocron.options import Backoff, DelayOptions, unknown_option
from autocron.registry import Registry, TaskFunction, name_of_task, task_function
from autocron.schedule_options import RUN_OPTIONS, CronOptions, Field, cron_options, expression_of

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, Unpack

    from autocron.caller import AppCaller
    from autocron.core.schedule import Schedule
    from autocron.delayed import DelayDecorator, Delayed, DelayedCoroutine, TaskOptions
    from autocron.dynamic import ScheduleInfo
    from autocron.group import TaskGroup
    from autocron.result import TaskResult
    from autocron.serving import Rehearsal, Router, Service

    P = ParamSpec("P")
    R = TypeVar("R")

F = TypeVar("F", bound=Callable[..., Any])


@lru_cache(maxsize=None)
def _codec(serializer: str) -> Any:
    # Only now: a process that never calls has no need of either.
    if serializer == "pickle":
        from autocron.core import pickled

        return pickled
    from autocron.core import arguments

    return arguments


class App:
    """Task functions, their decorators, and the engine that takes the calls.

    There is one default App, whose methods are ``autocron.cron``, ``autocron.delay`` and so on.
    """

    def __init__(self) -> None:
        self.registry = Registry()
        self.schedules: Dict[str, CronOptions] = {}
        self.default_zone: Optional[str] = None
        self.serializer = "json"
        self.hooks = Hooks(lambda: self.codec)
        # Finds the test that the present thread or asyncio task is in; None outside of tests.
        self.rehearsals: Optional[Callable[[App], Optional[Rehearsal]]] = None
        # What an integration puts between: which way calls take; and what a worker calls in the
        # place of a task's function, made of it.
        self.router: Optional[Router] = None
        self.around: Optional[Callable[[Callable[..., Any]], Callable[..., Any]]] = None
        self._served: Optional[Service] = None
        self._caller: Optional[AppCaller] = None
        self._starting = RLock()

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
        jitter: Union[float, timedelta] = 0.0,
        at_start: bool = False,
        enabled: bool = True,
        timeout: Union[float, timedelta, None] = None,
        retries: Optional[int] = None,
        backoff: Optional[Backoff] = None,
        queue: Optional[str] = None,
        priority: Optional[int] = None,
        **unknown: NoReturn,
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
            jitter: Each run begins later than its occurrence by less than so many seconds, always
                by the same, so that schedules of one minute do not all begin at once.
            at_start: Also run once whenever the application starts; without any field only then.
            enabled: False keeps the schedule from firing; once it is enabled, nothing is made up.
            timeout: How many seconds, or which timedelta, a run may take; None is for ever.
            retries: How many attempts are made again after a failure; none if not given.
            backoff: The delay before each of them: seconds, or ``"exponential"``, the default.
            queue: The queue of its runs; ``"default"`` if not given.
            priority: Their priority, -100 to 100, higher first; 0 if not given.
            **unknown: Nothing else can be given.

        Returns:
            A decorator that returns the function as it is.

        Raises:
            InvalidSchedule: The schedule or an option can not be used, or would never fire.
            InvalidTask: What is decorated is no function that a worker could find.
        """
        _refuse_unknown(InvalidSchedule, App.cron, unknown)
        expression = expression_of(
            crontab,
            {
                "seconds": seconds,
                "minutes": minutes,
                "hours": hours,
                "days": days,
                "months": months,
                "days_of_week": days_of_week,
                "dow": dow,
            },
            at_start,
        )
        run = {
            "timeout": timeout,
            "retries": retries,
            "backoff": backoff,
            "queue": queue,
            "priority": priority,
        }
        options_of = cron_options(
            text=None if expression is None else str(expression),
            zone=None if tz is None else zones.zone_name(tz),
            is_fixed_time=expression is None or expression.is_fixed_time,
            missed=missed,
            overlap=overlap,
            grace=grace,
            at_start=at_start,
            jitter=jitter,
            enabled=enabled,
            run=run,
        )
        if expression is not None:
            for slip in explain.warnings_for(expression):
                warnings.warn(slip, ScheduleWarning, stacklevel=2)

        def decorate(function: F) -> F:
            plain = getattr(function, "function", function)
            known = self._register(plain, "cron")
            options = options_of(known.name)
            rehearsal = self.rehearsal
            if rehearsal is not None and known.unreachable is not None:
                rehearsal.add_schedule(options)
            else:
                self.schedules[options.key] = options
            self._announce(known)
            return function

        return decorate

    # What a coroutine function comes to is the result of its task.
    @overload
    def delay(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]]
    ) -> DelayedCoroutine[P, R]: ...

    @overload
    def delay(self, function: Callable[P, R]) -> Delayed[P, R]: ...

    @overload
    def delay(self, **options: Unpack[TaskOptions]) -> DelayDecorator: ...

    def delay(self, function: Any = None, **options: Any) -> Any:
        """Make calls of a function return at once and run in a worker process.

        Use it bare (``@delay``) or with options (``@delay(minutes=5)``). A call returns a
        :class:`~autocron.result.TaskResult`; ``send.options(seconds=30)(…)`` changes the options
        for one call, and ``send.function`` is the plain function.

        Arguments:
            function: The function, if used bare.
            **options: When the task runs, how it is retried, limited and so on; see
                :class:`autocron.delayed.TaskOptions`.

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

    def schedule(
        self,
        task: Callable[..., Any],
        crontab: str,
        *,
        name: Optional[str] = None,
        args: Sequence[Any] = (),
        kwargs: Optional[Mapping[str, Any]] = None,
        tz: Union[str, tzinfo, None] = None,
        missed: Optional[str] = None,
        overlap: str = "skip",
        grace: Union[float, timedelta] = 60.0,
        jitter: Union[float, timedelta] = 0.0,
        enabled: Optional[bool] = None,
        **run: Any,
    ) -> str:
        """Run a task function at the times of a schedule that is made now, and kept.

        For schedules that users of the application make. It is kept in the database until
        :meth:`unschedule`; a schedule of the same name is replaced, and goes on where it was if
        neither text nor zone have changed.

        Arguments:
            task: A function decorated with ``@delay`` or ``@cron``.
            crontab: The schedule, as ``@cron`` takes it.
            name: Its name, at most 200 characters; None makes one of the function's name, the text
                and the arguments.
            args: Positional arguments of each run.
            kwargs: Keyword arguments of each run.
            tz: As for :meth:`cron`, like the six below.
            missed: What to do about occurrences noticed more than ``grace`` late.
            overlap: What to do while an earlier run is in hand.
            grace: How late an occurrence may be noticed and still be on time, in seconds.
            jitter: By less than how many seconds each run begins later.
            enabled: Whether it fires; None leaves that as it is, so that a schedule which an
                administrator has disabled stays so. A new one fires.
            **run: ``timeout``, ``retries``, ``backoff``, ``max_backoff``, ``retry_on``,
                ``no_retry_on``, ``queue`` and ``priority`` of each run; where they are not given,
                those of ``@delay`` hold.

        Returns:
            Its name.

        Raises:
            InvalidSchedule: The schedule or an option can not be used, or the name is that of a
                schedule in the code.
            InvalidTask: It is no task function.
            NotStorable: An argument can not be stored.
            StartError: autocron was not started here, so there is no database to keep it in.
        """
        _refuse_unknown(InvalidSchedule, App.schedule, set(run) - set(RUN_OPTIONS), RUN_OPTIONS)
        link = self._link(task)
        expression = cron.parse(crontab)
        if not isinstance(args, (list, tuple)):
            raise InvalidSchedule(
                f"args: {args!r} is no list or tuple; for one argument: [{args!r}]"
            )
        if not isinstance(kwargs, (Mapping, type(None))):
            raise InvalidSchedule(f"kwargs: {kwargs!r} is no dictionary of names and values")
        link.known.check_call(tuple(args), dict(kwargs or {}))
        payload = self.codec.dump_call(tuple(args), dict(kwargs or {}), link.known.parameters)
        options = cron_options(
            text=str(expression),
            zone=None if tz is None else zones.zone_name(tz),
            is_fixed_time=expression.is_fixed_time,
            missed=missed,
            overlap=overlap,
            grace=grace,
            at_start=False,
            jitter=jitter,
            enabled=True if enabled is None else enabled,
            run=run,
            base=link.options,
        )(link.known.name)
        from autocron.dynamic import dynamic_name

        key = dynamic_name(name, options, payload)
        options = changed(options, payload=payload, dynamic_name=key)
        service = self._database("schedule")
        schedule = options.schedule(self.zone_name, service.clock.now())
        service.backend.put_schedule(schedule, keeps_state=enabled is None)
        return key

    def unschedule(self, name: str) -> bool:
        """Take a schedule out that was made by :meth:`schedule`; what it has enqueued still runs.

        Arguments:
            name: Its name.

        Returns:
            True if it was there.

        Raises:
            InvalidSchedule: It stands in the code, where it is to be taken out; or it is no text.
            StartError: autocron was not started here.
        """
        if not isinstance(name, str):
            raise InvalidSchedule(
                f"unschedule: {name!r} is no name of a schedule; expected the text that schedule() "
                "returned"
            )
        return self._database("unschedule").backend.remove_schedule(name)

    def list_schedules(self) -> List[ScheduleInfo]:
        """Return all schedules that are kept, those in the code and those made at run time.

        Returns:
            Them, the one that fires next first.

        Raises:
            StartError: autocron was not started here.
        """
        from autocron.dynamic import listed

        service = self._database("schedules")
        return listed(service.backend.schedules(), service.clock.now())

    def _database(self, asking: str) -> Service:
        service = self.service
        if service is None:
            raise StartError(f"{asking} looks into the database: call autocron.start(…) first")
        return service

    def _link(self, task: Any) -> Link:
        """Return the task function, and its options, of something decorated."""
        link = getattr(task, "_link", None)
        if isinstance(link, Link):
            return link
        name = name_of_task("schedule()", task)
        rehearsal = self.rehearsal
        known = self.registry.get(name) if rehearsal is None else rehearsal.find(name)
        if not isinstance(known, TaskFunction):
            raise InvalidTask(
                f"{name} is no task function: decorate it with @autocron.delay, so that workers "
                "may run it"
            )
        return Link(known, DelayOptions())

    def _delayed(self, plain: Callable[..., Any], options: DelayOptions) -> Callable[..., Any]:
        known = self._register(plain, "delay")
        delayed = delayed_function(self, known, options)
        self._announce(known)
        return delayed

    def on(self, *kinds: str) -> Callable[[H], H]:
        """Have a function told what happens to tasks.

        ::

            @autocron.on("failed")
            def tell_us(event):
                send_chat_message(f"{event.name} failed: {event.error_message}")

        A hook runs in the process where it happens: ``enqueued`` and ``cancelled`` mostly in the
        application, the others in a worker. What it returns is ignored; what it raises is logged,
        and never harms the task.

        Arguments:
            *kinds: What to hear of: ``enqueued``, ``started``, ``succeeded``, ``failed``,
                ``retried``, ``lost``, ``cancelled``; see :class:`autocron.hooks.TaskEvent`.

        Returns:
            A decorator, which returns the function as it is.

        Raises:
            InvalidTask: That is nothing that happens.
        """
        return self.hooks.on(*kinds)

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
        service = self._database("get_result")
        task = service.backend.get(_id("get_result", task_id))
        if task is None:
            raise TaskNotFound(
                f"no task {task_id!r} is stored: there never was one, or its result has expired"
            )
        from autocron.result import TaskResult

        return TaskResult(task, self.caller.source(service))

    def get_group(self, group_id: str) -> TaskGroup[Any]:
        """Return the results of an earlier ``task.map(…)`` by the id of its group.

        Arguments:
            group_id: ``TaskGroup.id`` of that call, perhaps from another process.

        Returns:
            The TaskGroup; its ``callback`` is not known here.

        Raises:
            TaskNotFound: No such group is stored: it never was, or its results have expired.
            StartError: autocron was not started here, so there is no database to look into.
        """
        service = self._database("get_group")
        tasks = service.backend.list(group=_id("get_group", group_id))
        if not tasks:
            raise TaskNotFound(
                f"no group {group_id!r} is stored: there never was one, or its results have expired"
            )
        return self.caller.group(tasks, None, self.caller.source(service))

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

    # What only calls need is imported by start(), or by the first of them.

    @property
    def caller(self) -> AppCaller:
        """Who takes the calls of the delayed functions."""
        if self._caller is None:
            from autocron.caller import AppCaller

            self._caller = AppCaller(self)
        return self._caller

    def get_ready(self, serializer: str) -> None:
        """Import all that calls need: else a fork might find it half imported by another thread.

        Arguments:
            serializer: As ``start()`` was given it.
        """
        for name in ("inspect", "autocron.caller"):
            importlib.import_module(name)
        _codec(serializer)

    @property
    def codec(self) -> Any:
        """The module that encodes arguments and results."""
        return _codec(self.serializer)

    @property
    def zone(self) -> tzinfo:
        """The application's default time zone."""
        return zones.load_zone(self.zone_name)

    @property
    def zone_name(self) -> str:
        """The name of the application's default time zone."""
        rehearsal = self.rehearsal
        rehearsed = None if rehearsal is None else rehearsal.default_zone
        return rehearsed or self.default_zone or self.system_zone_name

    @property
    def system_zone_name(self) -> str:
        """The name of the zone where neither ``start()`` nor a test has said one."""
        return self._django_zone() or zones.LOCAL

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
        workers: Union[int, Mapping[str, int], None] = None,
        tz: Union[str, tzinfo, None] = None,
        serializer: str = "json",
        durability: str = "full",
        max_tasks_per_worker: Optional[int] = None,
        max_memory_mb: Optional[float] = None,
        stop_grace: Optional[float] = None,
        **unknown: NoReturn,
    ) -> bool:
        """Let the tasks of this application run in worker processes.

        Call it once in every process of the application, at any place; a second call changes
        nothing. It decides between three modes and logs which and why: *serve* (workers run),
        *attach* (calls are stored, no workers are started) and *in place* (the database is locked
        by ``--set-autocron-lock on``: calls run here, at once).

        Arguments:
            database: A name such as ``"project.db"``, kept in ``~/.autocron``, or an absolute path;
                or a URL such as ``"postgresql://user@host/name"``, of a database that several hosts
                share (``pip install "autocron[postgres]"``).
            workers: How many workers run; 0 only attaches. Or how many for which queues:
                ``{"default": 2, "mail,bulk": 1}``; ``"*"`` is any queue, and one that no key
                names is worked on by nobody. None is what ``--set-max-workers`` says, else 1.
            tz: The time zone of cron schedules that name none, and of datetimes without one; None
                is Django's TIME_ZONE or the system's zone.
            serializer: ``"json"``, or ``"pickle"`` for arguments that JSON can not hold.
            durability: ``"full"`` syncs each call to the disk before it returns; with ``"normal"``
                it survives the death of any process, but a power cut may lose the latest calls.
            max_tasks_per_worker: A worker is replaced after so many tasks; 0 is never. None, here
                and below, is what the setting of that name says, else its default: never.
            max_memory_mb: A worker is replaced, between two tasks, once it takes more memory than
                this, in megabytes; 0 is never, which is the default.
            stop_grace: How many seconds the tasks in hand have to end when the workers are told to
                stop; default 5. What has not ended then is handed back, and runs again.
            **unknown: Nothing else can be given.

        Returns:
            True if calls go to workers.

        Raises:
            StartError: It can not start: the name or an option is wrong, autocron is already
                started with another database, or another application is using this one.
            StoreError: The database can not be used.
            InvalidTask: A task function is where no worker can find it.
        """
        _refuse_unknown(StartError, App.start, unknown)
        terms = {
            "max_tasks_per_worker": max_tasks_per_worker,
            "max_memory_mb": max_memory_mb,
            "stop_grace": stop_grace,
        }
        with self._starting:
            rehearsal = self.rehearsal
            if rehearsal is not None:
                # Nothing is started, but what could not be is to be found by the test.
                if sys.platform != "win32":
                    from autocron.shell.service import check_options

                    check_options(workers, serializer, durability, terms)
                zone = None if tz is None else zones.zone_name(tz)
                rehearsal.start(database, zone, serializer)
                return False
            if self._served is not None and self._served.matches(database):
                return self._served.is_serving
            if sys.platform == "win32":
                import logging

                logging.getLogger("autocron").warning(
                    "workers are not supported on Windows yet: calls run in place"
                )
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
                terms=terms,
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

    def declared(self, now: datetime) -> List[Schedule]:
        """Return the schedules in the code, as far as workers can find their functions.

        Arguments:
            now: When they begin.
        """
        reachable = {known.name for known in self.registry.all() if known.unreachable is None}
        return [
            options.schedule(self.zone_name, now)
            for options in self.schedules.values()
            if options.name in reachable
        ]

    def check_reachable(self) -> None:
        """Check that workers can find every task function.

        Raises:
            InvalidTask: One is where no worker could find it.
        """
        for known in self.registry.all():
            if known.unreachable is not None:
                raise InvalidTask(known.unreachable)


def _id(asking: str, given: object) -> str:
    """Return the id of a task or group, or raise TaskNotFound for what is none."""
    if isinstance(given, str):
        return given
    hint = ": give its .id" if hasattr(given, "id") else ""
    raise TaskNotFound(f"{asking}: {given!r} is no id; expected the text of one{hint}")


def _refuse_unknown(
    error: Type[AutocronError],
    function: Any,
    given: Iterable[str],
    more: Sequence[str] = (),
) -> None:
    """Raise an error if an option was given that a function does not have."""
    for name in given:
        of = function.__name__
        raise error(unknown_option(name, of, (*function.__kwdefaults__, *more)))


default_app: App = App()
