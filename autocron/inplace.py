"""Calls of an application that is not started, or locked: they run here, at once."""

from __future__ import annotations

import itertools
import logging
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Sequence

from autocron.core.events import Cancelled, Claimed
from autocron.core.given import given_by_group, given_by_task
from autocron.core.machine import apply
from autocron.core.outcome import after_attempt
from autocron.core.policy import PLAIN
from autocron.core.task import Failure, Message, Task, TaskState, new_task
from autocron.followers import forerunner_failure
from autocron.registry import TaskFunction
from autocron.result import TaskResult
from autocron.shell.invoke import NoHand, run_function

if TYPE_CHECKING:
    from autocron.app import App
    from autocron.ports import Clock

logger = logging.getLogger("autocron")
_count = itertools.count(1)
# Functions, not names: what is defined anew is another one.
_said: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()


class InPlace:
    """Runs calls in this process; their results are ready.

    Arguments and results take the same way through text as to a worker. What a function raises is
    in the result, SystemExit included; KeyboardInterrupt passes. A later time is ignored, and so
    are queues, limits and retries: there is nobody who could wait.

    Arguments:
        app: The application.
    """

    def __init__(self, app: App) -> None:
        from autocron.shell.clock import SystemClock

        self._app = app
        self._clock = SystemClock()
        self._source = _Ended(app, self._clock)

    def run(self, known: TaskFunction, message: Message) -> TaskResult[Any]:
        """Run one call."""
        return self.result(self.ended(known, message))

    def result(self, task: Task) -> TaskResult[Any]:
        """Return the result of a task that has ended."""
        return TaskResult(task, self._source)

    def ended(self, known: TaskFunction, message: Message, given: Optional[str] = None) -> Task:
        """Run one call, with what came of others; return its task as it has ended."""
        clock = self._clock
        if (message.run_at is not None or message.delay_seconds) and known.function not in _said:
            _said.add(known.function)
            logger.warning(
                "%s was called for a later time, but autocron is not running: it runs now, in "
                "place",
                known.name,
            )
        task = self._new(message, given)
        self._app.hooks("enqueued", task)
        running = apply(task, Claimed("in place", clock.now()))
        self._app.hooks("started", running)
        outcome = run_function(
            known, running, self._app.codec, NoHand(), passing=(KeyboardInterrupt,)
        )
        ended = apply(running, after_attempt(running, outcome, clock.now()))
        self._app.hooks(ended.state.value, ended)
        return ended

    def follow(
        self,
        before: Sequence[Task],
        functions: Sequence[TaskFunction],
        messages: Sequence[Message],
        is_group: bool,
    ) -> List[Task]:
        """Run what follows one task, or a group; return the tasks as they have ended."""
        ended: List[Task] = []
        given = given_by_group(before) if is_group else None
        for known, message in zip(functions, messages):
            if given is None:
                latest = ended[-1] if ended else before[0]
                if latest.state is not TaskState.SUCCEEDED:
                    ended.append(self._cancelled(message, forerunner_failure(latest)))
                    continue
                given = given_by_task(latest)
            ended.append(self.ended(known, message, given))
            given = None
        return ended

    def _cancelled(self, message: Message, failure: Failure) -> Task:
        task = apply(self._new(message, None), Cancelled(self._clock.now(), failure))
        self._app.hooks("cancelled", task)
        return task

    def _new(self, message: Message, given: Optional[str]) -> Task:
        plain = replace(
            message, run_at=None, delay_seconds=0.0, policy=PLAIN, expires_at=None,
            expires_seconds=None,
        )  # fmt: skip
        task = new_task(plain, f"inplace-{next(_count)}", self._clock.now())
        return replace(task, given=given)


class _Ended:
    """The source of a result that is ready from the beginning."""

    __slots__ = ("_app", "clock")

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self.clock = clock

    def get(self, task_id: str) -> Optional[Task]:
        return None

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        return False

    def retry(self, task_id: str) -> bool:
        return False

    def check_wait(self, task_id: str, what: str, status: str) -> None:
        """Never asked: what has ended is not waited for."""

    def load_result(self, text: str) -> Any:
        return self._app.codec.load_result(text)
