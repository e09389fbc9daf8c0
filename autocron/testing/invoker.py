"""Runs functions as a worker does, and keeps what a store can not: the exception itself."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Union

from autocron.core.errors import Discard, Retry
from autocron.core.outcome import Outcome, Unknown
from autocron.core.task import Task
from autocron.ports import Clock, Hand
from autocron.registry import TaskFunction
from autocron.shell.invoke import outcome_of, run_function
from autocron.testing.deadline import Deadline
from autocron.testing.plans import PlannedCrash, Plans, WorkerDied
from autocron.testing.sleeping import Running


@dataclass(frozen=True)
class Attempt:
    """An attempt that was made.

    Attributes:
        task: The task while it ran.
        error: The exception that was raised; None if there was none.
        is_planned: Whether the test has planned it, or the function asked for what follows.
    """

    task: Task
    error: Optional[BaseException] = None
    is_planned: bool = False


class RecordingInvoker:
    """Runs functions, and notes how each attempt went until somebody takes the note.

    Arguments:
        find: Returns the task function of a name, or a text saying why there is none.
        codec: Decodes arguments and encodes results.
        plans: What the test has planned to go wrong.
        clock: Measures how long they take.
    """

    def __init__(
        self,
        find: Callable[[str], Union[TaskFunction, str]],
        codec: Callable[[], Any],
        plans: Plans,
        clock: Clock,
    ) -> None:
        self._find = find
        self.codec = codec
        self._plans = plans
        self._clock = clock
        self.attempts: Dict[str, Attempt] = {}

    def invoke(self, task: Task, hand: Hand) -> Outcome:
        """Run the function of a task; KeyboardInterrupt, the way out of a test, passes."""
        found = self._find(task.name)
        if isinstance(found, str):
            return Unknown(found)
        plan = self._plans.take(task.name)
        if plan is None:
            return self._run(found, task, hand)
        if plan.error is not None:
            return self._raised(found, Attempt(task, _as_raised(plan.error), is_planned=True))
        if plan.after:
            self._run(found, task, hand)
        raise WorkerDied(Attempt(task, PlannedCrash(plan.text), is_planned=True))

    def _run(self, found: TaskFunction, task: Task, hand: Hand) -> Outcome:
        try:
            with Running(task.name), Deadline(task, self._clock) as deadline:
                outcome = _beside_a_loop(lambda: self._call(found, task, hand), found)
                deadline.check()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # What the function asks for in words of autocron's is no surprise.
            is_asked = isinstance(error, (Retry, Discard))
            return self._raised(found, Attempt(task, error, is_planned=is_asked))
        self.attempts[task.id] = Attempt(task)
        return outcome

    def _call(self, found: TaskFunction, task: Task, hand: Hand) -> Outcome:
        return run_function(found, task, self.codec(), hand, passing=(BaseException,))

    def _raised(self, found: TaskFunction, attempt: Attempt) -> Outcome:
        assert attempt.error is not None
        self.attempts[attempt.task.id] = attempt
        return outcome_of(attempt.error, found)


def _as_raised(error: BaseException) -> BaseException:
    """Return an exception with a traceback, as if a function had raised it."""
    try:
        raise error.with_traceback(None)
    except BaseException as raised:
        return raised


def _beside_a_loop(call: Callable[[], Outcome], found: TaskFunction) -> Outcome:
    """Run a function; a coroutine function of its own loop, also where a test has one running.

    A loop can not run inside another one, so there it gets a thread, in the same context.
    """
    if not asyncio.iscoroutinefunction(found.function):
        return call()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    outcomes: List[Union[Outcome, BaseException]] = []

    def collect() -> None:
        try:
            outcomes.append(call())
        except BaseException as error:
            outcomes.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(collect,), name="autocron-test")
    thread.start()
    thread.join()
    (outcome,) = outcomes
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
