"""Calls that are held until something else is certain, as the commit of a transaction is."""

from __future__ import annotations

import threading
import weakref
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple, Union

from autocron.core.errors import AutocronError, ResultNotReady
from autocron.core.events import Cancelled
from autocron.core.machine import apply
from autocron.core.task import Failure, Message, Task, TaskState, new_task
from autocron.core.values import changed
from autocron.ports import Clock
from autocron.serving import Taker

Hold = Callable[[Callable[[], None]], object]
_ROLLED_BACK = Failure("RolledBack", "the transaction in which it was called was rolled back")
_NOTHING_TO_FOLLOW = Failure("Cancelled", "what it was to follow was cancelled")


class HeldCalls:
    """The way of calls that are stored once all that they wait for is certain.

    Until then their tasks have their ids, and wait; what is judged at a call (``unique``) or
    measured from it (a delay) is so at the instant at which they are stored. A
    :class:`autocron.serving.Route` for one call, or for several at once.

    Arguments:
        taker: What takes them in the end.
        clock: The source of time.
        new_id: Draws the id of a new task.
        holds: One for each thing to wait for. It is given a callback, keeps it, and calls it once
            that is certain; if it lets go of it without, the calls are dropped.
    """

    def __init__(
        self, taker: Taker, clock: Clock, new_id: Callable[[], str], holds: Sequence[Hold]
    ) -> None:
        self._taker = taker
        self._clock = clock
        self._new_id = new_id
        self._holds = holds
        self._thread = threading.get_ident()
        self._tasks: Dict[str, Task] = {}
        self._store: Callable[[], Dict[str, str]] = dict
        # The ids under which they were stored, by their own: another's if that is the same call.
        self._stored: Dict[str, str] = {}
        self._awaited: Set[int] = set()
        self._watched: List[object] = []

    # -- taking calls -------------------------------------------------------------------------

    def enqueue(self, message: Message) -> Task:
        """Hold a call; see :meth:`autocron.ports.Backend.enqueue`."""
        message = changed(message, id=self._new_id())
        task = self._show(message)

        def store() -> Dict[str, str]:
            return {task.id: self._taker.enqueue(message).id} if self._wants(message) else {}

        self._begin(store)
        return task

    def enqueue_all(
        self,
        messages: Sequence[Message],
        then: Sequence[Message] = (),
        *,
        group: Union[bool, str] = True,
    ) -> Tuple[List[Task], List[Task]]:
        """Hold several calls; see :meth:`autocron.ports.Backend.enqueue_all`."""
        group = self._new_id() if group is True else group
        messages = [changed(message, id=self._new_id()) for message in messages]
        then = [changed(message, id=self._new_id()) for message in then]
        shown = group if isinstance(group, str) else None
        tasks = [self._show(message, group=shown) for message in messages]
        before = shown or tasks[0].id
        chain: List[Task] = []
        for message in then:
            chain.append(self._show(message, after=before))
            before = chain[-1].id

        def store() -> Dict[str, str]:
            wanted = [message for message in messages if self._wants(message)]
            if messages and not wanted:
                self._drop(_NOTHING_TO_FOLLOW)
                return {}
            # What follows is given the results of all, each at its place.
            kept = messages if then else wanted
            added, chain = self._taker.enqueue_all(kept, then, group=group)
            stored = {
                message.id or "": task.id for message, task in zip((*kept, *then), (*added, *chain))
            }
            for task_id in stored:
                if self._tasks[task_id].state.is_final:
                    self._taker.cancel(task_id)
            return stored

        self._begin(store)
        return tasks, chain

    def _show(self, message: Message, **place: Optional[str]) -> Task:
        task = new_task(message, message.id or "", self._clock.now(), **place)  # type: ignore[arg-type]
        self._tasks[task.id] = task
        return task

    def _wants(self, message: Message) -> bool:
        return not self._tasks[message.id or ""].state.is_final

    # -- waiting ------------------------------------------------------------------------------

    def _begin(self, store: Callable[[], Dict[str, str]]) -> None:
        self._store = store
        self._awaited = set(range(len(self._holds)))
        for place, hold in enumerate(self._holds):
            token = _Token(self, place)
            # Not kept here: that nobody keeps it any more is how a rollback is noticed.
            self._watched.append(weakref.ref(token, lambda _, place=place: self._lost(place)))  # type: ignore[misc]
            hold(token)

    def certain(self, place: int) -> None:
        """Hear that one of the things waited for is certain; store the calls after the last one."""
        if place not in self._awaited:
            return
        self._awaited.discard(place)
        if self._awaited:
            return
        try:
            self._stored = self._store()
        except AutocronError as error:
            self._drop(Failure(type(error).__name__, str(error)))
            raise

    def _lost(self, place: int) -> None:
        if place in self._awaited:
            self._awaited.clear()
            self._drop(_ROLLED_BACK)

    def _drop(self, failure: Failure) -> None:
        for task_id, task in self._tasks.items():
            if not task.state.is_final:
                self._tasks[task_id] = apply(task, Cancelled(self._clock.now(), failure))

    # -- what became of them ------------------------------------------------------------------

    def get(self, task_id: str) -> Optional[Task]:
        """Return what is known of a task."""
        if task_id in self._stored:
            return self._taker.get(self._stored[task_id])
        return self._tasks.get(task_id) or self._taker.get(task_id)

    def list(
        self,
        *,
        state: Optional[TaskState] = None,
        name: Optional[str] = None,
        group: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> List[Task]:
        """Return the tasks that match all that is given, oldest first."""
        if self._stored:
            return self._taker.list(state=state, name=name, group=group, limit=limit)
        found = [
            task
            for task in self._tasks.values()
            if group in (None, task.group)
            and state in (None, task.state)
            and name in (None, task.name)
        ]
        return found[:limit]

    def cancel(self, task_id: str, kill: bool = False) -> bool:
        """Cancel a task; one that is held will not be stored."""
        if task_id in self._stored:
            return self._taker.cancel(self._stored[task_id], kill)
        task = self._tasks.get(task_id)
        if task is None:
            return self._taker.cancel(task_id, kill)
        if task.state.is_final:
            return False
        self._tasks[task_id] = apply(task, Cancelled(self._clock.now()))
        return True

    def retry(self, task_id: str) -> bool:
        """Make a task wait again; one that was never stored does not."""
        if task_id in self._stored:
            return self._taker.retry(self._stored[task_id])
        return task_id not in self._tasks and self._taker.retry(task_id)

    def check_wait(self, task_id: str) -> None:
        """See that it is not in vain to wait for a task; see :class:`autocron.serving.Route`."""
        if self._awaited and self._thread == threading.get_ident():
            raise ResultNotReady(
                f"task {task_id} is enqueued when the transaction in which it was called is "
                "committed, so to wait for it inside of that would be for ever: wait behind the "
                "atomic block, or call it with .options(on_commit=False)(…)"
            )


class _Token:
    """Kept by whoever knows when something is certain, and called then."""

    def __init__(self, held: HeldCalls, place: int) -> None:
        self._held = held
        self._place = place

    def __call__(self) -> None:
        self._held.certain(self._place)
