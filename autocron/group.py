"""What ``task.map(…)`` returns: the results of several calls, in order."""

from __future__ import annotations

import time
from typing import Any, Generator, Generic, Iterator, List, Optional, Protocol, Sequence, TypeVar

from autocron.core.progress import Progress
from autocron.core.task import Task, TaskState
from autocron.options import Duration
from autocron.result import Source, TaskResult, pauses, wait_between

R = TypeVar("R")


class GroupSource(Source, Protocol):
    """Where the results of a group are read."""

    def list_group(
        self, group: str, state: Optional[TaskState] = None, limit: Optional[int] = None
    ) -> List[Task]:
        """Return the tasks of a group, oldest first."""
        ...


class TaskGroup(Generic[R], Sequence[TaskResult[R]]):
    """The results of calls that were enqueued together, in their order.

    It is a sequence of :class:`~autocron.result.TaskResult`.
    """

    def __init__(
        self,
        group_id: Optional[str],
        tasks: Sequence[Task],
        source: GroupSource,
        callback: Optional[TaskResult[Any]] = None,
    ) -> None:
        self.id = group_id
        """The id of the group; see :func:`autocron.get_group`. None where it ran in place."""
        self.callback = callback
        """The result of the task that runs when all have ended; None if there is none."""
        self._stored = tasks
        self._source = source
        self._made: Optional[List[TaskResult[R]]] = None

    @property
    def _tasks(self) -> List[TaskResult[R]]:
        """Their results, the same each time; made at the first, since many only call."""
        if self._made is None:
            self._made = [TaskResult(task, self._source) for task in self._stored]
        return self._made

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, place: Any) -> Any:
        return self._tasks[place]

    def __iter__(self) -> Iterator[TaskResult[R]]:
        return iter(self._tasks)

    def _refresh(self) -> None:
        """Read what has become of all of them by one query."""
        if self.id is not None:
            known = {task.id: task for task in self._source.list_group(self.id)}
            for result in self._tasks:
                if result.id in known:  # not where unique= has given back another call's
                    result.see(known[result.id])

    def _is_unfinished(self) -> bool:
        if self.id is not None:
            for state in (TaskState.RUNNING, TaskState.WAITING):
                if self._source.list_group(self.id, state, 1):
                    return True
        return any(result.is_waiting for result in self._tasks)

    @property
    def is_ready(self) -> bool:
        """True once all of them have ended."""
        return not self._is_unfinished()

    @property
    def progress(self) -> Progress:
        """How many of them have ended, of how many."""
        self._refresh()
        return Progress(sum(result.is_ready for result in self._tasks), len(self))

    @property
    def failed(self) -> List[TaskResult[R]]:
        """Those that have failed, so far."""
        self._refresh()
        return [result for result in self._tasks if result.has_error]

    @property
    def results(self) -> List[R]:
        """What all of them returned, in order.

        Raises:
            ResultNotReady: One still waits or runs.
            TaskFailed: One failed; the first of them in order.
            TaskCancelled: One was cancelled.
            ResultExpired: The results were removed after the result time-to-live.
        """
        self._refresh()
        return [result.result for result in self._tasks]

    def wait(self, timeout: Optional[Duration] = None) -> bool:
        """Wait until all have ended, whatever has come of them; see ``TaskResult.wait``.

        Arguments:
            timeout: How many seconds to wait at most, or which timedelta; None is for ever, and
                less than 0 is 0.

        Returns:
            Whether all have ended; False if the time is over, and the tasks go on.
        """
        return wait_between(self._pauses(timeout), timeout)

    def get(self, timeout: Optional[Duration] = None) -> List[R]:
        """Wait until all have ended, and return what they returned, in order.

        Arguments:
            timeout: How many seconds to wait at most, or which timedelta; None is for ever, and
                less than 0 is 0.

        Raises:
            WaitTimeout: The time is over; the tasks go on.
            TaskFailed, TaskCancelled, ResultExpired: As for :attr:`results`.
        """
        for pause_seconds in self._pauses(timeout):
            time.sleep(pause_seconds)
        return self.results

    def __await__(self) -> Generator[Any, None, List[R]]:
        """Wait until all have ended, without blocking the event loop; see :meth:`get`."""
        return self._wait_in_loop().__await__()

    async def _wait_in_loop(self) -> List[R]:
        from autocron.awaiting import pause_between

        await pause_between(self._pauses(None), self._source.clock)
        return self.results

    def _pauses(self, timeout: Optional[Duration]) -> Generator[float, None, None]:
        what = f"a group of {len(self)} tasks"
        first = self._tasks[0].id if self._tasks else ""
        return pauses(self._source, first, lambda: self.is_ready, what, self._status, timeout)

    def _status(self) -> str:
        progress = self.progress
        return f"ready in {progress.done:g} of {progress.total:g}"

    def cancel(self, kill: bool = False) -> int:
        """Cancel those that wait, and ask for those that run; see ``TaskResult.cancel``.

        Returns:
            For how many that could be done.
        """
        return sum(result.cancel(kill=kill) for result in self._tasks if result.is_waiting)

    def __repr__(self) -> str:
        return f"<TaskGroup {self.id} of {len(self)} tasks>"
