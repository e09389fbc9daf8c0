"""Runs what is due in this process, through the steps of the engine that workers run too."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from typing import Any, Callable, List, Mapping, Optional, Tuple, Union

from autocron.core.errors import RunawayTasks, TaskFailed
from autocron.core.given import call_of
from autocron.core.task import Task, TaskState
from autocron.engine import Engine
from autocron.registry import name_of_task
from autocron.testing.invoker import Attempt, RecordingInvoker
from autocron.testing.plans import PlannedCrash, WorkerDied

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
            For the death of its worker, which ``crash_next()`` has planned, a PlannedCrash.
        scheduled_at: The instant at which it was to run: the occurrence of a cron schedule, that
            of the call with its delay, or that of the retry.
        started_at: When the attempt began.
        finished_at: When it ended.
        retry_at: When the next attempt is due; None if this one was the last.
        zone: The time zone of the schedule; for a call that of the session.
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
    retry_at: Optional[datetime] = None
    zone: tzinfo = timezone.utc

    @property
    def succeeded(self) -> bool:
        """True if the function returned."""
        return self.error is None

    @property
    def crashed(self) -> bool:
        """True if its worker died, as ``crash_next()`` has planned."""
        return isinstance(self.error, PlannedCrash)

    @property
    def scheduled_for(self) -> datetime:
        """What the wall clock shows in :attr:`zone` at ``scheduled_at``."""
        return self.scheduled_at.astimezone(self.zone)


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
        """How many attempts failed, those included whose worker died."""
        return len(self.runs) - self.succeeded

    @property
    def crashed(self) -> int:
        """How many attempts ended with the death of their worker."""
        return sum(run.crashed for run in self.runs)

    def count(self, function: Union[Callable[..., Any], str]) -> int:
        """Return how many attempts were of one task function.

        Arguments:
            function: The function, decorated or plain, or its name ``"module:qualname"``.

        Raises:
            InvalidTask: It can not be a task function.
        """
        name = function if isinstance(function, str) else name_of(function, "count()")
        return sum(run.name == name for run in self.runs)


def name_of(function: Callable[..., Any], what: str = "name_of()") -> str:
    """Return the name under which the tasks of a function are stored.

    Arguments:
        function: The function, decorated or plain.
        what: To what it was given, where a name could be given as well; for messages.

    Raises:
        InvalidTask: It can not be a task function.
    """
    plain = getattr(function, "function", function)
    return name_of_task(what, plain, ', or its name "module:qualname"')


class Runner:
    """Steps the engine of a session; starts it again where a worker has died.

    Arguments:
        start: Makes an engine, which keeps house and runs functions through the invoker.
        invoker: That invoker.
        zone_of: Returns the time zone of a task.
    """

    def __init__(
        self,
        start: Callable[[], Engine],
        invoker: RecordingInvoker,
        zone_of: Callable[[Task], tzinfo],
    ) -> None:
        self._start = start
        self._invoker = invoker
        self._zone_of = zone_of
        self.engine = start()
        self.runs: List[Run] = []

    def restart(self) -> None:
        """Start anew, as after the machine was off."""
        self.engine = self._start()

    def run_due(self, raise_errors: bool, limit: int) -> None:
        """Step the engine until nothing is due; what was run is added to :attr:`runs`.

        Arguments:
            raise_errors: Whether to raise what a function raised, at once, unless it was planned.
            limit: How many runs at most.

        Raises:
            RunawayTasks: More than ``limit`` runs were due.
            StoreError: The store failed.
            BaseException: What a function raised; see :func:`autocron.testing.run_pending`.
        """
        first = len(self.runs)
        while True:
            engine = self.engine
            began_at = engine.clock.now()
            try:
                tick = engine.tick()
            except KeyboardInterrupt:
                engine.let_go()
                raise
            except WorkerDied as death:
                self._bury(death.attempt)
                continue
            if tick.trouble is not None:
                raise tick.trouble
            if tick.finished is not None:
                try:
                    self._note(tick.finished, raise_errors)
                except BaseException:
                    # The next task was claimed as this one ended. It is to wait, not to be held.
                    engine.let_go()
                    raise
            if tick.claimed is not None:
                if len(self.runs) - first >= limit:
                    engine.let_go()
                    raise _runaway(self.runs[first:], tick.claimed, limit)
            elif tick.finished is None or engine.clock.now() == began_at:
                # Nothing else was due as the last task ended, and no time has passed since.
                return

    def _note(self, after: Task, raise_errors: bool) -> None:
        """Note the attempt that has just ended, and raise its error if that is asked for."""
        attempt = self._invoker.attempts.pop(after.id, None)
        # What nothing knows is handed back, which is no attempt; in the end it has failed.
        if attempt is None and not after.state.is_final:
            return
        self.runs.append(self._run(after, attempt))
        error = self.runs[-1].error
        if error is not None:
            is_surprise = attempt is None or not attempt.is_planned
            _tell(self.runs[-1], error, after, raise_errors and is_surprise)

    def _bury(self, attempt: Attempt) -> None:
        """Do what a supervisor does when it sees a worker die: take its task back, charged."""
        self._invoker.attempts.pop(attempt.task.id, None)
        self.restart()
        for after in self.engine.reclaim(str(attempt.task.worker), charged=True):
            self.runs.append(self._run(after, attempt))
            logger.info("the worker of task %s (%s) died, as planned", after.id, after.name)

    def _run(self, after: Task, attempt: Optional[Attempt]) -> Run:
        """Describe an attempt by its task before and after it."""
        codec = self._invoker.codec()
        before = after if attempt is None else attempt.task
        args, kwargs = call_of(after, codec)
        error = None if attempt is None else attempt.error
        if error is None and after.failure is not None and after.state is TaskState.FAILED:
            error = TaskFailed(after.failure.error_message, after.failure.traceback)
        now = self.engine.clock.now()
        return Run(
            task_id=after.id,
            name=after.name,
            attempt=after.attempt,
            args=args,
            kwargs=kwargs,
            result=None if after.result is None else codec.load_result(after.result),
            error=error,
            scheduled_at=before.occurrence_at or before.run_at,
            started_at=before.started_at or now,
            finished_at=after.finished_at or now,
            retry_at=None if after.state.is_final else after.run_at,
            zone=self._zone_of(after),
        )


def _tell(run: Run, error: BaseException, task: Task, raise_errors: bool) -> None:
    """Say in which task an exception was raised, and raise it if that is asked for."""
    where = f"raised by task {run.task_id} ({run.name}), attempt {run.attempt}, in run_pending()"
    if run.retry_at is not None:
        where += f"; it is tried again at {run.retry_at.astimezone(run.zone)}"
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
        raise TaskFailed(f"SystemExit: {error}; {where}", "") from error
    raise error


def _runaway(runs: List[Run], claimed: Task, limit: int) -> RunawayTasks:
    names = [run.name for run in runs] + [claimed.name]
    name, count = Counter(names).most_common(1)[0]
    return RunawayTasks(
        f"run_pending() stopped after {limit} runs, its limit, and more tasks are due; most of "
        f"them, {count}, are {name}. If it enqueues itself without a delay, that would go on for "
        "ever; if there is really so much to do, give a higher limit="
    )
