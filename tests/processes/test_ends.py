"""However an application ends, its background processes follow, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Dict, Iterator, NamedTuple

import pytest

from tests.processes.world import (
    END_SECONDS,
    IS_LINUX,
    TASKS,
    World,
    eventually,
)

# How the application ends, and the exit status that it must have then.
_ENDS = {
    "ends naturally": 0,
    "exits with 7": 7,
    "raises": 1,
    "is interrupted": -signal.SIGINT,
    "is terminated": -signal.SIGTERM,
    "is killed": -signal.SIGKILL,
    "calls os._exit": 5,
}


class Ended(NamedTuple):
    """An application that has ended with a task in hand."""

    world: World
    task_id: str
    worker: int
    status: int
    seconds: float


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dict[str, Ended]]:
    """End applications in every way, all at once, since each has its grace to wait for."""
    worlds: Dict[str, World] = {}
    found: Dict[str, Ended] = {}
    try:
        begun = {}
        for how in _ENDS:
            worlds[how] = world = World(Path(tmp_path_factory.mktemp("ends")))
            world.write_app(after="signal.signal(signal.SIGINT, signal.SIG_DFL)")
            world.allows_tracebacks = how == "raises"
            application = world.application()
            application.do("result = tasks.hold('it')")
            application.do("waiting = tasks.touch('waiting')")
            application.do("later = tasks.touch.options(hours=1)('later')")
            begun[how] = (application, application.ask("result.id"))
        for world in worlds.values():
            world.await_marks("begin", "it")
        endings = {}
        for how, (application, _) in begun.items():
            if how == "is interrupted":
                status = application.signal(signal.SIGINT)
            elif how == "is terminated":
                status = application.signal(signal.SIGTERM)
            elif how == "is killed":
                status = application.signal(signal.SIGKILL)
            elif how == "calls os._exit":
                application.send("os._exit(5)")
                status = application.wait()
            elif how == "ends naturally":
                status = application.end()
            else:
                # What obey() does not keep from ending the script.
                what = "sys.exit(7)" if how == "exits with 7" else "1 / 0"
                application.do(f"obey.at_end = lambda: {what}")
                status = application.end()
            endings[how] = (status, time.monotonic())
        gone_at: Dict[str, float] = {}

        def all_gone() -> bool:
            for how, world in worlds.items():
                if how not in gone_at and not world.background():
                    gone_at[how] = time.monotonic()
            return len(gone_at) == len(worlds)

        eventually(all_gone, "all background processes are gone", pause=0.1)
        for how, world in worlds.items():
            status, ended_at = endings[how]
            (mark,) = world.marks("begin", "it")
            seconds = gone_at[how] - ended_at
            found[how] = Ended(world, begun[how][1], mark.pid, status, seconds)
        yield found
    finally:
        for how, world in worlds.items():
            world.close(has_failed=how not in found)


@pytest.mark.parametrize("how", _ENDS)
def test_the_exit_status_of_the_application_is_its_own(ended: Dict[str, Ended], how: str) -> None:
    assert ended[how].status == _ENDS[how]


@pytest.mark.parametrize("how", _ENDS)
def test_all_background_processes_are_gone_within_10_seconds(
    ended: Dict[str, Ended], how: str
) -> None:
    # The grace is 5 seconds, and was given to the task in hand.
    assert 4.5 < ended[how].seconds < END_SECONDS


@pytest.mark.parametrize("how", _ENDS)
def test_the_task_in_hand_is_handed_back_uncharged(ended: Dict[str, Ended], how: str) -> None:
    world, task_id = ended[how].world, ended[how].task_id
    task = world.task(task_id)
    assert (task.state.value, task.attempt, task.deaths) == ("waiting", 0, 0)
    assert task.worker is None
    assert world.marks("end", "it") == []


@pytest.mark.parametrize("how", _ENDS)
def test_the_next_start_runs_what_was_handed_back_and_what_waited(
    ended: Dict[str, Ended], how: str
) -> None:
    world, task_id = ended[how].world, ended[how].task_id
    assert world.marks("touch") == []
    world.open_gate("it")
    application = world.application()
    task = world.await_task(task_id, "succeeded")
    assert (task.attempt, task.deaths) == (1, 0)
    assert len(world.marks("begin", "it")) == 2
    world.await_marks("touch", "waiting")
    assert world.marks("touch", "later") == []
    assert application.end() == 0
    world.await_end()


def test_a_task_that_ends_within_the_grace_is_not_handed_back(world: World) -> None:
    application = world.application()
    application.do("result = tasks.hold('it')")
    task_id = application.ask("result.id")
    world.await_marks("begin", "it")
    application.kill()
    world.open_gate("it")
    world.await_end()
    task = world.task(task_id)
    assert (task.state.value, task.attempt) == ("succeeded", 1)
    assert len(world.marks("begin", "it")) == 1


@pytest.mark.mostly_waits
def test_a_worker_stuck_in_c_code_is_ended_and_its_task_uncharged(world: World) -> None:
    """Code that never lets go of the interpreter can not hand back by itself."""
    world.write(
        "tasks.py",
        TASKS
        + """
