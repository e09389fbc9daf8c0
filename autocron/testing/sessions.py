"""Sessions: what a test does with the tasks of an application, and with their time."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from types import TracebackType
from typing import (
    Any,
    Callable,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from autocron.app import App
from autocron.core.errors import AutocronError
from autocron.core.task import Task, TaskState
from autocron.registry import TaskFunction
from autocron.testing.clock import FollowingClock, Instant, ManualClock, instant_of, step_of
from autocron.testing.deadline import check_deadline
from autocron.testing.explain import explain
from autocron.testing.names import known_function
from autocron.testing.only import only
from autocron.testing.plans import UnusedPlan
from autocron.testing.queue_asserts import Capture, Queue, TaskLike
from autocron.testing.rehearsal import CollectingRehearsal, Rehearsal
from autocron.testing.runner import Report, Run
from autocron.testing.work import AtWork
from autocron.testing.wrap import in_a_session

F = TypeVar("F", bound=Callable[..., Any])
Tasks = Union[TaskLike, Sequence[TaskLike], None]


class Session(Rehearsal, Queue):
    """Takes the calls of an App, runs them when told to, and moves their time.

    A context manager and a decorator; see :func:`autocron.testing.session`.
    """

    def __init__(
        self,
        app: App,
        clock: Union[ManualClock, FollowingClock],
        tz: Optional[str],
        engine: str,
        again: Optional[Callable[[], Session]] = None,
    ) -> None:
        Rehearsal.__init__(self, app, clock, tz, engine)
        self._again = again
        Queue.__init__(self, self, self._waiting, "waiting")
        self.at_work = threading.Lock()

    # -- running ------------------------------------------------------------------------------

    def run_pending(
        self,
        *,
        until: Union[Instant, timedelta, None] = None,
        tasks: Tasks = None,
        raise_errors: bool = True,
        limit: int = 1000,
    ) -> Report:
        """Run all that is due; see :func:`autocron.testing.run_pending`."""
        target = None
        if isinstance(until, timedelta):
            target = self._target("run_pending(until=)", until, {}, None)
        elif until is not None:
            target = self._target("run_pending(until=)", None, {}, until)
        return self._play("run_pending()", target, tasks, raise_errors, limit)

    def runs(self, task: Optional[TaskLike] = None) -> List[Run]:
        """Return the attempts that were made in this session, in order.

        Arguments:
            task: Only those of this task function, decorated or plain, or its name.

        Raises:
            InvalidTask: It is no task function.
        """
        self.check_begun("runs()")
        name = None if task is None else self.known("runs()", task).name
        return [run for run in self._runner.runs if name in (None, run.name)]

    # -- time ---------------------------------------------------------------------------------

    @property
    def clock(self) -> Union[ManualClock, FollowingClock]:
        """The clock of this session."""
        return self._clock

    def now(self) -> datetime:
        """Return the session's time as an aware UTC datetime."""
        return self._clock.now()

    def advance(self, by: Optional[timedelta] = None, **units: float) -> datetime:
        """Let time pass, and run nothing; see :meth:`autocron.testing.ManualClock.advance`.

        What has fallen due meanwhile is run, late, by the next :meth:`run_pending`; to have it run
        at its own time, call :meth:`travel`.

        Raises:
            AutocronError: This session is on the system's clock, or time would go back.
            TaskTimeout: A task has called this, and its ``timeout`` is over.
        """
        now = self._manual("advance()").advance(step_of("advance()", by, units))
        check_deadline()
        return now

    def travel(
        self,
        by: Optional[timedelta] = None,
        *,
        to: Optional[Instant] = None,
        tasks: Tasks = None,
        raise_errors: bool = True,
        limit: int = 1000,
        **units: float,
    ) -> Report:
        """Let time pass, and run everything on the way, each at its own instant, in order.

        It begins with what is due now, and ends at the target with all done that is due by then.
        Where something is raised, time stands at that instant; another call goes on from there.

        Arguments:
            by: For how long; or as numbers of ``weeks``, ``days``, ``hours``, ``minutes`` and
                ``seconds``, added up.
            to: Until when, instead: an aware datetime, a naive one that is meant in the session's
                zone, or either as ISO 8601 text.
            tasks: As for :func:`autocron.testing.run_pending`; so are the next two.
            raise_errors: Whether to raise what a task raises.
            limit: How many runs at most at one instant.
            **units: ``weeks``, ``days``, ``hours``, ``minutes``, ``seconds``.

        Returns:
            What was run.

        Raises:
            AutocronError: This session is on the system's clock, or time would go back.
            RunawayTasks: More than ``limit`` runs were due at one instant.
            BaseException: Whatever else a task raised.
        """
        target = self._target("travel()", by, units, to)
        return self._play("travel()", target, tasks, raise_errors, limit)

    def jump(
        self, by: Optional[timedelta] = None, *, to: Optional[Instant] = None, **units: float
    ) -> datetime:
        """Move the clock as if the machine had been off meanwhile, and run nothing.

        The next :meth:`run_pending` or :meth:`travel` is the start after that: occurrences that
        were missed are made up as ``missed=`` of their schedules says, ``at_start`` functions are
        due again, and delays that have ended are due.

        Arguments:
            by: As for :meth:`travel`.
            to: As for :meth:`travel`.
            **units: As for :meth:`travel`.

        Returns:
            The time it is now.

        Raises:
            AutocronError: This session is on the system's clock, time would go back, or a task
                called it.
        """
        target = self._target("jump()", by, units, to)
        with AtWork(self, "jump()"):
            self._manual("jump()").advance_to(target)
            self._begin_service()
            self._runner.restart()
        return target

    # -- the queue: also what Queue has -------------------------------------------------------

    def capture(self) -> Capture:
        """Return a context manager that holds what is enqueued inside its block, and only that.

        It has ``enqueued``, ``assert_enqueued`` and ``assert_not_enqueued``. Whether a task has
        been run since makes no difference to it.
        """
        self.check_begun("capture()")
        return Capture(self, self._stored)

    def explain(self) -> str:
        """Return the state of the session as text: clock, queue, schedules, plans, last runs."""
        self.check_begun("explain()")
        return explain(self)

    # -- faults -------------------------------------------------------------------------------

    def fail_next(
        self,
        task: TaskLike,
        error: Union[BaseException, Type[BaseException]],
        *,
        times: int = 1,
    ) -> None:
        """Let the next attempt of a task function raise, in place of running the function.

        Since the test has planned it, ``run_pending()`` does not raise it: it is in the report, the
        TaskResult and the log. A plan of which nothing has come when the session ends is an error.

        Arguments:
            task: The function, decorated or plain, or its name.
            error: The exception, or its class.
            times: How many attempts.

        Raises:
            InvalidTask: It is no task function.
            AutocronError: It is no exception that a task could raise.
        """
        self.check_begun("fail_next()")
        self._plans.fail(self.known("fail_next()", task).name, error, times)

    def crash_next(self, task: TaskLike, *, after: bool = False, times: int = 1) -> None:
        """Let the worker die of the next attempt of a task function.

        What follows is what follows in production: the task waits again, its death is charged, and
        the third one is the last. A plan of which nothing has come when the session ends is an
        error.

        Arguments:
            task: The function, decorated or plain, or its name.
            after: False lets the worker die before the function has run; True when it has done
                all it does, but that is not yet stored, so that it will be run twice.
            times: How many attempts.

        Raises:
            InvalidTask: It is no task function.
            AutocronError: ``times`` is no whole number from 1.
        """
        self.check_begun("crash_next()")
        self._plans.crash(self.known("crash_next()", task).name, after, times)

    def planned(self) -> List[str]:
        """Return what is planned to go wrong and has not yet, as texts."""
        return self._plans.left()

    def check_plans(self) -> None:
        """Fail if something was planned to go wrong, and nothing has come of it.

        Raises:
            UnusedPlan: There is such a plan.
        """
        left = self.planned()
        if left:
            functions = ", ".join(sorted({run.name for run in self._runner.runs})) or "nothing"
            raise UnusedPlan(
                f"{', '.join(left)}: planned, but the session has ended without such a run (it ran "
                f"{functions}). Call run_pending() or travel() after the plan, or take it out"
            )

    # -- a context manager and a decorator ----------------------------------------------------

    def __enter__(self) -> Session:
        """Take the App's calls."""
        self.begin()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]] = None,
        error: Optional[BaseException] = None,
        traceback: Optional[TracebackType] = None,
    ) -> None:
        """Give the App's calls back; fail if a plan was not used, unless the test has failed."""
        self.close()
        if error is None:
            self.check_plans()

    def __call__(self, function: F) -> F:
        """Decorate a function, so that each call of it has such a session of its own.

        Arguments:
            function: A function, coroutine function or generator function; also a method.

        Raises:
            AutocronError: It is none of these.
        """
        again = self._again
        if again is None:
            raise AutocronError("this session can not be made again, so it can not decorate")
        return in_a_session(again, function)

    # -- what queues ask ----------------------------------------------------------------------

    def instant(self, name: str, given: Instant) -> datetime:
        """Return the instant that is meant by a time, in the session's zone if it names none."""
        if isinstance(self._clock, ManualClock):
            return self._clock.instant(name, given)
        return instant_of(name, given, self.zone)

    def known(self, what: str, task: TaskLike) -> TaskFunction:
        """Return the task function that is meant; ``what`` is what was called.

        Raises:
            InvalidTask: There is none; the message names what is known.
        """
        return known_function(what, task, self.find, self.functions)

    def load_call(self, payload: str) -> Tuple[Tuple[Any, ...], Mapping[str, Any]]:
        """Return the arguments of a stored call."""
        args, kwargs = self.app.codec.load_call(payload)
        return tuple(args), kwargs

    def _waiting(self) -> List[Task]:
        self.check_begun("the queue")
        return self._store.find(state=TaskState.WAITING)

    # -- pieces -------------------------------------------------------------------------------

    def _play(
        self,
        what: str,
        target: Optional[datetime],
        tasks: Tasks,
        raise_errors: bool,
        limit: int,
    ) -> Report:
        with AtWork(self, what):
            self._let_through(tasks)
            try:
                return self._play_on(what, target, raise_errors, limit)
            finally:
                self._engine_store = self._runner.engine.store = self._store

    def _play_on(
        self, what: str, target: Optional[datetime], raise_errors: bool, limit: int
    ) -> Report:
        self._follow_clock()
        self.declare()
        first = len(self._runner.runs)
        while True:
            self._runner.run_due(raise_errors, limit)
            if target is None or self._clock.now() >= target:
                return Report(tuple(self._runner.runs[first:]))
            next_at = self.backend.operations.next_event_at()
            self._manual(what).advance_to(target if next_at is None else min(next_at, target))

    def _let_through(self, tasks: Tasks) -> None:
        """Let only the tasks of some functions be claimed."""
        if tasks is not None:
            several = isinstance(tasks, Iterable) and not isinstance(tasks, str)
            given: Iterable[Any] = tasks if several else [tasks]  # type: ignore[assignment]
            names = frozenset(self.known("tasks", task).name for task in given)
            self._engine_store = self._runner.engine.store = only(self._store, names)

    def _target(
        self,
        what: str,
        by: Optional[timedelta],
        units: Mapping[str, float],
        to: Optional[Instant],
    ) -> datetime:
        clock = self._manual(what)
        if (to is None) == (by is None and not units):
            raise AutocronError(
                f'{what} needs either an instant or how long: to="2026-03-28 12:00", or '
                "hours=1 and the like"
            )
        if to is None:
            return ManualClock(clock.now()).advance(step_of(what, by, units))
        target = self.instant("until" if "until" in what else "to", to)
        if target < clock.now():
            raise AutocronError(
                f"{what}: {to!r} is in the past, it is {clock.now().astimezone(self.zone)} here, "
                "and time does not go back. To set the wall clock back, as an administrator does, "
                "call session.clock.set(instant)"
            )
        return target

    def _manual(self, what: str) -> ManualClock:
        if not isinstance(self._clock, ManualClock):
            raise AutocronError(
                f"{what}: this session is on the system's clock, which can not be moved; begin one "
                'with testing.session(now="2026-03-28 12:00")'
            )
        return self._clock

    def check_begun(self, what: str) -> None:
        """Raise AutocronError unless the session is open; ``what`` is what was called."""
        if not self.is_open:
            raise AutocronError(
                f"{what}: this session has not begun, or is over; use it inside "
                "'with testing.session(…) as session:'"
            )


class CollectingSession(CollectingRehearsal, Session):
    """The session of the process while tests are collected."""
