"""How the tasks of calls are stored: one, or several at once that belong together."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from autocron.core.given import given_by_group
from autocron.core.task import Message, Task, new_task
from autocron.core.values import Alike, changed
from autocron.ports import Store

NewId = Callable[[], str]
NewIds = Callable[[int], Sequence[str]]


def store_call(store: Store, message: Message, new_id: NewId, now: datetime) -> Tuple[Task, bool]:
    """Store the task of one call, unless its unique key is taken.

    Returns:
        The task, or the one that takes its key; and whether it is new.
    """
    if message.unique is None:
        task = new_task(message, message.id or new_id(), now)
        store.add(task)
        return task, True
    with store.transaction():
        same = store.taken_by(message.unique, message.unique_running, now)
        if same is not None:
            return same, False
        task = new_task(message, message.id or new_id(), now)
        store.add(task)
    return task, True


def store_calls(
    store: Store,
    messages: Sequence[Message],
    then: Sequence[Message],
    group: Union[bool, str],
    new_id: NewId,
    new_ids: NewIds,
    now: datetime,
) -> Tuple[Sequence[Task], List[Task], Sequence[Task]]:
    """Store several tasks in one transaction; see :meth:`autocron.ports.Backend.enqueue_all`.

    Returns:
        The tasks of ``messages``, those of ``then``, and those of ``messages`` that are new.
    """
    group_id = group if isinstance(group, str) else new_id() if group else None
    feeds = bool(then)

    def make(message: Message) -> Task:
        return new_task(message, message.id or new_id(), now, group=group_id, feeds=feeds)

    with store.transaction():
        kinds = [messages.like] if isinstance(messages, Alike) else messages
        tasks: Sequence[Task]
        added: Sequence[Task]
        if any(message.unique is not None for message in kinds):
            tasks, added = _store_each(store, messages, make, now)
        elif isinstance(messages, Alike):
            # What a message has of its own, its task has, too.
            own: Dict[str, Any] = {"id": new_ids(len(messages)), **messages.own}
            like = changed(messages.like, id=own["id"][0])
            tasks = added = Alike(make(like), **own)
            store.add_all(tasks)
        else:
            tasks = added = [make(message) for message in messages]
            store.add_all(tasks)
        chain: List[Task] = []
        before = group_id if group else tasks[0].id
        for place, message in enumerate(then):
            more = place + 1 < len(then)
            task = new_task(message, message.id or new_id(), now, after=before, feeds=more)
            if not messages and not chain:
                # A group of nothing has ended.
                task = changed(task, after=None, given=given_by_group(()))
            store.add(task)
            chain.append(task)
            before = task.id
    return tasks, chain, added


def _store_each(
    store: Store, messages: Sequence[Message], make: Callable[[Message], Task], now: datetime
) -> Tuple[List[Task], List[Task]]:
    """Store the tasks whose unique keys are free: each may take that of one after it."""
    tasks: List[Task] = []
    added: List[Task] = []
    for message in messages:
        same: Optional[Task] = None
        if message.unique is not None:
            same = store.taken_by(message.unique, message.unique_running, now)
        if same is None:
            same = make(message)
            store.add(same)
            added.append(same)
        tasks.append(same)
    return tasks, added
