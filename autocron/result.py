"""What a call of a delayed function returns."""

from __future__ import annotations

import time
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Generator,
    Generic,
    Iterable,
    Optional,
    Protocol,
    TypeVar,
)

from autocron.core.errors import (
    ResultExpired,
    ResultNotReady,
    TaskCancelled,
    TaskFailed,
    WaitTimeout,
)
from autocron.core.outcome import in_words
from autocron.core.progress import Progress, load_progress
from autocron.core.task import Task, TaskState
from autocron.options import Duration, wait_seconds

if TYPE_CHECKING:
    from autocron.ports import Clock

R = TypeVar("R")

# A waiting caller looks again after a pause that grows from the first to the last of these.
_FIRST_PAUSE_SECONDS = 0.001
_LAST_PAUSE_SECONDS = 0.05


class Source(Protocol):
    """Where a result is read: the engine that has the task, and the codec of its result."""

    def get(self, task_id: str) -> Optional[Task]:
        """Return what is known of the task, or None if it is not stored."""
        ...

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        """Cancel a task, or ask for it; see :meth:`autocron.ports.Backend.cancel`."""
        ...

    def retry(self, task_id: str) -> bool:
        """Make an ended task wait again; see :meth:`autocron.ports.Backend.retry`."""
        ...

    def load_result(self, text: str) -> Any:
        """Return the value of a stored result."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock that measures how long a caller waits."""
        ...

    def check_wait(self, task_id: str, what: str, status: str) -> None:
        """See that somebody else may bring the result of a task while the caller waits for it.

        Arguments:
            task_id: The id of the task, or of one of several.
            what: What is waited for, for messages.
            status: In which state it is, for messages.

        Raises:
            WaitTimeout: This is a test, where nobody else works.
            ResultNotReady: It would be waited for in vain, for another reason.
        """
        ...


class TaskResult(Generic[R]):
    """The result of a task, now or later; each attribute looks for it until it is ready.

    It may be ignored: results are removed by themselves after the result time-to-live.
    """

    __slots__ = ("_source", "_task", "id")

    def __init__(self, task: Task, source: Source) -> None:
        self.id: str = task.id
        """The task's id, opaque text under 64 characters; see :func:`autocron.get_result`."""
        self._task: Optional[Task] = task
        self._source = source

    def see(self, task: Task) -> None:
        """Take over what somebody else has read of the task."""
        if self._task is not None and not self._task.state.is_final:
            self._task = task

    def _look(self) -> Optional[Task]:
        if self._task is not None and not self._task.state.is_final:
            self._task = self._source.get(self.id)
            if self._task is not None:
                # Another one's if its unique key was found taken when the call was committed.
                self.id = self._task.id
        return self._task

    @property
    def status(self) -> str:
        """The state: waiting, running, succeeded, failed, cancelled, or expired if it is gone."""
        task = self._look()
        return "expired" if task is None else task.state.value

    @property
    def progress(self) -> Optional[Progress]:
        """How far the task is, as it told itself by ``current_task().progress(…)``; None if not."""
        task = self._look()
        return None if task is None else load_progress(task.progress)

    @property
    def is_ready(self) -> bool:
        """True once nothing more will come: it succeeded, failed, was cancelled or expired."""
        task = self._look()
        return task is None or task.state.is_final

    @property
    def is_waiting(self) -> bool:
        """True until the result is ready, so also while the task runs."""
        return not self.is_ready

    @property
    def has_error(self) -> bool:
        """True if the task failed."""
        task = self._look()
        return task is not None and task.state is TaskState.FAILED

    @property
    def error_message(self) -> str:
        """``"ValueError: text"`` if the task failed, why it was cancelled if there is a reason.

        Else it is ``""``.
        """
        task = self._look()
        is_told = task is not None and task.state in (TaskState.FAILED, TaskState.CANCELLED)
        if task is None or not is_told or task.failure is None:
            return ""
        return task.failure.error_message

    @property
    def traceback(self) -> str:
        """The traceback of the worker if the task failed, else ``""``."""
        task = self._look()
        if task is None or task.state is not TaskState.FAILED or task.failure is None:
            return ""
        return task.failure.traceback

    @property
    def result(self) -> R:
        """What the function returned.

        Raises:
            ResultNotReady: The task still waits or runs.
            TaskFailed: The task failed; carries the remote traceback.
            TaskCancelled: The task was cancelled.
            ResultExpired: The result was removed after the result time-to-live.
        """
        task = self._look()
        if task is None:
            raise ResultExpired(
                f"the result of task {self.id} is gone: results are kept for the result-ttl "
                "(autocron DATABASE --set-result-ttl SECONDS), and then removed"
            )
        if not task.state.is_final:
            raise ResultNotReady(
                f"task {self.id} ({task.name}) is {task.state.value}; look at is_ready or "
                "wait(timeout) first, or call get(timeout)"
            )
        if task.state is TaskState.CANCELLED:
            when = " before it ran" if task.started_at is None else ""
            why = "" if task.failure is None else f": {task.failure.error_message}"
            raise TaskCancelled(f"task {self.id} ({task.name}) was cancelled{when}{why}")
        if task.failure is not None and task.state is TaskState.FAILED:
            raise TaskFailed(task.failure.error_message, task.failure.traceback)
        value: R = self._source.load_result(task.result or "null")
        return value

    def wait(self, timeout: Optional[Duration] = None) -> bool:
        """Wait until the result is ready, whatever has come of the task.

        Arguments:
            timeout: How many seconds to wait at most, or which timedelta; None is for ever, and
                less than 0 is 0. In a test, where only ``run_pending()`` would run it, it is over
                at once.

        Returns:
            Whether it is ready; False if the time is over, and the task goes on.

        Raises:
            WaitTimeout: This is a test, and the wait would be for ever.
            ResultNotReady: The task waits for the end of the transaction in which this is called.
            InvalidTask: The time is no duration.
        """
        return wait_between(self._pauses(timeout), timeout)

    def get(self, timeout: Optional[Duration] = None) -> R:
        """Wait until the result is ready and return it.

        Arguments:
            timeout: How many seconds to wait at most, or which timedelta; None is for ever, and
                less than 0 is 0.

        Returns:
            What the function returned.

        Raises:
            WaitTimeout: The time is over; the task goes on. In a test, at once, since only
                ``run_pending()`` would run it.
            ResultNotReady: The task waits for the end of the transaction in which this is called.
            InvalidTask: The time is no duration.
            TaskFailed, TaskCancelled, ResultExpired: As for :attr:`result`.
        """
        for pause_seconds in self._pauses(timeout):
            time.sleep(pause_seconds)
        return self.result

    def __await__(self) -> Generator[Any, None, R]:
        """Wait without blocking the event loop; ``await result`` returns what the function did.

        It may be awaited in any loop, also several times, and with ``asyncio.wait_for``: when that
        gives up, the task goes on.
        """
        return self._wait_in_loop().__await__()

    async def _wait_in_loop(self) -> R:
        # Only here: most applications never need asyncio.
        from autocron.awaiting import pause_between

        await pause_between(self._pauses(None), self._source.clock)
        return self.result

    def _pauses(self, timeout: Optional[Duration]) -> Generator[float, None, None]:
        return pauses(
            self._source,
            self.id,
            lambda: self.is_ready,
            f"task {self.id}",
            lambda: self.status,
            timeout,
        )

    def cancel(self, kill: bool = False) -> bool:
        """Take the call back, or ask for the running task to end.

        A waiting task is cancelled at once. A running one sees it in
        ``current_task().is_cancelled``, and may end; unless it returns, it is cancelled then, and
        not tried again.

        Arguments:
            kill: True raises TaskCancelled inside the running task, and ends its worker if it has
                not ended some seconds later.

        Returns:
            True if the task will not run, or was asked to end; False if it has ended.
        """
        return self._source.cancel(self.id, kill)

    def retry(self) -> bool:
        """Let a task that failed, or was cancelled, wait again, with all its retries anew.

        What was cancelled behind it in a chain waits for it again. It is what
        ``autocron DATABASE --retry ID`` does.

        Returns:
            True if it waits again. False if it waits or runs already, has succeeded, is not kept
            any more, waited for a task that has not succeeded, or has run in place.
        """
        if not self._source.retry(self.id):
            return False
        self._task = self._source.get(self.id)
        return True

    def __deepcopy__(self, memo: Any) -> TaskResult[R]:
        """Return this one: a copy would stand for the same task (Django copies a test's data)."""
        return self

    def __repr__(self) -> str:
        return f"<TaskResult {self.id} {self.status}>"


