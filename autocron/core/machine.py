"""The life of a task: one table, and the function that follows it.

The table is the law; the diagram in the documentation is drawn from it. A store never decides
what an event means: it is handed the value before and the value after.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Mapping, Type

from autocron.core.errors import IllegalTransition
from autocron.core.events import (
    AttemptFailed,
    Cancelled,
    Claimed,
    Event,
    Failed,
    HandedBack,
    Retried,
    Succeeded,
    WorkerLost,
)
from autocron.core.task import Task, TaskState
from autocron.core.values import twin

TRANSITIONS: Mapping[TaskState, Mapping[Type[Event], TaskState]] = MappingProxyType(
    {
        TaskState.WAITING: MappingProxyType(
            {Claimed: TaskState.RUNNING, Cancelled: TaskState.CANCELLED}
        ),
        TaskState.RUNNING: MappingProxyType(
            {
                Succeeded: TaskState.SUCCEEDED,
                Failed: TaskState.FAILED,
                AttemptFailed: TaskState.WAITING,
                WorkerLost: TaskState.WAITING,
                HandedBack: TaskState.WAITING,
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
    state = TRANSITIONS[task.state].get(type(event))
    if state is None:
        fitting = ", ".join(kind.__name__ for kind in TRANSITIONS[task.state]) or "nothing"
        raise IllegalTransition(
            f"{type(event).__name__} can not happen to task {task.id} ({task.name}), which is "
            f"{task.state.value}: {fitting} can"
        )
    after, fields = twin(task)
    fields["state"] = state
    fields["revision"] = task.revision + 1
    if isinstance(event, Claimed):
        fields["worker"] = event.worker
        fields["started_at"] = event.at
        fields["attempt"] = task.attempt + 1
    elif isinstance(event, Succeeded):
        fields["worker"] = None
        fields["finished_at"] = event.at
        fields["result"] = event.result
        fields["failure"] = None
        fields["unknown_since_at"] = None
    elif isinstance(event, Failed):
        fields["worker"] = None
        fields["finished_at"] = event.at
        fields["failure"] = event.failure
        fields["failures"] = task.failures + 1
    elif isinstance(event, AttemptFailed):
        # Its delay is elapsed time: it moves along when the wall clock is set.
        fields["worker"] = None
        fields["run_at"] = event.run_at
        fields["elapsed"] = True
        fields["failure"] = event.failure
        fields["failures"] = task.failures + 1
        fields["unknown_since_at"] = None
    elif isinstance(event, WorkerLost):
        # The attempt stays counted: the function was known, and may have run in part or whole.
        fields["worker"] = None
        fields["deaths"] = task.deaths + (1 if event.charged else 0)
        fields["unknown_since_at"] = None
    elif isinstance(event, HandedBack):
        fields["worker"] = None
        fields["attempt"] = task.attempt - 1
        fields["run_at"] = task.run_at if event.run_at is None else event.run_at
        fields["unknown_since_at"] = event.unknown_since_at
    elif isinstance(event, Cancelled):
        fields["finished_at"] = event.at
    else:
        # Retried: a new start. What it died of before is not held against it; the last failure
        # stays readable until the task ends again.
        fields["run_at"] = event.at
        fields["elapsed"] = False
        fields["finished_at"] = None
        fields["failures"] = 0
        fields["deaths"] = 0
        fields["unknown_since_at"] = None
    return after
