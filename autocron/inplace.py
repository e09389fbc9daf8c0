"""Calls of an application that is not started, or locked: they run here, at once."""

from __future__ import annotations

import itertools
import logging
import weakref
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from autocron.core.events import Cancelled, Claimed
from autocron.core.given import given_by_group, given_by_task
from autocron.core.machine import apply
from autocron.core.outcome import after_attempt
from autocron.core.policy import PLAIN
from autocron.core.task import Failure, Message, Task, TaskState, new_task
from autocron.core.values import changed
from autocron.followers import forerunner_failure
from autocron.registry import TaskFunction
from autocron.shell.invoke import NoHand, run_function

if TYPE_CHECKING:
    from autocron.app import App

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
        functions: The task functions that are called.
    """

    def __init__(self, app: App, functions: Sequence[TaskFunction]) -> None:
        from autocron.shell.clock import SystemClock

        self._app = app
        self._functions = {known.name: known for known in functions}
        self._ended: Dict[str, Task] = {}
        self.clock = SystemClock()

    def enqueue(self, message: Message) -> Task:
        """Run one call; see :class:`autocron.serving.Taker`, also for what follows."""
        return self._run(message)

    def enqueue_all(
        self,
        messages: Sequence[Message],
        then: Sequence[Message] = (),
        *,
        group: Union[bool, str] = True,
    ) -> Tuple[List[Task], List[Task]]:
        """Run several calls, one after the other, and what follows them."""
        ended = [self._run(message) for message in messages]
        return ended, self._follow(ended, then, group is not False)

    def within(self, connection: object, is_asked: bool = True) -> None:
        """Run calls at once, transaction or not; see :meth:`autocron.ports.Backend.within`."""

    def get(self, task_id: str) -> Optional[Task]:
        """Return a task as it has ended."""
        return self._ended.get(task_id)

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        """Do nothing: what has ended can not be cancelled."""
        return False

    def retry(self, task_id: str) -> bool:
        """Do nothing: to have it run once more, call it once more."""
        return False

    def list(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        group: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return nothing: whoever called has all that there is."""
        return []

    def _run(self, message: Message, given: Optional[str] = None) -> Task:
        """Run one call, with what came of others; return its task as it has ended."""
        known, clock = self._functions[message.name], self.clock
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
        self._ended[ended.id] = ended
        self._app.hooks(ended.state.value, ended)
        return ended

    def _follow(
        self, before: Sequence[Task], messages: Sequence[Message], is_group: bool
    ) -> List[Task]:
        """Run what follows one task, or a group; return the tasks as they have ended."""
        ended: List[Task] = []
        given = given_by_group(before) if is_group else None
        for message in messages:
            if given is None:
                latest = ended[-1] if ended else before[0]
                if latest.state is not TaskState.SUCCEEDED:
                    ended.append(self._cancelled(message, forerunner_failure(latest)))
                    continue
                given = given_by_task(latest)
            ended.append(self._run(message, given))
            given = None
        return ended

    def _cancelled(self, message: Message, failure: Failure) -> Task:
        task = apply(self._new(message, None), Cancelled(self.clock.now(), failure))
        self._ended[task.id] = task
        self._app.hooks("cancelled", task)
        return task

    def _new(self, message: Message, given: Optional[str]) -> Task:
        plain = changed(
            message, run_at=None, delay_seconds=0.0, policy=PLAIN, expires_at=None,
            expires_seconds=None,
        )  # fmt: skip
        task = new_task(plain, message.id or f"inplace-{next(_count)}", self.clock.now())
        return changed(task, given=given)
