"""Overlap: what becomes of an occurrence while an earlier run of its schedule is in hand.

*In hand* is a run that waits for a worker or runs in one. ``@cron(overlap=…)`` says what happens:

* ``"skip"``, the default: the occurrence is used up, and nothing runs for it.
* ``"wait"``: its run is stored, and begins when the earlier one has ended. So each occurrence has
  its run, one after the other.
* ``"allow"``: its run is stored, and begins as soon as a worker is free, beside the earlier one.

Runs that ``missed="all"`` makes up are wanted, every one of them. So under ``"skip"`` they do not
skip each other but queue up, as under ``"wait"``; an occurrence that is on time meanwhile is
skipped, since an earlier run is in hand.

It is the schedule that counts, not the function: what stacked ``@cron`` or calls of the function
run does not matter, and neither does a failed run of the same schedule.
"""

from __future__ import annotations

import pytest

from autocron.core.task import TaskState
from spec.benches import work
from spec.tables import table
from spec.zones import at


@pytest.fixture
def clean(bench):
    @bench.app.delay
    def clean(): ...

    return clean


def minutes_of(tasks):
    return [f"{task.occurrence_at:%M}" for task in tasks]


@table("""
overlap | stored_later | begun_beside
skip    | 0            | 0
wait    | 1            | 0
allow   | 1            | 1
""")
@pytest.mark.parametrize("is_running", [False, True])
def it_decides_by_the_policy_while_a_run_is_in_hand(
    bench, clean, overlap, stored_later, begun_beside, is_running
):
    bench.schedule(clean, "* * * * *", overlap=overlap)
    house, first, second = (
        bench.engine(runs=False, keeps_house=True),
        bench.engine(),
        bench.engine(),
    )
    bench.clock.advance(minutes=1)
    assert minutes_of(house.tick().fired) == ["01"]
    if is_running:
        assert first.tick().claimed is not None
    bench.clock.advance(minutes=1)
    assert len(house.tick().fired) == int(stored_later)
    if is_running:
        # A second worker, while the first is still at it.
        assert (second.tick().claimed is not None) == bool(int(begun_beside))


@table("""
overlap | ran
skip    | 01 04
wait    | 01 02 03 04
allow   | 01 02 03 04
""")
def it_runs_what_was_stored_in_order_when_a_worker_is_free(bench, clean, overlap, ran):
    bench.schedule(clean, "* * * * *", overlap=overlap)
    house, worker = bench.engine(runs=False, keeps_house=True), bench.engine()
    for _ in range(3):
        bench.clock.advance(minutes=1)
        house.tick()
    ended = work(worker)
    bench.clock.advance(minutes=1)
    house.tick()
    assert minutes_of(ended + work(worker)) == ran.split()


class DescribeWaiting:
    def it_never_runs_two_at_once_however_many_workers_there_are(self, bench, clean):
        bench.schedule(clean, "* * * * *", overlap="wait")
        house, workers = (
            bench.engine(runs=False, keeps_house=True),
            [bench.engine("a"), bench.engine("b")],
        )
        for _ in range(5):
            bench.clock.advance(minutes=1)
            house.tick()
        ended = []
        for turn in range(30):
            tick = workers[turn % 3 % 2].tick()
            ended += [tick.finished] if tick.finished is not None else []
            assert len(bench.store.find(state=TaskState.RUNNING)) <= 1
        assert minutes_of(ended) == ["01", "02", "03", "04", "05"]


class DescribeMakingUpAll:
    def it_queues_them_up_under_skip_and_skips_what_is_on_time(self, bench, clean):
        bench.schedule(clean, "30 2 * * *", missed="all", overlap="skip")
        bench.clock.advance_to("2024-03-04 02:30:30")
        house, first, second = (
            bench.engine(runs=False, keeps_house=True),
            bench.engine(),
            bench.engine(),
        )
        fired = house.tick().fired
        assert [task.occurrence_at for task in fired] == [
            at("2024-03-01 02:30"),
            at("2024-03-02 02:30"),
            at("2024-03-03 02:30"),
        ]
        assert first.tick().claimed == bench.task(fired[0])
        assert second.tick().claimed is None
        assert [task.id for task in work(first)] == [task.id for task in fired]

    def it_lets_them_run_side_by_side_under_allow(self, bench, clean):
        bench.schedule(clean, "30 2 * * *", missed="all", overlap="allow")
        bench.clock.advance_to("2024-03-03 12:00")
        assert len(bench.engine(runs=False, keeps_house=True).tick().fired) == 3
        first, second = bench.engine(), bench.engine()
        assert (first.tick().claimed is None, second.tick().claimed is None) == (False, False)


class DescribeWhatIsNoOverlap:
    def it_is_a_call_of_the_same_function(self, bench, clean):
        bench.schedule(clean, "* * * * *")
        bench.call(clean)
        bench.clock.advance(minutes=1)
        assert len(bench.engine(runs=False, keeps_house=True).tick().fired) == 1

    def it_is_another_schedule_of_the_same_function(self, bench, clean):
        bench.schedule(clean, "* * * * *")
        bench.schedule(clean, "1 * * * *")
        bench.clock.advance(minutes=1)
        assert len(bench.engine(runs=False, keeps_house=True).tick().fired) == 2

    def it_is_a_run_that_has_ended_also_if_it_failed(self, bench):
        @bench.app.delay
        def fail():
            raise ValueError

        bench.schedule(fail, "* * * * *")
        house = bench.engine(runs=False, keeps_house=True)
        for _ in range(2):
            bench.clock.advance(minutes=1)
            assert len(house.tick().fired) == 1
            assert [task.state for task in work(bench.engine())] == [TaskState.FAILED]


def it_leaves_out_what_would_be_made_up_too_where_it_skips(bench, clean):
    bench.schedule(clean, "0 * * * *", missed="once", overlap="skip")
    bench.clock.advance(hours=1)
    assert len(bench.engine(runs=False, keeps_house=True).tick().fired) == 1
    bench.clock.advance(hours=2, minutes=30)
    # The machine was off; the run of one o'clock still waits.
    assert bench.engine(runs=False, keeps_house=True).tick().fired == ()
