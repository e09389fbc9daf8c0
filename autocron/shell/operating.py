"""What an administrator does to the tasks, queues and schedules of a database, live or not.

What is named is changed as a whole or not at all, in one transaction. *All* may be many, and is
changed in batches, so that a living system is not held up. No hook is called.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import closing
from types import MappingProxyType
from typing import Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from autocron.core.errors import AutocronError
from autocron.core.schedule import Schedule
from autocron.core.task import ALL_QUEUES, Task, TaskState
from autocron.core.values import changed, frozen
from autocron.followers import can_run, is_unfinished
from autocron.operations import Operations
from autocron.ports import Clock
from autocron.shell.chance import draw, new_id
from autocron.shell.listing import Filter, ids_that_begin, listed_ids
from autocron.shell.local import AskedStore
from autocron.shell.ownership import RunFolder

# Fewer characters would name a task by chance.
SHORTEST_ID = 4
# So many are changed in one transaction, and before the next one others have their turn: they look
# for it after 1, 2, 5, ... ms. A call meanwhile takes 1 to 5 ms; with 200 tasks, and no pause, it
# took 15 to 25, and one of a hundred 240 to 340.
_BATCH = 50
_PAUSE_SECONDS = 0.002
# One for each worker that could begin something; what is more than the socket takes is lost.
_MOST_WAKES = 100

RETRY, DISCARD, CANCEL = "retry", "discard", "cancel"
# The states of which *all* takes the tasks, if it is not told otherwise.
STATES_OF: Mapping[str, Tuple[TaskState, ...]] = {
    RETRY: (TaskState.FAILED,),
    DISCARD: (TaskState.FAILED, TaskState.CANCELLED),
    CANCEL: (TaskState.WAITING,),
}
# Those to which it can be done at all.
POSSIBLE_STATES: Mapping[str, Tuple[TaskState, ...]] = {
    RETRY: (TaskState.FAILED, TaskState.CANCELLED),
    DISCARD: (TaskState.FAILED, TaskState.CANCELLED),
    CANCEL: (TaskState.WAITING, TaskState.RUNNING),
}
_ENDED = {
    TaskState.SUCCEEDED: "has succeeded",
    TaskState.FAILED: "has failed",
    TaskState.CANCELLED: "was cancelled",
}
_SUCCEEDED = {
    RETRY: "; call it again to have it run once more",
    DISCARD: "; its result goes by itself, after the result-ttl",
}
_COMES_TO = {RETRY: TaskState.WAITING, CANCEL: TaskState.CANCELLED}


class Refused(AutocronError):
    """Something can not be done to a task, queue or schedule; nothing was changed."""


class Unknown(Refused):
    """There is no such task or schedule.

    Attributes:
        word: What was asked for.
        known: What there is, for a guess at what was meant.
    """

    def __init__(self, message: str, word: str, known: Sequence[str]) -> None:
        super().__init__(message)
        self.word = word
        self.known = known


class Changed(NamedTuple):
    """A task to which something was done; a million of these is to be no burden.

    Attributes:
        id: Its id.
        name: The name of its function.
        is_asked: Whether it runs, and was asked to end.
        is_cut_short: Whether it is ended if it does not.
    """

    id: str
    name: str
    is_asked: bool
    is_cut_short: bool


@frozen
class Done:
    """What was done to tasks.

    Attributes:
        tasks: The tasks to which it was done.
        left: Why others of *all* were left as they are, and how many for each reason.
    """

    tasks: Tuple[Changed, ...]
    left: Mapping[str, int] = MappingProxyType({})


def _changed(verb: str, task: Task) -> Changed:
    is_asked = verb == CANCEL and not task.state.is_final
    return Changed(task.id, sys.intern(task.name), is_asked, is_asked and task.is_cut_short)


class _LaterWaker:
    """Keeps wake-ups until what they tell of is stored."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._wakes = 0
        self._wakes_supervisor = False

    def wake(self) -> None:
        self._wakes += 1

    def wake_supervisor(self) -> None:
        self._wakes_supervisor = True

    def send(self) -> None:
        from autocron.shell.wakeup import Sender

        if self._wakes:
            with closing(Sender(self._folder.wake)) as worker:
                for _ in range(min(self._wakes, _MOST_WAKES)):
                    worker.send()
        if self._wakes_supervisor:
            with closing(Sender(self._folder.control)) as supervisor:
                supervisor.send()
        self._wakes, self._wakes_supervisor = 0, False


