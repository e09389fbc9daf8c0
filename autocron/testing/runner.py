"""Runs what is due in this process, through the steps of the engine that workers run too."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from autocron.core.errors import RunawayTasks, TaskFailed
from autocron.core.outcome import Outcome, Raised, Unknown
from autocron.core.task import Task, TaskState
from autocron.engine import Engine
from autocron.registry import TaskFunction, task_function
from autocron.shell.invoke import failure_of, run_function

logger = logging.getLogger("autocron")


@dataclass(frozen=True)
class Run:
    """One attempt of a task.

    Attributes:
        task_id: The id of the task, as its TaskResult has it.
        name: The name of the task function, ``"module:qualname"``.
        attempt: Which attempt it was, from 1.
        args: The positional arguments, as the function got them.
        kwargs: The keyword arguments.
        result: What the function returned, after its way through the store; None if it failed.
        error: The exception that the function raised, the object itself; None if it did not.
        scheduled_at: The instant at which it was to run: the occurrence of a cron schedule, or
            that of the call with its delay.
        started_at: When the attempt began.
        finished_at: When it ended.
    """

    task_id: str
    name: str
    attempt: int
    args: Tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any
    error: Optional[BaseException]
    scheduled_at: datetime
    started_at: datetime
    finished_at: datetime

    @property
    def succeeded(self) -> bool:
        """True if the function returned."""
        return self.error is None


@dataclass(frozen=True)
class Report:
    """What was run, in order.

    Attributes:
        runs: One entry for each attempt.
    """

    runs: Tuple[Run, ...] = ()

    @property
    def succeeded(self) -> int:
        """How many attempts returned."""
        return sum(run.succeeded for run in self.runs)

    @property
    def failed(self) -> int:
        """How many attempts failed."""
        return len(self.runs) - self.succeeded

    def count(self, function: Union[Callable[..., Any], str]) -> int:
        """Return how many attempts were of one task function.

        Arguments:
            function: The function, decorated or plain, or its name ``"module:qualname"``.

        Raises:
            InvalidTask: It can not be a task function.
        """
        name = function if isinstance(function, str) else name_of(function)
        return sum(run.name == name for run in self.runs)


def name_of(function: Callable[..., Any]) -> str:
    """Return the name under which the tasks of a function are stored.

    Arguments:
        function: The function, decorated or plain.

    Raises:
        InvalidTask: It can not be a task function.
    """
    return task_function(getattr(function, "function", function), "delay").name


@dataclass
class RecordingInvoker:
    """Runs functions as a worker does, and keeps the exception itself, which a store can not.

    Attributes:
        find: Returns the task function of a name, or a text saying why there is none.
        codec: Decodes arguments and encodes results.
        errors: The exceptions that were raised, by the id of the task.
    """

    find: Callable[[str], Union[TaskFunction, str]]
    codec: Callable[[], Any]
    errors: Dict[str, BaseException] = field(default_factory=dict)

    def invoke(self, task: Task) -> Outcome:
        """Run the function of a task; KeyboardInterrupt, the way out of a test, passes."""
        found = self.find(task.name)
        if isinstance(found, str):
            return Unknown(found)
        try:
            return run_function(found, task.payload, self.codec(), passing=(BaseException,))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.errors[task.id] = error
            return Raised(failure_of(error, found.function.__code__.co_filename))


def run_due(engine: Engine, invoker: RecordingInvoker, raise_errors: bool, limit: int) -> Report:
    """Step an engine until nothing is due.

    Arguments:
        engine: The engine; it keeps house and runs functions through the invoker.
        invoker: Its invoker.
        raise_errors: Whether to raise what a function raised, at once.
        limit: How many runs at most.

    Returns:
        What was run.

    Raises:
        RunawayTasks: More than ``limit`` runs were due.
        StoreError: The store failed.
        BaseException: What a function raised; see :func:`autocron.testing.run_pending`.
    """
    runs: List[Run] = []
    invoker.errors.clear()
    while True:
        try:
            # A worker claims the next task as it ends one. Here the hands stay empty in between,
            # so that an error is raised while nothing is held.
            tick = engine.tick(claim=engine.in_hand is None)
        except KeyboardInterrupt:
            engine.let_go()
            raise
        if tick.trouble is not None:
            raise tick.trouble
        if tick.claimed is not None and len(runs) >= limit:
            engine.let_go()
            raise _runaway(runs, tick.claimed, limit)
        ended = tick.finished
        if ended is not None and ended.state.is_final:
            runs.append(_run(ended, invoker))
            error = runs[-1].error
            if error is not None:
                _tell(error, ended, raise_errors)
        elif ended is None and tick.claimed is None:
            return Report(tuple(runs))


def _run(task: Task, invoker: RecordingInvoker) -> Run:
    codec = invoker.codec()
    args, kwargs = codec.load_call(task.payload)
    error: Optional[BaseException] = None
    if task.failure is not None and task.state is TaskState.FAILED:
        error = invoker.errors.pop(task.id, None) or TaskFailed(
            task.failure.error_message, task.failure.traceback
        )
    assert task.started_at is not None
    assert task.finished_at is not None
    return Run(
        task_id=task.id,
        name=task.name,
        attempt=task.attempt,
        args=args,
        kwargs=kwargs,
        result=None if task.result is None else codec.load_result(task.result),
        error=error,
        scheduled_at=task.occurrence_at or task.run_at,
        started_at=task.started_at,
        finished_at=task.finished_at,
    )


def _tell(error: BaseException, task: Task, raise_errors: bool) -> None:
    """Say in which task an exception was raised, and raise it if that is asked for."""
    where = f"raised by task {task.id} ({task.name}), attempt {task.attempt}, in run_pending()"
    # What add_note() does, which comes with Python 3.11; pytest shows the log where notes are not.
    with contextlib.suppress(Exception):  # it may refuse attributes
        notes = [*getattr(error, "__notes__", ()), where]
        setattr(error, "__notes__", notes)  # noqa: B010 - Python 3.8 has no such attribute
    failure = task.failure
    logger.error("%s: %s", failure.error_message if failure is not None else error, where)
    if not raise_errors:
        return
    if isinstance(error, SystemExit):
        # A task that exits ends nothing in a worker, and does not end the tests here.
        raise TaskFailed(f"SystemExit: {error}; {where}") from error
    raise error


def _runaway(runs: List[Run], claimed: Task, limit: int) -> RunawayTasks:
    names = [run.name for run in runs] + [claimed.name]
    name, count = Counter(names).most_common(1)[0]
    return RunawayTasks(
        f"run_pending() stopped after {limit} runs, its limit, and more tasks are due; most of "
        f"them, {count}, are {name}. If it enqueues itself without a delay, that would go on for "
        "ever; if there is really so much to do, give a higher limit="
    )
