"""Workers have their queues, are replaced between tasks, and leave in the time they are given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autocron.shell.launch import Recruited, recruit
from autocron.shell.ownership import Share, acquire
from autocron.shell.wakeup import unbind
from tests.processes.world import END_SECONDS, IS_LINUX, TASKS, World, eventually, is_alive

QUEUED = (
    TASKS
    + """
@autocron.delay(queue="mail")
def mail(name):
    mark("mail", name)
    pass_gate(name)
    return os.getpid()

@autocron.delay
def grow(megabytes):
    global kept
    kept = bytearray(megabytes * 1024 * 1024)
    return os.getpid()
"""
)
# The idle times are 30 seconds, so what starts sooner was woken.
AT_ONCE_SECONDS = 15.0


def set_option(world: World, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Change a setting at the command line."""
    return subprocess.run(
        [sys.executable, "-m", "autocron", world.named, *words],
        capture_output=True,
        env=world.environment,
        check=False,
    )


def info(world: World) -> Any:
    return json.loads(set_option(world, "--info", "--json").stdout)["info"]


def waited_seconds(world: World, task_id: str) -> float:
    task = world.task(task_id)
    assert task.started_at is not None
    return (task.started_at - task.enqueued_at).total_seconds()


# -- hired -------------------------------------------------------


def test_the_first_worker_is_started_before_its_supervisor_is_ready(world: World) -> None:
    """It is one of those that are wanted, as the supervisor has learned meanwhile."""
    world.application()
    set_option(world, "--set-max-workers", "2")
    world.await_workers(count=2)
    application = world.application()
    pids = {application.ask("tasks.pid().get(60)") for _ in range(3)}
    assert pids <= set(world.workers)
    assert len(world.background()) == 3


@pytest.mark.parametrize("why", ["nobody is served", "another host may have its name"])
def test_no_worker_is_started_before_its_supervisor_has_looked_if(world: World, why: str) -> None:
    world.run.make()
    if why != "nobody is served":
        share = Share(world.run.application)
        Path(world.run.url).touch()
    lock = acquire(world.run.supervisor)
    assert lock is not None
    assert recruit(world.run, lock) is None
    lock.release()
    assert world.background() == []
    if why != "nobody is served":
        share.release()


def test_a_worker_that_was_started_early_leaves_with_its_supervisor(world: World) -> None:
    world.run.make()
    share = Share(world.run.application)
    lock = acquire(world.run.supervisor)
    assert lock is not None
    found = recruit(world.run, lock)
    # This process has more open than could be forked.
    assert isinstance(found, Recruited)
    wake, [worker] = found
    world.await_workers()
    worker.connection.close()
    assert worker.process.wait() == 0
    wake.close()
    unbind(world.run.wake)
    share.release()
    lock.release()


@pytest.mark.skipif(not IS_LINUX, reason="Linux tells which descriptor is what")
def test_what_is_printed_where_an_application_has_closed_its_output_goes_nowhere(
    world: World,
) -> None:
    world.write_app(before="os.close(1); os.close(2)")
    pid = world.application().ask("tasks.pid().get(60)")
    for each in (pid, world.supervisor):
        for descriptor in (1, 2):
            assert os.readlink(f"/proc/{each}/fd/{descriptor}") == "/dev/null"


# An import that is not over before another process could have begun with it.
SLOW_TO_IMPORT = (
    """
import time
from shared import mark

mark("loads", time.monotonic())
time.sleep(0.3)
mark("loaded", time.monotonic())
"""
    + TASKS
)
HEAD_START_SECONDS = 5.0


def test_the_first_worker_has_the_processors_to_itself_until_it_is_ready(world: World) -> None:
    world.write("tasks.py", SLOW_TO_IMPORT)
    world.write_app("workers=3")
    application = world.application()

    def times(word: str) -> Any:
        found = world.await_marks(word, count=4)
        return sorted(float(m.words[1]) for m in found if m.pid != application.pid)

    first, second, _ = times("loads")
    # Where everything is slow the others do not wait for ever.
    assert second >= min(times("loaded")[0], first + HEAD_START_SECONDS / 2)


