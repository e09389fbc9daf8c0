"""Cron functions under real processes: once, however many there are."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import List

import pytest

from autocron.core.task import TaskState
from tests.processes.world import TASKS, World, eventually

_EVERY_SECOND = (
    TASKS
    + """
@autocron.cron("* * * * * *")
def every_second():
    mark("cron", time.time())
"""
)


def _seconds(world: World) -> List[int]:
    return [int(float(mark.words[1])) for mark in world.marks("cron")]


@pytest.mark.mostly_waits
def test_an_occurrence_runs_once_however_many_processes_the_application_has(world: World) -> None:
    world.write("tasks.py", _EVERY_SECOND)
    world.write_app("workers=2")
    applications = [world.launch() for _ in range(4)]
    for application in applications:
        application.await_start()
    world.await_marks("cron", count=4)
    tasks = world.store.find(name="tasks:every_second")
    occurrences = [task.occurrence_at for task in tasks]
    assert len(set(occurrences)) == len(occurrences) >= 4
    # Each stored occurrence was run by one worker, none twice.
    ended = [task for task in tasks if task.state.value == "succeeded"]
    assert {task.attempt for task in ended} == {1}
    assert len(world.marks("cron")) <= len(world.store.find(name="tasks:every_second"))


@pytest.mark.mostly_waits
def test_occurrences_go_on_when_the_supervisor_is_killed_and_nobody_calls(world: World) -> None:
    world.write("tasks.py", _EVERY_SECOND)
    world.application()
    world.await_marks("cron")
    for _ in range(2):
        world.kill(world.await_supervisor())
        before = len(world.marks("cron"))
        world.await_marks("cron", count=before + 2)
    tasks = world.store.find(name="tasks:every_second")
    assert len({task.occurrence_at for task in tasks}) == len(tasks)


@pytest.mark.mostly_waits
def test_a_run_comes_within_its_second_and_never_early(world: World) -> None:
    world.write("tasks.py", _EVERY_SECOND)
    world.application()
    world.await_marks("cron", count=3)
    for task in world.store.find(name="tasks:every_second"):
        assert task.occurrence_at is not None
        assert task.occurrence_at.microsecond == 0
        assert task.occurrence_at <= task.enqueued_at <= datetime.now(timezone.utc)


def test_a_cron_function_stays_a_plain_function_for_its_callers(world: World) -> None:
    world.write("tasks.py", _EVERY_SECOND.replace("mark(", "return mark("))
    application = world.application()
    application.do("tasks.every_second()")
    assert world.marks("cron")[0].pid == application.pid or application.pid in {
        mark.pid for mark in world.marks("cron")
    }


@pytest.mark.mostly_waits
def test_a_cron_function_decorated_after_the_start_fires_without_a_call(world: World) -> None:
    world.write("late.py", _EVERY_SECOND.replace("tasks", "late"))
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    application.do("import late")
    assert world.await_marks("cron")[0].pid in world.workers


@pytest.mark.mostly_waits
def test_a_cron_function_that_is_no_longer_written_stops_with_the_new_code(world: World) -> None:
    world.write("tasks.py", _EVERY_SECOND)
    world.application()
    world.await_marks("cron")
    world.write("tasks.py", TASKS)
    new = world.application()
    new.ask("tasks.add(1, 1).get(60)")
    eventually(lambda: world.store.schedules() == [], "the schedule is forgotten")


@pytest.mark.mostly_waits
def test_what_runs_at_the_start_runs_once_for_each_start_of_the_application(world: World) -> None:
    """Not once for each of its processes, nor again when its supervisor or workers are killed."""
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.cron(at_start=True)
def begin():
    mark("at-start")
""",
    )
    for period in range(1, 6):
        applications = [world.launch() for _ in range(4)]
        for application in applications:
            application.await_start()
        world.await_marks("at-start", count=period)
        # What is killed in the middle of its run is run again, and rightly so.
        eventually(lambda: not world.store.find(state=TaskState.RUNNING), "its run has ended")
        if period == 1:
            world.kill(world.await_supervisor())
        if period == 2:
            world.kill(world.supervisor, *world.workers)
        late = world.application()
        assert late.ask("tasks.add(1, 1).get(60)") == 2
        for application in [*applications, late]:
            if period == 3:
                application.kill()
            else:
                application.end()
        world.await_end()
        assert len(world.marks("at-start")) == period
