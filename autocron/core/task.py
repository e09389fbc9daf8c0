"""A task as a frozen value: what was called, in which state it is, and how it ended.

Instants are aware UTC datetimes named ``…_at``; durations are named ``…_seconds``.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Any, Dict, Optional, Tuple

from autocron.core.policy import PLAIN, Policy
from autocron.core.values import fields_of, frozen, made

MAX_NAME_LENGTH = 128
MAX_ID_LENGTH = 63
MIN_PRIORITY, MAX_PRIORITY = -100, 100
DEFAULT_QUEUE = "default"
ALL_QUEUES = "*"


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


@frozen
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


@frozen
class PastAttempt:
    """An attempt that was made, and did not end its task.

    Attributes:
        number: The how-manieth attempt it was, counted from 1.
        started_at: When it began.
        ended_at: When it was known to have ended.
        error_message: Why it failed, in one line.
    """

    number: int
    started_at: datetime
    ended_at: datetime
    error_message: str


@frozen
class Message:
    """What is asked for by one call; a backend makes a :class:`Task` of it.

    Attributes:
        name: The name of the task function, ``"package.module:qualname"``.
        payload: Arguments as opaque text; only the codec looks into it.
        run_at: Not to be run before this instant of the wall clock; None is now.
        delay_seconds: Not to be run before this many seconds have elapsed; instead of ``run_at``.
        expires_at: No attempt begins at this instant or later; None is never.
        expires_seconds: The same as so many seconds after the call; instead of ``expires_at``.
        queue: The queue in which it waits; workers may be there for some queues only.
        priority: -100 to 100; higher runs first among the due tasks.
        unique: While a task with this key waits, a second call gives back the first one.
        unique_running: Whether a running task takes its key, too.
        unique_seconds: For how many seconds after its call a task takes its key, whatever becomes
            of it; None is only while it waits, or runs.
        lock: At most ``limit`` running tasks have this key, with no promise of order.
        limit: How many.
        rate_key: Tasks with this key begin at most at the rate of the policy.
        policy: Retries, backoff, timeout and rate.
        schedule: The key of the schedule whose occurrence this is.
        id: The id that the task is to have, where it was given away before it is stored; None has
            one drawn.
    """

    name: str
    payload: str
    run_at: Optional[datetime] = None
    delay_seconds: float = 0.0
    expires_at: Optional[datetime] = None
    expires_seconds: Optional[float] = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    unique: Optional[str] = None
    unique_running: bool = False
    unique_seconds: Optional[float] = None
    lock: Optional[str] = None
    limit: int = 1
    rate_key: Optional[str] = None
    policy: Policy = PLAIN
    schedule: Optional[str] = None
    id: Optional[str] = None


@frozen
class Task:
    """One call of a task function, stored. Only :func:`autocron.core.machine.apply` changes one.

    Attributes:
        id: An opaque text under 64 characters.
        run_at: Not to be run before this instant.
        elapsed: True if ``run_at`` came from a delay in seconds, which is elapsed time, or it was
            made due: it moves along when the wall clock is set.
        unique_until_at: Until when its key is taken, whatever becomes of it; None unless the call
            asked for a period.
        group: The id of the group to which it belongs, all of which were called at once.
        after: The id of the task, or the group, that has to end before this one; it is *held* while
            it waits for that. None if there is none, or it has ended.
        given: What came of that, as text: the input of this one.
        feeds: Whether others wait for this one.
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
        failure: Why it failed, or was cancelled, or its latest attempt failed; None once it has
            succeeded.
        progress: What the running attempt has told of itself, as text.
        cancel_asked_at: When somebody asked for it to be cancelled while it ran.
        is_cut_short: Whether it is to be ended then, if it does not end by itself.
        history: The latest attempts that did not end it, or not for good, oldest first, at most 20.

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
    expires_at: Optional[datetime] = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    unique: Optional[str] = None
    unique_until_at: Optional[datetime] = None
    lock: Optional[str] = None
    limit: int = 1
    rate_key: Optional[str] = None
    policy: Policy = PLAIN
    schedule: Optional[str] = None
    occurrence_at: Optional[datetime] = None
    group: Optional[str] = None
    after: Optional[str] = None
    given: Optional[str] = None
    feeds: bool = False
    attempt: int = 0
    failures: int = 0
    deaths: int = 0
    worker: Optional[str] = None
    unknown_since_at: Optional[datetime] = None
    started_at: Optional[datetime] = None
    finished_at: Optional[datetime] = None
    result: Optional[str] = None
    failure: Optional[Failure] = None
    progress: Optional[str] = None
    cancel_asked_at: Optional[datetime] = None
    is_cut_short: bool = False
    history: Tuple[PastAttempt, ...] = ()


# What a task has before anything is known of it.
_BLANK: Dict[str, Any] = fields_of(Task)


def new_task(
    message: Message,
    task_id: str,
    now: datetime,
    occurrence_at: Optional[datetime] = None,
    *,
    group: Optional[str] = None,
    after: Optional[str] = None,
    feeds: bool = False,
) -> Task:
    """Make the waiting task that a message asks for.

    Arguments:
        message: What is asked for.
        task_id: Its id, under 64 characters.
        now: The instant of the call.
        occurrence_at: The occurrence of the message's schedule, if it is one.
        group: The group to which it belongs.
        after: The task, or group, that has to end before it.
        feeds: Whether others wait for it.

    Returns:
        A waiting task, due at ``message.run_at``, or when its delay has elapsed.
    """
    # All that a message says of it; only the periods become instants.
    fields = _BLANK.copy()
    fields.update(message.__dict__)
    delay_seconds = fields.pop("delay_seconds")
    expires_seconds = fields.pop("expires_seconds")
    unique_seconds = fields.pop("unique_seconds")
    del fields["unique_running"]
    fields["id"] = task_id
    fields["enqueued_at"] = now
    if delay_seconds:
        fields["run_at"] = now + timedelta(seconds=delay_seconds)
        fields["elapsed"] = delay_seconds > 0
    elif message.run_at is None:
        fields["run_at"] = now
    if expires_seconds is not None:
        fields["expires_at"] = now + timedelta(seconds=expires_seconds)
    if unique_seconds is not None:
        fields["unique_until_at"] = now + timedelta(seconds=unique_seconds)
    fields["occurrence_at"] = occurrence_at
    fields["group"] = group
    fields["after"] = after
    fields["feeds"] = feeds
    return made(Task, fields)


def is_plain(task: Task) -> bool:
    """Tell whether no more has to be known of a waiting task than that it is due, and its turn.

    That is one without lock, rate key, unique key and ``expires_at``.
    """
    return (
        task.lock is None
        and task.rate_key is None
        and task.unique is None
        and task.expires_at is None
    )


def has_no_time(message: Message) -> bool:
    """Tell whether a message names no instant and no period, so that its tasks are all alike."""
    return (
        message.run_at is None
        and not message.delay_seconds
        and message.expires_at is None
        and message.expires_seconds is None
        and message.unique_seconds is None
    )


def one_more(task: Task, task_id: str, now: datetime, occurrence_at: Optional[datetime]) -> Task:
    """Make another task of the message of a new one, in half the time of :func:`new_task`.

    Arguments:
        task: A waiting task that was made of a message which :func:`has_no_time`.
        task_id: The id of the new one.
        now: The present instant.
        occurrence_at: The occurrence of the schedule, if it is one.
    """
    fields = task.__dict__.copy()
    fields["id"] = task_id
    fields["enqueued_at"] = fields["run_at"] = now
    fields["occurrence_at"] = occurrence_at
    return made(Task, fields)
