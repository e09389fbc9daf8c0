"""What is in the queue of a session, and assertions that show it where they fail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from types import TracebackType
from typing import (
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    Type,
    Union,
)

from autocron.core.errors import AutocronError
from autocron.core.task import Task
from autocron.registry import TaskFunction
from autocron.testing.clock import Instant

TaskLike = Union[Callable[..., Any], str]


class QueueAssertionError(AutocronError, AssertionError):
    """The queue is not as the test expects it; the message shows both."""


@dataclass(frozen=True)
class Enqueued:
    """A task in the queue.

    Attributes:
        task_id: The id of the task, as its TaskResult has it.
        name: The name of the task function, ``"module:qualname"``.
        args: The positional arguments.
        kwargs: The keyword arguments.
        run_at: Not to be run before this instant.
        enqueued_at: When it was called, or fired.
        schedule: The key of the schedule whose occurrence it is; None for a call.
        attempt: How often it has been begun.
    """

    task_id: str
    name: str
    args: Tuple[Any, ...]
    kwargs: Mapping[str, Any]
    run_at: datetime
    enqueued_at: datetime
    schedule: Optional[str]
    attempt: int

    @property
    def call(self) -> str:
        """The call as text, ``"shop:send_mail('ada', copy=True)"``."""
        return show_call(self.name, self.args, self.kwargs)


class Place(Protocol):
    """What a queue asks its session."""

    @property
    def zone(self) -> tzinfo:
        """The zone in which times are shown, and meant where they name none."""
        ...

    def now(self) -> datetime:
        """Return the session's time."""
        ...

    def instant(self, name: str, given: Instant) -> datetime:
        """Return the instant that is meant by a time."""
        ...

    def known(self, what: str, task: TaskLike) -> TaskFunction:
        """Return the task function that is meant; ``what`` is what was called."""
        ...

    def load_call(self, payload: str) -> Tuple[Tuple[Any, ...], Mapping[str, Any]]:
        """Return the arguments of a stored call."""
        ...


