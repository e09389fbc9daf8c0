"""How a store keeps tasks, and which of them it says are due."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Callable, Sequence, Tuple

from autocron.core.errors import StoreError
from autocron.core.events import Claimed, Failed, Succeeded
from autocron.core.machine import apply
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.task import PastAttempt, Task, TaskState
from autocron.core.values import Alike
from autocron.ports import Store
from autocron.testing.contract.tools import (
    FAILURE,
    NOW,
    a_task,
    claimed,
    ended,
    expect,
    expect_error,
    in_threads,
)

StoreCheck = Callable[[Callable[[], Store]], None]


def _full_task(task_id: str) -> Task:
    """Make a task none of whose fields is as in a plain one."""
    other_zone = timezone(timedelta(hours=5, minutes=45))
    return Task(
        id=task_id,
        name="shop.mail:Sender.send",
        payload='[["\\u0000", "\x00", "😀", "it\'s"], {}]',
        enqueued_at=NOW,
        run_at=datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc),
        state=TaskState.FAILED,
        revision=7,
        elapsed=True,
        expires_at=NOW + timedelta(days=1, microseconds=3),
        queue="mail ü",
        priority=-100,
        unique="only one",
        unique_until_at=NOW.astimezone(other_zone) + timedelta(microseconds=5),
        lock="locker",
        limit=3,
        rate_key="rate",
        policy=Policy(5, 60.1, 600.0, ("a:B",), ("c:D", "e:F"), 0.25, Rate(10, 60.0)),
        schedule="shop.jobs:clean 30 2 * * *",
        occurrence_at=datetime(1, 1, 1, tzinfo=timezone.utc),
        group="group-1",
        after="task-0",
        given='{"result": "\\u0000"}',
        feeds=True,
        attempt=3,
        failures=1,
        deaths=2,
        worker="worker-9",
        unknown_since_at=NOW + timedelta(microseconds=1),
        started_at=NOW.astimezone(other_zone),
        finished_at=datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc),
        result='{"tagged": []}',
        failure=FAILURE,
        progress='{"done": 1}',
        cancel_asked_at=NOW.astimezone(other_zone),
        is_cut_short=True,
        history=(
            PastAttempt(1, NOW, NOW + timedelta(microseconds=1), "ValueError: no 'ü'\nhere"),
            PastAttempt(2, NOW.astimezone(other_zone), NOW, ""),
        ),
    )


def check_a_task_comes_back_as_it_was_stored(make_store: Callable[[], Store]) -> None:
    """Every field of a task comes back equal: to the microsecond, to the last character."""
    store = make_store()
    full = _full_task("i" * 63)
    plain = a_task("plain")
    for task in (full, plain):
        store.add(task)
        stored = store.get(task.id)
        expect(stored, task, "the stored task")
        expect(store.find(name=task.name), [task], "the found task")
    offset = store.get(full.id).started_at.utcoffset()  # type: ignore[union-attr]
    expect(offset, timedelta(0), "the UTC offset of a stored instant")
    store.close()


def check_an_unknown_id_gives_none(make_store: Callable[[], Store]) -> None:
    """An id that was never stored is no error."""
    store = make_store()
    expect(store.get("nobody"), None, "an unknown task")
    store.close()


def check_a_taken_id_is_refused(make_store: Callable[[], Store]) -> None:
    """Adding a second task with one id raises StoreError, and the first stays."""
    store = make_store()
    first = a_task("twin")
    store.add(first)
    expect_error(StoreError, lambda: store.add(a_task("twin", priority=5)), "a second 'twin'")
    expect(store.find(), [first], "what is stored")
    store.close()


def check_many_are_stored_at_once(make_store: Callable[[], Store]) -> None:
    """Several are stored in their order, like calls of one function and others; all or none."""
    store = make_store()
    alike = [
        replace(a_task(f"alike-{number}"), payload=f"[[{number}],{{}}]") for number in range(400)
    ]
    # What differs in between, in kind and in number of what is stored of it.
    alike[100] = _full_task("full")
    alike[200:203] = [replace(alike[200 + number], priority=number) for number in range(3)]
    alike[300] = replace(alike[299], id="twin")
    store.add_all(alike)
    expect(store.find(), alike, "what was stored at once")
    with_taken = [a_task("new"), a_task("alike-7"), a_task("newer")]
    expect_error(StoreError, partial(store.add_all, with_taken), "an id that is taken")
    expect(store.find(), alike, "what is stored after an id was taken")
    store.add_all([])
    expect(store.find(), alike, "what is stored after nothing was")
    # The same, said once for all of them.
    own = {"id": [f"b{number}" for number in range(400)], "payload": [*map(str, range(400))]}
    store.add_all(Alike(_full_task("like"), **own))
    like = [replace(_full_task(f"b{number}"), payload=str(number)) for number in range(400)]
    expect(store.find(), alike + like, "what was stored as alike")
    taken = Alike(a_task("like"), id=["new", "b7", "newer"])
    expect_error(StoreError, partial(store.add_all, taken), "an id of these that is taken")
    expect(store.find(), alike + like, "what is stored after an id of these was taken")
    store.close()


def check_swap_replaces_a_task(make_store: Callable[[], Store]) -> None:
    """A swap from the stored revision stores the whole of the new value."""
    store = make_store()
    task = a_task("one", lock="locker")
    store.add(task)
    running = claimed(store, task)
    expect(store.get("one"), running, "after the claim")
    failed = apply(running, Failed(FAILURE, NOW + timedelta(microseconds=1)))
    expect(store.swap(running, failed), True, "swap to failed")
    expect(store.get("one"), failed, "after the failure")
    store.close()


def check_a_swap_stores_every_field(make_store: Callable[[], Store]) -> None:
    """Whatever differs is stored, and what is taken away is gone; the id stays, and the age."""
    store = make_store()
    plain, full = a_task("one"), _full_task("one")
    store.add(plain)
    store.add(a_task("two"))
    expect(store.swap(plain, full), True, "swap to one that differs in every field")
    expect(store.get("one"), full, "the task then")
    again = replace(plain, id="another", revision=8)
    expect(store.swap(full, again), True, "swap back")
    expect(store.find(), [replace(again, id="one"), a_task("two")], "the tasks then")
    expect(store.swap(replace(again, id="one"), replace(again, id="one")), True, "swap to the same")
    expect(store.claimable(NOW), replace(again, id="one"), "the task to run next")
    store.close()


def check_a_stale_swap_changes_nothing(make_store: Callable[[], Store]) -> None:
    """A swap from an older revision, or of a task that is not there, is False."""
    store = make_store()
    task = a_task("one")
    store.add(task)
    running = claimed(store, task)
    expect(store.swap(task, apply(task, Claimed("late", NOW))), False, "a stale swap")
    expect(store.get("one"), running, "the task")
    ghost = a_task("ghost")
    expect(store.swap(ghost, apply(ghost, Claimed("late", NOW))), False, "a swap of nothing")
    expect(store.get("ghost"), None, "the task that was never there")
    store.close()


def _swap_one(store: Store, before: Task, after: Sequence[Task], number: int) -> bool:
    return store.swap(before, after[number])


def check_one_of_many_swaps_wins(make_store: Callable[[], Store]) -> None:
    """Of eight threads that swap one task from one revision, one is told True, and is stored."""
    store = make_store()
    for turn in range(10):
        task = a_task(f"task-{turn}")
        store.add(task)
        claims = [apply(task, Claimed(f"worker-{number}", NOW)) for number in range(8)]
        won = in_threads(8, partial(_swap_one, store, task, claims))
        expect(sum(won), 1, "how many won")
        expect(store.get(task.id), claims[won.index(True)], "what is stored")
    store.close()


def check_only_due_waiting_tasks_are_claimable(make_store: Callable[[], Store]) -> None:
    """A task is claimable from its ``run_at`` on, to the microsecond, while it waits."""
    store = make_store()
    expect(store.claimable(NOW), None, "in an empty store")
    task = a_task("one")
    store.add(task)
    expect(store.claimable(NOW - timedelta(microseconds=1)), None, "a microsecond too early")
    expect(store.claimable(NOW), task, "when it is due")
    expect(store.claimable(NOW + timedelta(days=9)), task, "long after")
    claimed(store, task)
    for state in (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED):
        store.add(ended(state.value, state, NOW))
    expect(store.claimable(NOW), None, "when all run or have ended")
    store.close()


def check_claimable_goes_by_priority_then_due_time_then_age(
    make_store: Callable[[], Store],
) -> None:
    """The highest priority among the due goes first; then the earliest due; then the first added.

    A higher priority that is not yet due does not keep lower ones waiting.
    """
    store = make_store()
    for task in (
        a_task("low", -60, priority=-100),
        a_task("older", -10),
        a_task("first", -30),
        a_task("newer", -10),
        a_task("high", 0, priority=100),
        a_task("higher but later", 1, priority=100),
    ):
        store.add(task)
    order = []
    while True:
        task_or_none = store.claimable(NOW)
        if task_or_none is None:
            break
        claimed(store, task_or_none)
        order.append(task_or_none.id)
    expect(order, ["high", "first", "older", "newer", "low"], "the order")
    store.close()


def check_a_held_lock_is_passed_over(make_store: Callable[[], Store]) -> None:
    """A task whose lock a running task holds is not claimable; all others are, and it is after."""
    store = make_store()
    holder, waiting = a_task("holder", -9, lock="A"), a_task("waiting", -8, lock="A", priority=9)
    store.add(holder)
    running = claimed(store, holder)
    store.add(waiting)
    expect(store.claimable(NOW), None, "while its lock is held")
    other = a_task("other lock", -7, lock="B", priority=-9)
    store.add(other)
    expect(store.claimable(NOW), other, "a task with another lock")
    free = a_task("no lock", -7)
    store.add(free)
    expect(store.claimable(NOW), free, "a task without a lock")
    expect(store.swap(running, apply(running, Succeeded("null", NOW))), True, "the release")
    expect(store.claimable(NOW), waiting, "once its lock is free")
    store.close()


def check_a_waiting_task_holds_no_lock(make_store: Callable[[], Store]) -> None:
    """Locks are held by running tasks alone: not by waiting ones, nor by those that have ended."""
    store = make_store()
    first, second = a_task("first", -2, lock="A"), a_task("second", -1, lock="A")
    store.add(replace(ended("done", TaskState.FAILED, NOW), lock="A"))
    store.add(first)
    store.add(second)
    expect(store.claimable(NOW), first, "the first of two that wait for one lock")
    store.close()


def check_next_due_at_is_the_earliest_later_due_time(make_store: Callable[[], Store]) -> None:
    """It is strictly after the given instant, of waiting tasks alone, whatever their priority."""
    store = make_store()
    expect(store.next_due_at(NOW), None, "in an empty store")
    sleeper = a_task("running", 1)
    store.add(sleeper)
    claimed(store, sleeper)
    for task in (
        a_task("due", 0, priority=50),
        a_task("later", 20, priority=7),
        a_task("soon", 10, priority=-7),
    ):
        store.add(task)
    soon, later = NOW + timedelta(seconds=10), NOW + timedelta(seconds=20)
    expect(store.next_due_at(NOW), soon, "after now")
    expect(store.next_due_at(soon - timedelta(microseconds=1)), soon, "just before")
    expect(store.next_due_at(soon), later, "at a due time")
    expect(store.next_due_at(later), None, "after the last")
    expect(store.next_due_at(NOW - timedelta(days=1)), NOW, "from before all of them")
    store.close()


def check_shift_moves_elapsed_delays_alone(make_store: Callable[[], Store]) -> None:
    """Waiting tasks with an elapsed delay move, their revision rises; all others stay.

    But for those that were due at their call: what is due stays due, so they move back along.
    """
    store = make_store()
    delayed = a_task("delayed", 60, elapsed=True)
    fixed = a_task("fixed", 60)
    busy = a_task("busy", 0, elapsed=True)
    for task in (delayed, fixed, busy):
        store.add(task)
    running = claimed(store, busy)
    expect(store.shift(-3600.25), 1, "how many moved")
    moved_at = delayed.run_at - timedelta(seconds=3600.25)
    moved = replace(delayed, run_at=moved_at, revision=delayed.revision + 1)
    expect(store.find(), [moved, fixed, running], "the tasks")
    expect(store.claimable(moved_at), moved, "the task that is due now")
    expect(store.swap(delayed, apply(delayed, Claimed("late", NOW))), False, "a stale swap")
    plain = a_task("plain", 0)
    store.add(plain)
    expect(store.shift(60.0), 1, "how many moved forward")
    expect(store.get("plain"), plain, "the task that was due, then")
    expect(store.shift(-60.0), 2, "how many moved back")
    due_at = plain.run_at - timedelta(seconds=60.0)
    expect(store.get("plain"), replace(plain, run_at=due_at, revision=1), "the same task, then")
    store.close()


TASK_CHECKS: Tuple[StoreCheck, ...] = (
    check_a_task_comes_back_as_it_was_stored,
    check_an_unknown_id_gives_none,
    check_a_taken_id_is_refused,
    check_many_are_stored_at_once,
    check_swap_replaces_a_task,
    check_a_swap_stores_every_field,
    check_a_stale_swap_changes_nothing,
    check_one_of_many_swaps_wins,
    check_only_due_waiting_tasks_are_claimable,
    check_claimable_goes_by_priority_then_due_time_then_age,
    check_a_held_lock_is_passed_over,
    check_a_waiting_task_holds_no_lock,
    check_next_due_at_is_the_earliest_later_due_time,
    check_shift_moves_elapsed_delays_alone,
)
