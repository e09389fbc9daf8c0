"""Wake-ups make it fast; without them it is only slower."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, List

import pytest

from tests.processes.world import IS_LINUX, TASKS, World, eventually


def test_a_lost_wake_up_only_delays_a_task(world: World) -> None:
    world.store.open()
    world.store.put_settings({"worker_idle_time": "0.2"})
    application = world.application()
    worker = application.ask("tasks.pid().get(60)")
    supervisor = world.supervisor
    for _ in range(3):
        for path in (world.run.wake, world.run.control):
            if os.path.exists(path):
                os.unlink(path)
        assert application.ask("tasks.pid().get(60)") == worker
    # That nobody listens does not make a second one.
    assert world.supervisor == supervisor
    eventually(lambda: len(world.background()) == 2, "one supervisor, one worker")


def test_a_run_folder_that_is_gone_is_made_again_by_the_next_start(
    world: World,
) -> None:
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    application.end()
    world.await_end()
    for name in os.listdir(world.run.path):
        Path(world.run.path, name).unlink()
    os.rmdir(world.run.path)
    assert world.application().ask("tasks.add(2, 2).get(60)") == 4


def test_a_database_with_a_very_long_path_is_served_and_woken(tmp_path: Path) -> None:
    folder = tmp_path
    while len(str(folder)) < 200:
        folder = folder / "a-folder-with-a-long-name"
    folder.mkdir(parents=True)
    world = World(tmp_path, database=str(folder / "project.db"))
    try:
        application = world.application()
        application.ask("tasks.add(1, 1).get(60)")
        # The idle times are 30 seconds; what starts sooner was woken.
        task_id = application.ask("(result := tasks.add(2, 2)).get(20) and result.id")
        task = world.task(task_id)
        assert task.started_at is not None
        assert (task.started_at - task.enqueued_at).total_seconds() < 15
        world.kill(world.supervisor, *world.workers)
        assert application.ask("tasks.add(3, 3).get(60)") == 6
    finally:
        world.close()


def test_a_thousand_calls_fill_no_queue_and_block_nobody(world: World) -> None:
    """The queue of a datagram socket holds a few; nobody reads it while the worker is busy."""
    world.write_app("durability='normal'")
    application = world.application()
    application.do("held = tasks.hold('it')")
    world.await_marks("begin", "it")
    application.do("results = [tasks.add(number, 0) for number in range(1000)]")
    world.open_gate("it")
    assert application.ask("sum(result.get(60) for result in results)") == sum(range(1000))


@pytest.mark.mostly_waits
def test_tasks_that_become_due_at_once_are_given_to_all_workers(world: World) -> None:
    world.write_app("workers=3")
    application = world.application()
    world.await_workers(count=3)
    application.do("results = [tasks.hold.options(seconds=1.5)(str(n)) for n in range(3)]")
    assert len({mark.pid for mark in world.await_marks("begin", count=3)}) == 3
    for number in range(3):
        world.open_gate(str(number))


# Longer than anything takes here, and shorter than a worker sleeps that nobody wakes: 30 seconds.
_IN_TIME_SECONDS = 15.0


@pytest.mark.mostly_waits
def test_the_next_of_a_rate_is_begun_in_time_while_one_is_busy_with_the_first(world: World) -> None:
    world.write(
        "tasks.py",
        f"{TASKS}\n@autocron.delay(rate='1/second')\n"
        "def rated(number):\n    mark('rated', number)\n    number or pass_gate('end')\n",
    )
    world.write_app("workers=2")
    application = world.application()
    world.await_workers(count=2)
    application.do("group = tasks.rated.map([0, 1])")
    world.await_marks("rated", count=2)
    world.open_gate("end")
    application.ask("group.get(60)")
    first, second = (world.task(each) for each in application.ask("[r.id for r in group]"))
    assert first.started_at is not None
    assert second.started_at is not None
    assert (second.started_at - first.started_at).total_seconds() < _IN_TIME_SECONDS


@pytest.mark.mostly_waits
def test_a_retry_is_begun_in_time_while_its_worker_is_busy_with_another(world: World) -> None:
    world.write(
        "tasks.py",
        f"{TASKS}\n@autocron.delay(retries=1, backoff=1)\ndef flaky():\n    mark('flaky')\n"
        "    pass_gate('fail')\n    if autocron.current_task().is_last_attempt is False:\n"
        "        raise ValueError('no')\n",
    )
    world.write_app("workers={'a,default': 1, 'b,default': 1}")
    application = world.application()
    world.await_workers(count=2)
    pids = {
        queue: application.ask(f"tasks.pid.options(queue={queue!r})().get(60)") for queue in "ab"
    }
    application.do("result = tasks.flaky()")
    (begun,) = world.await_marks("flaky")
    (own,) = (queue for queue, pid in pids.items() if pid == begun.pid)
    application.do(f"long = tasks.hold.options(queue={own!r})('long')")
    world.open_gate("fail")
    world.await_marks("flaky", count=2)
    world.open_gate("long")
    application.ask("[result.get(60), long.get(60)]")
    task = world.task(application.ask("result.id"))
    assert task.started_at is not None
    assert (task.started_at - task.run_at).total_seconds() < _IN_TIME_SECONDS


@pytest.mark.skipif(not IS_LINUX, reason="looks into /proc")
def test_idle_background_processes_do_not_even_wake_up(world: World) -> None:
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    looks: List[Dict[int, List[str]]] = [{}]

    def is_quiet() -> bool:
        looks.append({pid: _switches(pid) for pid in world.background()})
        return len(looks[-1]) == 2 and looks[-1] == looks[-2]

    # A second between the looks; anything that polls would be seen in it.
    eventually(is_quiet, "a second in which neither has run", pause=1)


def _switches(pid: int) -> List[str]:
    """Return how often the kernel has switched away from each thread of a process."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        lines = (thread / "status").read_text().splitlines()
        found += [f"{thread.name} {line}" for line in lines if "ctxt_switches" in line]
    return found
