"""What a transaction of a store promises."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any, Callable, List, Tuple

from autocron.core.events import Retried
from autocron.core.machine import apply
from autocron.core.task import Task, TaskState
from autocron.ports import Store
from autocron.testing.contract.store_tasks import StoreCheck
from autocron.testing.contract.tools import (
    NOW,
    PATIENCE_SECONDS,
    a_schedule,
    a_task,
    claimed,
    ended,
    expect,
    expect_error,
    ids,
    in_threads,
)


class _Undo(Exception):
    """Makes a transaction be undone."""


def _filled(make_store: Callable[[], Store]) -> Tuple[Store, Task]:
    store = make_store()
    task = a_task("kept", elapsed=True)
    store.add(task)
    store.add(ended("old", TaskState.FAILED, NOW))
    store.swap_schedule(None, a_schedule("key"))
    store.put_settings({"a": "1"})
    store.put_paused("mail", True)
    store.put_start("R", NOW, NOW + timedelta(seconds=60), NOW + timedelta(seconds=30))
    return store, task


def _everything(store: Store) -> Tuple[Any, ...]:
    rates = store.starts("R", 9), store.starts("S", 9), store.next_due_at(NOW)
    return store.find(), store.schedules(), dict(store.settings()), store.paused(), rates


def _change_everything(store: Store, task: Task) -> None:
    store.add(a_task("new"))
    claimed(store, task)
    store.purge(TaskState.FAILED, NOW + timedelta(days=1), 9)
    store.swap_schedule(a_schedule("key"), None)
    store.swap_schedule(None, a_schedule("new"))
    store.put_settings({"a": None, "b": "2"})
    store.put_paused("mail", False)
    store.put_paused("other", True)
    store.purge_starts(NOW + timedelta(seconds=60))
    store.put_start("S", NOW, NOW + timedelta(seconds=60), NOW + timedelta(seconds=40))


def check_a_transaction_is_kept_as_a_whole(make_store: Callable[[], Store]) -> None:
    """What is done in a transaction is seen inside it at once, and is there after it."""
    store, task = _filled(make_store)
    with store.transaction():
        _change_everything(store, task)
        inside = _everything(store)
    expect(ids(inside[0]), ["kept", "new"], "inside")
    expect(_everything(store), inside, "after it")
    store.close()


def check_an_exception_undoes_a_transaction(make_store: Callable[[], Store]) -> None:
    """An exception leaves everything as it was before, and passes on."""
    store, task = _filled(make_store)
    before = _everything(store)

    def fail() -> None:
        with store.transaction():
            _change_everything(store, task)
            store.shift(10.0)
            raise _Undo

    expect_error(_Undo, fail, "the transaction")
    expect(_everything(store), before, "after it")
    store.add(a_task("new"))
    expect(store.get("new"), a_task("new"), "what is stored next")
    store.close()


def check_what_had_ended_has_ended_once_after_an_undone_retry(
    make_store: Callable[[], Store],
) -> None:
    """A task whose retry was undone is purged as if there had been none."""
    store = make_store()
    task = ended("old", TaskState.FAILED, NOW)
    store.add(task)

    def retry() -> None:
        with store.transaction():
            store.swap(task, apply(task, Retried(NOW)))
            raise _Undo

    expect_error(_Undo, retry, "what undoes it")
    expect(store.find(), [task], "what is stored")
    expect(store.purge(TaskState.FAILED, NOW + timedelta(days=1), 9), 1, "what is purged")
    expect(store.find(), [], "what is left")
    store.close()


def check_an_inner_transaction_joins_the_outer(make_store: Callable[[], Store]) -> None:
    """The end of an inner transaction keeps nothing yet: the outer one decides for both."""
    store, _ = _filled(make_store)
    before = _everything(store)

    def fail() -> None:
        with store.transaction():
            with store.transaction():
                store.add(a_task("inner"))
            raise _Undo

    expect_error(_Undo, fail, "the outer transaction")
    expect(_everything(store), before, "after it was undone")
    with store.transaction():
        store.add(a_task("outer"))
        with store.transaction():
            store.add(a_task("inner"))
    expect(ids(store.find())[-2:], ["outer", "inner"], "after it was kept")
    store.close()


def check_others_never_see_what_is_undone(make_store: Callable[[], Store]) -> None:
    """Another thread that reads while a transaction is open never sees what it undoes."""
    store = make_store()
    store.add(a_task("before"))
    seen: List[List[str]] = []
    reader = threading.Thread(target=lambda: seen.append(ids(store.find())))

    def fail() -> None:
        with store.transaction():
            store.add(a_task("undone"))
            reader.start()
            # A store may let it read now, or wait for the end: both are right.
            reader.join(0.1)
            raise _Undo

    expect_error(_Undo, fail, "the transaction")
    reader.join(PATIENCE_SECONDS)
    expect(seen, [["before"]], "what the other thread saw")
    store.close()


def check_transactions_take_turns(make_store: Callable[[], Store]) -> None:
    """What is read inside a transaction still holds when it writes: no update is lost."""
    store = make_store()
    store.put_settings({"count": "0"})

    def count(_: int) -> None:
        for _turn in range(5):
            with store.transaction():
                store.put_settings({"count": str(int(store.settings()["count"]) + 1)})

    in_threads(8, count)
    expect(store.settings()["count"], "40", "the count")
    store.close()


def check_a_closed_store_opens_again(make_store: Callable[[], Store]) -> None:
    """Closing may be repeated, and the next use opens the store again."""
    store = make_store()
    store.close()
    store.close()
    store.add(a_task("one"))
    expect(ids(store.find())[-1], "one", "a task stored after closing")
    store.close()


TRANSACTION_CHECKS: Tuple[StoreCheck, ...] = (
    check_a_transaction_is_kept_as_a_whole,
    check_an_exception_undoes_a_transaction,
    check_what_had_ended_has_ended_once_after_an_undone_retry,
    check_an_inner_transaction_joins_the_outer,
    check_others_never_see_what_is_undone,
    check_transactions_take_turns,
    check_a_closed_store_opens_again,
)
