"""Whoever is killed, no task is lost, and none is blamed for what it did not do."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

import pytest

from autocron.shell.launch import spawn_worker
from tests.processes.world import TASKS, World, eventually, is_alive

DEADLY = (
    TASKS
    + """
import resource, signal

@autocron.delay
def die():
    mark("dies")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGKILL)

@autocron.delay
def die_once():
    mark("dies")
    if not (HERE / "died").exists():
        (HERE / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()
"""
).replace("from shared import mark", "from shared import HERE, mark")


# -- a worker ------------------------------------------------------


def test_a_task_whose_worker_is_killed_is_run_again_at_once_by_a_new_one(world: World) -> None:
    application = world.application()
    application.do("result = tasks.hold('it')")
    (first,) = world.await_marks("begin", "it")
    world.kill(first.pid)
    second = world.await_marks("begin", "it", count=2)[1]
    world.open_gate("it")
    assert application.ask("result.get(60)") == second.pid != first.pid
    task = world.task(application.ask("result.id"))
    assert (task.attempt, task.deaths) == (2, 1)
    started_at, enqueued_at = task.started_at, task.enqueued_at
    assert started_at is not None
    # "At once": not after one of the idle times, which are 30 seconds.
    assert (started_at - enqueued_at).total_seconds() < 20


def test_a_task_that_three_workers_died_of_is_failed(world: World) -> None:
    world.write("tasks.py", DEADLY)
    application = world.application()
    application.do("result = tasks.die()")
    task = world.await_task(application.ask("result.id"), "failed")
    assert application.ask("result.error_message").startswith(
        "WorkerDied: its worker died 3 times while it ran this task"
    )
    assert task.attempt == 3
    assert len({mark.pid for mark in world.marks("dies")}) == 3
    assert application.ask("tasks.add(1, 1).get(60)") == 2


def test_a_death_does_not_keep_other_tasks_from_their_workers(world: World) -> None:
    world.write("tasks.py", DEADLY)
    world.write_app("workers=2")
    application = world.application()
    application.do("held = tasks.hold('other')")
    (other,) = world.await_marks("begin", "other")
    application.do("result = tasks.die_once()")
    assert application.ask("result.get(60)") not in (other.pid, application.pid)
    world.open_gate("other")
    assert application.ask("held.get(60)") == other.pid
    assert len(world.marks("begin", "other")) == 1


def test_a_worker_that_is_killed_while_idle_is_replaced(world: World) -> None:
    world.application()
    (first,) = world.await_workers()
    world.kill(first)
    assert len(world.await_workers(other_than=[first])) == 1


# -- the supervisor ------------------------------------------------------


@pytest.mark.mostly_waits
def test_when_the_supervisor_is_killed_a_worker_starts_the_next(world: World) -> None:
    world.application()
    for _ in range(5):
        first = world.await_supervisor()
        old = world.await_workers()
        world.kill(first)
        # Nobody calls meanwhile, so it is none of the application's doing.
        world.await_supervisor(other_than=first)
        world.await_workers(other_than=old)


def test_so_does_one_to_which_it_had_not_said_a_word(world: World) -> None:
    application = world.application()
    (old,) = world.await_workers()
    application.ask("tasks.pid().get(60)")
    first = world.await_supervisor()
    world.kill(first, old)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wake:
        recruit = spawn_worker(sys.executable, world.database, "recruit", wake)
        # Its end of the channel is closed with it.
        recruit.connection.close()
    world.await_supervisor(other_than=first)
    assert recruit.process.wait(60) == 0
    assert application.ask("tasks.pid().get(60)") != old


def test_the_task_in_hand_of_a_killed_supervisors_worker_is_not_run_twice(world: World) -> None:
    application = world.application()
    application.do("result = tasks.hold('it')")
    (begun,) = world.await_marks("begin", "it")
    first = world.await_supervisor()
    world.kill(first)
    world.await_supervisor(other_than=first)
    # Work goes on beside it.
    others = world.await_workers(other_than=[begun.pid])
    assert application.ask("tasks.pid().get(60)") in others
    assert world.task(application.ask("result.id")).state.value == "running"
    world.open_gate("it")
    assert application.ask("result.get(60)") == begun.pid
    assert len(world.marks("begin", "it")) == 1
    task = world.task(application.ask("result.id"))
    assert (task.attempt, task.deaths) == (1, 0)
    # The worker of the old supervisor has done its last task.
    eventually(lambda: not is_alive(begun.pid), "the end of the old worker")
    eventually(lambda: world.workers == others, "only the new workers are left")


def test_such_a_task_is_run_again_soon_when_its_worker_is_killed_as_well(world: World) -> None:
    application = world.application()
    application.do("result = tasks.hold('it')")
    (begun,) = world.await_marks("begin", "it")
    world.kill(world.await_supervisor())
    others = world.await_workers(other_than=[begun.pid])
    # The new one is idle now: nothing but the end of the old one gives its supervisor work.
    assert application.ask("tasks.pid().get(60)") in others
    world.kill(begun.pid)
    killed_at = time.monotonic()
    world.await_marks("begin", "it", count=2)
    # Not after one of the idle times, which are 30 seconds.
    assert time.monotonic() - killed_at < 20.0
    world.open_gate("it")
    assert application.ask("result.get(60)") in others
    # Nobody saw how it died.
    assert world.task(application.ask("result.id")).deaths == 0


def test_supervisor_and_worker_killed_at_once_lose_nothing(world: World) -> None:
    """Nobody sees the worker die, so it is not charged."""
    application = world.application()
    application.do("result = tasks.hold('it')")
    (begun,) = world.await_marks("begin", "it")
    world.kill(world.supervisor, begun.pid)
    world.open_gate("it")
    # The next call finds nobody listening, and starts them again.
    application.ask("tasks.add(1, 1).get(60)")
    assert application.ask("result.get(60)") != begun.pid
    task = world.task(application.ask("result.id"))
    assert (task.attempt, task.deaths) == (2, 0)


# -- all of them ------------------------------------------------------


def test_the_next_call_revives_background_processes_that_were_all_killed(world: World) -> None:
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    supervisor, workers = world.await_supervisor(), world.workers
    world.kill(supervisor, *workers)
    assert world.background() == []
    worker = application.ask("tasks.pid().get(60)")
    assert worker not in workers
    assert world.supervisor not in (None, supervisor)


def test_a_call_of_any_process_of_the_application_revives_them(world: World) -> None:
    first, second = world.application(), world.application()
    first.ask("tasks.add(1, 1).get(60)")
    world.kill(world.supervisor, *world.workers)
    assert second.ask("tasks.add(1, 1).get(60)") == 2


@pytest.mark.parametrize(
    "wait",
    [
        "result.get(60)",
        "asyncio.run(asyncio.wait_for(wait_for(result), 60))",
        "group.get(60)[0]",
        # As pages do that show how far it is.
        "eventually(lambda: autocron.get_result(result.id).status == 'succeeded') or result.result",
    ],
)
def test_who_waits_for_a_result_revives_them(world: World, wait: str) -> None:
    world.write_app(
        before="import asyncio, time\nasync def wait_for(result): return await result\n"
        "def eventually(look):\n    while not look(): time.sleep(0.1)\n"
    )
    application = world.application()
    application.do("group = tasks.hold.map(['it']); result = group[0]")
    (first,) = world.await_marks("begin", "it")
    application.send(wait, is_expression=True)
    world.kill(world.supervisor, *world.workers)
    world.open_gate("it")
    assert application.answer() not in (None, first.pid)


@pytest.mark.mostly_waits
def test_what_was_in_hand_when_everything_was_killed_is_run_by_the_next_start_uncharged(
    world: World,
) -> None:
    for attempt in (1, 2, 3, 4):
        application = world.application()
        if attempt == 1:
            application.do("result = tasks.hold('it')")
            task_id = application.ask("result.id")
        begun = world.await_marks("begin", "it", count=attempt)
        world.kill(application.pid, world.supervisor, *world.workers)
        assert world.background() == []
        assert world.task(task_id).state.value == "running"
    world.open_gate("it")
    world.application()
    task = world.await_task(task_id, "succeeded")
    # Four power cuts are no reason to give up a task.
    assert (task.attempt, task.deaths) == (5, 0)
    assert len({mark.pid for mark in begun}) == 4


def test_a_call_that_has_returned_survives_the_death_of_everything(world: World) -> None:
    application = world.application()
    world.await_workers()
    application.do("results = [tasks.touch(str(number)) for number in range(20)]")
    world.kill(application.pid, world.supervisor, *world.workers)
    world.application()
    for number in range(20):
        world.await_marks("touch", str(number))


@pytest.mark.mostly_waits
def test_without_application_and_supervisor_a_worker_hands_back_and_leaves(world: World) -> None:
    application = world.application()
    application.do("result = tasks.hold('it')")
    task_id = application.ask("result.id")
    (begun,) = world.await_marks("begin", "it")
    world.kill(application.pid, world.supervisor)
    world.await_end()
    task = world.task(task_id)
    assert (task.state.value, task.attempt, task.deaths) == ("waiting", 0, 0)
    assert world.marks("end", "it") == []
    world.open_gate("it")
    world.application()
    world.await_task(task_id, "succeeded")
    assert world.marks("begin", "it")[0].pid == begun.pid


@pytest.mark.mostly_waits
def test_a_terminated_supervisor_hands_back_in_order_and_is_succeeded_by_another(
    world: World,
) -> None:
    application = world.application()
    application.do("result = tasks.hold('it')")
    (begun,) = world.await_marks("begin", "it")
    supervisor = world.await_supervisor()
    os.kill(supervisor, signal.SIGTERM)
    # Stored while it leaves: nobody may have to call again for it.
    application.do("later = tasks.pid()")
    again = world.await_marks("begin", "it", count=2)[1]
    world.open_gate("it")
    assert application.ask("later.get(60)") == application.ask("result.get(60)") == again.pid
    assert again.pid != begun.pid
    task = world.task(application.ask("result.id"))
    assert (task.attempt, task.deaths) == (1, 0)
    assert world.supervisor not in (None, supervisor)


@pytest.mark.mostly_waits
def test_a_worker_that_outlived_its_supervisor_leaves_with_the_application(world: World) -> None:
    """The next supervisor is not its parent, and can not tell it to."""
    application = world.application()
    application.do("result = tasks.hold('it')")
    task_id = application.ask("result.id")
    (begun,) = world.await_marks("begin", "it")
    first = world.await_supervisor()
    world.kill(first)
    world.await_supervisor(other_than=first)
    application.end()
    world.await_end()
    assert not is_alive(begun.pid)
    task = world.task(task_id)
    assert (task.state.value, task.attempt, task.deaths) == ("waiting", 0, 0)


@pytest.mark.mostly_waits
def test_a_supervisor_killed_while_its_last_worker_leaves_is_followed_by_the_next(
    world: World,
) -> None:
    """That worker listens to nobody any more; it looks once more when it goes."""
    application = world.application()
    application.do("held = tasks.hold('it')")
    (begun,) = world.await_marks("begin", "it")
    os.kill(begun.pid, signal.SIGTERM)
    supervisor = world.await_supervisor()
    # It hears that in a moment, and shows no sign of it. If it does not in time, all is well, too.
    for _ in range(300):
        application.ask("'a moment'")
    world.kill(supervisor, *(pid for pid in world.workers if pid != begun.pid))
    # Without a call, which would see to it, too.
    world.await_supervisor(other_than=supervisor)
    world.open_gate("it")
    assert application.ask("held.get(60)") > 0
