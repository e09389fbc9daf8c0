"""How one attempt went, and what follows from it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Optional, Tuple, Type, Union

from autocron.core.errors import TaskTimeout
from autocron.core.events import (
    AttemptFailed,
    Cancelled,
    Event,
    Failed,
    HandedBack,
    Succeeded,
    WorkerLost,
)
from autocron.core.retry import retry_delay_seconds
from autocron.core.task import Failure, Task
from autocron.core.values import frozen

MAX_DEATHS = 3
UNKNOWN_PATIENCE_SECONDS = 60.0
UNKNOWN_PAUSE_SECONDS = 5.0


def kinds_of(kind: Type[BaseException]) -> Tuple[str, ...]:
    """Return the names of an exception's class and of its bases, ``"module:qualname"``."""
    return tuple(f"{base.__module__}:{base.__qualname__}" for base in kind.__mro__[:-1])


def in_words(seconds: float) -> str:
    """Return a number of seconds as text: ``"1 second"``, ``"0.5 seconds"``."""
    return f"{seconds:.15g} second{'' if seconds == 1 else 's'}"


TIMEOUT_KINDS = kinds_of(TaskTimeout)


@frozen
class Returned:
    """The function returned; ``result`` is the returned value as text."""

    result: str


@frozen
class Raised:
    """The function raised, or its result could not be stored.

    ``kinds`` are the names of the exception's class and of its bases, ``"module:qualname"``.
    """

    failure: Failure
    kinds: Tuple[str, ...] = ()


@frozen
class RetryAsked:
    """The function asked for another attempt, after so many seconds; None is by the backoff."""

    failure: Failure
    after_seconds: Optional[float] = None


@frozen
class Discarded:
    """The function found that its task is not worth another attempt, nor a failure."""

    failure: Failure


@frozen
class Unknown:
    """The worker knows no task function of that name; ``reason`` says what it tried.

    ``is_broken`` says that its module is there, but could not be imported.
    """

    reason: str
    is_broken: bool = False


Outcome = Union[Returned, Raised, RetryAsked, Discarded, Unknown]


def after_attempt(task: Task, outcome: Outcome, now: datetime, drawn: float = 0.0) -> Event:
    """Tell what an attempt's outcome means for its task.

    What returned has succeeded, even if somebody asked for it to be cancelled meanwhile; whatever
    else such a task does, it is cancelled. A failure is final unless the task has retries left, the
    exception is worth one, and the next attempt would begin before the task expires.

    An unknown function is no fault of the task: new code may be on its way to the workers. So the
    task is handed back, and fails only after workers have not known it for 60 seconds. While its
    module can not be imported it waits, however long: somebody will mend that.

    Arguments:
        task: The running task.
        outcome: How the attempt went.
        now: The instant at which it ended.
        drawn: A number drawn evenly from 0 to 1, for the jitter of a retry.

    Returns:
        The event to apply to the task.
    """
    if isinstance(outcome, Returned):
        return Succeeded(outcome.result, now)
    if isinstance(outcome, Unknown):
        return _after_unknown(task, outcome, now)
    if isinstance(outcome, Discarded) or task.cancel_asked_at is not None:
        return Cancelled(now, outcome.failure)
    return _after_failure(task, outcome, now, drawn)


def _after_failure(
    task: Task, outcome: Union[Raised, RetryAsked], now: datetime, drawn: float
) -> Event:
    policy, seconds = task.policy, None
    if isinstance(outcome, RetryAsked):
        seconds = outcome.after_seconds
    elif not policy.is_retried_on(outcome.kinds):
        return Failed(outcome.failure, now)
    if task.failures >= policy.retries:
        return Failed(outcome.failure, now)
    if seconds is None:
        seconds = retry_delay_seconds(
            task.failures + 1, policy.backoff_seconds, drawn, policy.backoff_cap_seconds
        )
    run_at = now + timedelta(seconds=seconds)
    if task.expires_at is not None and run_at >= task.expires_at:
        return Failed(outcome.failure, now)
    return AttemptFailed(outcome.failure, now, run_at)


def _after_unknown(task: Task, outcome: Unknown, now: datetime) -> Event:
    if task.cancel_asked_at is not None:
        return Cancelled(now)
    run_at = now + timedelta(seconds=UNKNOWN_PAUSE_SECONDS)
    if outcome.is_broken:
        return HandedBack(run_at=run_at)
    since = task.unknown_since_at or now
    if (now - since).total_seconds() >= UNKNOWN_PATIENCE_SECONDS:
        return Failed(Failure("UnknownTask", outcome.reason), now)
    return HandedBack(run_at=run_at, unknown_since_at=since)


def after_loss(task: Task, charged: bool, now: datetime, how: str = "") -> Event:
    """Tell what the loss of its worker means for a running task.

    One poison task must not kill workers for ever, and no power cut may fail an innocent one: only
    deaths that a living supervisor saw, and had not caused, are charged, and the third is the last.

    Arguments:
        task: The running task.
        charged: True if a supervisor that lived saw the worker die and had not ended it.
        now: The instant at which the loss was noticed.
        how: What ended the worker, if that is known: ``"was ended by SIGSEGV"``.

    Returns:
        The event to apply to the task.
    """
    if task.cancel_asked_at is not None:
        return Cancelled(now, Failure("TaskCancelled", "it was cancelled while it ran"))
    if charged and task.deaths + 1 >= MAX_DEATHS:
        return Failed(
            Failure(
                "WorkerDied",
                f"its worker died {MAX_DEATHS} times while it ran this task, so it is not run "
                f"again; the last worker was {task.worker}{how and f', which {how}'}",
            ),
            now,
            charged=True,
        )
    return WorkerLost(charged, now, how)


def after_timeout(task: Task, now: datetime, drawn: float = 0.0) -> Event:
    """Tell what it means for a running task that its worker was ended since it took too long.

    Arguments:
        task: The running task.
        now: The instant at which its worker was ended.
        drawn: A number drawn evenly from 0 to 1, for the jitter of a retry.

    Returns:
        The event to apply to the task: that of a failure.
    """
    within = in_words(task.policy.timeout_seconds)  # type: ignore[arg-type]
    failure = Failure(
        "TaskTimeout",
        f"it did not end within {within}, nor when it was told to, so its worker was ended",
    )
    return after_attempt(task, Raised(failure, TIMEOUT_KINDS), now, drawn)


def after_hand_back(task: Task, now: datetime) -> Event:
    """Tell what it means for a running task that its worker has to leave before it ends.

    Arguments:
        task: The running task.
        now: The present instant.
    """
    if task.cancel_asked_at is not None:
        return Cancelled(now, Failure("TaskCancelled", "it was cancelled while it ran"))
    # It was due, and is due at once, also if the clock was set back meanwhile.
    return HandedBack(run_at=now if now < task.run_at else None)
