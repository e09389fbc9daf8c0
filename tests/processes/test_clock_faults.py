"""The clock of the machine is set, or it sleeps: no burst, no double run, no stall.

Nobody may set the clock of the machine that runs the tests. So all processes of a world read theirs
through a file, by a module that Python imports at the start of each: what they add to both clocks.
"""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime, timedelta, timezone
from typing import List

import pytest

from autocron.core.task import TaskState
from tests.processes.world import TASKS, World, end_by_force, eventually

HOUR, DAY = 3600, 86400
# Up to a minute late is on time, so where runs may overlap those of a minute may come at once.
GRACE_SECONDS = 60

_SET_CLOCK = """
import pathlib
from datetime import timedelta
from autocron.shell.clock import SystemClock

FILE = pathlib.Path(__file__).with_name("clock")
now, monotonic = SystemClock.now, SystemClock.monotonic

def added():
    wall, elapsed = FILE.read_text().split()
    return float(wall), float(elapsed)

SystemClock.now = lambda self: now(self) + timedelta(seconds=added()[0])
SystemClock.monotonic = lambda self: monotonic(self) + added()[1]
"""
_EVERY_SECOND = (
    TASKS
    + """
@autocron.cron("* * * * * *", overlap="allow")
def every_second():
    mark("cron", time.time())
"""
)


class _Clock:
    """The clocks of all processes of a world."""

    def __init__(self, world: World) -> None:
        self._folder = world.folder / "planted"
        self._wall = self._elapsed = 0.0
        world.write("planted/sitecustomize.py", _SET_CLOCK)
        path = world.environment["PYTHONPATH"]
        world.environment["PYTHONPATH"] = f"{self._folder}{os.pathsep}{path}"
        self.set(0.0)

    def set(self, seconds: float) -> None:
        """Set the wall clock, forward or back."""
        self._wall += seconds
        self._write()

    def sleep(self, seconds: float) -> None:
        """Let so much time pass, as far as clocks can tell."""
        self._wall += seconds
        self._elapsed += seconds
        self._write()

    def now(self) -> datetime:
        """Return what their wall clock shows."""
        return datetime.now(timezone.utc) + timedelta(seconds=self._wall)

    def _write(self) -> None:
        new = self._folder / "new"
        new.write_text(f"{self._wall} {self._elapsed}")
        new.replace(self._folder / "clock")


def _occurrences(world: World) -> List[datetime]:
    tasks = world.store.find(name="tasks:every_second")
    return sorted(task.occurrence_at for task in tasks if task.occurrence_at is not None)


def _look_at_runs(world: World, most: float) -> None:
    """See that no occurrence is there twice, was run twice, or came in a burst of them."""
    tasks = world.store.find(name="tasks:every_second")
    assert len({task.occurrence_at for task in tasks}) == len(tasks) <= most
    assert all(task.attempt <= 1 for task in tasks)


@pytest.mark.mostly_waits
@pytest.mark.parametrize("step", [HOUR, DAY, -HOUR, -DAY])
def test_a_clock_that_is_set_makes_no_burst_no_double_run_and_no_stall(
    world: World, step: int
) -> None:
    clock = _Clock(world)
    world.write("tasks.py", _EVERY_SECOND)
    world.write_app("workers=1")
    began_at = time.monotonic()
    application = world.application()
    world.await_marks("cron", count=2)
    # The only worker is busy, so this one waits while the clock is set.
    application.do("held = tasks.hold('it')")
    world.await_marks("begin", "it")
    application.do("waiting = tasks.touch('waiting')")
    application.do("later = tasks.touch.options(minutes=30)('later')")
    later, before = application.ask("later.id"), world.task(application.ask("later.id"))
    clock.set(step)
    moved_at = before.run_at + timedelta(seconds=step)
    # Elapsed time is half an hour still: as soon as the supervisor has looked, it is due then.
    eventually(
        lambda: abs((world.task(later).run_at - moved_at).total_seconds()) < 1.0,
        "the delay is shifted",
    )
    world.open_gate("it")
    world.await_marks("touch", "waiting")
    assert application.ask("tasks.add(1, 2).get(60)") == 3
    if step != -HOUR:
        # It goes on at the new time. An hour back is waited out, so that nothing is run twice.
        eventually(
            lambda: any(abs((at - clock.now()).total_seconds()) < 60 for at in _occurrences(world)),
            "the schedule goes on",
        )
        application.do("tasks.touch('on')")
        world.await_marks("touch", "on")
    assert world.task(later).state is TaskState.WAITING
    _look_at_runs(world, most=time.monotonic() - began_at + GRACE_SECONDS + 2)


@pytest.mark.mostly_waits
def test_a_machine_that_sleeps_owes_one_run_and_what_fell_due(world: World) -> None:
    clock = _Clock(world)
    # A fixed time in the middle of the hours that it sleeps.
    at = clock.now() + timedelta(hours=2)
    world.write(
        "tasks.py",
        _EVERY_SECOND
        + f"""
@autocron.cron("{at.minute} {at.hour} * * *", tz="UTC")
def daily():
    mark("daily")
""",
    )
    world.write_app("workers=1")
    began_at = time.monotonic()
    application = world.application()
    world.await_marks("cron", count=2)
    application.do("held = tasks.hold('it')")
    world.await_marks("begin", "it")
    application.do("soon = tasks.touch.options(hours=3)('soon')")
    application.do("later = tasks.touch.options(hours=5)('later')")
    everyone = [application.pid, *world.background()]
    for pid in everyone:
        end_by_force(pid, signal.SIGSTOP)
    clock.sleep(4 * HOUR)
    for pid in everyone:
        end_by_force(pid, signal.SIGCONT)
    world.open_gate("it")
    world.await_marks("touch", "soon")
    world.await_marks("daily")
    seen = len(world.marks("cron"))
    world.await_marks("cron", count=seen + 2)
    assert len(world.marks("daily")) == 1
    assert len(world.marks("end", "it")) == 1
    assert application.ask("later.status") == "waiting"
    _look_at_runs(world, most=time.monotonic() - began_at + GRACE_SECONDS + 2)


@pytest.mark.mostly_waits
def test_another_zone_owes_nothing_and_makes_no_run_come_twice(world: World) -> None:
    clock = _Clock(world)
    now = clock.now()
    half_past_eight = now.replace(hour=8, minute=30, second=0, microsecond=0)
    clock.sleep((half_past_eight - now).total_seconds() % DAY)
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.cron("0 9 * * *")
def daily():
    mark("daily")
""",
    )

    # Nine comes; then it is past since an hour, where the sun is earlier; then it comes again.
    for zone, hours, count in (("Etc/GMT", 0.5, 1), ("Etc/GMT-1", 0.0, 1), ("Etc/GMT+1", 1.0, 2)):
        world.write_app(f"tz={zone!r}")
        application = world.application()
        assert application.ask("tasks.add(1, 2).get(60)") == 3
        clock.sleep(hours * HOUR)
        # The supervisor looks at once when a process of the application comes.
        world.application().end()
        world.await_marks("daily", count=count)
        assert application.ask("tasks.add(1, 2).get(60)") == 3
        assert len(world.marks("daily")) == count
        application.end()
        world.await_end()
