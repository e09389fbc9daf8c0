"""A task that takes too long, or is cancelled while it runs, ends; if need be, its worker does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.processes.world import TASKS, World, eventually, is_alive

STUCK = (
    TASKS
    + """
import asyncio, shared
from autocron import TaskCancelled, TaskTimeout, current_task

def block(how):
    "Block as one may do it; the C code takes longer than any test."
    if how == "sleeps":
        time.sleep(600)
    elif how == "computes":
        while True:
            pass
    elif how == "awaits":
        asyncio.run(asyncio.sleep(600))
    elif how == "is stuck in C":
        sum(range(10**12))
    elif how == "catches it":
        while True:
            try:
                time.sleep(600)
            except (TaskTimeout, TaskCancelled) as error:
                mark("caught", type(error).__name__)

@autocron.delay
def blocks(how):
    mark("begin", how)
    if (shared.HERE / "gate-free").exists():
        return os.getpid()
    try:
        block(how)
    except (TaskTimeout, TaskCancelled) as error:
        mark("raised", type(error).__name__)
        raise

@autocron.delay(timeout=0.3)
def is_limited(how):
    return blocks.function(how)

@autocron.delay(timeout=0.3, retries=1, backoff=0)
def is_limited_and_retried(how):
    return blocks.function(how)

@autocron.delay(timeout=0.3)
async def is_limited_and_awaits():
    mark("begin", "awaits")
    try:
        await asyncio.sleep(600)
    except TaskTimeout:
        mark("raised", "in the coroutine")
        raise

@autocron.delay(timeout=60)
def quick():
    return os.getpid()
