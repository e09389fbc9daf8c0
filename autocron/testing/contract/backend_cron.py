"""What a backend promises of schedules and their occurrences."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Callable, List, Tuple

from autocron.core.outcome import Outcome, Returned
from autocron.core.schedule import Schedule
from autocron.core.task import Message, Task
from autocron.ports import Hand
from autocron.testing.contract.bench import BackendCheck, Bench, stored_task
from autocron.testing.contract.tools import expect, in_threads


def _schedule(bench: Bench, **changes: Any) -> Tuple[Schedule, Callable[[float], datetime]]:
    """Declare a schedule that begins now; return it, and what tells instants after its begin."""
    begin_at = bench.now()
    schedule = replace(
        Schedule(
            key="shop.jobs:clean 30 2 * * *",
            name="shop.jobs:clean",
            text="30 2 * * *",
            zone="UTC",
            missed="once",
            overlap="skip",
            grace_seconds=60.0,
            at_start=False,
            watermark_at=begin_at,
        ),
        **changes,
    )
    bench.backend.declare([schedule])
    return schedule, lambda seconds: begin_at + timedelta(seconds=seconds)


def _fired(bench: Bench, schedule: Schedule, at: datetime, unless_active: bool = False) -> bool:
    message = Message(schedule.name, "[[],{}]", schedule=schedule.key)
    task = bench.backend.fire(schedule, at, message, unless_active)
    if task is None:
        return False
    expect(stored_task(bench, task), task, "the stored task of an occurrence")
    expect((task.schedule, task.occurrence_at), (schedule.key, at), "where it comes from")
    return True


def _fired_by(bench: Bench, schedule: Schedule, at: datetime, number: int) -> bool:
    return _fired(bench, schedule, at)


def check_one_of_many_fires_wins(make_bench: Callable[[], Bench]) -> None:
    """Of eight threads that fire one occurrence at once, one stores its task."""
    bench = make_bench()
    schedule, after = _schedule(bench)
    for turn in range(1, 6):
        won = in_threads(8, partial(_fired_by, bench, schedule, after(60.0 * turn)))
        expect(sum(won), 1, "how many fired")
    expect(len(bench.backend.list()), 5, "how many tasks there are")
    bench.backend.close()


def check_an_older_occurrence_never_fires(make_bench: Callable[[], Bench]) -> None:
    """Nothing at or before the watermark fires, whatever value of the schedule the caller holds."""
    bench = make_bench()
    schedule, after = _schedule(bench)
    expect(_fired(bench, schedule, after(0)), False, "at the begin")
    expect(_fired(bench, schedule, after(120)), True, "after it")
    expect(_fired(bench, schedule, after(120)), False, "the same again")
    expect(_fired(bench, schedule, after(60)), False, "an older one")
    expect(_fired(bench, schedule, after(120.000001)), True, "a microsecond later")
    unknown = replace(schedule, key="nobody's")
    expect(_fired(bench, unknown, after(180)), False, "of a schedule that is not declared")
    bench.backend.close()


def check_a_skipped_occurrence_is_used_up(make_bench: Callable[[], Bench]) -> None:
    """With ``unless_active`` nothing is stored while a task of the schedule waits or runs.

    The occurrence is gone: it does not fire afterwards either.
    """
    bench = make_bench()
    schedule, after = _schedule(bench)
    expect(_fired(bench, schedule, after(60), unless_active=True), True, "the first")
    expect(_fired(bench, schedule, after(120), unless_active=True), False, "while it waits")
    during: List[bool] = []

    def run(task: Task, hand: Hand) -> Outcome:
        during.append(_fired(bench, schedule, after(180), unless_active=True))
        return Returned("null")

    bench.work(run)
    expect(during, [False], "while it runs")
    expect(_fired(bench, schedule, after(180), unless_active=True), False, "the used up one")
    expect(_fired(bench, schedule, after(240), unless_active=True), True, "the next")
    expect(_fired(bench, schedule, after(300)), True, "without unless_active, while that waits")
    bench.backend.close()


def check_a_declared_schedule_keeps_its_place(make_bench: Callable[[], Bench]) -> None:
    """A known schedule goes on where it was, one whose zone has changed begins anew."""
    bench = make_bench()
    schedule, after = _schedule(bench)
    bench.backend.declare([replace(schedule, watermark_at=after(3600), missed="all")])
    expect(_fired(bench, schedule, after(60)), True, "after the same was declared again")
    moved = replace(schedule, zone="Europe/Berlin", watermark_at=after(3600))
    bench.backend.declare([moved])
    expect(_fired(bench, moved, after(120)), False, "before its new begin")
    expect(_fired(bench, moved, after(3660)), True, "after its new begin")
    bench.backend.close()


def check_undeclared_schedules_are_forgotten(make_bench: Callable[[], Bench]) -> None:
    """What a complete module no longer declares is forgotten; other modules' schedules stay."""
    bench = make_bench()
    gone, after = _schedule(bench)
    other = replace(gone, key="shop.other:job", name="shop.other:job")
    kept = replace(gone, key="kept", name="shop.jobs:kept")
    bench.backend.declare([other, kept])
    bench.backend.declare([kept], complete_for=["shop.jobs"])
    fired = [_fired(bench, schedule, after(60)) for schedule in (gone, other, kept)]
    expect(fired, [False, True, True], "the forgotten, another module's, the declared")
    bench.backend.close()


CRON_CHECKS: Tuple[BackendCheck, ...] = (
    check_one_of_many_fires_wins,
    check_an_older_occurrence_never_fires,
    check_a_skipped_occurrence_is_used_up,
    check_a_declared_schedule_keeps_its_place,
    check_undeclared_schedules_are_forgotten,
)
