"""How a store finds, counts and purges tasks, and keeps schedules and settings."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Callable, Tuple

from autocron.core.events import Succeeded
from autocron.core.machine import apply
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.task import Task, TaskState
from autocron.ports import Store
from autocron.testing.contract.store_tasks import StoreCheck
from autocron.testing.contract.tools import (
    NOW,
    a_schedule,
    a_task,
    claimed,
    ended,
    expect,
    ids,
    in_threads,
)


def check_find_matches_all_that_is_given(make_store: Callable[[], Store]) -> None:
    """Each criterion selects, several select what matches all of them; without any, all come."""
    store = make_store()
    a = replace(a_task("a", schedule="S"), group="G")
    b = replace(a_task("b"), name="shop.jobs:clean", after="G")
    c = replace(a_task("c", schedule="S"), group="G")
    for task in (a, b, c):
        store.add(task)
    running = claimed(store, c, "worker-7")
    gone = replace(ended("d", TaskState.CANCELLED, NOW), schedule="S", group="G", after="x")
    store.add(gone)
    expect(ids(store.find()), ["a", "b", "c", "d"], "all")
    expect(store.find(state=TaskState.WAITING), [a, b], "by state")
    expect(store.find(state=TaskState.CANCELLED), [gone], "by a final state")
    expect(store.find(name="shop.jobs:clean"), [b], "by name")
    expect(store.find(worker="worker-7"), [running], "by worker")
    expect(store.find(schedule="S"), [a, running, gone], "by schedule")
    expect(
        store.find(state=TaskState.WAITING, name="shop.mail:send", schedule="S"), [a], "by three"
    )
    expect(store.find(state=TaskState.RUNNING, worker="worker-7"), [running], "of a worker")
    expect(store.find(state=TaskState.RUNNING, schedule="S"), [running], "running of a schedule")
    expect(store.find(group="G"), [a, running, gone], "by group")
    expect(store.find(state=TaskState.WAITING, group="G", limit=1), [a], "waiting of a group")
    expect(store.find(state=TaskState.RUNNING, group="G"), [running], "running of a group")
    expect(store.find(after="G"), [b], "by what it is held for")
    expect(store.find(state=TaskState.WAITING, after="G"), [b], "what is held")
    expect(store.find(state=TaskState.CANCELLED, after="x"), [gone], "what was held")
    expect(store.find(state=TaskState.FAILED), [], "where nothing matches")
    expect(store.find(name=""), [], "an empty name is a name")
    store.close()


def check_find_gives_the_oldest_first(make_store: Callable[[], Store]) -> None:
    """The order is that of adding, whatever changed since; a limit keeps the oldest."""
    store = make_store()
    tasks = [a_task(task_id, seconds) for task_id, seconds in (("z", 5), ("y", -5), ("x", 0))]
    for task in tasks:
        store.add(task)
    claimed(store, tasks[0])
    expect(ids(store.find()), ["z", "y", "x"], "all")
    expect(ids(store.find(limit=2)), ["z", "y"], "with a limit")
    expect(ids(store.find(state=TaskState.WAITING, limit=1)), ["y"], "of one state")
    expect(store.find(limit=0), [], "none at all")
    store.close()


def check_has_in_hand_sees_what_waits_or_runs(make_store: Callable[[], Store]) -> None:
    """A schedule has a task in hand while one waits or runs, due or not; what has ended is none."""
    store = make_store()
    expect(store.has_in_hand("S"), False, "of an unknown schedule")
    waiting = a_task("a", 60, schedule="S")
    store.add(waiting)
    store.add(replace(ended("b", TaskState.FAILED, NOW), schedule="T"))
    store.add(a_task("c"))
    expect(store.has_in_hand("S"), True, "while one waits")
    expect(store.has_in_hand("T"), False, "of another schedule, whose task has ended")
    running = claimed(store, waiting)
    expect(store.has_in_hand("S"), True, "while it runs")
    store.swap(running, apply(running, Succeeded("1", NOW)))
    expect(store.has_in_hand("S"), False, "when it has ended")
    store.close()


def check_a_unique_key_is_taken_in_three_ways(make_store: Callable[[], Store]) -> None:
    """By a task that waits, or, if that is asked, runs, or whose period is not over."""
    store = make_store()
    until_at = NOW + timedelta(seconds=60)
    expect(store.taken_by("U", True, NOW), None, "in an empty store")
    task = a_task("one", unique="U")
    store.add(task)
    store.add(a_task("other", unique="V"))
    expect(store.taken_by("U", False, NOW), task, "while it waits")
    running = claimed(store, task)
    expect(store.taken_by("U", False, NOW), None, "while it runs")
    expect(store.taken_by("U", True, NOW), running, "while it runs, if that counts")
    done = apply(running, Succeeded("null", NOW))
    store.swap(running, done)
    expect(store.taken_by("U", True, NOW), None, "when it has ended")
    kept = replace(ended("kept", TaskState.FAILED, NOW), unique="U", unique_until_at=until_at)
    store.add(kept)
    just = until_at - timedelta(microseconds=1)
    expect(store.taken_by("U", False, just), kept, "within the period of one that has ended")
    expect(store.taken_by("U", False, until_at), None, "when its period is over")
    newer = a_task("newer", unique="U")
    store.add(newer)
    expect(store.taken_by("U", False, just), kept, "the oldest of two")
    expect(store.taken_by("U", False, until_at), newer, "the other one")
    expect(store.taken_by("W", True, NOW), None, "another key")
    store.close()


def check_stats_count_every_state(make_store: Callable[[], Store]) -> None:
    """All five states are counted, those without a task as 0."""
    store = make_store()
    expect(store.stats(NOW).counts, dict.fromkeys(TaskState, 0), "of an empty store")
    for number, task_id in enumerate("abc"):
        store.add(a_task(task_id, number))
    claimed(store, a_task("a"))
    store.add(ended("e", TaskState.FAILED, NOW))
    counts = dict.fromkeys(TaskState, 0)
    counts.update({TaskState.WAITING: 2, TaskState.RUNNING: 1, TaskState.FAILED: 1})
    expect(store.stats(NOW).counts, counts, "counts")
    store.close()


def check_stats_tell_what_has_waited_longest(make_store: Callable[[], Store]) -> None:
    """The oldest due time is that of waiting tasks which are due; None if there is none."""
    store = make_store()
    store.add(a_task("later", 1))
    expect(store.stats(NOW).oldest_due_at, None, "if nothing is due")
    store.add(a_task("now", 0, priority=9))
    expect(store.stats(NOW).oldest_due_at, NOW, "what is due this very instant")
    store.add(a_task("old", -100, priority=-9))
    expect(store.stats(NOW).oldest_due_at, NOW - timedelta(seconds=100), "the oldest")
    store.close()


def check_purge_removes_the_oldest_that_ended_before(make_store: Callable[[], Store]) -> None:
    """Only what is in the state and ended strictly before goes; within the limit, oldest first."""
    store = make_store()
    for task_id, state, seconds in (
        ("at", TaskState.SUCCEEDED, 0),
        ("just", TaskState.SUCCEEDED, -0.000001),
        ("oldest", TaskState.SUCCEEDED, -50),
        ("older", TaskState.SUCCEEDED, -40),
        ("failed", TaskState.FAILED, -60),
        ("cancelled", TaskState.CANCELLED, -60),
    ):
        store.add(ended(task_id, state, NOW + timedelta(seconds=seconds)))
    store.add(a_task("waiting", -999))
    expect(store.purge(TaskState.SUCCEEDED, NOW, 0), 0, "with a limit of none")
    expect(store.purge(TaskState.SUCCEEDED, NOW, 2), 2, "a full batch")
    left = ["at", "just", "failed", "cancelled", "waiting"]
    expect(ids(store.find()), left, "after a full batch")
    expect(store.purge(TaskState.SUCCEEDED, NOW, 2), 1, "the rest")
    expect(store.purge(TaskState.SUCCEEDED, NOW, 2), 0, "when nothing is left")
    expect(store.purge(TaskState.FAILED, NOW, 9), 1, "another state")
    expect(ids(store.find()), ["at", "cancelled", "waiting"], "in the end")
    expect(store.get("oldest"), None, "a purged task")
    store.close()


def check_purge_keeps_what_is_needed(make_store: Callable[[], Store]) -> None:
    """Members of a group of which one waits or runs stay, and who takes a unique key for longer.

    What stays does not count, nor does it keep what ended later from being removed.
    """
    store = make_store()

    def done(task_id: str, seconds: float) -> Task:
        return ended(task_id, TaskState.SUCCEEDED, NOW + timedelta(seconds=seconds))

    member = replace(a_task("waits"), group="G")
    for task in (
        replace(done("of a group", -9), group="G"),
        replace(done("of another", -8), group="H"),
        replace(done("too late", -7), unique="U", unique_until_at=NOW),
        replace(done("in time", -6), unique="U", unique_until_at=NOW - timedelta(microseconds=1)),
        done("plain", -5),
        done("newer", -4),
        member,
    ):
        store.add(task)
    expect(store.purge(TaskState.SUCCEEDED, NOW, 3), 3, "a full batch")
    expect(ids(store.find()), ["of a group", "too late", "newer", "waits"], "what is left")
    running = claimed(store, member)
    expect(store.purge(TaskState.SUCCEEDED, NOW, 9), 1, "the rest")
    store.swap(running, apply(running, Succeeded("null", NOW)))
    expect(store.purge(TaskState.SUCCEEDED, NOW, 9), 1, "when the group has ended")
    expect(store.purge(TaskState.SUCCEEDED, NOW + timedelta(microseconds=1), 9), 2, "later")
    expect(store.find(), [], "in the end")
    store.close()


def check_purge_keeps_a_chain_together(make_store: Callable[[], Store]) -> None:
    """What was cancelled behind a task stays as long as that one: a retry brings them back."""
    store = make_store()

    def cancelled(task_id: str, after: str) -> Task:
        task = ended(task_id, TaskState.CANCELLED, NOW - timedelta(seconds=9))
        return replace(task, after=after)

    failed = ended("first", TaskState.FAILED, NOW)
    for task in (
        failed,
        cancelled("second", "first"),
        cancelled("third", "second"),
        cancelled("orphan", "gone"),
        ended("alone", TaskState.CANCELLED, NOW - timedelta(seconds=8)),
    ):
        store.add(task)
    expect(store.purge(TaskState.CANCELLED, NOW, 9), 2, "those that wait for nothing stored")
    expect(ids(store.find()), ["first", "second", "third"], "what is left")
    later = NOW + timedelta(seconds=1)
    expect(store.purge(TaskState.FAILED, later, 9), 1, "the first of the chain")
    expect(store.purge(TaskState.CANCELLED, later, 9), 1, "the next one")
    expect(store.purge(TaskState.CANCELLED, later, 9), 1, "the one after")
    store.close()


def check_schedules_come_back_in_order(make_store: Callable[[], Store]) -> None:
    """Schedules come back equal and ordered by key; one can be asked for."""
    store = make_store()
    expect(store.schedules(), [], "of an empty store")
    b = a_schedule(
        "b",
        text=None,
        at_start=True,
        service="s1",
        grace_seconds=0.1,
        is_enabled=False,
        is_dynamic=True,
        jitter_seconds=0.3,
        payload='[["ü"],{}]',
        queue="mail",
        priority=-7,
        policy=Policy(retries=2, rate=Rate(1, 0.1)),
    )
    a = a_schedule("a", watermark_at=NOW + timedelta(microseconds=1), missed="all")
    for schedule in (b, a):
        expect(store.swap_schedule(None, schedule), True, "a new schedule")
    expect(store.schedules(), [a, b], "all")
    expect(store.schedules("b"), [b], "one")
    expect(store.schedules("c"), [], "an unknown one")
    store.close()


def check_swap_schedule_compares_the_value(make_store: Callable[[], Store]) -> None:
    """A schedule is created, replaced or removed only if ``before`` is what is stored."""
    store = make_store()
    old = a_schedule("key")
    new = replace(old, watermark_at=NOW + timedelta(microseconds=1))
    expect(store.swap_schedule(old, new), False, "of one that is not stored")
    expect(store.swap_schedule(None, old), True, "create")
    expect(store.swap_schedule(None, new), False, "create what is there")
    expect(store.swap_schedule(new, old), False, "from another value")
    expect(store.schedules(), [old], "what is stored")
    expect(store.swap_schedule(old, new), True, "replace")
    expect(store.swap_schedule(old, None), False, "remove a former value")
    expect(store.schedules(), [new], "what is stored now")
    expect(store.swap_schedule(new, None), True, "remove")
    expect(store.schedules(), [], "in the end")
    store.close()


def check_one_of_many_schedule_swaps_wins(make_store: Callable[[], Store]) -> None:
    """Of eight threads that move one watermark from one value, one is told True."""
    store = make_store()
    schedule = a_schedule("key")
    store.swap_schedule(None, schedule)
    moved = [replace(schedule, service=f"by {number}") for number in range(8)]
    won = in_threads(8, lambda number: store.swap_schedule(schedule, moved[number]))
    expect(sum(won), 1, "how many won")
    expect(store.schedules(), [moved[won.index(True)]], "what is stored")
    store.close()


def check_settings_are_set_and_removed(make_store: Callable[[], Store]) -> None:
    """What was set is read back, None removes, and what is not named stays."""
    store = make_store()
    expect(dict(store.settings()), {}, "at first")
    store.put_settings({"a": "1", "b": "ü\n", "c": ""})
    store.put_settings({"a": "2", "b": None, "never set": None})
    expect(dict(store.settings()), {"a": "2", "c": ""}, "settings")
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        store.put_settings({"a": "3"})
        expect(dict(store.settings()), {"a": "3", "c": ""}, "in the transaction that sets one")
        raise ZeroDivisionError
    expect(dict(store.settings()), {"a": "2", "c": ""}, "after that was undone")
    store.put_settings({"c": None})
    expect(dict(store.settings()), {"a": "2"}, "when one was removed")
    store.close()


QUERY_CHECKS: Tuple[StoreCheck, ...] = (
    check_find_matches_all_that_is_given,
    check_find_gives_the_oldest_first,
    check_has_in_hand_sees_what_waits_or_runs,
    check_a_unique_key_is_taken_in_three_ways,
    check_stats_count_every_state,
    check_stats_tell_what_has_waited_longest,
    check_purge_removes_the_oldest_that_ended_before,
    check_purge_keeps_what_is_needed,
    check_purge_keeps_a_chain_together,
    check_schedules_come_back_in_order,
    check_swap_schedule_compares_the_value,
    check_one_of_many_schedule_swaps_wins,
    check_settings_are_set_and_removed,
)