"""
)
BLOCKED = ["sleeps", "computes", "awaits"]
HOPELESS = ["is stuck in C", "catches it"]


@pytest.fixture
def stuck(world: World) -> World:
    world.write("tasks.py", STUCK)
    return world


# -- timeouts ------------------------------------------------------


def test_a_task_whose_time_is_over_fails_and_its_worker_goes_on(stuck: World) -> None:
    application = stuck.application()
    worker = application.ask("tasks.pid().get(60)")
    for how in BLOCKED:
        application.do(f"result = tasks.is_limited({how!r})")
        task = stuck.await_task(application.ask("result.id"), "failed")
        assert task.failure is not None
        assert task.failure.type == "TaskTimeout"
        assert task.failure.message == "it did not end within 0.3 seconds"
        assert "block(how)" in task.failure.traceback
        assert task.deaths == 0
    assert [mark.words[1] for mark in stuck.marks("raised")] == ["TaskTimeout"] * 3
    assert application.ask("tasks.pid().get(60)") == worker


def test_a_coroutine_whose_time_is_over_fails_too(stuck: World) -> None:
    application = stuck.application()
    application.do("result = tasks.is_limited_and_awaits()")
    task = stuck.await_task(application.ask("result.id"), "failed")
    assert task.failure is not None
    assert task.failure.type == "TaskTimeout"
    assert stuck.marks("raised", "in", "the", "coroutine")


def test_a_timeout_is_a_failure_like_any_other_and_is_retried(stuck: World) -> None:
    application = stuck.application()
    application.do("result = tasks.is_limited_and_retried('sleeps')")
    task = stuck.await_task(application.ask("result.id"), "failed")
    assert (task.attempt, task.failures, task.deaths) == (2, 2, 0)


def test_a_task_that_ends_in_time_is_left_alone(stuck: World) -> None:
    application = stuck.application()
    worker = application.ask("tasks.quick().get(60)")
    assert application.ask("{tasks.quick().get(60) for _ in range(50)}") == str({worker})


@pytest.mark.mostly_waits
@pytest.mark.parametrize("how", HOPELESS)
def test_the_worker_of_a_task_that_does_not_end_for_it_is_replaced(world: World, how: str) -> None:
    world.write("tasks.py", STUCK)
    world.allows_tracebacks = True
    application = world.application()
    application.do(f"result = tasks.is_limited({how!r})")
    task_id = application.ask("result.id")
    (begun,) = world.await_marks("begin")
    task = world.await_task(task_id, "failed")
    assert task.failure is not None
    assert task.failure.error_message == (
        "TaskTimeout: it did not end within 0.3 seconds, nor when it was told to, so its worker "
        "was ended"
    )
    assert (task.attempt, task.deaths) == (1, 0)
    assert task.started_at is not None
    assert task.finished_at is not None
    assert 5 < (task.finished_at - task.started_at).total_seconds() < 15
    assert application.ask("tasks.pid().get(60)") != begun.pid
    assert not is_alive(begun.pid)
    assert len(world.marks("begin")) == 1


@pytest.mark.mostly_waits
def test_the_task_of_such_a_worker_is_retried_if_it_has_retries(world: World) -> None:
    world.write("tasks.py", STUCK)
    application = world.application()
    application.do("result = tasks.is_limited_and_retried('is stuck in C')")
    (begun,) = world.await_marks("begin")
    world.open_gate("free")
    assert application.ask("result.get(60)") != begun.pid
    task = world.task(application.ask("result.id"))
    assert (task.attempt, task.failures, task.deaths) == (2, 1, 0)


@pytest.mark.mostly_waits
def test_a_worker_that_has_outlived_its_supervisor_is_ended_by_the_next(world: World) -> None:
    world.write("tasks.py", STUCK)
    application = world.application()
    first = world.await_supervisor()
    application.do("result = tasks.is_limited('is stuck in C')")
    (begun,) = world.await_marks("begin")
    world.kill(first)

    def is_served_again() -> bool:
        # The worker is in C code, and can start no other; but a call can, if not each of them.
        application.do("other = tasks.pid()")
        return world.supervisor not in (None, first)

    eventually(is_served_again, "another supervisor", pause=0.2)
    task = world.await_task(application.ask("result.id"), "failed")
    assert task.failure is not None
    assert task.failure.type == "TaskTimeout"
    eventually(lambda: not is_alive(begun.pid), "the end of the old worker")
    assert application.ask("other.get(60)") != begun.pid
    assert len(world.marks("begin")) == 1


@pytest.mark.mostly_waits
def test_so_is_one_that_does_not_see_that_the_application_has_ended(world: World) -> None:
    """In C code it sees nothing; its task has no timeout, and is handed back."""
    world.write("tasks.py", STUCK)
    application = world.application()
    first = world.await_supervisor()
    application.do("result = tasks.blocks('is stuck in C')")
    (begun,) = world.await_marks("begin")
    world.kill(first)

    def is_served_again() -> bool:
        application.do("tasks.pid()")
        return world.supervisor not in (None, first)

    eventually(is_served_again, "another supervisor", pause=0.2)
    task_id = application.ask("result.id")
    application.end()
    world.await_end()
    assert not is_alive(begun.pid)
    task = world.task(task_id)
    assert (task.state.value, task.deaths) == ("waiting", 0)


# -- cancel(kill=True) ------------------------------------------------------


@pytest.mark.parametrize("how", BLOCKED)
def test_a_running_task_can_be_cut_short_and_its_worker_goes_on(stuck: World, how: str) -> None:
    application = stuck.application()
    application.do(f"result = tasks.blocks({how!r})")
    (begun,) = stuck.await_marks("begin")
    assert application.ask("result.cancel(kill=True)") is True
    task = stuck.await_task(application.ask("result.id"), "cancelled")
    assert task.failure is not None
    assert task.failure.error_message == "TaskCancelled: it was cancelled while it ran"
    assert stuck.marks("raised", "TaskCancelled")
    assert application.ask("tasks.pid().get(60)") == begun.pid


def test_another_process_may_do_that(stuck: World) -> None:
    application = stuck.application()
    application.do("result = tasks.blocks('sleeps')")
    stuck.await_marks("begin")
    task_id = application.ask("result.id")
    script = (
        "import autocron, json\n"
        f"autocron.start({stuck.database!r}, workers=0)\n"
        f"print(json.dumps(autocron.get_result({task_id!r}).cancel(kill=True)))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env=stuck.environment,
        cwd=str(stuck.folder),
        check=True,
    )
    assert json.loads(said.stdout) is True
    stuck.await_task(task_id, "cancelled")


@pytest.mark.mostly_waits
@pytest.mark.parametrize("how", HOPELESS)
def test_the_worker_of_a_task_that_goes_on_is_replaced(world: World, how: str) -> None:
    world.write("tasks.py", STUCK)
    application = world.application()
    application.do(f"result = tasks.blocks({how!r})")
    (begun,) = world.await_marks("begin")
    application.ask("result.cancel(kill=True)")
    task = world.await_task(application.ask("result.id"), "cancelled")
    assert (task.attempt, task.deaths) == (1, 0)
    assert application.ask("tasks.pid().get(60)") != begun.pid
    assert not is_alive(begun.pid)
    assert len(world.marks("begin")) == 1


@pytest.mark.mostly_waits
def test_so_is_one_that_has_outlived_its_supervisor(world: World) -> None:
    world.write("tasks.py", STUCK)
    application = world.application()
    first = world.await_supervisor()
    application.do("result = tasks.blocks('catches it')")
    (begun,) = world.await_marks("begin")
    world.kill(first)
    world.await_supervisor(other_than=first)
    application.ask("result.cancel(kill=True)")
    world.await_task(application.ask("result.id"), "cancelled")
    eventually(lambda: not is_alive(begun.pid), "the end of the old worker")


def test_without_kill_a_task_is_only_asked(stuck: World) -> None:
    stuck.write(
        "tasks.py",
        TASKS
        + """
@autocron.delay
def looks():
    mark("begin")
    while not autocron.current_task().is_cancelled:
        time.sleep(0.01)
    mark("saw it")
    raise SystemExit
""",
    )
    application = stuck.application()
    application.do("result = tasks.looks()")
    (begun,) = stuck.await_marks("begin")
    assert application.ask("result.cancel()") is True
    stuck.await_task(application.ask("result.id"), "cancelled")
    assert application.ask("tasks.pid().get(60)") == begun.pid