class Queue:
    """Tasks, and assertions on them.

    Arguments:
        place: The session.
        look: Returns the tasks, in order.
        where: What they are, for messages.
    """

    def __init__(self, place: Place, look: Callable[[], Sequence[Task]], where: str) -> None:
        self._place = place
        self._look = look
        self._where = where

    def enqueued(self, task: Optional[TaskLike] = None) -> List[Enqueued]:
        """Return the tasks, of one function or all, in the order in which they were enqueued.

        Arguments:
            task: The function, decorated or plain, or its name ``"module:qualname"``.

        Raises:
            InvalidTask: It is no task function.
        """
        name = None if task is None else self._place.known("enqueued()", task).name
        return [self._entry(found) for found in self._look() if name in (None, found.name)]

    def assert_enqueued(
        self,
        task: TaskLike,
        *,
        args: Optional[Sequence[Any]] = None,
        kwargs: Optional[Mapping[str, Any]] = None,
        at: Union[Instant, timedelta, None] = None,
        within: Union[timedelta, float, None] = None,
        count: Optional[int] = None,
    ) -> List[Enqueued]:
        """Fail unless such a task is there.

        For a session, what runs or has ended does not count: only what waits is in the queue.

        Arguments:
            task: The function, decorated or plain, or its name.
            args: The positional arguments of the call. If these or ``kwargs`` are given, the
                function is to receive exactly them; whether by position, name or default is the
                same. ``unittest.mock.ANY`` stands for any value.
            kwargs: The keyword arguments of the call.
            at: When it is due: an instant, or a timedelta after the call.
            within: How far from ``at`` it may be, as a timedelta or in seconds; without ``at``, how
                far from now.
            count: How many there are to be; None is at least one.

        Returns:
            The tasks that fit.

        Raises:
            QueueAssertionError: There is none, or not as many; the message shows the queue.
            TypeError: The function can not be called with these arguments.
            InvalidTask: It is no task function.
        """
        __tracebackhide__ = True
        known, wanted, shown = self._wanted("assert_enqueued()", task, args, kwargs, at, within)
        if count is not None and (type(count) is not int or count < 0):
            raise AutocronError(f"count: {count!r} is not a whole number from 0 upwards")
        fitting = [entry for entry in self.enqueued(known.name) if wanted(entry)]
        if not fitting if count is None else len(fitting) != count:
            expected = "one" if count is None else count
            raise QueueAssertionError(
                f"expected {expected} {self._where}, found {len(fitting)}:\n    {shown}\n{self}"
            )
        return fitting

    def assert_not_enqueued(
        self,
        task: Optional[TaskLike] = None,
        *,
        args: Optional[Sequence[Any]] = None,
        kwargs: Optional[Mapping[str, Any]] = None,
        at: Union[Instant, timedelta, None] = None,
        within: Union[timedelta, float, None] = None,
    ) -> None:
        """Fail if such a task is there; without arguments, if any is.

        Arguments are those of :meth:`assert_enqueued`.

        Raises:
            QueueAssertionError: There is one; the message shows the queue.
            InvalidTask: It is no task function.
        """
        __tracebackhide__ = True
        if task is None:
            if (args, kwargs, at, within) != (None,) * 4:
                raise AutocronError("args, kwargs, at and within need a task to belong to")
            fitting, shown = self.enqueued(), "any task"
        else:
            known, wanted, shown = self._wanted(
                "assert_not_enqueued()", task, args, kwargs, at, within
            )
            fitting = [entry for entry in self.enqueued(known.name) if wanted(entry)]
        if fitting:
            raise QueueAssertionError(
                f"expected none {self._where}, found {len(fitting)}:\n    {shown}\n{self}"
            )

    def __str__(self) -> str:
        entries = self.enqueued()
        lines = [self.line(entry) for entry in entries] or ["(nothing)"]
        heading = f"in the queue at {self.shown(self._place.now())}, {self._where}:"
        return "\n".join([heading, *(f"    {line}" for line in lines)])

    def line(self, entry: Enqueued) -> str:
        """Return a task as one line."""
        wait = entry.run_at - self._place.now()
        when = f"at {self.shown(entry.run_at)}" + (
            f", in {wait}" if wait > timedelta(0) else ", due"
        )
        begun = f", begun {_times(entry.attempt)}" if entry.attempt else ""
        fired = ", of a schedule" if entry.schedule is not None else ""
        return f"{entry.call}  [{entry.task_id}, {when}{begun}{fired}]"

    def shown(self, instant: datetime) -> str:
        """Return an instant as text, on the wall clock of the session's zone."""
        return str(instant.astimezone(self._place.zone))

    # -- pieces -------------------------------------------------------------------------------

    def _entry(self, task: Task) -> Enqueued:
        args, kwargs = self._place.load_call(task.payload)
        return Enqueued(
            task_id=task.id,
            name=task.name,
            args=args,
            kwargs=kwargs,
            run_at=task.run_at,
            enqueued_at=task.enqueued_at,
            schedule=task.schedule,
            attempt=task.attempt,
        )

    def _wanted(
        self,
        what: str,
        task: TaskLike,
        args: Optional[Sequence[Any]],
        kwargs: Optional[Mapping[str, Any]],
        at: Union[Instant, timedelta, None],
        within: Union[timedelta, float, None],
    ) -> Tuple[TaskFunction, Callable[[Enqueued], bool], str]:
        """Return the function that is meant, which of its tasks are, and both as text."""
        known = self._place.known(what, task)
        call = None
        if args is not None or kwargs is not None:
            if isinstance(args, (str, bytes)) or not isinstance(args, (Sequence, type(None))):
                raise AutocronError(
                    f"args: {args!r} is no list or tuple; for one argument: args=({args!r},)"
                )
            if not isinstance(kwargs, (Mapping, type(None))):
                raise AutocronError(f"kwargs: {kwargs!r} is no dictionary of names and values")
            known.check_call(tuple(args or ()), dict(kwargs or {}))
            call = _received(known, tuple(args or ()), dict(kwargs or {}))
        instant = None if at is None or isinstance(at, timedelta) else self._place.instant("at", at)
        tolerance = _tolerance(within)
        now = self._place.now()

        def wanted(entry: Enqueued) -> bool:
            if call is not None and _received(known, entry.args, entry.kwargs) != call:
                return False
            if at is None and within is None:
                return True
            expected_at = entry.enqueued_at + at if isinstance(at, timedelta) else instant or now
            return abs(entry.run_at - expected_at) <= tolerance

        shown = show_call(known.name, tuple(args or ()), dict(kwargs or {}))
        if call is None:
            shown = f"{known.name}(…)"
        if isinstance(at, timedelta):
            shown += f"  {at} after the call"
        elif at is not None or within is not None:
            shown += f"  at {self.shown(instant or now)}"
        return known, wanted, shown + (f", give or take {tolerance}" if tolerance else "")


class Capture(Queue):
    """What was enqueued inside a ``with`` block; see ``Session.capture``.

    Arguments:
        place: The session.
        stored: All tasks that were ever enqueued in it, in order; it grows.
    """

    def __init__(self, place: Place, stored: Sequence[Task]) -> None:
        super().__init__(place, self._tasks, "enqueued by this block")
        self._stored = stored
        self._first: Optional[int] = None
        self._last: Optional[int] = None

    def __enter__(self) -> Capture:
        """Begin."""
        self._first, self._last = len(self._stored), None
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """End; what was captured stays."""
        self._last = len(self._stored)

    def _tasks(self) -> Sequence[Task]:
        if self._first is None:
            raise AutocronError("capture() captures nothing yet: 'with session.capture() as new:'")
        return self._stored[self._first : self._last]


def show_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return a call as text, ``"shop:send_mail('ada', copy=True)"``."""
    given = [repr(value) for value in args] + [f"{key}={value!r}" for key, value in kwargs.items()]
    return f"{name}({', '.join(given)})"


def _received(
    known: TaskFunction, args: Tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Optional[Dict[str, Any]]:
    """Return what the function receives: by position or name, or as its default, is the same."""
    try:
        bound = known.signature.bind(*args, **kwargs)
    except TypeError:  # it was called when the function was another
        return None
    bound.apply_defaults()
    return bound.arguments


def _tolerance(within: Union[timedelta, float, None]) -> timedelta:
    if within is None:
        return timedelta(0)
    usable = isinstance(within, (int, float)) and not isinstance(within, bool)
    tolerance = timedelta(seconds=within) if usable else within  # type: ignore[arg-type]
    if not isinstance(tolerance, timedelta) or tolerance < timedelta(0):
        raise AutocronError(
            f"within: {within!r} is no duration; expected a timedelta, or a number of seconds"
        )
    return tolerance


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