# -- queues ------------------------------------------------------


def test_workers_take_tasks_of_their_queues_only(world: World) -> None:
    world.write("tasks.py", QUEUED)
    world.write_app("workers={'default': 1, 'mail': 1}")
    application = world.application()
    world.await_workers(count=2)
    application.do("held = tasks.hold('it')")
    (holding,) = world.await_marks("begin", "it")
    world.open_gate("now")
    mailing = application.ask("tasks.mail('now').get(60)")
    assert mailing != holding.pid
    # The queue of a worker that is busy waits for it, though another one is idle.
    application.do("later = tasks.pid()")
    assert application.ask("tasks.mail('now').get(60)") == mailing
    assert application.ask("later.status") == "waiting"
    world.open_gate("it")
    assert application.ask("later.get(60)") == holding.pid


def test_a_wake_up_that_comes_to_a_worker_of_another_queue_is_passed_on(world: World) -> None:
    world.write("tasks.py", QUEUED)
    world.write_app("workers={'default': 3, 'mail,bulk': 1, 'none': 2}")
    application = world.application()
    world.await_workers(count=6)
    world.open_gate("x")
    for _ in range(12):
        for call in ("tasks.mail('x')", "tasks.pid()"):
            task_id = application.ask(f"(result := {call}).get(60) and result.id")
            assert waited_seconds(world, task_id) < AT_ONCE_SECONDS


def test_a_queue_for_which_there_is_no_worker_waits(world: World) -> None:
    world.write("tasks.py", QUEUED)
    world.write_app("workers={'default': 1}")
    application = world.application()
    application.do("waiting = tasks.mail('x')")
    application.ask("tasks.add(1, 1).get(60)")
    assert application.ask("waiting.status") == "waiting"
    # Until there is one: what start() was given wins over what is set, so it is started anew.
    application.end()
    world.await_end()
    world.write_app("workers={'default': 1, '*': 1}")
    world.application()
    world.await_marks("mail", "x")
    world.open_gate("x")


def test_how_many_workers_there_are_for_which_queues_can_be_set_while_they_run(
    world: World,
) -> None:
    world.write("tasks.py", QUEUED)
    application = world.application()
    application.do("held = tasks.hold('it')")
    (holding,) = world.await_marks("begin", "it")
    assert set_option(world, "--set-max-workers", "default=1, mail=2").returncode == 0
    # The one for all queues leaves, after the task in hand.
    others = world.await_workers(other_than=[holding.pid], count=3)
    world.open_gate("it")
    assert application.ask("held.get(60)") == holding.pid
    eventually(lambda: not is_alive(holding.pid), "the end of the worker for all queues")

    def queues() -> Any:
        return sorted(worker["queues"] or [] for worker in info(world)["workers"])

    eventually(lambda: queues() == [["default"], ["mail"], ["mail"]], "their queues are shown")
    assert sorted(world.workers) == sorted(others)


def test_what_can_not_be_workers_is_refused_and_changes_nothing(world: World) -> None:
    world.application()
    (worker,) = world.await_workers()
    for word in ("default", "mail=0", "m l=1", "mail=1,mail=2", "mail,*=1"):
        refused = set_option(world, "--set-max-workers", word)
        assert refused.returncode == 2
        assert b"nothing is changed" in refused.stderr
    assert world.workers == [worker]


# -- replaced between tasks ------------------------------------------------------


def test_a_worker_is_replaced_after_so_many_tasks(world: World) -> None:
    world.write_app("max_tasks_per_worker=3")
    application = world.application()
    application.do("results = [tasks.pid() for _ in range(12)]")
    pids = application.ask("[result.get(60) for result in results]")
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 3, 3]
    # Nothing was begun twice.
    for task_id in application.ask("[result.id for result in results]"):
        assert (world.task(task_id).attempt, world.task(task_id).deaths) == (1, 0)
    eventually(lambda: len(world.background()) == 2, "one supervisor, one worker")


