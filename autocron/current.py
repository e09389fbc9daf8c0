"""The task that is being run, as its own function sees it."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from datetime import datetime
from types import TracebackType
from typing import Any, MutableMapping, Optional, Tuple, Type, TypeVar, Union, overload

from autocron.core.errors import NoCurrentTask
from autocron.core.progress import dump_progress
from autocron.core.task import Task
from autocron.ports import Hand

D = TypeVar("D")
# None is a default.
_NOTHING = object()

_current: ContextVar[Optional[CurrentTask]] = ContextVar("autocron_task", default=None)


class CurrentTask:
    """The task that is being run; see :func:`current_task`."""

    def __init__(self, task: Task, hand: Hand) -> None:
        self._task = task
        self._hand = hand

    @property
    def id(self) -> str:
        """The id of the task, as its TaskResult has it."""
        return self._task.id

    @property
    def name(self) -> str:
        """The name of the task function, ``"module:qualname"``."""
        return self._task.name

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._task.attempt

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure of this attempt would be final."""
        return self._task.failures >= self._task.policy.retries

    @property
    def queue(self) -> str:
        """The queue in which it waited."""
        return self._task.queue

    @property
    def enqueued_at(self) -> datetime:
        """When it was called, or fired."""
        return self._task.enqueued_at

    @property
    def scheduled_at(self) -> datetime:
        """The instant at which it was to run: its occurrence, or that of the call and its delay."""
        return self._task.occurrence_at or self._task.run_at

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody has asked for it to be cancelled; looked up at each use.

        A task that runs for long looks now and then, cleans up, and returns or raises.
        """
        return self._hand.is_cancel_asked()

    def progress(self, done: float, total: Optional[float] = None, note: str = "") -> None:
        """Tell how far the task is; ``TaskResult.progress`` shows it.

        It may be called as often as one likes: of what is told within a tenth of a second, the last
        is stored.

        Arguments:
            done: How much is done, in whatever unit.
            total: How much there is to do; None if that is not known.
            note: What it is doing, in a few words; at most 500 characters are kept.

        Raises:
            InvalidTask: An argument can not be used.
            StoreError: It can not be stored.
        """
        self._hand.tell_progress(dump_progress(done, total, note))

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger named after the function, whose records carry ``task_name`` and ``task_id``.

        In a worker those of every other logger carry both, too.
        """
        logger = logging.getLogger(f"autocron.task.{self.name.replace(':', '.')}")
        return _TaskLogger(logger, {"task_name": self.name, "task_id": self.id})

    def __repr__(self) -> str:
        return f"<CurrentTask {self.id} {self.name} attempt {self.attempt}>"


# Python 3.8 knows no logging.LoggerAdapter[…].
class _TaskLogger(logging.LoggerAdapter):  # type: ignore[type-arg]
    """Adds to what a record is given, instead of replacing it."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> Tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


@overload
def current_task() -> CurrentTask: ...


@overload
def current_task(default: D) -> Union[CurrentTask, D]: ...


def current_task(default: Any = _NOTHING) -> Any:
    """Return the task that is being run here.

    Arguments:
        default: What to return outside of a task, for code that is called from both.

    Returns:
        What its function may know and do.

    Raises:
        NoCurrentTask: No task runs here, and no default is given.
    """
    current = _current.get()
    if current is not None:
        return current
    if default is _NOTHING:
        raise NoCurrentTask(
            "no task runs here, so there is no current one: current_task() is for what a worker "
            "runs. Where code is called outside of tasks, too, write current_task(None)"
        )
    return default


class Current:
    """Makes a task the current one: ``with Current(task, hand):``."""

    def __init__(self, task: Task, hand: Hand) -> None:
        self._current = CurrentTask(task, hand)

    def __enter__(self) -> CurrentTask:
        self._token = _current.set(self._current)
        return self._current

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        _current.reset(self._token)
