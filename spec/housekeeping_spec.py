"""Housekeeping: firing what is owed, and removing what was kept long enough.

**An occurrence fires once**, however many engines look. A function with ``at_start=True`` also runs
once in each *period of service*, which begins when the application starts, not when workers are
replaced. That run is no occurrence of the schedule: it uses none up, and the watermark does not
keep it from running. A schedule that can not be read here, since its zone is unknown, is reported
and keeps no other from firing.

**Removed** are, ``result-ttl`` after their end, what has succeeded and what was cancelled, and,
after the longer ``failure-ttl``, what has failed; and when tasks with a rate began, once that does
not matter any more. At most 500 at one step, so that a step stays short; a full batch means that
the next step goes on at once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.core.errors import StoreError
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.task import Message, new_task
from autocron.firing import SCHEDULES_VERSION, SERVICE
from autocron.operations import PURGE_BATCH
from spec.benches import Bench, FailingStore, work
from spec.strategies import examples
from spec.tables import table

MINUTE = timedelta(minutes=1)


@pytest.fixture
def note(bench):
    @bench.app.delay
    def note(): ...

    return note


class DescribeAnOccurrence:
    def it_fires_once_however_many_engines_look(self, bench, note):
        bench.schedule(note, "* * * * *", overlap="allow")
        houses = [bench.engine(runs=False, keeps_house=True) for _ in range(5)]
        for minute in range(1, 4):
            bench.clock.advance(MINUTE)
            assert sum(len(house.tick().fired) for house in houses + houses) == 1
            assert len(bench.store.find()) == minute

    @examples(40)
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), min_size=1, max_size=40))
    def it_is_never_lost_and_never_twice_in_whatever_order_engines_look(self, looks):
        bench = Bench()

        @bench.app.delay
        def note(): ...

        try:
            bench.schedule(note, "* * * * *", overlap="allow", missed="all")
            houses = [bench.engine(runs=False, keeps_house=True) for _ in range(4)]
            for number, seconds in looks:
                bench.clock.advance(seconds=seconds)
                houses[number].tick()
            fired = [task.occurrence_at for task in bench.store.find()]
            first, passed = bench.store.schedules()[0].watermark_at, sum(s for _, s in looks) // 60
            assert fired == [first - MINUTE * back for back in reversed(range(passed))]
        finally:
            bench.store.close()

    def it_wakes_a_worker(self, bench, note):
        bench.schedule(note, "* * * * *")
        bench.clock.advance(MINUTE)
        bench.engine(runs=False, keeps_house=True).tick()
        assert bench.wakes.count == 1

    @pytest.mark.parametrize("failing", ["add", "swap_schedule", "transaction"])
    def it_is_fired_by_a_later_step_if_the_store_fails(self, bench, note, failing):
        bench.schedule(note, "* * * * *")
        store = FailingStore(bench.store)
        house = bench.engine(runs=False, keeps_house=True, store=store)
        house.tick()
        bench.clock.advance(MINUTE)
        store.failing = {failing}
        with pytest.raises(StoreError):
            house.tick()
        assert bench.store.find() == []
        store.failing = set()
        assert [len(house.tick().fired), len(house.tick().fired)] == [1, 0]

    def it_is_seen_by_engines_that_live_when_it_is_declared(self, bench, note):
        house = bench.engine(runs=False, keeps_house=True)
        house.tick()
        bench.schedule(note, "* * * * *")
        assert house.tick().next_at <= bench.clock.now() + MINUTE
        bench.clock.advance(MINUTE)
        assert len(house.tick().fired) == 1

    def it_is_no_more_when_its_schedule_is_no_longer_written(self, bench, note):
        schedule = bench.schedule(note, "* * * * *")
        house = bench.engine(runs=False, keeps_house=True)
        house.tick()
        house.declare([], complete_for=["another.module"])
        assert bench.store.schedules() == [schedule]
        house.declare([], complete_for=[schedule.name.partition(":")[0]])
        assert bench.store.schedules() == []
        bench.clock.advance(MINUTE)
        assert house.tick().fired == ()
        # Nor for an engine that has not looked since.
        assert house.fire(schedule, bench.clock.now(), Message("m:f", "[[],{}]"), False) is None

    @pytest.mark.parametrize(
        "again",
        [{}, {"payload": "[[2],{}]"}, {"delay_seconds": 60.0}, {"expires_seconds": 60.0}],
        ids=repr,
    )
    def it_asks_for_what_it_is_fired_with_not_for_what_an_earlier_one_was(self, bench, note, again):
        bench.schedule(note, "* * * * *")
        house = bench.engine(runs=False, keeps_house=True)
        (schedule,) = house.store.schedules()
        first = Message(schedule.name, "[[1],{}]", schedule=schedule.key)
        for message in (first, replace(first, **again), replace(first, **again)):
            for _ in range(2):
                bench.clock.advance(MINUTE)
                now = bench.clock.now()
                task = house.fire(schedule, now, message, False)
                assert task == new_task(message, task.id, now, now)

    def it_fires_beside_a_schedule_that_can_not_be_read(self, bench, note, caplog):
        bench.schedule(note, "* * * * *")
        bench.schedule(note, "*/1 * * * *", zone="Mars/Olympus_Mons")
        bench.clock.advance(MINUTE)
        assert len(bench.engine(runs=False, keeps_house=True).tick().fired) == 1
        assert "Mars/Olympus_Mons" in caplog.text

    def it_fires_whatever_stands_before_it_in_the_list(self, bench, note, caplog):
        bench.schedule(note, key="a", text=None, at_start=True)
        bench.schedule(note, key="b", zone="Mars/Olympus_Mons")
        bench.schedule(note, "* * * * *", key="c")
        assert [schedule.key for schedule in bench.store.schedules()] == ["a", "b", "c"]
        bench.clock.advance(MINUTE)
        fired = bench.engine(runs=False, keeps_house=True).tick().fired
        assert [task.schedule for task in fired] == ["c"]
        assert caplog.messages[0].startswith("schedule b can not run here: ")

    def it_fires_also_where_its_schedule_was_changed_unseen(self, bench, note):
        for key in ("a", "b"):
            bench.schedule(note, "* * * * *", key=key, overlap="allow")
        house = bench.engine(runs=False, keeps_house=True)
        house.tick()
        seen = bench.store.schedules("b")[0]
        bench.store.swap_schedule(seen, replace(seen, grace_seconds=5.0))
        bench.clock.advance(MINUTE)
        assert [task.schedule for task in house.tick().fired] == ["a", "b"]

    def it_leaves_a_schedule_as_another_engine_has_just_changed_it(self, bench, note):
        class Raced(FailingStore):
            def swap_schedule(self, before, after):
                self._store.swap_schedule(before, replace(before, overlap="allow"))
                return self._store.swap_schedule(before, after)

        ahead_at = bench.clock.now() + timedelta(days=1000)
        schedule = bench.schedule(note, watermark_at=ahead_at)
        house = bench.engine(runs=False, keeps_house=True, store=Raced(bench.store))
        assert house.tick().fired == ()
        assert bench.store.schedules() == [replace(schedule, overlap="allow")]

    def it_may_be_the_last_one_ever(self, bench, note):
        bench.clock.set("9999-12-31T23:58:30Z")
        bench.schedule(note, "59 23 31 12 *")
        house = bench.engine(runs=False, keeps_house=True)
        assert house.tick().fired == ()
        bench.clock.set("9999-12-31T23:59:00Z")
        assert len(house.tick().fired) == 1
        assert bench.engine(runs=False, keeps_house=True).tick().fired == ()

    def it_costs_a_declaration_nothing_when_nothing_has_changed(self, bench, note):
        schedule = bench.schedule(note, "* * * * *")
        version = bench.store.settings()[SCHEDULES_VERSION]
        bench.clock.advance(MINUTE)
        bench.engine().declare([replace(schedule, watermark_at=bench.clock.now())])
        assert bench.store.settings()[SCHEDULES_VERSION] == version
        assert bench.store.schedules() == [schedule]


class DescribeARunAtTheStart:
    @pytest.fixture
    def serve(self, bench):
        def serve(period):
            bench.store.put_settings({SERVICE: period})

        return serve

    def it_comes_once_in_each_period_of_service(self, bench, note, serve):
        bench.schedule(note, at_start=True, text=None)
        houses = [bench.engine(runs=False, keeps_house=True) for _ in range(3)]
        for period, runs in (("a", 1), ("a", 0), ("b", 1)):
            serve(period)
            assert sum(len(house.tick().fired) for house in houses) == runs
            work(bench.engine())

    def it_does_not_come_before_the_application_has_started(self, bench, note):
        bench.schedule(note, at_start=True, text=None)
        assert bench.engine(runs=False, keeps_house=True).tick().fired == ()

    @pytest.mark.parametrize("hours", [0, 2, 1000])
    def it_comes_although_the_watermark_is_not_in_the_past(self, bench, note, serve, hours):
        watermark_at = bench.clock.now() + timedelta(hours=hours)
        bench.schedule(note, at_start=True, watermark_at=watermark_at)
        serve("a")
        assert len(bench.engine(runs=False, keeps_house=True).tick().fired) == 1

    def it_uses_up_no_occurrence(self, bench, note, serve):
        bench.schedule(note, at_start=True, overlap="allow")
        bench.clock.advance(hours=12)
        serve("a")
        fired = bench.engine(runs=False, keeps_house=True).tick().fired
        assert [task.occurrence_at and f"{task.occurrence_at:%H:%M}" for task in fired] == [
            None,
            "02:30",
        ]

    @table("""
    overlap | stored
    skip    | 0
    wait    | 1
    allow   | 1
    """)
    def it_keeps_the_overlap_policy(self, bench, note, serve, overlap, stored):
        bench.schedule(note, at_start=True, overlap=overlap)
        house = bench.engine(runs=False, keeps_house=True)
        serve("a")
        assert len(house.tick().fired) == 1
        serve("b")
        assert len(house.tick().fired) == int(stored)
        assert bench.engine("a").tick().claimed is not None
        assert (bench.engine("b").tick().claimed is not None) == (overlap == "allow")

    def it_comes_although_the_schedule_has_changed_since_it_was_read(self, bench, note):
        read = bench.schedule(note, at_start=True, text=None)
        bench.store.swap_schedule(read, replace(read, overlap="allow"))
        engine, message = bench.engine(), Message(read.name, "[[],{}]")
        assert engine.fire_at_start(read, "a", message, False) is not None
        assert engine.fire_at_start(read, "a", message, False) is None
        bench.store.swap_schedule(bench.store.schedules()[0], None)
        assert engine.fire_at_start(read, "b", message, False) is None

    def it_comes_once_although_the_schedule_is_declared_anew(self, bench, note, serve):
        schedule = bench.schedule(note, at_start=True, text=None, overlap="allow")
        house = bench.engine(runs=False, keeps_house=True)
        serve("a")
        assert len(house.tick().fired) == 1
        house.declare([replace(schedule, overlap="wait")])
        assert house.tick().fired == ()

    def it_comes_for_each_of_several_schedules(self, bench, note, serve):
        for text in ("0 1 * * *", "0 2 * * *"):
            bench.schedule(note, text, at_start=True, overlap="allow")
        house = bench.engine(runs=False, keeps_house=True)
        serve("a")
        keys = [task.schedule.partition(" ")[2] for task in house.tick().fired]
        assert sorted(keys) == ["0 1 * * *", "0 2 * * *"]
        assert house.tick().fired == ()

    def it_comes_at_a_later_step_if_the_store_fails(self, bench, note, serve):
        bench.schedule(note, at_start=True, text=None)
        store = FailingStore(bench.store)
        house = bench.engine(runs=False, keeps_house=True, store=store)
        serve("a")
        store.failing = {"add"}
        with pytest.raises(StoreError):
            house.tick()
        store.failing = set()
        assert [len(house.tick().fired), len(house.tick().fired)] == [1, 0]

    def it_wakes_a_worker_once_it_is_stored(self, bench, note, serve):
        bench.schedule(note, at_start=True, text=None)
        serve("a")
        is_stored = []
        bench.wakes.wake = lambda: is_stored.append(
            (len(bench.store.find()), bench.store.in_transaction)
        )
        bench.engine(runs=False, keeps_house=True).tick()
        assert is_stored == [(1, False)]


class DescribePurging:
    @pytest.fixture
    def ended(self, bench, note):
        """One task in each state, all of which came about now."""
        done, gone, lost = bench.call(note), bench.call(note, lock="k"), bench.call(note)
        waits = bench.call(note, delay_seconds=10**8)
        engine = bench.engine("lost")
        engine.cancel(gone.id)
        work_one = bench.engine()
        work_one.tick()
        work_one.tick(claim=False)
        engine.tick()
        for _ in range(3):
            engine.reclaim("lost", charged=True)
            bench.engine("lost").tick()
        states = [bench.task(task).state.value for task in (done, gone, lost, waits)]
        assert states == ["succeeded", "cancelled", "failed", "waiting"]
        return {"succeeded": done, "cancelled": gone, "failed": lost, "waiting": waits}

    @table("""
    seconds  | left
    0        | succeeded cancelled failed waiting
    1800     | succeeded cancelled failed waiting
    1801     | failed waiting
    2592000  | failed waiting
    2592001  | waiting
    """)
    def it_keeps_results_for_their_time_and_failures_longer(self, bench, ended, seconds, left):
        bench.clock.advance(seconds=int(seconds))
        bench.engine(runs=False, keeps_house=True).tick()
        assert [name for name, task in ended.items() if bench.task(task)] == left.split()

    def it_keeps_them_as_long_as_the_settings_say(self, bench, ended):
        bench.store.put_settings({"result_ttl": "5", "failure_ttl": "0"})
        bench.clock.advance(seconds=5)
        assert bench.engine().purge() == 1
        bench.clock.advance(seconds=1)
        assert bench.engine().purge() == 2

    def it_is_done_twice_a_minute_by_who_keeps_house(self, bench, ended):
        house = bench.engine(runs=False, keeps_house=True)
        house.tick()
        bench.store.put_settings({"result_ttl": "1"})
        bench.clock.advance(seconds=29)
        house.tick()
        assert bench.task(ended["succeeded"]) is not None
        bench.clock.advance(seconds=1)
        house.tick()
        assert bench.task(ended["succeeded"]) is None

    def it_takes_the_starts_of_rates_that_matter_no_more(self, bench, note):
        bench.call(note, rate_key="mail", policy=Policy(rate=Rate(2, 60.0)))
        work(bench.engine())
        house = bench.engine(runs=False, keeps_house=True)
        house.tick()
        assert len(bench.store.starts("mail", 9)) == 1
        bench.clock.advance(seconds=60)
        house.tick()
        assert bench.store.starts("mail", 9) == []

    def it_takes_a_bounded_batch_and_goes_on_at_once(self, bench, note):
        task = bench.call(note)
        work(bench.engine())
        done = bench.task(task)
        with bench.store.transaction():
            for number in range(2 * PURGE_BATCH):
                bench.store.add(replace(done, id=f"copy-{number}"))
        bench.clock.advance(hours=1)
        house = bench.engine(runs=False, keeps_house=True)
        left = []
        for _ in range(3):
            tick = house.tick()
            left.append((len(bench.store.find()), tick.next_at == bench.clock.now()))
        assert left == [(PURGE_BATCH + 1, True), (1, True), (0, False)]

    def it_is_bounded_over_all_states(self, bench, ended):
        ended = {name: bench.task(task) for name, task in ended.items()}
        with bench.store.transaction():
            for number in range(PURGE_BATCH // 2):
                for name in ("succeeded", "cancelled", "failed"):
                    bench.store.add(replace(ended[name], id=f"{name}-{number}"))
        bench.clock.advance(days=365)
        assert [bench.engine().purge() for _ in range(2)] == [PURGE_BATCH, PURGE_BATCH // 2 + 3]
