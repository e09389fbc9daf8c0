"""A task as a frozen value: what was called, in which state it is, and how it ended.

Instants are aware UTC datetimes named ``…_at``; durations are named ``…_seconds``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional

from autocron.core.values import made, quick

MAX_NAME_LENGTH = 128
MAX_ID_LENGTH = 63
MIN_PRIORITY, MAX_PRIORITY = -100, 100


class TaskState(enum.Enum):
    """The five states of a task. Whether a waiting task is due is a question about time."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    # Members are equal only to themselves; Enum's own hash is a slow one of the name.
    __hash__ = object.__hash__

    @property
    def is_final(self) -> bool:
        """True if nothing happens to the task any more unless somebody asks for it."""
        return self not in (TaskState.WAITING, TaskState.RUNNING)


@quick
@dataclass(frozen=True)
class Failure:
    """Why a task failed, as text, since the exception itself may not exist elsewhere.

    Attributes:
        type: The name of the exception's class, for example ``"ValueError"``.
        message: What ``str()`` of the exception gave.
        traceback: The traceback of the attempt as text; may be empty.
    """

    type: str
    message: str
    traceback: str = ""

    @property
    def error_message(self) -> str:
        """Type and message in one line: ``"ValueError: text"``, or the type alone."""
        return f"{self.type}: {self.message}" if self.message else self.type


@quick
@dataclass(frozen=True)
class Message:
    """What is asked for by one call; a backend makes a :class:`Task` of it.

    Attributes:
        name: The name of the task function, ``"package.module:qualname"``.
        payload: Arguments as opaque text; only the codec looks into it.
        run_at: Not to be run before this instant of the wall clock; None is now.
        delay_seconds: Not to be run before this many seconds have elapsed; instead of ``run_at``.
        priority: -100 to 100; higher runs first among the due tasks.
        unique: At most one waiting task has this key; a second call gives back the first one.
        lock: At most one running task has this key, with no promise of order.
        retries: How many attempts are made again after a failure.
        backoff_seconds: The delay before each of them; None is exponential backoff.
        schedule: The key of the schedule whose occurrence this is.
    """

    name: str
    payload: str
    run_at: Optional[datetime] = None
    delay_seconds: float = 0.0
    priority: int = 0
    unique: Optional[str] = None
    lock: Optional[str] = None
    retries: int = 0
    backoff_seconds: Optional[float] = None
    schedule: Optional[str] = None


@quick
@dataclass(frozen=True)
class Task:
    """One call of a task function, stored. Only :func:`autocron.core.machine.apply` changes one.

    Attributes:
        id: An opaque text under 64 characters.
        run_at: Not to be run before this instant.
        elapsed: True if ``run_at`` came from a delay in seconds, which is elapsed time: it moves
            along when the wall clock is set.
        revision: Counts the changes; a store's compare-and-set compares it.
        attempt: How often the task was begun; a hand-back takes its count back.
        failures: How many attempts have failed.
        deaths: How many workers died of it, as far as a living supervisor saw.
        worker: The name of the worker that holds it; None unless it runs.
        unknown_since_at: Since when workers have not known its function; None if they do.
        started_at: When the latest attempt began.
        finished_at: When it reached a final state.
        result: The returned value as opaque text; None unless it succeeded.
        occurrence_at: The occurrence of the schedule; None for a call, or a run at the start.
        failure: Why it failed, or its latest attempt did; None once it has succeeded.

    The other attributes are those of :class:`Message`.
    """

    id: str
    name: str
    payload: str
    enqueued_at: datetime
    run_at: datetime
    state: TaskState = TaskState.WAITING
    revision: int = 0
    elapsed: bool = False
    priority: int = 0
    unique: Optional[str] = None
    lock: Optional[str] = None
    retries: int = 0
    backoff_seconds: Optional[float] = None
    schedule: Optional[str] = None
    occurrence_at: Optional[datetime] = None
    attempt: int = 0
    failures: int = 0
    deaths: int = 0
    worker: Optional[str] = None
    unknown_since_at: Optional[datetime] = None
    started_at: Optional[datetime] = None
    finished_at: Optional[datetime] = None
    result: Optional[str] = None
    failure: Optional[Failure] = None


def new_task(
    message: Message, task_id: str, now: datetime, occurrence_at: Optional[datetime] = None
) -> Task:
    """Make the waiting task that a message asks for.

    Arguments:
        message: What is asked for.
        task_id: Its id, under 64 characters.
        now: The instant of the call.
        occurrence_at: The occurrence of the message's schedule, if it is one.

    Returns:
        A waiting task, due at ``message.run_at``, or when its delay has elapsed.
    """
    run_at = now if message.run_at is None else message.run_at
    if message.delay_seconds:
        run_at = now + timedelta(seconds=message.delay_seconds)
    return made(
        Task,
        id=task_id,
        name=message.name,
        payload=message.payload,
        enqueued_at=now,
        run_at=run_at,
        elapsed=message.delay_seconds > 0,
        priority=message.priority,
        unique=message.unique,
        lock=message.lock,
        retries=message.retries,
        backoff_seconds=message.backoff_seconds,
        schedule=message.schedule,
        occurrence_at=occurrence_at,
    )
