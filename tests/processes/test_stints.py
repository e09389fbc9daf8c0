"""Workers that claim several tasks at once: killed amid them, held up by one, told to leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from typing import Any, List, Tuple

import pytest

from tests.processes.world import TASKS, Application, World, eventually

SHORT = (
    TASKS
    + """
import signal

@autocron.delay
def note(number):
    mark("ran", number)
    return number

@autocron.delay
def note_or_die(number, last):
    mark("ran", number)
    if number == last and not (HERE / "died").exists():
        (HERE / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number

@autocron.delay
def note_or_hold(number, at):
    mark("ran", number)
    if number == at:
        mark("holds")
        pass_gate("it")
    return number

@autocron.delay
def note_or_wait_for(number, at, behind):
    mark("ran", number)
    if number == at:
        pass_gate("ids")
        ids = (HERE / "ids").read_text().split()
        return autocron.get_result(ids[behind]).get(60)
    return number
"""
).replace("from shared import mark", "from shared import HERE, mark")

COUNT = 200


def begun(world: World, workers: int = 1) -> Application:
    """Start an application whose queue is paused, so that what is called waits together."""
    world.write("tasks.py", SHORT)
    world.write_app(options=f"workers={workers}, durability='normal'")
    application = world.application()
    # So that it is known to be short.
    assert application.ask("[tasks.note(-1).get(60), tasks.note_or_die(-1, 0).get(60)]") == [-1, -1]
    assert application.ask("tasks.note_or_hold(-1, 0).get(60)") == -1
    assert application.ask("tasks.note_or_wait_for(-1, 0, 0).get(60)") == -1
    world.store.put_paused("default", True)
    return application


def resume(world: World, application: Application) -> None:
    world.store.put_paused("default", False)
    # Wakes.
    application.do("tasks.note(-2)")


def held_up(world: World, at: int, workers: int = 1) -> Tuple[Application, List[str]]:
    """Have many tasks run of which one holds; return the application, and the ids of them."""
    application = begun(world, workers)
    world.await_workers(count=workers)
    application.do(f"results = tasks.note_or_hold.starmap([(n, {at}) for n in range({COUNT})])")
    resume(world, application)
    world.await_marks("holds")
    return application, application.ask("[r.id for r in results]")


def how_often(world: World) -> Counter[int]:
    ran: List[int] = [int(mark.words[1]) for mark in world.marks("ran")]
    return Counter(number for number in ran if number >= 0)


@pytest.mark.parametrize("last", [0, 1, 40, 97, COUNT - 1])
def test_a_kill_amid_a_stint_runs_again_only_what_was_under_way(world: World, last: int) -> None:
    application = begun(world)
    call = f"tasks.note_or_die.starmap([(n, {last}) for n in range({COUNT})])"
    application.do(f"results = {call}")
    resume(world, application)
    assert application.ask("results.get(60)") == list(range(COUNT))
    assert how_often(world) == {n: 1 + (n == last) for n in range(COUNT)}
    tasks = [world.task(task_id) for task_id in application.ask("[r.id for r in results]")]
    assert [(task.deaths, task.attempt) for task in tasks] == [
        (int(n == last), 1 + (n == last)) for n in range(COUNT)
    ]


def test_what_is_behind_one_that_takes_long_is_run_by_another(world: World) -> None:
    at = 50
    application, ids = held_up(world, at, workers=2)
    (holds,) = world.marks("holds")
    others = [task_id for number, task_id in enumerate(ids) if number != at]
    eventually(
        lambda: all(world.task(task_id).state.value == "succeeded" for task_id in others),
        "all but one have ended, and are stored",
    )
    held = world.task(ids[at])
    assert (held.state.value, held.result) == ("running", None)
    world.open_gate("it")
    assert application.ask("results.get(60)") == list(range(COUNT))
    assert set(how_often(world).values()) == {1}
    assert len({mark.pid for mark in world.marks("ran")}) == 2
    assert holds.pid in world.workers


def test_one_may_wait_for_another_of_its_stint(world: World) -> None:
    application = begun(world, workers=2)
    world.await_workers(count=2)
    at, behind = 60, 63
    application.do(
        f"results = tasks.note_or_wait_for.starmap([(n, {at}, {behind}) for n in range({COUNT})])"
    )
    ids = application.ask("[r.id for r in results]")
    (world.folder / "ids").write_text("\n".join(ids))
    world.open_gate("ids")
    resume(world, application)
    expected = [behind if n == at else n for n in range(COUNT)]
    assert application.ask("results.get(60)") == expected
    assert set(how_often(world).values()) == {1}


def test_cancelling_what_is_behind_a_long_one_is_final(world: World) -> None:
    at = 50
    application, ids = held_up(world, at)
    for number in range(at + 1, at + 4):
        assert application.ask(f"results[{number}].cancel(kill=True)")
        world.await_task(ids[number], "cancelled")
    world.open_gate("it")
    eventually(lambda: world.task(ids[-1]).state.value == "succeeded", "the last one has ended")
    assert sorted(how_often(world)) == [n for n in range(COUNT) if not at < n < at + 4]
    # It was not ended for them.
    assert world.task(ids[at]).state.value == "succeeded"
    assert len({mark.pid for mark in world.marks("ran")}) == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_supervisor_runs_nothing_twice(world: World, how: int) -> None:
    application = begun(world)
    application.do(f"results = tasks.note.map(range({COUNT}))")
    resume(world, application)
    world.await_marks("ran", str(COUNT // 4))
    supervisor = world.await_supervisor()
    if how == signal.SIGKILL:
        world.kill(supervisor)
    else:
        os.kill(supervisor, how)
    assert application.ask("results.get(60)") == list(range(COUNT))
    assert set(how_often(world).values()) == {1}


def test_everything_is_killed_amid_stints_and_started_again(world: World) -> None:
    application = begun(world, workers=2)
    # More than are done before somebody notices that it has begun.
    many = 25 * COUNT
    application.do(f"results = tasks.note.map(range({many}))")
    ids = application.ask("[r.id for r in results]")
    resume(world, application)
    world.await_marks("ran", str(COUNT))
    world.kill(application.pid, world.supervisor, *world.workers)
    ran = how_often(world)
    assert len(ran) < many
    again = world.application()
    eventually(
        lambda: all(world.task(task_id).state.value == "succeeded" for task_id in ids), "all ended"
    )
    repeated = [number for number, times in how_often(world).items() if times > 1]
    # At most what each of the two had under way.
    assert len(repeated) <= 2
    again.end()


def test_the_list_of_workers_says_what_each_has_in_hand(world: World) -> None:
    at = 50
    application, ids = held_up(world, at)
    command = [sys.executable, "-m", "autocron", world.database, "--info", "--json"]

    def look() -> Any:
        said = subprocess.run(command, env=world.environment, stdout=subprocess.PIPE, check=True)
        (worker,) = json.loads(said.stdout)["info"]["workers"]
        return worker if worker["claimed"] == 1 else None

    worker = eventually(look, "what is behind it is given back")
    assert worker["task"]["id"] == ids[at]
    world.open_gate("it")
    assert application.ask("results.get(60)") == list(range(COUNT))


def test_a_thread_that_a_task_leaves_behind_mixes_nothing_up(world: World) -> None:
    world.write(
        "tasks.py",
        f"""{SHORT}
import threading

@autocron.delay
def leave_a_thread():
    me = autocron.current_task()

    def watch():
        while not me.is_cancelled:
            pass

    threading.Thread(target=watch, daemon=True).start()
""",
    )
    world.write_app("workers=1, durability='normal'")
    application = world.application()
    application.ask("[tasks.note(-1).get(60), tasks.leave_a_thread().get(60)]")
    application.do(f"group = tasks.note.map(range({2 * COUNT}))")
    assert application.ask("group.get(60)") == list(range(2 * COUNT))
    assert how_often(world) == dict.fromkeys(range(2 * COUNT), 1)


def test_who_closes_all_descriptors_has_its_worker_ended_and_no_file_is_written_to(
    world: World,
) -> None:
    """What is behind it is stored meanwhile, by another thread."""
    application = begun(world)
    world.write(
        "tasks.py",
        f"""{SHORT}
@autocron.delay
def note_or_close(number, at):
    mark("ran", number)
    if number == at and not (HERE / "closed").exists():
        (HERE / "closed").touch()
        os.closerange(3, 256)
        for name in range(60):
            with open(HERE / f"own-{{name}}", "w") as file:
                file.write("mine")
                os.dup(file.fileno())
        time.sleep(60)
    return number
""",
    )
    application.end()
    world.await_end()
    application = world.application()
    world.store.put_paused("default", False)
    application.ask("tasks.note_or_close(-1, 0).get(60)")
    world.store.put_paused("default", True)
    application.do("group = tasks.note_or_close.starmap([(n, 50) for n in range(100)])")
    resume(world, application)
    assert application.ask("group.get(60)") == list(range(100))
    ran = how_often(world)
    assert (ran.pop(50), *set(ran.values())) == (2, 1)
    assert {path.read_text() for path in world.folder.glob("own-*")} <= {"", "mine"}
    world.allows_tracebacks = True


@pytest.mark.mostly_waits
def test_a_worker_without_a_descriptor_left_ends_with_its_application(world: World) -> None:
    world.write(
        "tasks.py",
        f"""{SHORT}
import resource

@autocron.delay
def leak():
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    kept = []
    try:
        while True:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        os.close(kept.pop())
    mark("leaked")
    kept.append(os.open("/dev/null", os.O_RDONLY))
    pass_gate("end")
""",
    )
    world.write_app("workers=1")
    application = world.application()
    application.do("tasks.leak()")
    world.await_marks("leaked")
    world.kill(world.supervisor)
    application.kill()
    world.await_end()
    world.allows_tracebacks = True