def pauses(
    source: Source,
    task_id: str,
    is_ready: Callable[[], bool],
    what: str,
    status: Callable[[], str],
    timeout: Optional[Duration],
) -> Generator[float, None, None]:
    """Yield how many seconds to pause, until a result is ready.

    Arguments:
        source: Where it is read.
        task_id: The id of its task, or of one of several.
        is_ready: Tells whether it is.
        what: What it is, for messages.
        status: Tells in which state it is, for messages.
        timeout: How many seconds to wait at most, or which timedelta; None is for ever.

    Raises:
        WaitTimeout: The time is over; or this is a test, where nobody else works.
        ResultNotReady: The task waits for the end of the transaction in which this is called.
        InvalidTask: The time is no duration.
    """
    seconds = wait_seconds(timeout)
    clock = source.clock
    began = clock.monotonic()
    pause_seconds = _FIRST_PAUSE_SECONDS
    while not is_ready():
        source.check_wait(task_id, what, status())
        left = None if seconds is None else seconds - (clock.monotonic() - began)
        if seconds is not None and left is not None and left <= 0:
            raise WaitTimeout(
                f"{what} was not ready within {in_words(seconds)}; it goes on ({status()})"
            )
        yield pause_seconds if left is None else min(pause_seconds, left)
        pause_seconds = min(pause_seconds * 1.5, _LAST_PAUSE_SECONDS)


def wait_between(pauses: Iterable[float], timeout: Optional[Duration]) -> bool:
    """Sleep through the pauses of a result, and return whether it became ready within the time.

    Arguments:
        pauses: What :func:`pauses` yields.
        timeout: The time that it was given; None is for ever.

    Raises:
        WaitTimeout: The wait would be for ever, in a test.
        ResultNotReady: As :func:`pauses`.
    """
    try:
        for pause_seconds in pauses:
            time.sleep(pause_seconds)
    except WaitTimeout:
        if timeout is None:
            raise
        return False
    return True
