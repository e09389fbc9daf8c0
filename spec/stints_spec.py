"""Stints: short tasks that a worker claims together, and whose ends it stores together.

While many short tasks wait, most of the time would go into transactions. So a worker takes a few of
them at once, a *stint*, runs them one after the other, and stores what became of them at once. A
user notices that they are done sooner, and nothing else:

- **In the same order.** A stint is what the worker would have claimed one by one, from all of its
  queues, of one priority. What has a lock, a rate, a unique key or expires is claimed alone; so is
  what a worker that was idle finds first.
- **Only what is short.** All of a stint are to take 5 ms together, judged by what the function took
  lately, and are at most 64; each stint may be twice as long as the one before. A function that was
  not run before is claimed alone.
- **Stored soon.** What has ended is stored with the end of the stint, or once 5 ms are over; at
  once, if it has failed, or has told its progress. What waits for it is released then; it would be
  behind all of the stint anyway. If a task takes longer than it did, what has ended is stored, and
  what has not begun is given back, for others to run: some 50 ms later, unless it keeps the
  interpreter for itself, and else with its end. So what was called, cancelled or paused meanwhile
  has its effect.
- **A kill is told as it was.** A worker notes in its logbook what begins and ends. If it is killed
  amid a stint, what had ended has ended, with its result, and is not run again; only what was under
  way is charged; and what had not begun waits, as if it had never been claimed.
- **Times are true.** A task has started when its function did.

Who has no logbook (``run_pending()``, the simulator, workers on PostgreSQL) claims one at a time.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from threading import Thread

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autocron.core.arguments import dump_call
from autocron.core.errors import StoreError
from autocron.core.events import Claimed
from autocron.core.machine import apply
from autocron.core.policy import PLAIN, Policy
from autocron.core.task import Message, TaskState
from autocron.core.values import changed
from autocron.shell.logbook import FileLogbook, in_hand, logged
from autocron.shell.ownership import RunFolder
from autocron.stint import MOST, STINT_SECONDS, Stint
from autocron.testing.runner import name_of
from spec.benches import Bench, FailingStore, work
from spec.strategies import examples

WAITING, RUNNING, SUCCEEDED = TaskState.WAITING, TaskState.RUNNING, TaskState.SUCCEEDED


class Killed(BaseException):
    """Ends a worker where it stands."""


class Yard:
    """A bench whose workers keep logbooks, and a function that does as it is told."""

    def __init__(self, folder):
        self.bench = Bench()
        self.folder = RunFolder(str(folder / "yard.db"))
        self.folder.make()
        self.logbooks = partial(logged, self.folder)
        self.ran = []
        # Argument -> what it does.
        self.plans = {}

        @self.bench.app.delay
        def note(what=None):
            self.ran.append(what)
            plan = self.plans.get(what)
            return what if plan is None else plan()

        @self.bench.app.delay
        def other(what=None):
            self.ran.append(what)

        self.note, self.other = note, other

    def worker(self, name="worker-1", **more):
        logbook = FileLogbook(self.folder.logbook(name))
        return self.bench.engine(
            name, logbook=logbook, logbooks=self.logbooks, passing=(Killed,), **more
        )

    def takes(self, milliseconds):
        """Return what lets so much time pass."""

        def pass_time():
            self.bench.clock.advance(timedelta(milliseconds=milliseconds))

        return pass_time

    def calls(self, *whats, **options):
        return [self.bench.call(self.note, what, **options) for what in whats]

    def before(self, *whats, group=True):
        """Store calls, and one that waits for them, and is given what they return."""
        *before, then = (
            Message(name=name_of(self.note), payload=dump_call(args, {}, ()))
            for args in (*((what,) for what in whats), ())
        )
        tasks, (last,) = self.bench.engine().enqueue_all(before, [then], group=group)
        return (*tasks, last)

    def reclaim(self, name="worker-1", charged=True, **more):
        house = self.bench.engine("house", runs=False, logbooks=self.logbooks)
        return house.reclaim(name, charged, **more)

    def states(self, tasks):
        return [self.bench.task(task).state for task in tasks]

    def held(self):
        return len(self.bench.store.find(state=RUNNING))

    def in_stint(self, count, policy=PLAIN, **more):
        """Return a worker that has claimed a stint of so many, and what it is; none has begun."""
        before = 1 + 2 + 4 + 8 + 16
        self.calls(*(["before"] * before))
        engine = self.worker(**more)
        for _ in range(before):
            engine.tick()
        tasks = self.calls(*range(count), policy=policy)
        engine.tick()
        assert (self.held(), engine.is_amid_stint, engine.has_kept) == (count, count > 1, False)
        self.ran.clear()
        return engine, tasks


@pytest.fixture
def yard(tmp_path):
    yard = Yard(tmp_path)
    yield yard
    yard.bench.store.close()


class DescribeAStint:
    def it_is_twice_as_long_each_time(self, yard):
        yard.calls(*range(200))
        engine = yard.worker()
        held = []
        while engine.tick().claimed is not None:
            held.append(yard.held())
        sizes = [1, 2, 4, 8, 16, 32, MOST, MOST, 9]
        assert held == [size for size in sizes for _ in range(size)]
        assert yard.ran == list(range(200))
        assert MOST == 64

    def it_is_one_task_without_a_logbook(self, yard):
        yard.calls(*range(20))
        engine = yard.bench.engine()
        while engine.tick().claimed is not None:
            assert (yard.held(), engine.is_amid_stint) == (1, False)

    def it_begins_anew_with_one_for_an_idle_worker(self, yard):
        yard.calls(*range(20))
        engine = yard.worker()
        work(engine)
        yard.calls(*range(20))
        assert (engine.tick().claimed is not None, yard.held()) == (True, 1)

    def it_is_one_task_also_if_another_worker_was_quicker_than_an_idle_one(self, yard):
        engine, _ = yard.in_stint(3)
        work(engine)
        tasks = yard.calls(*"abcd")
        quicker = [yard.worker("quicker").tick]

        class RacedStore(FailingStore):
            def swap(self, before, after):
                while quicker:
                    quicker.pop()()
                return self._store.swap(before, after)

        engine.store = RacedStore(yard.bench.store)
        assert engine.tick().claimed.id == tasks[1].id
        assert yard.states(tasks) == [RUNNING, RUNNING, WAITING, WAITING]

    def it_is_told_of_step_by_step_and_stored_at_its_end(self, yard):
        engine, tasks = yard.in_stint(3)
        steps = engine.steps
        for number, task in enumerate(tasks[:2]):
            tick = engine.tick()
            assert (engine.steps - steps, engine.has_kept) == (number + 1, True)
            assert (tick.finished.id, tick.finished.result) == (task.id, str(number))
            assert tick.claimed.id == tasks[number + 1].id
            assert tick.next_at <= yard.bench.clock.now()
        assert yard.states(tasks) == [RUNNING] * 3
        tick = engine.tick()
        assert yard.states(tasks) == [SUCCEEDED] * 3
        assert (tick.finished, tick.claimed) == (yard.bench.task(tasks[2]), None)
        assert (engine.is_amid_stint, engine.has_kept) == (False, False)

    def it_is_stored_with_the_claim_of_the_next(self, yard):
        engine, tasks = yard.in_stint(2)
        following = yard.calls("following")
        engine.tick()
        assert engine.tick().claimed.id == following[0].id
        assert yard.states([*tasks, *following]) == [SUCCEEDED, SUCCEEDED, RUNNING]

    @pytest.mark.parametrize(
        "alone",
        [
            {"lock": "k"},
            {"rate_key": "k"},
            {"unique": "k"},
            {"expires_seconds": 60},
            {"delay_seconds": 1},
            {"priority": 1},
        ],
        ids=lambda alone: next(iter(alone)),
    )
    def it_is_of_plain_tasks_that_are_next(self, yard, alone):
        engine, _ = yard.in_stint(2)
        yard.calls("a", "b", **alone)
        yard.calls("c", "d")
        while engine.tick().claimed is not None:
            held = yard.bench.store.find(state=RUNNING)
            assert len(held) == 1 or all(task.lock is None for task in held)
            assert len({task.priority for task in held}) == 1
        expected = {"delay_seconds": "cd", "unique": "acd"}.get(next(iter(alone)), "abcd")
        assert yard.ran == [0, 1, *expected]

    def it_is_of_all_the_queues_of_its_worker(self, yard):
        engine, _ = yard.in_stint(3, queues=["default", "mail", "paused"])
        yard.bench.store.put_paused("paused", True)
        for what, queue in zip("abcdef", ["mail", "default", "other", "paused", "mail", "default"]):
            yard.calls(what, queue=queue)
        yard.calls("later", queue="mail", delay_seconds=60)
        for _ in range(3):
            engine.tick()
        assert yard.held() == 4
        work(engine)
        assert yard.ran == [0, 1, 2, *"abef"]

    def it_has_no_function_that_was_not_run_before(self, yard):
        engine, _ = yard.in_stint(2)
        yard.bench.call(yard.other, "new")
        yard.calls(*"abc")
        engine.tick()
        engine.tick()
        assert yard.held() == 1  # the new one, with nothing behind it
        engine.tick()
        assert yard.held() == 2
        work(engine)
        assert yard.ran == [0, 1, "new", *"abc"]

    def it_ends_before_a_function_that_was_not_run_before(self, yard):
        engine, _ = yard.in_stint(4)
        yard.calls("a", "b")
        yard.bench.call(yard.other, "new")
        yard.calls("c")
        for _ in range(4):
            engine.tick()
        assert yard.held() == 2  # of the eight for which there would be room
        work(engine)
        assert yard.ran == [0, 1, 2, 3, "a", "b", "new", "c"]

    def it_forgets_how_long_all_functions_took_when_they_are_a_thousand(self, yard):
        (task,) = yard.calls("it")
        running = apply(task, Claimed("worker-1", yard.bench.clock.now()))
        stint = Stint()
        for number in range(1001):
            known = [stint.room(changed(running, name=f"f{n}")) for n in range(min(number, 3))]
            assert known == [1, 1, 1][:number]
            stint.learn(changed(running, name=f"f{number}"), yard.bench.clock.now())
        assert [stint.room(changed(running, name=f"f{n}")) for n in (0, 999, 1000)] == [0, 0, 1]

    def it_has_no_function_that_took_long_until_that_is_long_ago(self, yard):
        yard.plans["long"] = yard.takes(7)
        yard.calls("long", *range(40))
        engine = yard.worker()
        engine.tick()
        held = []
        while engine.tick().claimed is not None:
            held.append(yard.held())
        # Each quick one takes a tenth off what is expected: 7, 6.3, 5.7, 5.1, 4.6 ms.
        assert held[:5] == [1, 1, 1, 1, 1]
        assert max(held) > 1
        assert yard.ran == ["long", *range(40)]

    def it_has_no_function_that_took_all_of_its_time(self, yard):
        (task,) = yard.calls("it")
        now = yard.bench.clock.now()
        running = apply(task, Claimed("worker-1", now))
        for microseconds, room in ((4999, 1), (5000, 0), (5001, 0)):
            stint = Stint()
            stint.learn(running, now + timedelta(microseconds=microseconds))
            assert stint.room(running) == room

    def it_takes_as_many_as_fit_into_its_time(self, yard):
        for number in range(40):
            yard.plans[number] = yard.takes(1)
        yard.calls(*range(40))
        engine = yard.worker()
        most = 0
        while engine.tick().claimed is not None:
            most = max(most, yard.held())
        assert most * 0.001 == pytest.approx(STINT_SECONDS)

    @examples(60)
    @given(
        st.lists(
            st.tuples(
                st.integers(-1, 1),
                st.sampled_from(["default", "mail"]),
                st.sampled_from([{}, {}, {}, {"lock": "k"}, {"unique": "k"}]),
                st.integers(0, 2),
            ),
            max_size=40,
        ),
    )
    def it_keeps_the_order_of_one_at_a_time(self, tmp_path_factory, calls):
        orders = []
        for keeps_logbook in (True, False):
            yard = Yard(tmp_path_factory.mktemp("yard"))
            for number, (priority, queue, options, seconds) in enumerate(calls):
                yard.calls(number, priority=priority, queue=queue, delay_seconds=seconds, **options)
            yard.bench.clock.advance(seconds=5)
            work(yard.worker() if keeps_logbook else yard.bench.engine())
            orders.append(yard.ran)
            yard.bench.store.close()
        assert orders[0] == orders[1]


class DescribeWhatHasEnded:
    def it_has_the_times_of_its_own_run(self, yard):
        engine, tasks = yard.in_stint(3)
        claimed_at = yard.bench.clock.now()
        for number in range(3):
            yard.plans[number] = yard.takes(1)
        work(engine)
        ms = timedelta(milliseconds=1)
        ended = [yard.bench.task(task) for task in tasks]
        assert [task.started_at - claimed_at for task in ended] == [0 * ms, ms, 2 * ms]
        assert [task.finished_at - task.started_at for task in ended] == [ms] * 3

    def it_is_stored_once_the_time_of_the_stint_is_over(self, yard):
        engine, tasks = yard.in_stint(4)
        yard.plans[1] = yard.takes(5)
        engine.tick()
        assert yard.states(tasks) == [RUNNING] * 4
        engine.tick()
        # The others might have to wait for as long again, so only the next one is claimed anew.
        assert yard.states(tasks) == [SUCCEEDED, SUCCEEDED, RUNNING, WAITING]
        begins_at = yard.bench.clock.now()
        work(engine)
        assert [yard.bench.task(task).started_at for task in tasks[2:]] == [begins_at] * 2
        assert [yard.bench.task(task).attempt for task in tasks] == [1] * 4
        assert yard.ran == [0, 1, 2, 3]
        assert yard.states(tasks) == [SUCCEEDED] * 4

    def it_lets_what_has_come_or_changed_meanwhile_have_its_effect(self, yard):
        engine, tasks = yard.in_stint(5)
        urgent = []

        def take_long():
            yard.bench.clock.advance(timedelta(milliseconds=20))
            assert yard.bench.engine().cancel(tasks[1].id)
            urgent.extend(yard.calls("urgent", priority=5))

        yard.plans[0] = take_long
        work(engine)
        assert yard.ran == [0, "urgent", 2, 3, 4]
        assert yard.states(tasks)[1] is TaskState.CANCELLED

    def it_is_stored_at_once_if_it_has_failed(self, yard):
        engine, tasks = yard.in_stint(3)

        def fail():
            raise ValueError("no")

        yard.plans[1] = fail
        engine.tick()
        assert engine.tick().finished.state is TaskState.FAILED
        assert yard.states(tasks) == [SUCCEEDED, TaskState.FAILED, RUNNING]
        failed = yard.bench.task(tasks[1])
        assert (failed.failure.message, failed.attempt) == ("no", 1)

    def it_is_stored_at_once_if_it_has_told_its_progress(self, yard):
        engine, tasks = yard.in_stint(3)
        yard.plans[0] = lambda: engine.hand.tell_progress("half")
        engine.tick()
        assert yard.states(tasks) == [SUCCEEDED, RUNNING, RUNNING]
        assert yard.bench.task(tasks[0]).progress == "half"

    def it_releases_what_waits_for_it_once_it_is_stored(self, yard):
        engine, _ = yard.in_stint(2)
        first, then = yard.before("first", group=False)
        behind = yard.calls("behind", "last")
        for _ in range(3):
            engine.tick()
        assert yard.states([first, *behind]) == [RUNNING] * 3
        assert yard.bench.task(then).after == first.id
        before = yard.bench.wakes.count
        engine.tick()
        assert engine.tick().claimed.id == then.id
        assert yard.states([first, *behind]) == [SUCCEEDED] * 3
        work(engine)
        assert yard.ran == [0, 1, "first", "behind", "last", "first"]
        # Nobody else was woken for the one that was claimed at once.
        assert yard.bench.wakes.count == before

    def it_releases_what_waits_for_a_group_once_the_last_one_is_stored(self, yard):
        engine, _ = yard.in_stint(3)
        *_, then = yard.before(*range(8))
        for _ in range(3):
            engine.tick()
        assert yard.held() == 6
        for _ in range(6):
            engine.tick()
        # Two of them are left.
        assert (yard.held(), yard.bench.task(then).after is None) == (2, False)
        work(engine)
        assert yard.ran == [0, 1, 2, *range(8), [*range(8)]]

    @pytest.mark.parametrize("is_settled", [True, False])
    def it_wakes_another_for_what_it_releases(self, yard, is_settled):
        engine, _ = yard.in_stint(2)
        _, then = yard.before("first", group=False)
        yard.calls("behind")
        yard.plans["behind"] = lambda: is_settled and engine.settle()
        for _ in range(3):
            engine.tick()
        before = yard.bench.wakes.count
        engine.tick(claim=False)
        assert yard.bench.task(then).after is None
        assert yard.bench.wakes.count == before + 1

    def it_tells_the_hooks_once_it_is_stored(self, yard):
        told = []

        def hear(kind, task):
            told.append((kind, task.result))
            if kind == "succeeded":
                assert yard.bench.task(task) == task

        engine, _ = yard.in_stint(3, observer=hear)
        told.clear()
        work(engine)
        assert told == [
            *[("started", None)] * 3,
            ("succeeded", "0"),
            ("succeeded", "1"),
            ("succeeded", "2"),
        ]

    def it_has_succeeded_if_somebody_asks_for_its_end_meanwhile(self, yard):
        told = []
        engine, tasks = yard.in_stint(4, observer=lambda kind, task: told.append((kind, task.id)))
        told.clear()
        began_at = yard.bench.clock.now()
        yard.plans[0] = yard.plans[1] = yard.takes(1)
        yard.plans[2] = lambda: yard.bench.engine().cancel(tasks[1].id)
        work(engine)
        stored = yard.bench.task(tasks[1])
        assert (stored.state, stored.result) == (SUCCEEDED, "null")
        assert stored.cancel_asked_at is not None
        assert stored.started_at - began_at == timedelta(milliseconds=1)
        assert stored.finished_at - began_at == timedelta(milliseconds=2)
        assert [what for what in told if what[0] != "started"] == [
            ("succeeded", task.id) for task in tasks
        ]

    def it_has_its_own_times_also_if_somebody_asks_for_its_end_while_it_runs(self, yard):
        engine, tasks = yard.in_stint(2)
        began_at = yard.bench.clock.now()
        yard.plans[0] = yard.takes(1)
        yard.plans[1] = lambda: yard.bench.engine().cancel(tasks[1].id)
        work(engine)
        stored = yard.bench.task(tasks[1])
        assert (stored.state, stored.cancel_asked_at is None) == (SUCCEEDED, False)
        assert stored.started_at - began_at == timedelta(milliseconds=1)

    @pytest.mark.parametrize("failing", ["swap", "transaction"])
    def it_stays_in_hand_if_it_can_not_be_stored_and_nothing_runs_again(self, yard, failing):
        store = FailingStore(yard.bench.store)
        engine, tasks = yard.in_stint(4, store=store)
        engine.tick()
        store.failing = {failing}
        yard.plans[2] = yard.takes(5)
        for _ in range(5):
            trouble = engine.tick().trouble
        assert "disk is full" in str(trouble)
        assert (yard.ran, yard.states(tasks)) == ([0, 1, 2], [RUNNING] * 4)
        with pytest.raises(StoreError):
            engine.settle()
        store.failing = set()
        work(engine)
        assert (yard.ran, yard.states(tasks)) == ([0, 1, 2, 3], [SUCCEEDED] * 4)

    def it_is_stored_alone_if_it_fails_together_with_the_claim(self, yard):
        store = FailingStore(yard.bench.store)
        engine, tasks = yard.in_stint(3, store=store)
        following = yard.calls("following")
        store.failing = {"claimable"}
        for _ in range(3):
            tick = engine.tick()
        assert (tick.trouble, tick.claimed) == (None, None)
        assert yard.states([*tasks, *following]) == [SUCCEEDED] * 3 + [WAITING]

    def it_is_stored_alone_if_it_fails_together_with_what_is_given_back(self, yard):
        class FirmStore(FailingStore):
            def swap(self, before, after):
                return self._fail() if after.state is WAITING else self._store.swap(before, after)

        engine, tasks = yard.in_stint(3)
        engine.tick()
        engine.store = FirmStore(yard.bench.store)
        before = yard.bench.wakes.count
        tick = engine.tick(claim=False)
        assert (tick.trouble, tick.claimed, engine.in_hand) == (None, None, None)
        assert yard.states(tasks) == [SUCCEEDED, SUCCEEDED, RUNNING]
        assert (yard.bench.wakes.count, engine.is_amid_stint) == (before, True)
        # Whoever finds that this worker is gone gives it back.
        yard.reclaim()
        assert (yard.states(tasks)[2], yard.bench.task(tasks[2]).deaths) == (WAITING, 0)

    def it_is_known_to_have_returned_though_that_could_not_be_stored(self, yard):
        store = FailingStore(yard.bench.store)
        engine, tasks = yard.in_stint(3, store=store)
        store.failing = {"transaction"}
        yard.plans[0] = yard.takes(6)
        assert engine.tick().trouble is not None
        assert engine.tick().trouble is not None
        store.failing = set()
        yard.reclaim()
        assert yard.states(tasks) == [SUCCEEDED, WAITING, WAITING]
        assert [yard.bench.task(task).deaths for task in tasks] == [0, 0, 0]

    def it_is_told_to_hooks_that_have_the_engine_settle(self, yard):
        """As another thread does, which then must not wait for them."""
        seen = []

        def hear(kind, task):
            if kind == "failed":
                thread = Thread(target=engine.settle, daemon=True)
                thread.start()
                thread.join(60)
                seen.append((thread.is_alive(), yard.states(tasks)))

        def fail():
            raise ValueError("no")

        engine, tasks = yard.in_stint(4, observer=hear)
        yard.plans[1] = fail
        work(engine)
        assert seen == [(False, [SUCCEEDED, TaskState.FAILED, RUNNING, WAITING])]
        assert yard.ran == [0, 1, 2, 3]

    def it_is_not_mixed_up_by_a_thread_that_it_has_left_behind(self, yard):
        hands = []
        engine, tasks = yard.in_stint(3)
        yard.plans[0] = lambda: hands.append(engine.hand)
        engine.tick()
        yard.bench.engine().cancel(tasks[1].id)
        assert hands[0].is_cancel_asked() is False
        assert hands[0].tell_progress('"of the first"') is None
        assert engine.in_hand.id == tasks[1].id
        work(engine)
        assert yard.ran == [0, 1, 2]
        ended = [yard.bench.task(task) for task in tasks]
        assert [task.state for task in ended] == [SUCCEEDED] * 3
        assert [task.result for task in ended] == ["null", "1", "2"]
        assert [task.progress for task in ended] == ['"of the first"', None, None]

    def it_does_not_count_if_its_worker_was_thought_dead(self, yard):
        engine, tasks = yard.in_stint(3)
        engine.tick()
        yard.bench.engine().reclaim("worker-1", charged=False)
        held = [yard.bench.task(task) for task in tasks]
        engine.tick(claim=False)
        assert [yard.bench.task(task) for task in tasks] == held
        assert [task.state for task in held] == [WAITING] * 3


class DescribeATaskThatTakesLonger:
    def it_has_the_others_settled(self, yard):
        engine, tasks = yard.in_stint(4)
        seen = []

        def take_long():
            engine.settle()
            seen.extend(yard.states(tasks))
            assert not engine.is_amid_stint
            engine.settle()

        yard.plans[1] = take_long
        before = yard.bench.wakes.count
        engine.tick()
        engine.tick()
        assert seen == [SUCCEEDED, RUNNING, WAITING, WAITING]
        # Somebody else may run them, and they are as they were.
        assert yard.bench.wakes.count == before + 2
        work(engine)
        assert yard.ran == [0, 1, 2, 3]
        assert [yard.bench.task(task).attempt for task in tasks] == [1] * 4

    def it_lets_another_worker_run_them(self, yard):
        engine, tasks = yard.in_stint(4)

        def take_long():
            engine.settle()
            work(yard.worker("worker-2"))

        yard.plans[0] = take_long
        work(engine)
        assert yard.ran == [0, 1, 2, 3]
        assert yard.states(tasks) == [SUCCEEDED] * 4

    def it_lets_hooks_be_told_when_it_has_ended(self, yard):
        told = []
        engine, _ = yard.in_stint(2, observer=lambda kind, task: told.append(kind))
        told.clear()

        def take_long():
            engine.settle()
            assert told == ["started", "started"]

        yard.plans[1] = take_long
        work(engine)
        assert told == ["started", "started", "succeeded", "succeeded"]

    def it_makes_cancelling_those_behind_it_final(self, yard):
        engine, tasks = yard.in_stint(3)

        def take_long():
            assert yard.bench.engine().cancel(tasks[2].id, kill=True)
            engine.settle()

        yard.plans[0] = take_long
        work(engine)
        assert yard.states(tasks) == [SUCCEEDED, SUCCEEDED, TaskState.CANCELLED]
        assert yard.ran == [0, 1]

    def it_may_be_left_to_who_is_storing_it_already(self, yard):
        threads = []

        class BusyStore(FailingStore):
            @contextmanager
            def transaction(self):
                with self._store.transaction():
                    for how, patience_seconds in (({"waits": False}, 60), ({}, 0.05)):
                        thread = Thread(target=engine.settle, kwargs=how)
                        thread.start()
                        thread.join(patience_seconds)
                        assert thread.is_alive() == (not how)
                        threads.append(thread)
                    yield

        engine, tasks = yard.in_stint(2)
        engine.store = BusyStore(yard.bench.store)
        engine.tick()
        engine.tick()
        for thread in threads:
            thread.join(60)
        assert [thread.is_alive() for thread in threads] == [False, False]
        assert yard.states(tasks) == [SUCCEEDED] * 2


class DescribeLeaving:
    def it_ends_the_task_in_hand_and_gives_the_others_back(self, yard):
        engine, tasks = yard.in_stint(4)
        engine.tick()
        before = yard.bench.wakes.count
        tick = engine.tick(claim=False)
        assert yard.bench.wakes.count == before + 2
        assert (tick.claimed, engine.in_hand, engine.is_amid_stint) == (None, None, False)
        assert yard.states(tasks) == [SUCCEEDED, SUCCEEDED, WAITING, WAITING]
        assert [yard.bench.task(task).attempt for task in tasks] == [1, 1, 0, 0]

    def it_can_let_go_of_all_that_has_not_ended(self, yard):
        engine, tasks = yard.in_stint(4)
        engine.tick()
        engine.let_go()
        assert yard.states(tasks) == [SUCCEEDED, WAITING, WAITING, WAITING]

    def it_may_be_done_for_it_without_undoing_what_has_ended(self, yard):
        # As who sees that the grace is over does it.
        engine, tasks = yard.in_stint(4)
        engine.tick()
        yard.bench.engine("house", logbooks=yard.logbooks).hand_back("worker-1")
        assert yard.states(tasks) == [SUCCEEDED, WAITING, WAITING, WAITING]


class DescribeAKill:
    @pytest.mark.parametrize("short", [0, 1, 2])
    def it_is_told_as_it_was_though_an_entry_was_written_in_part(self, yard, monkeypatch, short):
        """As on a disk that is full for a moment."""
        engine, tasks = yard.in_stint(5)
        write, writes = os.pwrite, []

        def pwrite(descriptor, data, at):
            writes.append(data)
            return write(descriptor, data[:10] if len(writes) == short + 1 else data, at)

        monkeypatch.setattr(os, "pwrite", pwrite)
        for _ in range(4):
            engine.tick()
        monkeypatch.undo()
        yard.reclaim()
        work(yard.worker("worker-2"))
        assert sorted(yard.ran) == [0, 1, 2, 3, 4]
        assert yard.states(tasks) == [SUCCEEDED] * 5

    def it_releases_what_waits_for_what_had_ended(self, yard):
        engine, _ = yard.in_stint(2)
        first, then = yard.before("first", group=False)
        yard.calls("behind")
        for _ in range(3):
            engine.tick()
        yard.reclaim()
        assert yard.states([first, then]) == [SUCCEEDED, WAITING]
        assert yard.bench.task(then).after is None

    @examples(60)
    @given(
        count=st.integers(1, 12),
        ended=st.integers(0, 12),
        within=st.booleans(),
        charged=st.booleans(),
    )
    @example(count=3, ended=0, within=True, charged=True)
    @example(count=3, ended=2, within=True, charged=True)
    def it_is_told_as_it_was(self, tmp_path_factory, count, ended, within, charged):
        yard = Yard(tmp_path_factory.mktemp("yard"))
        engine, tasks = yard.in_stint(count)
        ended = min(ended, count - 1)

        def die():
            raise Killed

        if within:
            yard.plans[ended] = die
        for _ in range(ended):
            engine.tick()
        if within:
            with pytest.raises(Killed):
                engine.tick()
        del engine
        has_begun = within or ended
        yard.reclaim(charged=charged)
        after = [yard.bench.task(task) for task in tasks]
        assert [task.state for task in after] == [SUCCEEDED] * ended + [WAITING] * (count - ended)
        assert [task.result for task in after[:ended]] == [str(n) for n in range(ended)]
        deaths = int(charged and bool(has_begun))
        assert [task.deaths for task in after[ended:]] == [deaths, *[0] * (count - ended - 1)]
        attempts = [int(bool(has_begun)), *[0] * (count - ended - 1)]
        assert [task.attempt for task in after[ended:]] == attempts
        yard.plans.clear()
        work(yard.worker("worker-2"))
        assert yard.states(tasks) == [SUCCEEDED] * count
        again = [ended] if within else []
        assert sorted(yard.ran) == sorted([*range(count), *again])
        yard.bench.store.close()

    def it_keeps_the_times_of_what_had_ended(self, yard):
        engine, tasks = yard.in_stint(3)
        yard.plans[0] = yard.takes(1)
        engine.tick()
        ended = engine.tick().finished
        yard.bench.clock.advance(minutes=1)
        yard.reclaim()
        stored = yard.bench.task(tasks[1])
        assert stored == ended
        assert stored.started_at - yard.bench.task(tasks[0]).started_at == timedelta(milliseconds=1)

    def it_fails_only_what_was_late_if_that_was_why(self, yard):
        engine, tasks = yard.in_stint(3, policy=Policy(timeout_seconds=9))
        engine.tick()
        after = yard.reclaim(charged=False, timed_out=True)
        assert [task.state for task in after] == [SUCCEEDED, TaskState.FAILED, WAITING]
        assert yard.bench.task(tasks[1]).failure.type == "TaskTimeout"

    def it_tells_the_hooks_what_had_ended(self, yard):
        engine, _ = yard.in_stint(3)
        engine.tick()
        told = []
        house = yard.bench.engine(
            "house",
            runs=False,
            logbooks=yard.logbooks,
            observer=lambda kind, task: told.append(kind),
        )
        house.reclaim("worker-1", charged=True)
        assert told == ["succeeded", "lost"]

    def it_charges_all_that_a_worker_without_a_logbook_held(self, yard):
        tasks = yard.calls("a")
        yard.bench.engine("worker-9").tick()
        yard.reclaim("worker-9")
        assert yard.bench.task(tasks[0]).deaths == 1


class DescribeTheLogbook:
    def it_tells_which_task_of_a_worker_is_under_way(self, yard):
        engine, tasks = yard.in_stint(3)
        found = []

        def look():
            running = yard.bench.store.find(state=RUNNING)
            found.append(in_hand(yard.folder, running)["worker-1"].id)

        yard.plans = dict.fromkeys(range(3), look)
        work(engine)
        assert found == [task.id for task in tasks]

    @examples(100)
    @given(st.data())
    def it_tells_nothing_wrong_if_it_is_cut_off_or_damaged(self, tmp_path_factory, data):
        yard = Yard(tmp_path_factory.mktemp("yard"))
        engine, _ = yard.in_stint(4)
        for _ in range(3):
            engine.tick()
        whole = yard.logbooks("worker-1")
        with open(yard.folder.logbook("worker-1"), "r+b") as file:
            content = file.read()
            at = data.draw(st.integers(0, len(content) - 1))
            if data.draw(st.booleans()):
                file.truncate(at)
            else:
                file.seek(at)
                file.write(bytes([content[at] ^ data.draw(st.integers(1, 255))]))
        rest = yard.logbooks("worker-1")
        assert rest.begun <= whole.begun
        assert rest.ended.items() <= whole.ended.items()
        assert len(whole.ended) >= 3
        yard.bench.store.close()

    def it_is_done_without_where_it_can_not_be_written(self, yard, tmp_path):
        yard.calls(*range(20))
        missing = FileLogbook(str(tmp_path / "missing" / "logbook"))
        engine = yard.bench.engine(logbook=missing)
        while engine.tick().finished is None:
            pass
        ended = 1
        while engine.tick().finished is not None:
            ended += 1
            assert len(yard.bench.store.find(state=SUCCEEDED)) == ended
        assert yard.ran == list(range(20))

    def it_keeps_results_of_any_text_and_no_more_than_a_mebibyte(self, yard):
        texts = ["", "a\nb\n\n", "\0", "ü \U0001f600", "x" * 700_000, "y" * 700_000, "z"]
        engine, tasks = yard.in_stint(len(texts) + 1)
        for number, text in enumerate(texts):
            yard.plans[number] = lambda text=text: text
        for _ in texts:
            engine.tick()
        assert yard.states(tasks[:6]) == [SUCCEEDED] * 6  # stored, when there was no room for it
        yard.reclaim()
        assert [yard.bench.task(task).result for task in tasks[: len(texts)]] == [
            yard.bench.app.codec.dump_result(text) for text in texts
        ]

    def it_notes_nothing_of_an_id_that_it_could_not_read_again(self, yard):
        logbook = FileLogbook(yard.folder.logbook("worker-1"))
        (task,) = yard.calls("it")
        odd = changed(task, id="odd\n1\nid")
        assert [logbook.note(odd), logbook.note(task, odd), logbook.note(task)] == [
            False,
            False,
            True,
        ]
        assert yard.logbooks("worker-1").begun == {(task.id, task.attempt)}

    def it_has_nothing_of_earlier_stints(self, yard):
        """An attempt that was handed back has the same number when it begins again."""
        logbook = FileLogbook(yard.folder.logbook("worker-1"))
        tasks = yard.calls(*range(5))
        for task in tasks:
            assert logbook.note(task)
        logbook.clear()
        assert yard.logbooks("worker-1").begun == set()
        logbook.note(tasks[3])
        assert yard.logbooks("worker-1").begun == {(tasks[3].id, 0)}

    def it_of_nobody_is_nothing(self, yard):
        assert yard.logbooks("nobody") is None
