"""Cron functions in a living system: what the code says now is what runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.processes.world import TASKS, World

_EVERY_SECOND = """
@autocron.cron("* * * * * *")
def {name}():
    mark("{name}")
"""
# A fixed time, so that what is missed is made up; far from every other test's present.
_NIGHTLY = """
@autocron.cron("{text}", tz="UTC")
def nightly():
    mark("nightly")
"""


def _pretend_missed(world: World, days: int = 3) -> None:
    """Move the watermarks back, as if the application had been down for so long."""
    for schedule in world.store.schedules():
        before = replace(schedule, watermark_at=schedule.watermark_at - timedelta(days=days))
        assert world.store.swap_schedule(schedule, before)


def test_a_schedule_that_was_taken_out_of_the_code_never_fires_again(world: World) -> None:
    world.write("tasks.py", TASKS + _NIGHTLY.format(text="0 2 * * *"))
    world.application().end()
    world.await_end()
    _pretend_missed(world)
    world.write("tasks.py", TASKS + _EVERY_SECOND.format(name="tick"))

    world.application()

    world.await_marks("tick", count=2)
    assert [schedule.name for schedule in world.store.schedules()] == ["tasks:tick"]
    assert world.marks("nightly") == []


def test_a_changed_schedule_owes_nothing_of_the_time_before(world: World) -> None:
    world.write("tasks.py", TASKS + _NIGHTLY.format(text="0 2 * * *"))
    world.application().end()
    world.await_end()
    _pretend_missed(world)
    changed = _NIGHTLY.format(text="0 3 * * *") + _EVERY_SECOND.format(name="tick")
    world.write("tasks.py", TASKS + changed)

    world.application()

    world.await_marks("tick", count=2)
    assert world.marks("nightly") == []


def test_what_was_missed_is_made_up_once_after_the_start(world: World) -> None:
    world.write("tasks.py", TASKS + _NIGHTLY.format(text="0 2 * * *"))
    world.application().end()
    world.await_end()
    _pretend_missed(world)
    more = _NIGHTLY.format(text="0 2 * * *") + _EVERY_SECOND.format(name="tick")
    world.write("tasks.py", TASKS + more)

    world.application()

    world.await_marks("nightly")
    ticks = len(world.marks("tick"))
    world.await_marks("tick", count=ticks + 2)
    assert len(world.marks("nightly")) == 1


def test_a_function_runs_once_at_each_start_of_the_application(world: World) -> None:
    at_start = '@autocron.cron(at_start=True)\ndef begin():\n    mark("begun")\n'
    world.write("tasks.py", TASKS + at_start)
    first = world.application()
    world.await_marks("begun")
    second = world.application()
    assert second.ask("tasks.add(1, 2).get(60)") == 3
    assert len(world.marks("begun")) == 1
    first.end()
    second.end()
    world.await_end()

    third = world.application()

    world.await_marks("begun", count=2)
    assert third.ask("tasks.add(1, 2).get(60)") == 3
    assert len(world.marks("begun")) == 2
