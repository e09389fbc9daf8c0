"""How one attempt went, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Union

from autocron.core.events import AttemptFailed, Event, Failed, HandedBack, Succeeded, WorkerLost
from autocron.core.retry import retry_delay_seconds
from autocron.core.task import Failure, Task
from autocron.core.values import quick

MAX_DEATHS = 3
UNKNOWN_PATIENCE_SECONDS = 60.0
UNKNOWN_PAUSE_SECONDS = 5.0


@quick
@dataclass(frozen=True)
class Returned:
    """The function returned; ``result`` is the returned value as text."""

    result: str


@quick
@dataclass(frozen=True)
class Raised:
    """The function raised, or its result could not be stored."""

    failure: Failure


@quick
@dataclass(frozen=True)
class Unknown:
    """The worker knows no task function of that name; ``reason`` says what it tried."""

    reason: str


Outcome = Union[Returned, Raised, Unknown]


def after_attempt(task: Task, outcome: Outcome, now: datetime, drawn: float = 0.0) -> Event:
    """Tell what an attempt's outcome means for its task.

    A failure is final unless the task has retries left.

    An unknown function is no fault of the task: new code may be on its way to the workers. So the
    task is handed back, and fails only after workers have not known it for 60 seconds.

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
    if isinstance(outcome, Raised):
        if task.failures >= task.retries:
            return Failed(outcome.failure, now)
        seconds = retry_delay_seconds(task.failures + 1, task.backoff_seconds, drawn)
        return AttemptFailed(outcome.failure, now + timedelta(seconds=seconds))
    since = task.unknown_since_at or now
    if (now - since).total_seconds() >= UNKNOWN_PATIENCE_SECONDS:
        return Failed(Failure("UnknownTask", outcome.reason), now)
    return HandedBack(run_at=now + timedelta(seconds=UNKNOWN_PAUSE_SECONDS), unknown_since_at=since)


def after_loss(task: Task, charged: bool, now: datetime) -> Event:
    """Tell what the loss of its worker means for a running task.

    One poison task must not kill workers for ever, and no power cut may fail an innocent one: only
    deaths that a living supervisor saw, and had not caused, are charged, and the third is the last.

    Arguments:
        task: The running task.
        charged: True if a supervisor that lived saw the worker die and had not ended it.
        now: The instant at which the loss was noticed.

    Returns:
        The event to apply to the task.
    """
    if charged and task.deaths + 1 >= MAX_DEATHS:
        return Failed(
            Failure(
                "WorkerDied",
                f"its worker died {MAX_DEATHS} times while it ran this task, so it is not run "
                f"again; the last worker was {task.worker}",
            ),
            now,
        )
    return WorkerLost(charged)