def test_a_worker_for_one_task_each_never_runs_two(world: World) -> None:
    world.write_app("workers=2, max_tasks_per_worker=1")
    application = world.application()
    application.do("results = [tasks.pid() for _ in range(8)]")
    assert application.ask("len({result.get(60) for result in results})") == 8


def test_a_worker_that_takes_much_memory_is_replaced(world: World) -> None:
    world.write("tasks.py", QUEUED)
    application = world.application()
    first = application.ask("tasks.grow(1).get(60)")
    assert set_option(world, "--set-max-memory-mb", "250").returncode == 0
    assert application.ask("tasks.grow(300).get(60)") == first
    eventually(lambda: not is_alive(first), "the end of the worker that has grown")
    second = application.ask("tasks.pid().get(60)")
    assert second != first
    assert application.ask("tasks.grow(1).get(60)") == second


# -- leaving ------------------------------------------------------


@pytest.mark.mostly_waits
def test_the_task_in_hand_has_as_long_as_was_given_to_start(world: World) -> None:
    world.write_app("stop_grace=0.5")
    application = world.application()
    # What stands there would be longer than the end is waited for.
    assert set_option(world, "--set-stop-grace", "600").returncode == 0
    application.do("result = tasks.hold('it')")
    task_id = application.ask("result.id")
    world.await_marks("begin", "it")
    application.end()
    world.await_end()
    assert world.task(task_id).state.value == "waiting"


@pytest.mark.mostly_waits
def test_a_long_grace_is_kept_and_does_not_keep_the_next_application_waiting(world: World) -> None:
    world.store.open()
    world.store.put_settings({"stop_grace": "600"})
    application = world.application()
    application.do("result = tasks.hold('it')")
    (begun,) = world.await_marks("begin", "it")
    supervisor = world.await_supervisor()
    task_id = application.ask("result.id")
    application.end()
    # As a restart does: the old worker ends its task beside those of the new application.
    again = world.application()
    assert again.ask("tasks.pid().get(60)") != begun.pid
    assert world.supervisor == supervisor
    assert world.task(task_id).state.value == "running"
    world.open_gate("it")
    task = world.await_task(task_id, "succeeded")
    assert (task.attempt, task.deaths) == (1, 0)
    eventually(lambda: not is_alive(begun.pid), "the end of the old worker")


def test_a_grace_of_nothing_hands_back_at_once(world: World) -> None:
    world.write_app("stop_grace=0")
    application = world.application()
    application.do("result = tasks.hold('it')")
    world.await_marks("begin", "it")
    application.do("autocron.stop()")
    assert application.ask("result.status") == "waiting"
    world.await_end(END_SECONDS)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("workers={}", "workers: an empty mapping names no workers"),
        ("workers={'mail': 0}", "workers: mail: 0 is not a whole number of workers"),
        ("workers='2'", "workers: '2' is not a whole number from 0 to 1000"),
        ("workers={'m l': 1}", "workers: 'm l' is no name of a queue"),
        ("max_tasks_per_worker=-1", "max_tasks_per_worker: -1 is not a whole number of tasks"),
        ("max_memory_mb='much'", "max_memory_mb: 'much' is not a number of megabytes"),
        ("stop_grace=True", "stop_grace: True is not a number of seconds"),
    ],
)
def test_a_start_with_what_can_not_be_used_starts_nothing(
    world: World, option: str, message: str
) -> None:
    world.write(
        "app.py",
        f"""
import autocron, obey, tasks
try:
    autocron.start({world.named!r}, {option})
except autocron.StartError as error:
    said = str(error)
obey.obey(globals())
""",
    )
    assert world.application().ask("said").startswith(message)
    assert world.background() == []