class Operator:
    """Does to one database what its administrator asks for.

    Arguments:
        store: The database.
        folder: Where its processes, if there are any, listen.
        clock: The source of time.
    """

    def __init__(self, store: AskedStore, folder: RunFolder, clock: Clock) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._waker = _LaterWaker(folder)
        self._operations = Operations(store, clock, new_id=new_id, waker=self._waker, draw=draw)

    # -- tasks ----------------------------------------------------------------------------------

    def task(self, word: str) -> Task:
        """Return the task of an id, or of the first characters of one.

        Raises:
            Unknown: There is none.
            Refused: There are several, or the characters are too few.
        """
        task = self._store.get(word)
        if task is not None:
            return task
        if len(word) < SHORTEST_ID:
            raise Refused(f"{word!r} is no id; give the first {SHORTEST_ID} characters at least")
        found = ids_that_begin(self._store, word, 3)
        if not found:
            raise Unknown(f"there is no task {word!r}", word, self._near(word))
        if len(found) > 1:
            some = ", ".join(found[:2]) + (", ..." if len(found) > 2 else "")
            raise Refused(f"several tasks begin with {word!r}: {some}")
        task = self._store.get(found[0])
        if task is None:  # it has been removed just now
            raise Unknown(f"there is no task {word!r}", word, ())
        return task

    def _near(self, word: str) -> List[str]:
        """Return what ids begin with that begin like a word, as far as any does."""
        for length in range(len(word) - 1, SHORTEST_ID - 1, -1):
            found = ids_that_begin(self._store, word[:length], 20)
            if found:
                return [task_id[: len(word)] for task_id in found]
        return []

    def named(self, verb: str, words: Sequence[str], kill: bool = False) -> Done:
        """Do something to tasks: to all that are named, or to none.

        Arguments:
            verb: :data:`RETRY`, :data:`DISCARD` or :data:`CANCEL`.
            words: Their ids, or the first characters of them.
            kill: Cancel: end a running one if it does not end by itself.

        Raises:
            Refused: It can not be done to one of them.
        """
        done: Dict[str, Task] = {}
        with self._store.transaction():
            before = {task.id: task for task in map(self.task, words)}
            left = list(before)
            # What is held for one of the others may be possible once that one is done.
            while True:
                reasons = {}
                for task_id in left:
                    task = self._store.get(task_id) or before[task_id]
                    # Those that were to follow one come back with it, and are cancelled with it.
                    is_changed = task.revision != before[task_id].revision
                    is_done = is_changed and task.state is _COMES_TO.get(verb)
                    reason = "" if is_done else self._why_not(verb, task)
                    if reason:
                        reasons[task_id] = f"{task.id} ({task.name}) {reason}"
                    else:
                        done[task_id] = task if is_done else self._do(verb, task, kill)
                if len(reasons) in (0, len(left)):
                    break
                left = list(reasons)
            if reasons:
                raise Refused("; ".join(reasons.values()))
        self._waker.send()
        return Done(tuple(_changed(verb, done[task_id]) for task_id in before))

    def ids_of_all(
        self, verb: str, only: Filter, states: Sequence[TaskState] = ()
    ) -> Tuple[str, ...]:
        """Return the ids of all tasks to which something would be done.

        Arguments:
            verb: As for :meth:`named`.
            only: Which tasks.
            states: Their states; none is those of :data:`STATES_OF`.
        """
        return tuple(listed_ids(self._store, states or STATES_OF[verb], self._clock.now(), only))

    def each(self, verb: str, ids: Sequence[str], kill: bool = False) -> Done:
        """Do something to each of many tasks to which it can be done.

        Arguments:
            verb: As for :meth:`named`.
            ids: Their ids, in order.
            kill: As for :meth:`named`.
        """
        done: List[Changed] = []
        left: Dict[str, int] = Counter()
        for start in range(0, len(ids), _BATCH):
            with self._store.transaction():
                for task_id in ids[start : start + _BATCH]:
                    task = self._store.get(task_id)
                    # What has come to another state meanwhile is none of those that were meant.
                    if task is None or task.state not in POSSIBLE_STATES[verb]:
                        continue
                    reason = self._why_not(verb, task)
                    if reason:
                        left[reason] += 1
                    else:
                        done.append(_changed(verb, self._do(verb, task, kill)))
            self._waker.send()
            if start + _BATCH < len(ids):
                time.sleep(_PAUSE_SECONDS)
        return Done(tuple(done), left)

    def _do(self, verb: str, task: Task, kill: bool) -> Task:
        if verb == DISCARD:
            self._store.discard(task)
            return task
        if verb == RETRY:
            self._operations.retry(task.id)
        else:
            self._operations.cancel(task.id, kill)
            # What waited for it, or for its place, may begin.
            self._waker.wake()
        return self._store.get(task.id) or task

    def _why_not(self, verb: str, task: Task) -> str:
        """Say why something can not be done to a task; empty if it can."""
        if verb == CANCEL:
            return _ENDED.get(task.state, "")
        if task.state is TaskState.SUCCEEDED:
            return "has succeeded" + _SUCCEEDED[verb]
        if not task.state.is_final:
            verb_now = "runs" if task.state is TaskState.RUNNING else "waits"
            return f"{verb_now} already" if verb == RETRY else f"{verb_now}; cancel it first"
        return self._why_no_retry(task) if verb == RETRY else self._why_no_discard(task)

    def _why_no_retry(self, task: Task) -> str:
        if can_run(self._store, task):
            return ""
        before = self._store.get(task.after or "")
        if before is None:
            return f"waited for {task.after}, which is not there any more"
        if before.state is TaskState.SUCCEEDED:
            return f"was to follow {before.id} ({before.name}), which has succeeded without it"
        return (
            f"waits for {before.id} ({before.name}), which {_ENDED[before.state]}; retry that one"
        )

    def _why_no_discard(self, task: Task) -> str:
        if task.group is not None and is_unfinished(self._store, task.group):
            return "belongs to a group of which others wait or run"
        until_at = task.unique_until_at
        if until_at is not None and until_at > self._clock.now():
            return f"keeps its unique key for {(until_at - self._clock.now()).seconds} s more"
        return ""

    # -- queues -------------------------------------------------------------------------------

    def pause(self, queue: Optional[str]) -> FrozenSet[str]:
        """Let no task of a queue begin any more, or of any queue; return which were paused."""
        with self._store.transaction():
            before = self._store.paused()
            self._store.put_paused(queue or ALL_QUEUES, True)
        return before

    def resume(self, queue: Optional[str]) -> FrozenSet[str]:
        """Let the tasks of a queue begin again, or of all queues; return which were paused."""
        with self._store.transaction():
            before = self._store.paused()
            for paused in before if queue is None else (queue,):
                self._store.put_paused(paused, False)
        for _ in range(max(1, len(self._folder.workers()))):
            self._waker.wake()
        self._waker.wake_supervisor()
        self._waker.send()
        return before

    # -- schedules ----------------------------------------------------------------------------

    def enable(self, name: str, is_enabled: bool) -> Schedule:
        """Let a schedule that was made at run time fire, from now on, or not any more.

        Raises:
            Unknown: There is none of that name.
            Refused: It stands in the code.
        """
        with self._store.transaction():
            before = self._schedule(name)
            after = changed(before, is_enabled=is_enabled)
            if is_enabled and not before.is_enabled:
                after = changed(after, watermark_at=self._clock.now())
            self._operations.put_schedule(after)
        self._waker.send()
        return after

    def unschedule(self, name: str) -> Schedule:
        """Take out a schedule that was made at run time; errors are those of :meth:`enable`."""
        with self._store.transaction():
            schedule = self._schedule(name)
            self._operations.remove_schedule(name)
        self._waker.send()
        return schedule

    def _schedule(self, name: str) -> Schedule:
        found = self._store.schedules(name)
        if not found:
            known = [schedule.key for schedule in self._store.schedules()]
            raise Unknown(f"there is no schedule {name!r}", name, known)
        if not found[0].is_dynamic:
            raise Refused(
                f"the schedule {name!r} stands in the code, at {found[0].name}; change it there"
            )
        return found[0]
