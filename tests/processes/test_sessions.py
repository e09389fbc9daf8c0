"""Test sessions beside, after and inside real workers: what they touch, and what is said."""

from __future__ import annotations

import pytest

from tests.processes.world import TASKS, World

# A test run that obeys: it imports autocron.testing first, then the application, which starts.
TEST_RUN = """
import unittest
from autocron import testing
import app_module, tasks, obey
obey.obey(globals())
"""


@pytest.fixture
def test_run(world: World):
    """Starts a test run of the application whose workers serve the same database."""
    world.write(
        "app_module.py",
        "import autocron, logging\nlogging.basicConfig(level=logging.INFO)\n"
        f"is_served = autocron.start({world.database!r})\n",
    )
    world.write("test_run.py", TEST_RUN)
    return lambda: world.application(str(world.folder / "test_run.py"))


def test_run_pending_and_real_workers_do_not_touch_each_others_tasks(
    world: World, test_run
) -> None:
    server = world.application()
    held = server.ask("tasks.hold('theirs').id")
    world.await_marks("begin", "theirs")
    waiting = server.ask("tasks.pid.options(hours=1)().id")
    test = test_run()
    assert test.ask("app_module.is_served") is False
    assert test.ask("testing.run_pending().runs") == []
    test.do("mine = tasks.pid()")
    assert test.ask("mine.is_waiting")
    assert test.ask("testing.run_pending().succeeded") == 1
    assert test.ask("mine.result") == test.pid
    assert {task.id for task in world.store.find()} == {held, waiting}
    # Sessions with a clock of their own, on a real file even, are not there for the workers either.
    test.do(
        "session = testing.session('2031-07-01 12:00', 'UTC', engine='sqlite'); session.begin()"
    )
    test.do("hour = tasks.pid.options(hours=1)()")
    assert test.ask("session.travel(hours=1).succeeded") == 1
    assert test.ask("hour.result") == test.pid
    test.do("session.close()")
    world.open_gate("theirs")
    assert server.ask(f"autocron.get_result({held!r}).get(60)") in world.workers
    assert world.task(waiting).state.value == "waiting"
    assert "starts nothing in a test (autocron.testing is imported)" in world.said()
    assert test.end() == 0
    assert server.ask("tasks.pid().get(60)") in world.workers


def test_who_is_served_and_imports_it_is_told_and_leaves_workers_to_others(world: World) -> None:
    server = world.application()
    late = world.application()
    before = late.ask("tasks.hold('before').id")
    world.await_marks("begin", "before")
    late.do("from autocron import testing")
    assert "autocron.testing was imported after autocron.start()" in world.said()
    assert "calls go to a test session from now on; import it first" in world.said()
    late.do("tasks.touch('after')")
    assert late.ask("[run.name for run in testing.run_pending().runs]") == ["tasks:touch"]
    assert [mark.pid for mark in world.marks("touch", "after")] == [late.pid]
    # What was called before was promised, and the other process still has its workers.
    world.open_gate("before")
    assert server.ask(f"autocron.get_result({before!r}).get(60)") in world.workers
    assert len(world.store.find()) == 1


def test_what_was_called_before_is_not_lost_when_nobody_else_is_served(world: World) -> None:
    only = world.application()
    first = only.ask("tasks.hold('first').id")
    world.await_marks("begin", "first")
    second = only.ask("tasks.add(1, 2).id")
    only.do("from autocron import testing")
    world.await_end()
    # The one in hand was given back when its grace was over; both wait for the next start.
    assert [world.task(task_id).state.value for task_id in (first, second)] == ["waiting"] * 2
    only.end()
    world.open_gate("first")
    again = world.application()
    assert again.ask(f"autocron.get_result({second!r}).get(60)") == 3
    assert again.ask(f"autocron.get_result({first!r}).get(60)") in world.workers


INSIDE = (
    TASKS
    + """
@autocron.delay
def rehearse():
    from autocron import testing
    with testing.session():
        add(1, 2)
        return testing.run_pending().succeeded

@autocron.delay
def call_add():
    return add(1, 2).id

@autocron.delay
def run_tests():
    import subprocess, sys
    code = "from autocron import testing; import tasks; r = tasks.add(1, 2); print(r.is_ready)"
    code += "; testing.run_pending(); print(r.result)"
    child = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    return child.stdout.decode().split()
"""
)


def test_a_session_inside_a_worker_fails_its_task_and_says_why(world: World) -> None:
    world.write("tasks.py", INSIDE)
    application = world.application()
    worker = application.ask("tasks.pid().get(60)")
    application.do("result = tasks.rehearse()\ntry:\n result.get(60)\nexcept Exception: pass")
    assert application.ask("result.error_message") == (
        "StartError: autocron.testing was imported in a worker, whose calls would be lost in a "
        "test session; import it in tests only, not in a module of the application"
    )
    # Nothing of it stays: the same worker goes on, and what its tasks call is stored.
    assert application.ask("tasks.pid().get(60)") == worker
    called = application.ask("tasks.call_add().get(60)")
    assert application.ask(f"autocron.get_result({called!r}).get(60)") == 3


def test_a_child_of_a_task_may_run_tests(world: World) -> None:
    world.write("tasks.py", INSIDE)
    application = world.application()
    assert application.ask("tasks.run_tests().get(60)") == ["False", "3"]
    assert [task.name for task in world.store.find()] == ["tasks:run_tests"]


def test_an_application_that_imports_it_by_mistake_is_told(world: World) -> None:
    """Its module is no test, and calls that are kept in memory would be lost."""
    world.write("tasks.py", "from autocron import testing\n" + TASKS)
    application = world.application()
    assert application.ask("served") is False
    assert "starts nothing in a test (autocron.testing is imported)" in world.said()
    assert world.background() == []
