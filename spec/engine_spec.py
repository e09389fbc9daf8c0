"""The engine: one bounded step over the ports, whoever drives it.

A worker process, ``run_pending()`` and the simulator call the same ``Engine.tick()``. A step

1. *keeps house*, if the engine does (``spec/housekeeping_spec.py``): follows the clock, fires the
   cron occurrences that are owed, removes what was kept long enough;
2. runs the task in hand, if there is one, and **in one transaction** stores its outcome and claims
   the next task; with empty hands, it claims one;
3. tells when there is something to do again.

(A worker may claim several short tasks at once, and store their ends together:
``spec/stints_spec.py``.)

**A finish is never undone by the claim** that shares its transaction: if the two fail together, the
finish is tried alone. If that fails too, the outcome stays in hand and is stored by a later step;
the task is not run again. What a worker was thought dead over is not its own any more: its outcome
does not count.

**A task is claimed** when it is due and no running task has its ``lock``: by priority, higher
first, then due time, then age. Of any number of engines one gets it. ``unique`` is judged where the
call is stored, and nowhere else: while a task with the key waits, a second call gives back the
first.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.core.errors import StoreError
from autocron.core.events import CancelAsked
from autocron.core.machine import apply
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.task import TaskState
from autocron.housekeeping import PURGE_EVERY_SECONDS
from autocron.operations import SCHEDULES_VERSION, next_version
from spec.benches import Bench, FailingStore, work
from spec.strategies import examples
from spec.tables import table

MINUTE = timedelta(minutes=1)


@pytest.fixture
def ran(bench):
    """The arguments of the runs of ``note``, in order."""
    return []


@pytest.fixture
def note(bench, ran):
    @bench.app.delay
    def note(what=None):
        ran.append(what)
        return what

    return note


class DescribeAStep:
    def it_claims_then_runs_and_claims_the_next(self, bench, note, ran):
        first, second = bench.call(note, 1), bench.call(note, 2)
        engine = bench.engine()
        tick = engine.tick()
        assert (tick.claimed.id, tick.finished, ran, engine.steps) == (first.id, None, [], 0)
        tick = engine.tick()
        assert (tick.claimed.id, tick.finished.id, ran) == (second.id, first.id, [1])
        tick = engine.tick()
        assert (tick.claimed, tick.finished.id, ran) == (None, second.id, [1, 2])
        assert engine.tick() == tick._replace(finished=None)

    def it_runs_nothing_without_an_invoker(self, bench, note, ran):
        bench.call(note)
        tick = bench.engine(runs=False, keeps_house=True).tick()
        assert (tick.claimed, tick.finished, ran) == (None, None, [])

    def it_fires_nothing_unless_it_keeps_house(self, bench, note):
        bench.schedule(note, "* * * * *")
        bench.clock.advance(minutes=5)
        assert bench.engine().tick().fired == ()

    def it_takes_nothing_more_when_it_is_to_leave(self, bench, note, ran):
        bench.call(note, 1)
        waiting = bench.call(note, 2)
        engine = bench.engine()
        engine.tick()
        tick = engine.tick(claim=False)
        assert (tick.claimed, ran) == (None, [1])
        assert engine.tick(claim=False).claimed is None
        assert bench.task(waiting) == waiting

    def it_stores_who_runs_a_task_and_since_when(self, bench, note):
        task = bench.call(note)
        bench.clock.advance(seconds=5)
        bench.engine("worker-7").tick()
        running = bench.task(task)
        assert (running.state, running.worker, running.attempt) == (
            TaskState.RUNNING,
            "worker-7",
            1,
        )
        assert running.started_at == bench.clock.now()

    def it_can_let_the_task_in_hand_go_uncharged(self, bench, note, ran):
        task = bench.call(note, 1)
        engine = bench.engine()
        engine.tick()
        engine.let_go()
        waiting = bench.task(task)
        assert (engine.in_hand, waiting.state, waiting.attempt) == (None, TaskState.WAITING, 0)
        engine.let_go()
        assert [ended.attempt for ended in work(engine)] == [1]
        assert ran == [1]


class DescribeAFinish:
    def it_shares_its_transaction_with_the_next_claim(self, bench, note):
        bench.call(note, 1)
        bench.call(note, 2)
        begun = []

        class CountingStore(FailingStore):
            def transaction(self):
                begun.append(1)
                return self._store.transaction()

        engine = bench.engine(store=CountingStore(bench.store))
        engine.tick()
        begun.clear()
        tick = engine.tick()
        assert (tick.claimed is None, tick.finished is None, len(begun)) == (False, False, 1)

    def it_is_tried_alone_if_it_fails_together_with_the_claim(self, bench, note, ran):
        task, waiting = bench.call(note, 1), bench.call(note, 2)
        store = FailingStore(bench.store)
        engine = bench.engine(store=store)
        engine.tick()
        store.failing = {"claimable"}
        tick = engine.tick()
        assert (tick.finished.id, tick.claimed, tick.trouble) == (task.id, None, None)
        assert bench.task(task).state is TaskState.SUCCEEDED
        assert bench.task(waiting) == waiting
        store.failing = set()
        assert [ended.id for ended in work(engine)] == [waiting.id]
        assert ran == [1, 2]

    @pytest.mark.parametrize("failing", ["swap", "transaction"])
    def it_stays_in_hand_if_it_can_not_be_stored_and_nothing_runs_again(
        self, bench, note, ran, failing
    ):
        task = bench.call(note, 1)
        store = FailingStore(bench.store)
        engine = bench.engine(store=store)
        engine.tick()
        store.failing = {"swap", failing}
        for _ in range(3):
            tick = engine.tick()
            assert "disk is full" in str(tick.trouble)
            assert (tick.finished, tick.next_at, ran) == (None, bench.clock.now(), [1])
            engine.let_go()  # which is only for what was not run
            assert bench.task(task).state is TaskState.RUNNING
        store.failing = set()
        bench.clock.advance(seconds=9)
        ended = engine.tick().finished
        assert (ended.state, ran) == (TaskState.SUCCEEDED, [1])
        # The instant is that of the end, not of its being written down.
        assert bench.clock.now() - ended.finished_at == timedelta(seconds=9)

    def it_does_not_count_if_another_worker_has_the_task_by_now(self, bench, note, ran):
        task = bench.call(note, 1)
        lost, other = bench.engine("lost"), bench.engine("other")
        lost.tick()
        bench.engine().reclaim("lost", charged=True)
        other.tick()
        held = bench.task(task)
        assert lost.tick().finished is None
        assert bench.task(task) == held
        assert other.tick().finished.state is TaskState.SUCCEEDED

    def it_does_not_count_if_it_is_of_an_earlier_attempt(self, bench, note, ran):
        task = bench.call(note, 1)
        before, after = bench.engine("namesake"), bench.engine("namesake")
        before.tick()
        bench.engine().reclaim("namesake", charged=True)
        after.tick()
        held = bench.task(task)
        assert before.tick().finished is None
        assert bench.task(task) == held
        assert after.tick().finished.attempt == 2

    def it_wakes_nobody_where_nothing_waited_for_it(self, bench, note):
        bench.call(note)
        before = bench.wakes.count
        work(bench.engine())
        assert bench.wakes.count == before

    def it_wakes_another_worker_only_for_what_is_left(self, bench, note):
        bench.call(note, 1)
        bench.call(note, 2, delay_seconds=1)
        engine = bench.engine()
        engine.tick()
        before = bench.wakes.count
        engine.share()
        assert bench.wakes.count == before
        bench.clock.advance(seconds=1)
        engine.share()
        assert bench.wakes.count == before + 1

    def it_wakes_another_worker_for_what_is_due_while_it_has_something_else_to_do(
        self, bench, note
    ):
        @bench.app.delay
        def fail():
            raise ValueError("no")

        bench.call(fail, policy=Policy(retries=1, backoff_seconds=60.0))
        bench.call(note, 1)
        bench.call(note, 2, rate_key="k", policy=Policy(rate=Rate(1, 60.0)))
        engine = bench.engine()
        counts = [bench.wakes.count]
        for _ in range(4):
            engine.tick()
            counts.append(bench.wakes.count)
        # Of the next attempt, and of the next one of the rate; not where it will look itself.
        assert [after - before for before, after in zip(counts, counts[1:])] == [0, 1, 1, 0]

    def it_tells_of_an_end_also_if_it_can_not_look_what_is_next(self, bench, note):
        store = FailingStore(bench.store)
        task = bench.call(note, 1)
        engine = bench.engine(store=store)
        engine.tick()
        store.failing = {"next_due_at"}
        tick = engine.tick()
        assert (tick.finished.id, tick.trouble) == (task.id, None)
        assert tick.next_at == bench.clock.now()
        with pytest.raises(StoreError):
            engine.tick()

    def it_wakes_another_worker_for_what_its_rate_holds_up(self, bench, note):
        """Who is busy does not look when that is due."""
        bench.call(note, 1, rate_key="k", policy=Policy(rate=Rate(1, 60.0)))
        engine = bench.engine()
        engine.tick()
        before = bench.wakes.count
        engine.share()
        assert bench.wakes.count == before + 1

    def it_draws_the_delay_of_the_next_attempt(self, bench):
        @bench.app.delay
        def fail():
            raise ValueError

        task = bench.call(fail, policy=Policy(retries=1))
        work(bench.engine(draw=lambda: 0.25))
        assert bench.task(task).run_at == bench.clock.now() + timedelta(seconds=1.25)

    def it_wakes_another_worker_for_what_waited_for_its_lock(self, bench, note):
        bench.call(note, lock="k")
        engine = bench.engine()
        engine.tick()
        before = bench.wakes.count
        engine.tick()
        assert bench.wakes.count == before + 1


class DescribeALoss:
    def it_leaves_word_of_when_the_attempt_began_and_that_its_worker_was_lost(self, bench, note):
        task = bench.call(note)
        bench.engine().tick()
        began_at = bench.clock.now()
        bench.clock.advance(seconds=3)
        (lost,) = bench.engine("house").reclaim("worker-1", charged=True)
        assert lost == bench.task(task)
        (past,) = lost.history
        assert (past.started_at, past.ended_at) == (began_at, bench.clock.now())
        assert past.error_message == "its worker was lost"

    def it_leaves_word_of_what_ended_the_worker_if_that_is_known(self, bench, note):
        bench.call(note)
        bench.engine().tick()
        how = "was ended by SIGSEGV"
        (lost,) = bench.engine("house").reclaim("worker-1", charged=True, how=how)
        assert lost.history[0].error_message == "its worker was ended by SIGSEGV"


@table("""
before               | after
-                    | 1
1                    | 2
9                    | 10
99999999999999999    | 100000000000000000
100000000000000000   | 1
999999999999999999   | 1
-3                   | 1
x                    | 1
""")
def it_goes_on_with_the_count_of_declared_schedules_whatever_stands_there(before, after):
    stored = {} if before == "-" else {SCHEDULES_VERSION: before}
    assert next_version(stored) == after


class DescribeAClaim:
    def it_goes_by_priority_then_due_time_then_age(self, bench, note, ran):
        bench.call(note, "late", delay_seconds=20)
        bench.call(note, "early", delay_seconds=10)
        bench.call(note, "old")
        bench.call(note, "young")
        bench.call(note, "low", priority=-100)
        bench.call(note, "high", priority=100, delay_seconds=30)
        bench.clock.advance(minutes=1)
        work(bench.engine())
        assert ran == ["high", "old", "young", "early", "late", "low"]

    def it_takes_nothing_before_its_time_to_the_microsecond(self, bench, note, ran):
        bench.call(note, delay_seconds=10)
        engine = bench.engine()
        bench.clock.advance(timedelta(seconds=10) - timedelta(microseconds=1))
        assert engine.tick().claimed is None
        bench.clock.advance(timedelta(microseconds=1))
        assert engine.tick().claimed is not None

    def it_fails_as_a_step_if_the_store_fails_and_changes_nothing(self, bench, note, ran):
        task = bench.call(note)
        store = FailingStore(bench.store)
        store.failing = {"swap"}
        engine = bench.engine(store=store)
        with pytest.raises(StoreError):
            engine.tick()
        assert (engine.in_hand, bench.task(task)) == (None, task)

    @pytest.mark.parametrize("lock", [None, "k"])
    def it_is_not_held_if_its_commit_fails(self, bench, note, ran, lock):
        task = bench.call(note, lock=lock)

        class UncommittingStore(FailingStore):
            @contextmanager
            def transaction(self):
                with self._store.transaction():
                    yield
                    if "commit" in self.failing:
                        self._fail()

            def swap(self, before, after):
                # A write alone is a transaction, too.
                with self.transaction():
                    return self._store.swap(before, after)

        store = UncommittingStore(bench.store)
        store.failing = {"commit"}
        engine = bench.engine(store=store)
        with pytest.raises(StoreError):
            engine.tick()
        # Else the next step would run what another worker may have by then.
        assert (engine.in_hand, bench.task(task), ran) == (None, task, [])
        store.failing = set()
        assert [ended.attempt for ended in work(engine)] == [1]

    @table("""
    lock | claimed
    -    | second
    k    | none
    """)
    def it_is_of_what_is_left_if_another_worker_was_quicker(self, bench, note, lock, claimed):
        lock = None if lock == "-" else lock
        tasks = {name: bench.call(note, lock=lock) for name in ("first", "second")}
        quicker = [bench.engine("quicker").tick]

        class RacedStore(FailingStore):
            def transaction(self):
                self._let_it_be_quicker()
                return self._store.transaction()

            def swap(self, before, after):
                self._let_it_be_quicker()
                return self._store.swap(before, after)

            def _let_it_be_quicker(self):
                while quicker:
                    quicker.pop()()

        taken = bench.engine("slower", store=RacedStore(bench.store)).tick().claimed
        assert bench.task(tasks["first"]).worker == "quicker"
        assert taken == (None if claimed == "none" else bench.task(tasks[claimed]))
        assert bench.task(tasks["second"]).worker == (None if claimed == "none" else "slower")

    @pytest.mark.parametrize(
        "limited",
        [{"lock": "k"}, {"rate_key": "k", "policy": Policy(rate=Rate(1, 60.0))}],
        ids=["lock", "rate"],
    )
    def it_is_not_of_what_another_worker_has_just_shut_out(self, bench, note, limited):
        seen = bench.call(note, **limited)

        def quicker():
            other = bench.call(note, priority=1, **limited)
            assert bench.engine("quicker").tick().claimed.id == other.id

        races = [quicker]

        class RacedStore(FailingStore):
            def transaction(self):
                while races:
                    races.pop()()
                return self._store.transaction()

        assert bench.engine("slower", store=RacedStore(bench.store)).tick().claimed is None
        assert bench.task(seen) == seen

    @examples(40)
    @given(
        st.lists(st.sampled_from([None, "a", "b"]), min_size=1, max_size=8),
        st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["tick", "die"])), max_size=40),
    )
    def it_gives_a_task_to_one_worker_and_a_lock_to_one_task(self, locks, steps):
        bench = Bench()
        calls = []

        @bench.app.delay
        def note(number):
            calls.append(number)

        for number, lock in enumerate(locks):
            bench.call(note, number, lock=lock)
        engines = [bench.engine(f"worker-{number}") for number in range(3)]
        try:
            for number, what in steps:
                if what == "die":
                    bench.engine().reclaim(f"worker-{number}", charged=False)
                    engines[number] = bench.engine(f"worker-{number}")
                else:
                    engines[number].tick()
                running = bench.store.find(state=TaskState.RUNNING)
                held = [task.lock for task in running if task.lock is not None]
                assert len(held) == len(set(held))
                assert len(running) == len({task.worker for task in running})
            for engine in engines:
                work(engine)
            assert all(task.state is TaskState.SUCCEEDED for task in bench.store.find())
            assert sorted(set(calls)) == list(range(len(locks)))
        finally:
            bench.store.close()


class DescribeWhenThereIsSomethingToDo:
    def it_is_at_once_while_a_task_is_in_hand(self, bench, note):
        bench.call(note)
        assert bench.engine().tick().next_at == bench.clock.now()

    def it_is_when_the_next_task_is_due_or_when_woken(self, bench, note):
        engine = bench.engine()
        assert engine.tick().next_at is None
        bench.call(note, delay_seconds=90)
        bench.call(note, delay_seconds=60, priority=-5)
        assert engine.tick().next_at == bench.clock.now() + MINUTE
        bench.clock.advance(seconds=10)
        assert engine.tick().next_at == bench.clock.now() + timedelta(seconds=50)

    def it_is_no_task_that_waits_for_a_lock(self, bench, note):
        bench.call(note, lock="k")
        bench.call(note, lock="k")
        bench.engine("other").tick()
        assert bench.engine().tick().next_at is None

    @table("""
    text        | advanced | seconds
    * * * * *   | 0        | 30
    * * * * *   | 45       | 15
    * * * * * * | 0        | 1
    30 2 * * *  | 0        | 30
    """)
    def it_is_the_next_occurrence_or_the_next_purge_for_who_keeps_house(
        self, bench, note, text, advanced, seconds
    ):
        bench.schedule(note, text)
        bench.clock.advance(seconds=int(advanced))
        tick = bench.engine(runs=False, keeps_house=True).tick()
        assert tick.next_at == bench.clock.now() + timedelta(seconds=int(seconds))
        assert PURGE_EVERY_SECONDS == 30

    def it_is_when_a_task_expires_for_who_keeps_house(self, bench, note):
        bench.call(note, delay_seconds=20, expires_seconds=25.0)
        tick = bench.engine(runs=False, keeps_house=True).tick()
        assert tick.next_at == bench.clock.now() + timedelta(seconds=25)

    def it_is_the_earliest_of_all(self, bench, note):
        bench.schedule(note, "* * * * *")
        bench.call(note, delay_seconds=7)
        tick = bench.engine(keeps_house=True).tick()
        assert tick.next_at == bench.clock.now() + timedelta(seconds=7)


class DescribeAnUnknownFunction:
    def it_is_handed_back_uncharged_and_fails_after_a_minute(self, bench, note, ran):
        task = bench.call(note, 1)
        bench.app.forget(task.name)
        engine = bench.engine()
        for seconds in range(0, 60, 5):
            tick = [engine.tick(), engine.tick()][1]
            assert tick.finished.state is TaskState.WAITING, seconds
            assert (tick.finished.attempt, tick.finished.deaths) == (0, 0)
            assert tick.next_at == bench.clock.now() + timedelta(seconds=5)
            bench.clock.advance(seconds=5)
        ended = work(engine)
        assert [task.state for task in ended] == [TaskState.FAILED]
        assert (
            ended[0].failure.error_message == f"UnknownTask: no task function {task.name} is known"
        )

    def it_runs_as_soon_as_new_code_knows_it(self, bench, note, ran):
        task = bench.call(note, 1)
        known = bench.app.registry.get(task.name)
        bench.app.forget(task.name)
        engine = bench.engine()
        work(engine)
        bench.app.registry.add(known)
        bench.clock.advance(seconds=5)
        assert [ended.state for ended in work(engine)] == [TaskState.SUCCEEDED]
        assert ran == [1]


class DescribeAWorkerThatIsGone:
    @table("""
    how       | times | state   | deaths | attempts
    charged   | 1     | waiting | 1      | 1
    charged   | 2     | waiting | 2      | 2
    charged   | 3     | failed  | 3      | 3
    uncharged | 9     | waiting | 0      | 9
    back      | 9     | waiting | 0      | 0
    """)
    def it_gives_its_task_back_charged_or_not(
        self, bench, note, how, times, state, deaths, attempts
    ):
        task = bench.call(note)
        for _ in range(int(times)):
            bench.engine("gone").tick()
            before = bench.wakes.count
            changed = (
                bench.engine().hand_back("gone")
                if how == "back"
                else bench.engine().reclaim("gone", charged=how == "charged")
            )
            assert (len(changed), bench.wakes.count - before) == (1, 1)
        now = bench.task(task)
        assert (now.state.value, now.deaths, now.attempt) == (state, int(deaths), int(attempts))

    def it_touches_nobody_elses_task(self, bench, note):
        bench.call(note)
        bench.engine("other").tick()
        assert bench.engine().reclaim("gone", charged=True) == []
        assert bench.engine().hand_back("gone") == []


class DescribeUnique:
    def it_gives_back_the_task_that_waits_already(self, bench, note):
        first = bench.call(note, 1, unique="k")
        assert bench.call(note, 2, unique="k") == first
        assert bench.call(note, 2, unique="other") != first

    def it_lets_a_new_one_wait_while_the_first_runs_or_has_ended(self, bench, note):
        first = bench.call(note, 1, unique="k")
        engine = bench.engine()
        engine.tick()
        second = bench.call(note, 2, unique="k")
        assert second.id != first.id
        work(engine)
        assert bench.call(note, 3, unique="k").id not in (first.id, second.id)

    def it_is_not_judged_where_a_task_comes_back(self, bench, note):
        first = bench.call(note, 1, unique="k")
        bench.engine("gone").tick()
        bench.call(note, 2, unique="k")
        assert [task.id for task in bench.engine().hand_back("gone")] == [first.id]
        bench.engine("gone").tick()
        assert len(bench.engine().reclaim("gone", charged=True)) == 1
        assert bench.engine().cancel(first.id)
        assert bench.engine().retry(first.id)


class DescribeAWorkerThatWasEnded:
    def it_fails_the_task_that_took_too_long(self, bench, note):
        task = bench.call(note, policy=Policy(timeout_seconds=5.0))
        bench.engine("slow").tick()
        (ended,) = bench.engine().reclaim("slow", charged=False, timed_out=True)
        assert (ended.id, ended.state, ended.deaths) == (task.id, TaskState.FAILED, 0)
        assert ended.failure.type == "TaskTimeout"


class DescribeChangesFromOutside:
    @table("""
    state     | can_cancel | can_retry
    waiting   | yes        | no
    running   | asked      | no
    succeeded | no         | no
    failed    | no         | yes
    cancelled | no         | yes
    """)
    def it_cancels_what_waits_and_retries_what_failed_or_was_cancelled(
        self, bench, note, state, can_cancel, can_retry
    ):
        task = bench.call(note)
        now = bench.clock.now()
        is_final = state in ("succeeded", "failed", "cancelled")
        there = replace(
            task, state=TaskState(state), revision=1, finished_at=now if is_final else None
        )
        bench.store.swap(task, there)
        before = bench.wakes.count
        assert bench.engine().cancel(task.id) == (can_cancel != "no")
        if can_cancel == "asked":
            assert bench.task(task) == apply(there, CancelAsked(now))
        if can_cancel == "no":
            assert bench.task(task) == there
            assert bench.engine().retry(task.id) == (can_retry == "yes")
            assert bench.wakes.count - before == (can_retry == "yes")

    def it_says_no_to_a_task_that_is_not_stored(self, bench):
        assert not bench.engine().cancel("nobody")
        assert not bench.engine().retry("nobody")

    def it_counts_the_tasks(self, bench, note):
        bench.call(note)
        bench.call(note, delay_seconds=5)
        bench.engine().tick()
        counts = bench.engine().stats().counts
        assert {state.value: count for state, count in counts.items() if count} == {
            "waiting": 1,
            "running": 1,
        }
