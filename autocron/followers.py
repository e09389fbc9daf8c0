"""What follows from the end of a task for those that wait for it.

A task that is *held* waits for one other task, or for all of a group. It is released when that one
has succeeded, or when all of the group have ended, whatever became of them. If the one before it
fails, or is cancelled, it never runs: it is cancelled, and so are those that wait for it in turn.
"""

from __future__ import annotations

from datetime import datetime
from typing import List

from autocron.core.events import Cancelled, Event, Released, Retried
from autocron.core.given import given_by_group, given_by_task
from autocron.core.machine import apply
from autocron.core.task import Failure, Task, TaskState
from autocron.ports import Store

FORERUNNER_FAILED = "ForerunnerFailed"


def follow(store: Store, ended: Task, now: datetime) -> List[Task]:
    """Release, or cancel, what waits for a task that has ended; inside a transaction.

    Arguments:
        store: The store.
        ended: The task, in its final state, as it is stored.
        now: The present instant.

    Returns:
        The tasks that were changed, as they are now.
    """
    if not ended.feeds:
        return []
    event: Event
    if ended.group is not None:
        if is_unfinished(store, ended.group):
            return []
        event = Released(given_by_group(store.find(group=ended.group)), now)
    elif ended.state is TaskState.SUCCEEDED:
        event = Released(given_by_task(ended), now)
    else:
        event = Cancelled(now, forerunner_failure(ended))
    changed: List[Task] = []
    for held in store.find(state=TaskState.WAITING, after=ended.group or ended.id):
        after = apply(held, event)
        store.swap(held, after)
        changed.append(after)
        if after.state.is_final:
            changed += follow(store, after, now)
    return changed


def forerunner_failure(before: Task) -> Failure:
    """Say why a task never runs whose forerunner has ended without success."""
    what = "failed" if before.state is TaskState.FAILED else "was cancelled"
    return Failure(FORERUNNER_FAILED, f"the task before it, {before.id} ({before.name}), {what}")


def revive(store: Store, retried: Task, now: datetime) -> None:
    """Hold again what was cancelled since this task had failed; inside a transaction."""
    if not retried.feeds:
        return
    for held in store.find(state=TaskState.CANCELLED, after=retried.id):
        if held.failure is not None and held.failure.type == FORERUNNER_FAILED:
            after = apply(held, Retried(now))
            store.swap(held, after)
            revive(store, after, now)


def can_run(store: Store, task: Task) -> bool:
    """Tell whether what a task waits for can still come."""
    if task.after is None:
        return True
    before = store.get(task.after)
    if before is None:
        return is_unfinished(store, task.after)
    return not before.state.is_final


def is_unfinished(store: Store, group: str) -> bool:
    """Tell whether a task of a group waits or runs."""
    return any(
        store.find(state=state, group=group, limit=1)
        for state in (TaskState.WAITING, TaskState.RUNNING)
    )
