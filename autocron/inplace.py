"""Calls of an application that is not started, or locked: they run here, at once."""

from __future__ import annotations

import itertools
import logging
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Optional

from autocron.core.events import Claimed
from autocron.core.machine import apply
from autocron.core.outcome import after_attempt
from autocron.core.task import Message, Task, new_task
from autocron.registry import TaskFunction
from autocron.result import TaskResult
from autocron.shell.invoke import run_function

if TYPE_CHECKING:
    from autocron.app import App
    from autocron.ports import Clock

logger = logging.getLogger("autocron")
_count = itertools.count(1)
# Functions, not names: what is defined anew is another one.
_said: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()


def run_in_place(app: App, known: TaskFunction, message: Message) -> TaskResult[Any]:
    """Run a call in this process and return its result, ready.

    Arguments and result take the same way through text as to a worker. What the function raises is
    in the result, SystemExit included; KeyboardInterrupt passes. A later time is ignored.

    Arguments:
        app: The application.
        known: The task function.
        message: The call.

    Returns:
        A result that is ready.
    """
    from autocron.shell.clock import SystemClock

    clock = SystemClock()
    if (message.run_at is not None or message.delay_seconds) and known.function not in _said:
        _said.add(known.function)
        logger.warning(
            "%s was called for a later time, but autocron is not running: it runs now, in place",
            known.name,
        )
    task = new_task(
        replace(message, run_at=None, delay_seconds=0.0, retries=0),
        f"inplace-{next(_count)}",
        clock.now(),
    )
    running = apply(task, Claimed("in place", clock.now()))
    outcome = run_function(known, message.payload, app.codec, passing=(KeyboardInterrupt,))
    ended = apply(running, after_attempt(running, outcome, clock.now()))
    return TaskResult(ended, _Ended(app, clock))


class _Ended:
    """The source of a result that is ready from the beginning."""

    __slots__ = ("_app", "clock")

    has_workers = True  # never asked: what has ended is not waited for

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self.clock = clock

    def get(self, task_id: str) -> Optional[Task]:
        return None

    def cancel(self, task_id: str) -> bool:
        return False

    def load_result(self, text: str) -> Any:
        return self._app.codec.load_result(text)
