"""The life of a task: one table, and the function that follows it.

The table is the law; the diagram in the documentation is drawn from it. A store never decides
what an event means: it is handed the value before and the value after.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any, Callable, Dict, Mapping, Tuple, Type

from autocron.core.errors import IllegalTransition
from autocron.core.events import (
    AttemptFailed,
    CancelAsked,
    Cancelled,
    Claimed,
    Event,
    Failed,
    HandedBack,
    Progressed,
    Released,
    Retried,
    Succeeded,
    WorkerLost,
)
from autocron.core.task import PastAttempt, Task, TaskState

MAX_HISTORY = 20
_RUNNING = TaskState.RUNNING
# Later than this no instant is; a row that somebody else has written may ask for more.
_LAST = datetime.max.replace(tzinfo=timezone.utc)

_new: Any = object.__new__
_set = object.__setattr__

Changes = Dict[str, Any]

TRANSITIONS: Mapping[TaskState, Mapping[Type[Event], TaskState]] = MappingProxyType(
    {
        TaskState.WAITING: MappingProxyType(
            {
                Claimed: TaskState.RUNNING,
                Cancelled: TaskState.CANCELLED,
                Released: TaskState.WAITING,
            }
        ),
        TaskState.RUNNING: MappingProxyType(
            {
                Succeeded: TaskState.SUCCEEDED,
                Failed: TaskState.FAILED,
                AttemptFailed: TaskState.WAITING,
                WorkerLost: TaskState.WAITING,
                HandedBack: TaskState.WAITING,
                Cancelled: TaskState.CANCELLED,
                CancelAsked: TaskState.RUNNING,
                Progressed: TaskState.RUNNING,
            }
        ),
        TaskState.SUCCEEDED: MappingProxyType({}),
        TaskState.FAILED: MappingProxyType({Retried: TaskState.WAITING}),
        TaskState.CANCELLED: MappingProxyType({Retried: TaskState.WAITING}),
    }
)


def apply(task: Task, event: Event) -> Task:
    """Tell what a task becomes through an event.

    Arguments:
        task: The task before; it is not changed.
        event: What happened to it.

    Returns:
        The task after, its ``revision`` one higher.

    Raises:
        IllegalTransition: The event does not fit the state of the task.
    """
    move = _MOVES[task.state].get(type(event))
    if move is None:
        fitting = ", ".join(kind.__name__ for kind in TRANSITIONS[task.state]) or "nothing"
        raise IllegalTransition(
            f"{type(event).__name__} can not happen to task {task.id} ({task.name}), which is "
            f"{task.state.value}: {fitting} can"
        )
    state, changes = move
    fields = task.__dict__.copy()
    fields["state"] = state
    fields["revision"] = task.revision + 1
    if state is not _RUNNING:
        fields["worker"] = None
    fields.update(changes(task, event))
    # As made() does it, without the call: two of three tasks that are made are made here.
    after: Task = _new(Task)
    _set(after, "__dict__", fields)
    return after


def _claimed(task: Task, event: Claimed) -> Changes:
    return {
        "worker": event.worker,
        "started_at": event.at,
        "attempt": task.attempt + 1,
        "progress": None,
    }


def _succeeded(task: Task, event: Succeeded) -> Changes:
    return {
        "finished_at": event.at,
        "result": event.result,
        "failure": None,
        "unknown_since_at": None,
    }


def _failed(task: Task, event: Failed) -> Changes:
    return {
        "finished_at": event.at,
        "failure": event.failure,
        "failures": task.failures + 1,
        "deaths": task.deaths + event.charged,
    }


def _attempt_failed(task: Task, event: AttemptFailed) -> Changes:
    return {
        # A delay of elapsed time: it moves along when the wall clock is set.
        "run_at": event.run_at,
        "elapsed": True,
        "failure": event.failure,
        "failures": task.failures + 1,
        "unknown_since_at": None,
        "history": _history(task, event.at, event.failure.error_message),
    }


def _worker_lost(task: Task, event: WorkerLost) -> Changes:
    # The attempt stays counted: the function was known, and may have run in part or whole.
    return {
        # It was due. If the clock was set back meanwhile, it must not wait for that instant again.
        "run_at": min(task.run_at, event.at),
        "deaths": task.deaths + event.charged,
        "unknown_since_at": None,
        "history": _history(
            task, event.at, f"its worker {event.how}" if event.how else "its worker was lost"
        ),
    }


def _handed_back(task: Task, event: HandedBack) -> Changes:
    return {
        "attempt": task.attempt - 1,
        "run_at": task.run_at if event.run_at is None else event.run_at,
        "elapsed": task.elapsed or event.run_at is not None,
        "unknown_since_at": event.unknown_since_at,
    }


def _cancelled(task: Task, event: Cancelled) -> Changes:
    return {
        "finished_at": event.at,
        "failure": task.failure if event.failure is None else event.failure,
    }


def _cancel_asked(task: Task, event: CancelAsked) -> Changes:
    return {
        "cancel_asked_at": task.cancel_asked_at or event.at,
        "is_cut_short": task.is_cut_short or event.is_cut_short,
    }


def _progressed(task: Task, event: Progressed) -> Changes:
    return {"progress": event.progress}


def _released(task: Task, event: Released) -> Changes:
    # A delay begins only now; an instant stays one.
    delay = min(max(task.run_at - task.enqueued_at, timedelta()), _LAST - event.at)
    return {
        "after": None,
        "given": event.given,
        "run_at": event.at + delay if task.elapsed else max(task.run_at, event.at),
        "elapsed": task.elapsed or task.run_at <= event.at,
    }


def _retried(task: Task, event: Retried) -> Changes:
    # A new start. What it died of before is not held against it; the last failure stays readable
    # until the task ends again.
    return {
        "run_at": event.at,
        # Due it stays, however the clock is set; a delay that is yet to begin is forgotten.
        "elapsed": task.after is None,
        "expires_at": None,
        "finished_at": None,
        "failures": 0,
        "deaths": 0,
        "unknown_since_at": None,
        "progress": None,
        "cancel_asked_at": None,
        "is_cut_short": False,
        "history": _history_at_the_end(task),
    }


def _history_at_the_end(task: Task) -> Tuple[PastAttempt, ...]:
    """Add the attempt that ended a task: now it is one of several."""
    is_there = bool(task.history) and task.history[-1].number == task.attempt
    if not task.attempt or is_there or task.finished_at is None:
        return task.history
    why = "it was cancelled" if task.failure is None else task.failure.error_message
    return _history(task, task.finished_at, why)


def _history(task: Task, ended_at: datetime, error_message: str) -> Tuple[PastAttempt, ...]:
    started_at = task.started_at or ended_at
    latest = PastAttempt(task.attempt, started_at, ended_at, error_message)
    return (*task.history, latest)[-MAX_HISTORY:]


_CHANGES: Mapping[Type[Event], Callable[[Task, Any], Changes]] = {
    Claimed: _claimed,
    Succeeded: _succeeded,
    Failed: _failed,
    AttemptFailed: _attempt_failed,
    WorkerLost: _worker_lost,
    HandedBack: _handed_back,
    Cancelled: _cancelled,
    CancelAsked: _cancel_asked,
    Progressed: _progressed,
    Released: _released,
    Retried: _retried,
}

# Both tables in one, since every task is looked up here several times.
_MOVES: Mapping[TaskState, Mapping[Type[Event], Tuple[TaskState, Callable[..., Changes]]]] = {
    before: {kind: (after, _CHANGES[kind]) for kind, after in fitting.items()}
    for before, fitting in TRANSITIONS.items()
}
