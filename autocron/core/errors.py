"""Every exception and warning of autocron.

All errors derive from :class:`AutocronError`, so that one ``except`` clause is enough. A message
says what was given, what was expected and what to do; bad input changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

# Type checkers take this for true. Not from typing: start() waits for a process that imports this.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Optional, Union

# The longest time that anything may be told to take or to wait.
LONGEST_SECONDS = 100 * 366 * 86400.0


class AutocronError(Exception):
    """The base of every error that autocron raises."""


class InvalidSchedule(AutocronError, ValueError):
    """A cron expression, a keyword schedule or an option of one can not be used.

    Attributes:
        text: The whole expression as it was given; for the keyword form its canonical text.
        field: The name of the offending field (``"day-of-week"``), or None if no single one is.
        column: Where the offending piece starts in ``text``, counted from 1; None if nowhere.
    """

    def __init__(
        self,
        message: str,
        *,
        text: str = "",
        field: Optional[str] = None,
        column: Optional[int] = None,
    ) -> None:
        super().__init__(message)
        self.text = text
        self.field = field
        self.column = column


class ScheduleWarning(UserWarning):
    """A schedule is valid but looks like a slip; the message names what was probably meant."""


class InvalidTask(AutocronError, TypeError):
    """A function can not be a task, or a task can not be called like this.

    Raised for a lambda, a nested function or a method that no worker could find, and for options
    that a decorator does not know or can not use.
    """


class NotStorable(AutocronError, TypeError):
    """An argument or a result can not be stored exactly.

    Attributes:
        path: Where the value stands, for example ``"message['to'][2]"`` or ``"the result"``.
    """

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class IllegalTransition(AutocronError):
    """An event does not fit the state of its task; the task is unchanged."""


class ResultNotReady(AutocronError):
    """The result was asked for while its task still waits or runs."""


class ResultExpired(AutocronError):
    """The task has ended and its result was removed after the result time-to-live."""


class TaskFailed(AutocronError):
    """The task failed; carries the traceback of the worker.

    Attributes:
        error_message: ``"ValueError: text"``, as the worker saw it.
        traceback: The remote traceback as text; empty if no function raised.
    """

    def __init__(self, error_message: str, traceback: str) -> None:
        super().__init__(f"{error_message}\n\n{traceback}" if traceback else error_message)
        self.error_message = error_message
        self.traceback = traceback


class TaskCancelled(AutocronError):
    """A task was cancelled.

    Raised where its result is asked for; and inside the task itself, when it runs and is to be
    ended (``cancel(kill=True)``).
    """


class TaskTimeout(AutocronError):
    """The task has run longer than its ``timeout``; raised inside the task.

    It may clean up and let the error pass; a worker that is not free some seconds later is ended.
    """


class Retry(AutocronError):
    """Raise it inside a task to have it tried again, for as long as it has ``retries`` left.

    Arguments:
        reason: Why; it is shown as the failure of this attempt.
        after: Seconds, or a timedelta, to wait before the next attempt; None is by the ``backoff``.

    Raises:
        InvalidTask: ``after`` is no duration.
    """

    def __init__(self, reason: str = "", *, after: Union[float, timedelta, None] = None) -> None:
        super().__init__(reason)
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        if seconds is not None and (
            isinstance(seconds, bool)
            or not isinstance(seconds, (int, float))
            or not 0 <= seconds <= LONGEST_SECONDS
        ):
            raise InvalidTask(f"after: {after!r} is not a number of seconds from 0 to 100 years")
        self.after_seconds = None if seconds is None else float(seconds)


class Discard(AutocronError):
    """Raise it inside a task that is not worth another attempt: it ends as cancelled.

    Arguments:
        reason: Why; it is shown as the error message.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


class TaskNotFound(AutocronError, LookupError):
    """No task with this id is stored: it never was, or its result has expired."""


class NoCurrentTask(AutocronError, LookupError):
    """``current_task()`` was called where no task runs."""


class WaitTimeout(AutocronError, TimeoutError):
    """``TaskResult.get`` gave up before the task ended; the task goes on."""


class StoreError(AutocronError):
    """The database can not be used; the message says why and what to do."""


class ForeignDatabase(StoreError):
    """The file is no SQLite database, or one that autocron did not make; it is untouched."""


class NewerDatabase(StoreError):
    """The database was made by a newer autocron; it is untouched."""


class StartError(AutocronError):
    """``start()`` can not do what was asked; nothing was started."""


class RunawayTasks(AutocronError):
    """``run_pending`` reached its limit; names the task that enqueues itself for ever."""