import shared

@autocron.delay
def be_stuck():
    mark("stuck")
    if not (shared.HERE / "gate-stuck").exists():
        sum(range(5 * 10**9))  # for a minute or more, as one step of the interpreter
    return os.getpid()
""",
    )
    application = world.application()
    application.do("result = tasks.be_stuck()")
    task_id = application.ask("result.id")
    world.await_marks("stuck")
    ended_at = time.monotonic()
    application.kill()
    world.await_end()
    assert 4.5 < time.monotonic() - ended_at < END_SECONDS
    task = world.task(task_id)
    assert (task.state.value, task.deaths) == ("waiting", 0)
    world.open_gate("stuck")
    world.application()
    assert world.await_task(task_id, "succeeded").deaths == 0


def test_stop_waits_until_all_workers_have_ended_and_later_calls_are_stored(world: World) -> None:
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    assert len(world.background()) == 2
    application.do("autocron.stop()")
    assert (world.supervisor, world.workers) == (None, [])
    application.do("later = tasks.add(2, 2)")
    application.do("autocron.stop()")
    world.await_end()
    assert application.ask("later.status") == "waiting"
    # What was stopped can be started again, by the same process.
    assert application.ask(f"autocron.start({world.database!r})") is True
    assert application.ask("later.get(60)") == 4


def test_stop_in_one_process_leaves_the_other_its_workers(world: World) -> None:
    first, second = world.application(), world.application()
    worker = second.ask("tasks.pid().get(60)")
    first.do("autocron.stop()")
    assert second.ask("tasks.pid().get(60)") == worker
    # What the first one calls now is stored, and the other's workers run it.
    assert first.ask("tasks.pid().get(60)") == worker


def test_threads_and_exit_handlers_of_tasks_do_not_keep_a_worker(world: World) -> None:
    world.write(
        "tasks.py",
        TASKS
        + """
import atexit, threading

@autocron.delay
def leave_things_behind():
    threading.Thread(target=time.sleep, args=(3600,)).start()
    atexit.register(time.sleep, 3600)
""",
    )
    # There is no task in hand, so there is no grace to wait for.
    world.write_app("stop_grace=600")
    application = world.application()
    application.ask("tasks.leave_things_behind().get(60)")
    application.end()
    world.await_end()


def test_signals_that_a_terminal_sends_to_all_its_processes_do_not_reach_the_workers(
    world: World,
) -> None:
    """Ctrl-C goes to the process group; the background processes are in another session."""
    application = world.application(session=True)
    application.do("result = tasks.hold('it')")
    world.await_marks("begin", "it")
    application.do("signal.signal(signal.SIGINT, signal.SIG_IGN)")
    os.killpg(application.pid, signal.SIGINT)
    world.open_gate("it")
    worker = application.ask("result.get(60)")
    assert application.ask("tasks.pid().get(60)") == worker
    if IS_LINUX:
        for pid in world.background():
            assert os.getsid(pid) != application.pid
