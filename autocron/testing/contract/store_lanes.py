"""What keeps a waiting task from being the next: queues, pauses, limits, rates, expiry, others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

from autocron.core.events import Released, Succeeded
from autocron.core.machine import apply
from autocron.core.task import ALL_QUEUES, Task, TaskState
from autocron.ports import Store
from autocron.testing.contract.store_tasks import StoreCheck
from autocron.testing.contract.tools import NOW, a_task, claimed, ended, expect, ids

_MICROSECOND = timedelta(microseconds=1)


def _run_order(store: Store, queues: Optional[Sequence[str]] = None) -> List[str]:
    """End what is claimable, one after the other; return the ids in that order."""
    order: List[str] = []
    while True:
        task = store.claimable(NOW, queues)
        if task is None:
            return order
        running = claimed(store, task)
        store.swap(running, apply(running, Succeeded("null", NOW)))
        order.append(task.id)


def _add(store: Store, *tasks: Task) -> None:
    for task in tasks:
        store.add(task)


def check_claimable_selects_by_queue(make_store: Callable[[], Store]) -> None:
    """Only tasks of the queues that are given are claimable; None is all; a name must be whole."""
    store = make_store()
    _add(
        store,
        a_task("mail", -1, queue="mail"),
        a_task("mail2", -2, queue="mail2"),
        a_task("ma", -3, queue="ma"),
        a_task("plain", -4),
    )
    expect(store.claimable(NOW, []), None, "of no queue")
    expect(store.claimable(NOW, ["no such"]), None, "of an unknown queue")
    expect(_run_order(store, ["mail"]), ["mail"], "of one queue")
    expect(_run_order(store, ["mail2", "default"]), ["plain", "mail2"], "of two")
    expect(_run_order(store), ["ma"], "of all that are left")
    store.close()


def check_queues_share_one_order(make_store: Callable[[], Store]) -> None:
    """Among queues, too, priority goes first, then the earlier due time, then age."""
    store = make_store()
    _add(
        store,
        a_task("b newer", -10, queue="b"),
        a_task("a newest", -10, queue="a"),
        a_task("c low", -99, queue="c", priority=-1),
        a_task("c first", -11, queue="c"),
        a_task("c later", 1, queue="c", priority=9),
        a_task("b high", 0, queue="b", priority=1),
        a_task("d last", -9, queue="d"),
    )
    order = ["b high", "c first", "b newer", "a newest", "d last", "c low"]
    expect(_run_order(store), order, "the order")
    store.close()


def check_a_paused_queue_is_passed_over(make_store: Callable[[], Store]) -> None:
    """While its queue, or every queue, is paused, no task of it is claimable, nor waited for."""
    store = make_store()
    mail = a_task("mail", -9, queue="mail", priority=9)
    plain, later = a_task("plain", -1), a_task("later", 5, queue="mail")
    _add(store, mail, plain, later)
    expect(store.paused(), frozenset(), "what is paused at first")
    store.put_paused("mail", True)
    store.put_paused("mail", True)
    store.put_paused("never used", True)
    expect(store.paused(), {"mail", "never used"}, "what is paused")
    expect(store.claimable(NOW), plain, "what is next while its queue is paused")
    expect(store.claimable(NOW, ["mail"]), None, "of that queue alone")
    expect(store.next_due_at(NOW), None, "what is waited for")
    store.put_paused(ALL_QUEUES, True)
    expect(store.claimable(NOW), None, "what is next while all are paused")
    store.put_paused("mail", False)
    expect(store.claimable(NOW, ["mail"]), None, "when one is resumed, and all are paused")
    store.put_paused(ALL_QUEUES, False)
    store.put_paused(ALL_QUEUES, False)
    expect(store.paused(), {"never used"}, "what is paused then")
    expect(store.claimable(NOW), mail, "what is next then")
    expect(store.next_due_at(NOW), later.run_at, "what is waited for then")
    store.close()


def check_next_due_at_selects_by_queue(make_store: Callable[[], Store]) -> None:
    """Only the queues that are given are waited for."""
    store = make_store()
    soon, later = a_task("soon", 10, queue="mail"), a_task("later", 20)
    _add(store, soon, later)
    expect(store.next_due_at(NOW), soon.run_at, "of all")
    expect(store.next_due_at(NOW, ["default", "other"]), later.run_at, "of others")
    expect(store.next_due_at(NOW, ["mail", "default"]), soon.run_at, "of both")
    expect(store.next_due_at(NOW, []), None, "of none")
    store.close()


def check_as_many_run_as_the_limit_says(make_store: Callable[[], Store]) -> None:
    """A task is claimable while fewer than its own limit of tasks with its lock run."""
    store = make_store()
    first, second = a_task("1", -9, lock="A", limit=2), a_task("2", -8, lock="A", limit=2)
    third, wide = a_task("3", -7, lock="A", limit=2), a_task("wide", -6, lock="A", limit=3)
    narrow = a_task("narrow", -10, lock="A", limit=1)
    _add(store, first, second, third, wide)
    running = claimed(store, first)
    store.add(narrow)
    expect(store.claimable(NOW), second, "while one runs")
    claimed(store, second)
    expect(store.claimable(NOW), wide, "while two run")
    claimed(store, wide)
    expect(store.claimable(NOW), None, "while three run")
    done = apply(running, Succeeded("null", NOW))
    expect(store.swap(running, done), True, "the end of one")
    expect(store.claimable(NOW), None, "while two run again")
    for task in store.find(state=TaskState.RUNNING):
        store.swap(task, apply(task, Succeeded("null", NOW)))
    expect(_run_order(store), ["narrow", "3"], "when none runs any more")
    store.close()


def check_a_busy_rate_is_passed_over(make_store: Callable[[], Store]) -> None:
    """Until its rate key is free a task is not claimable; that instant is waited for."""
    store = make_store()
    rated, other = a_task("rated", -9, rate_key="R"), a_task("other", -8, rate_key="S")
    _add(store, rated, other)
    free_at = NOW + timedelta(seconds=60)
    store.put_start("R", NOW, NOW + timedelta(seconds=90), free_at)
    expect(dict(store.busy_rates()), {"R": free_at}, "what is busy")
    expect(store.claimable(NOW), other, "while it is busy")
    expect(store.claimable(free_at - _MICROSECOND), other, "just before it is free")
    expect(store.claimable(free_at), rated, "when it is free")
    expect(store.next_due_at(NOW), free_at, "what is waited for")
    expect(store.next_due_at(free_at - _MICROSECOND), free_at, "just before")
    expect(store.next_due_at(free_at), None, "what is waited for then")
    store.put_start("R", NOW, NOW + timedelta(seconds=90), None)
    expect(store.claimable(NOW), rated, "when it was found to be free")
    expect(store.next_due_at(NOW), None, "what is waited for when all are free")
    store.close()


def check_starts_come_back_the_last_one_first(make_store: Callable[[], Store]) -> None:
    """The starts of a key are all kept, equal ones too, until they do not matter any more."""
    store = make_store()
    expect(store.starts("R", 9), [], "of an unknown key")
    times = [NOW + timedelta(seconds=seconds) for seconds in (0, 20, 10, 20)]
    for at in times:
        store.put_start("R", at, at + timedelta(seconds=60), None)
    store.put_start("S", NOW, NOW, NOW)
    latest = sorted(times, reverse=True)
    expect(store.starts("R", 9), latest, "all")
    expect(store.starts("R", 3), latest[:3], "the latest")
    expect(store.starts("R", 0), [], "none")
    expect(store.starts("S", 9), [NOW], "of another key")
    store.purge_starts(NOW + timedelta(seconds=60))
    expect(store.starts("R", 9), latest[:3], "what still matters at the end of one")
    store.purge_starts(NOW + timedelta(seconds=80) - _MICROSECOND)
    expect(store.starts("R", 9), latest[:2], "what still matters later")
    expect(store.starts("S", 9), [], "of another key then")
    store.close()


def check_shift_moves_rates(make_store: Callable[[], Store]) -> None:
    """Starts, their ends, and the instants at which keys become free move along."""
    store = make_store()
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    store.add(a_task("rated", -9, rate_key="R"))
    store.put_start("R", NOW, NOW + 2 * minute, NOW + minute)
    expect(store.shift(3600.0), 0, "how many tasks moved")
    expect(store.starts("R", 9), [NOW + hour], "the starts")
    expect(store.claimable(NOW + minute), None, "while the key is still busy")
    expect(store.next_due_at(NOW + minute), NOW + hour + minute, "what is waited for")
    store.purge_starts(NOW + hour + minute)
    expect(store.starts("R", 9), [NOW + hour], "what still matters")
    store.purge_starts(NOW + hour + 2 * minute)
    expect(store.starts("R", 9), [], "in the end")
    store.close()


def check_an_expired_task_is_passed_over(make_store: Callable[[], Store]) -> None:
    """A task that expires is claimable before that instant, and neither at it nor later."""
    store = make_store()
    expires_at = NOW + timedelta(seconds=60)
    task, other = a_task("one", -9, expires_at=expires_at, lock="A"), a_task("two", -8, lock="A")
    _add(store, task, other)
    expect(store.claimable(expires_at - _MICROSECOND), task, "before")
    expect(store.claimable(expires_at), other, "at that instant")
    expect(store.claimable(expires_at + timedelta(days=1)), other, "later")
    expect(store.claimable(NOW), task, "before, once more")
    store.close()


def check_expiring_gives_the_first_to_expire(make_store: Callable[[], Store]) -> None:
    """Waiting tasks that expire, held or not, due or not, expired or not; the first one first."""
    store = make_store()
    expect(store.expiring(9), [], "of an empty store")

    def expires(task_id: str, seconds: float) -> Task:
        return a_task(task_id, 3, expires_at=NOW + timedelta(seconds=seconds))

    a, b, c = expires("a", 60), replace(expires("b", -60), after="x"), expires("c", 60)
    running = expires("running", 0)
    gone = replace(ended("gone", TaskState.CANCELLED, NOW), expires_at=NOW)
    _add(store, a_task("never"), a, b, running, c, gone)
    claimed(store, running)
    expect(store.expiring(9), [b, a, c], "all")
    expect(store.expiring(2), [b, a], "the first two")
    expect(store.expiring(0), [], "none")
    claimed(store, a)
    expect(ids(store.expiring(9)), ["b", "c"], "when one of them runs")
    store.close()


def check_a_held_task_is_out_of_the_way(make_store: Callable[[], Store]) -> None:
    """What is held is not claimable, nor due, nor waited for, nor shifted; once released, it is."""
    store = make_store()
    held = replace(a_task("held", -9, elapsed=True, priority=9), after="x")
    later = replace(a_task("later", 5), after="x")
    _add(store, held, later)
    expect(store.claimable(NOW), None, "what is next")
    expect(store.next_due_at(NOW), None, "what is waited for")
    expect(store.stats(NOW).oldest_due_at, None, "what has waited longest")
    expect(store.shift(60.0), 0, "how many are shifted")
    released = apply(held, Released("null", NOW))
    expect(store.swap(held, released), True, "the release")
    expect(store.claimable(released.run_at), released, "what is next then")
    expect(store.shift(60.0), 1, "how many are shifted then")
    store.close()


def check_what_follows_is_what_would_be_next(make_store: Callable[[], Store]) -> None:
    """After a claim, ``claimable_next`` gives what would be claimable next, or less of it."""
    store = make_store()
    _add(
        store,
        *(a_task(f"plain {number}", number - 9) for number in range(4)),
        a_task("low", -99, priority=-1),
        a_task("limited", -4, lock="A"),
        a_task("behind it", -3),
    )
    head = store.claimable(NOW)
    assert head is not None
    running = claimed(store, head)
    order = ["plain 1", "plain 2", "plain 3"]
    for limit in (0, 1, 2, 3, 9):
        found = ids(store.claimable_next(running, NOW, limit))
        expect(found, order[:limit][: len(found)], f"what follows, {limit} at most")
    found = ids(store.claimable_next(running, NOW - timedelta(seconds=7.5), 9))
    expect(found, order[:1][: len(found)], "what follows of what is due")
    store.close()


def check_what_follows_is_of_all_queues_in_one_order(make_store: Callable[[], Store]) -> None:
    """As ``claimable``: of the given queues, or all, without those that are paused."""
    store = make_store()
    names = ["b", "a", "paused", "c", "b", "a", "c", "paused", "b", "later"]
    _add(store, *(a_task(f"{queue} {n}", n - 20, queue=queue) for n, queue in enumerate(names)))
    _add(store, a_task("before it", -99, queue="a", lock="held"))
    _add(store, a_task("holds", -100, lock="held"))
    claimed(store, store.claimable(NOW) or a_task("none"))
    store.put_paused("paused", True)
    running = claimed(store, store.claimable(NOW) or a_task("none"))
    expect(running.id, "b 0", "what is claimed")
    order = ["a 1", "c 3", "b 4", "a 5", "c 6", "b 8", "later 9"]
    for queues in (None, ["b"], ["a", "b"], ["b", "paused", "none"]):
        wanted = [i for i in order if queues is None or i.split()[0] in queues]
        for limit in (1, 3, 9):
            found = ids(store.claimable_next(running, NOW, limit, queues))
            expect(found, wanted[:limit][: len(found)], f"what follows, {limit} of {queues}")
    store.put_paused(ALL_QUEUES, True)
    expect(store.claimable_next(running, NOW, 9), [], "while all queues are paused")
    store.close()


def check_only_what_is_plain_follows(make_store: Callable[[], Store]) -> None:
    """It ends before a task that has a lock, a rate key or a unique key, expires or is held."""
    reasons: Tuple[Mapping[str, Any], ...] = (
        {"lock": "A"},
        {"rate_key": "R"},
        {"unique": "U"},
        {"expires_at": NOW + timedelta(seconds=9)},
        {"after": "another"},
        {"run_at": NOW + _MICROSECOND},
    )
    for reason in reasons:
        store = make_store()
        _add(store, a_task("1", -9), a_task("2", -8), a_task("4", -6))
        store.add(replace(a_task("3", -7), **reason))
        head = store.claimable(NOW)
        assert head is not None
        running = claimed(store, head)
        is_passed = "after" in reason or "run_at" in reason
        order = ["2", "4"] if is_passed else ["2"]
        found = ids(store.claimable_next(running, NOW, 9))
        expect(found, order[: len(found)], f"what follows with {reason}")
        store.close()


LANE_CHECKS: Tuple[StoreCheck, ...] = (
    check_claimable_selects_by_queue,
    check_queues_share_one_order,
    check_a_paused_queue_is_passed_over,
    check_next_due_at_selects_by_queue,
    check_as_many_run_as_the_limit_says,
    check_a_busy_rate_is_passed_over,
    check_starts_come_back_the_last_one_first,
    check_shift_moves_rates,
    check_an_expired_task_is_passed_over,
    check_expiring_gives_the_first_to_expire,
    check_a_held_task_is_out_of_the_way,
    check_what_follows_is_what_would_be_next,
    check_what_follows_is_of_all_queues_in_one_order,
    check_only_what_is_plain_follows,
)
