"""The store of the engine.

The engine keeps nothing in memory that may not be lost: every task, schedule and setting is in a
store. A store keeps values and never judges them. What it may be relied on for:

* A value comes back equal, to the microsecond and the last character.
* ``swap`` replaces a task only if nobody has changed it since it was read: the revision is
  compared. So of any number of workers that claim one task, one gets it; and a worker that was
  thought dead cannot finish what another one holds.
* ``claimable`` is the task to run next, by priority, due time and age: one that is due, not held
  for another task, and not expired; in a queue that is not paused; of whose lock fewer run than its
  limit; whose rate key is free.
* ``taken_by`` is the oldest task that takes a unique key: it waits, or runs, or its period lasts.
* A transaction is kept as a whole or not at all, and nobody else sees its parts. Writers take
  turns, so what a transaction has read still holds when it writes.
* ``purge`` removes a bounded batch, the oldest first, and nothing that is still needed.

Each promise is one check of ``autocron.testing.contract``, which anyone's store can be held
against. Here the SQLite store is, on a file and in memory, and the plain store of the simulator;
then random histories compare both with a store that is a few dictionaries, too simple to be wrong.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Optional, Tuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from autocron.core.errors import StoreError
from autocron.core.events import (
    AttemptFailed,
    CancelAsked,
    Cancelled,
    Claimed,
    Failed,
    HandedBack,
    Progressed,
    Released,
    Retried,
    Succeeded,
)
from autocron.core.machine import TRANSITIONS, apply
from autocron.core.task import ALL_QUEUES, Failure, TaskState
from autocron.shell.sqlite import SQLiteStore
from autocron.testing.contract import STORE_CHECKS
from autocron.testing.contract.tools import NOW, a_schedule, a_task
from autocron.testing.plain_store import PlainStore
from autocron.testing.plain_tables import PlainTables
from spec.strategies import examples

# The simulator's store, which has one thread only, keeps all other promises.
FOR_THREADS = (
    "check_one_of_many_schedule_swaps_wins",
    "check_one_of_many_swaps_wins",
    "check_others_never_see_what_is_undone",
    "check_transactions_take_turns",
)


@pytest.fixture(params=["file", "memory", "plain"])
def make_store(request, tmp_path):
    """Makes new and empty stores, closed at the end."""
    made = []

    def make():
        if request.param == "plain":
            made.append(PlainStore())
            return made[-1]
        where = str(tmp_path / f"{len(made)}.db") if request.param == "file" else ":memory:"
        made.append(SQLiteStore(where, durability="normal"))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__[6:])
def it_keeps_the_promise_that(check, make_store):
    check(make_store)


@pytest.mark.parametrize(
    "check",
    [check for check in STORE_CHECKS if check.__name__ not in FOR_THREADS],
    ids=lambda check: check.__name__[6:],
)
def it_keeps_for_one_thread_the_promise_that(check):
    check(PlainTables)


def it_has_each_check_in_the_contract_once():
    names = [check.__name__ for check in STORE_CHECKS]
    assert len(set(names)) == len(names)
    assert all(
        check.__doc__ and name.startswith("check_") for check, name in zip(STORE_CHECKS, names)
    )


# -- random histories ---------------------------------------------------------------------------


class DictStore:
    """The model: what a store is, in dictionaries."""

    def __init__(self) -> None:
        self.tasks: Dict[str, Any] = {}
        self.keys: Dict[str, Any] = {}
        self.words: Dict[str, str] = {}
        self.closed: FrozenSet[str] = frozenset()
        self.begun: Tuple[Tuple[str, datetime, datetime], ...] = ()
        self.busy: Dict[str, datetime] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        copies = dict(self.tasks), dict(self.keys), dict(self.words), dict(self.busy)
        closed, begun = self.closed, self.begun
        try:
            yield
        except BaseException:
            self.tasks, self.keys, self.words, self.busy = copies
            self.closed, self.begun = closed, begun
            raise

    def add(self, task):
        self.tasks[task.id] = task

    def add_all(self, tasks):
        for task in tasks:
            self.add(task)

    def swap(self, before, after):
        stored = self.tasks.get(before.id)
        if stored is None or stored.revision != before.revision:
            return False
        self.tasks[before.id] = after
        return True

    def get(self, task_id):
        return self.tasks.get(task_id)

    def waiting(self, queues=None):
        """What waits, and is not held; of open queues only, if it is asked for some."""
        is_any = ALL_QUEUES not in self.closed
        return [
            task
            for task in self.tasks.values()
            if task.state is TaskState.WAITING
            and task.after is None
            and (queues is None or (is_any and task.queue in set(queues) - self.closed))
        ]

    def may_begin(self, task, now):
        running = [one for one in self.find(state=TaskState.RUNNING) if one.lock == task.lock]
        return (
            task.run_at <= now
            and (task.expires_at is None or task.expires_at > now)
            and (task.lock is None or len(running) < task.limit)
            and (task.rate_key is None or self.busy.get(task.rate_key, now) <= now)
        )

    def claimable(self, now, queues=None):
        free = [task for task in self.waiting(queues or QUEUES) if self.may_begin(task, now)]
        # min() gives the first of equals, and the dictionary keeps the order of adding.
        return min(free, key=lambda task: (-task.priority, task.run_at), default=None)

    def next_due_at(self, after, queues=None):
        due = [task.run_at for task in self.waiting(queues or QUEUES)]
        return min((at for at in (*due, *self.busy.values()) if at > after), default=None)

    def expiring(self, limit):
        expiring = [t for t in self.find(state=TaskState.WAITING) if t.expires_at is not None]
        return sorted(expiring, key=lambda task: task.expires_at)[:limit]

    def taken_by(self, unique, running, now):
        states = (TaskState.WAITING, TaskState.RUNNING) if running else (TaskState.WAITING,)
        for task in self.find(unique=unique):
            lasts = task.unique_until_at is not None and task.unique_until_at > now
            if task.state in states or lasts:
                return task
        return None

    def find(self, *, limit=None, **wanted):
        found = [
            task
            for task in self.tasks.values()
            if all(getattr(task, name) == value for name, value in wanted.items())
        ]
        return found[:limit]

    def has_in_hand(self, schedule):
        waiting_or_running = (TaskState.WAITING, TaskState.RUNNING)
        return any(self.find(state=state, schedule=schedule) for state in waiting_or_running)

    def counts(self):
        return {state: len(self.find(state=state)) for state in TaskState}

    def oldest_due_at(self, now):
        return min((task.run_at for task in self.waiting() if task.run_at <= now), default=None)

    def purge(self, state, finished_before, limit):
        ended = [
            task
            for task in self.find(state=state)
            if task.finished_at < finished_before
            and (task.unique_until_at is None or task.unique_until_at < finished_before)
            and (task.group is None or all(t.state.is_final for t in self.find(group=task.group)))
        ]
        ended.sort(key=lambda task: task.finished_at)
        for task in ended[:limit]:
            del self.tasks[task.id]
        return len(ended[:limit])

    def shift(self, seconds):
        by = timedelta(seconds=seconds)
        moved = [
            task
            for task in self.waiting()
            if task.elapsed or (seconds < 0 and task.run_at <= task.enqueued_at)
        ]
        for task in moved:
            revision = task.revision + 1
            self.tasks[task.id] = replace(task, run_at=task.run_at + by, revision=revision)
        self.begun = tuple((key, at + by, until_at + by) for key, at, until_at in self.begun)
        self.busy = {key: free_at + by for key, free_at in self.busy.items()}
        return len(moved)

    def starts(self, rate_key, limit):
        return sorted((at for key, at, _ in self.begun if key == rate_key), reverse=True)[:limit]

    def put_start(self, rate_key, at, until_at, free_at):
        self.begun += ((rate_key, at, until_at),)
        self.busy.pop(rate_key, None)
        if free_at is not None:
            self.busy[rate_key] = free_at

    def purge_starts(self, now):
        self.begun = tuple(start for start in self.begun if start[2] > now)
        self.busy = {key: free_at for key, free_at in self.busy.items() if free_at > now}

    def paused(self):
        return self.closed

    def put_paused(self, queue, is_paused):
        self.closed = self.closed | {queue} if is_paused else self.closed - {queue}

    def schedules(self):
        return [self.keys[key] for key in sorted(self.keys)]

    def swap_schedule(self, before, after):
        key = (before or after).key
        if self.keys.get(key) != before:
            return False
        if after is None:
            del self.keys[key]
        else:
            self.keys[key] = after
        return True

    def settings(self):
        return dict(self.words)

    def put_settings(self, changes):
        for name, word in changes.items():
            if word is None:
                self.words.pop(name, None)
            else:
                self.words[name] = word


Step = Callable[[Any], Any]

SECONDS = st.sampled_from([-60.0, -0.000001, 0.0, 0.000001, 1.0, 60.0])
MAYBE_KEYS = st.sampled_from([None, "A", "B"])
QUEUES = ("default", "a", "b")
IDS = itertools.count()

instants = SECONDS.map(lambda seconds: NOW + timedelta(seconds=seconds))
new_tasks = st.builds(
    lambda seconds, options, others: replace(a_task(f"t{next(IDS)}", seconds, **options), **others),
    SECONDS,
    st.fixed_dictionaries(
        {
            "priority": st.sampled_from([-100, 0, 0, 1, 100]),
            "elapsed": st.booleans(),
            "queue": st.sampled_from(["default", *QUEUES]),
            "lock": MAYBE_KEYS,
            "limit": st.sampled_from([1, 1, 2]),
            "rate_key": MAYBE_KEYS,
            "unique": MAYBE_KEYS,
            "schedule": MAYBE_KEYS,
        }
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "expires_at": instants,
            "unique_until_at": instants,
            "group": st.sampled_from("GH"),
            "after": st.sampled_from("GH"),
        },
    ),
)
events = st.one_of(
    st.builds(Claimed, st.sampled_from(["w1", "w2"]), instants),
    st.builds(Succeeded, st.just("1"), instants),
    st.builds(Failed, st.just(Failure("E", "m", "tb")), instants),
    st.builds(HandedBack, st.none() | instants, st.none() | instants),
    st.builds(AttemptFailed, st.just(Failure("E", "m", "")), instants, instants),
    st.builds(Cancelled, instants),
    st.builds(CancelAsked, instants, st.booleans()),
    st.builds(Progressed, st.sampled_from("12")),
    st.builds(Released, st.just("null"), instants),
    st.builds(Retried, instants),
)
schedules = st.builds(
    lambda key, at: a_schedule(key, watermark_at=at), st.sampled_from(["k1", "k2"]), instants
)


def swap_stored(number: int, event: Any, stale: bool) -> Step:
    """Swap the task at a place from what is stored, or from its former revision."""

    def step(store: Any) -> Any:
        fitting = [task for task in store.find() if type(event) in TRANSITIONS[task.state]]
        if not fitting:
            return None
        task = fitting[number % len(fitting)]
        before = replace(task, revision=task.revision - 1) if stale else task
        return store.swap(before, apply(task, event))

    return step


def claim(worker: str, now: Any, queues: Any) -> Step:
    def step(store: Any) -> Any:
        task = store.claimable(now, queues)
        return task and (task, store.swap(task, apply(task, Claimed(worker, now))))

    return step


def swap_schedule(given: Tuple[Optional[Any], Optional[Any]]) -> Step:
    before, after = given
    if before is not None and after is not None:
        after = replace(after, key=before.key)
    return lambda store: (before or after) and store.swap_schedule(before, after)


queue_lists = st.lists(st.sampled_from(QUEUES), min_size=1, max_size=2)
steps = st.one_of(
    new_tasks.map(lambda task: lambda store: store.add(task)),
    st.builds(swap_stored, st.integers(0, 99), events, st.just(False)),
    st.builds(swap_stored, st.integers(0, 99), events, st.booleans()),
    st.builds(claim, st.sampled_from(["w1", "w2"]), instants, st.none() | queue_lists),
    st.builds(
        lambda *given: lambda store: store.put_start(*given),
        st.sampled_from("AB"),
        instants,
        instants,
        st.none() | instants,
    ),
    instants.map(lambda at: lambda store: store.purge_starts(at)),
    st.builds(
        lambda queue, is_paused: lambda store: store.put_paused(queue, is_paused),
        st.sampled_from([ALL_QUEUES, "a", "b"]),
        st.sampled_from([True, False, False]),
    ),
    st.builds(
        lambda state, at, limit: lambda store: store.purge(state, at, limit),
        st.sampled_from([state for state in TaskState if state.is_final]),
        instants,
        st.integers(0, 3),
    ),
    SECONDS.map(lambda seconds: lambda store: store.shift(seconds)),
    st.tuples(st.none() | schedules, st.none() | schedules).map(swap_schedule),
    st.dictionaries(st.sampled_from("ab"), st.none() | st.sampled_from("12")).map(
        lambda changes: lambda store: store.put_settings(changes)
    ),
)


class Undo(Exception):
    pass


class StoreHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store: Any = self.make_store()
        self.model = DictStore()

    def make_store(self) -> Any:
        return SQLiteStore(":memory:")

    def teardown(self) -> None:
        self.store.close()

    def both(self, step: Step) -> None:
        assert step(self.store) == step(self.model)

    @rule(step=steps)
    def do(self, step: Step) -> None:
        self.both(step)

    @rule(several=st.lists(steps, max_size=4), more=st.lists(steps, max_size=2))
    def do_in_one_transaction(self, several: List[Step], more: List[Step]) -> None:
        with self.store.transaction(), self.model.transaction():
            for step in several:
                self.both(step)
            with self.store.transaction():
                for step in more:
                    self.both(step)

    @rule(several=st.lists(steps, min_size=1, max_size=4))
    def do_and_undo(self, several: List[Step]) -> None:
        with suppress(Undo), self.store.transaction(), self.model.transaction():
            for step in several:
                self.both(step)
            raise Undo

    @invariant()
    def nothing_is_different(self) -> None:
        store, model = self.store, self.model
        assert store.find() == model.find()
        assert store.schedules() == model.schedules()
        assert store.settings() == model.settings()
        assert store.stats(NOW).counts == model.counts()
        for seconds in (-60.0, 0.0, 1.0):
            at = NOW + timedelta(seconds=seconds)
            assert store.claimable(at) == model.claimable(at)
            assert store.next_due_at(at) == model.next_due_at(at)
            assert store.stats(at).oldest_due_at == model.oldest_due_at(at)
            for queues in (["a"], ["default", "b"]):
                assert store.claimable(at, queues) == model.claimable(at, queues)
                assert store.next_due_at(at, queues) == model.next_due_at(at, queues)
            for running in (False, True):
                assert store.taken_by("A", running, at) == model.taken_by("A", running, at)
        assert store.expiring(3) == model.expiring(3)
        assert store.paused() == model.paused()
        assert store.starts("A", 2) == model.starts("A", 2)
        for key in "ABC":
            assert store.has_in_hand(key) == model.has_in_hand(key)
        for wanted in (
            {"state": TaskState.WAITING, "name": "shop.mail:send", "limit": 1},
            {"state": TaskState.RUNNING, "worker": "w1"},
            {"state": TaskState.FAILED, "schedule": "B"},
            {"state": TaskState.WAITING, "group": "G", "limit": 1},
            {"state": TaskState.WAITING, "after": "H"},
            {"group": "G"},
            {"schedule": "A", "limit": 2},
        ):
            assert store.find(**wanted) == model.find(**wanted)


class PlainStoreHistory(StoreHistory):
    def make_store(self) -> Any:
        return PlainStore()


for history, count in ((StoreHistory, 60), (PlainStoreHistory, 120)):
    history.TestCase.settings = settings(examples(count), stateful_step_count=25)


class DescribeStoreHistory(StoreHistory.TestCase):
    """Any history of changes and transactions leaves both stores with the same answers."""


class DescribePlainStoreHistory(PlainStoreHistory.TestCase):
    """The same of the plain store."""


def _swallows_the_error_of_an_inner_transaction(store):
    with store.transaction():
        with suppress(Undo), store.transaction():
            raise Undo
        store.add(a_task("lost"))


def _closes_inside_a_transaction(store):
    with store.transaction():
        store.close()


@pytest.mark.parametrize(
    "misuse",
    [
        _swallows_the_error_of_an_inner_transaction,
        _closes_inside_a_transaction,
        lambda store: store.swap_schedule(a_schedule("a"), a_schedule("b")),
        lambda store: store.swap_schedule(None, None),
        lambda store: store.purge(TaskState.WAITING, NOW, 1),
        lambda store: store.purge(TaskState.RUNNING, NOW, 1),
    ],
)
def it_refuses_what_can_not_be_meant_and_changes_nothing(make_store, misuse):
    store = make_store()
    store.add(a_task("kept"))
    store.swap_schedule(None, a_schedule("a"))
    with pytest.raises(StoreError):
        misuse(store)
    assert [task.id for task in store.find()] == ["kept"]
    assert store.schedules() == [a_schedule("a")]
    store.add(a_task("next"))
    assert [task.id for task in store.find()] == ["kept", "next"]


def it_ends_a_shift_at_the_ends_of_time(make_store):
    store = make_store()
    store.add(a_task("delayed", elapsed=True))
    for seconds, end in ((9e11, datetime.max), (-9e11, datetime.min)):
        store.shift(seconds)
        assert store.get("delayed").run_at == end.replace(tzinfo=timezone.utc)
