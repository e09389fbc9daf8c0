"""What becomes of a call: where it runs, what comes back, and what a task may do to its worker."""

from __future__ import annotations

import os

from tests.processes.world import TASKS, World, eventually


def test_a_call_runs_in_another_process(world: World) -> None:
    application = world.application()
    worker = application.ask("tasks.pid().get(60)")
    assert worker != application.pid
    assert worker in world.workers


def test_a_result_comes_back_to_the_caller_and_to_any_other_process(world: World) -> None:
    first, second = world.application(), world.application()
    first.do("result = tasks.add(20, 22)")
    assert first.ask("result.get(60)") == 42
    assert first.ask("(result.is_ready, result.is_waiting, result.has_error)") == [
        True,
        False,
        False,
    ]
    task_id = first.ask("result.id")
    assert second.ask(f"autocron.get_result({task_id!r}).result") == 42


def test_a_result_can_be_awaited_in_an_event_loop(world: World) -> None:
    application = world.application()
    application.do("async def both(): return [await tasks.add(1, 2), await tasks.add(3, 4)]")
    assert application.ask("__import__('asyncio').run(both())") == [3, 7]


def test_a_failure_comes_back_with_the_traceback_of_the_worker(world: World) -> None:
    world.write(
        "tasks.py",
        TASKS
        + """
def deeper():
    raise ValueError("no such address")

@autocron.delay
def fail():
    deeper()
""",
    )
    application = world.application()
    application.do("result = tasks.fail()")
    application.do("while not result.is_ready: pass")
    assert application.ask("result.has_error") is True
    assert application.ask("result.error_message") == "ValueError: no such address"
    traceback = application.ask("result.traceback")
    assert 'tasks.py", line' in traceback
    assert "in deeper" in traceback
    assert "/autocron/" not in traceback
    application.do("""
try: result.get(60)
except autocron.TaskFailed as error: caught = error
""")
    assert application.ask("'in deeper' in str(caught)") is True
    # The worker goes on.
    assert application.ask("tasks.pid().get(60)") in world.workers


def test_a_call_inside_a_task_is_a_task_of_its_own(world: World) -> None:
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.delay
def fan_out(count):
    return [add(number, number).id for number in range(count)]
""",
    )
    application = world.application()
    ids = application.ask("tasks.fan_out(5).get(60)")
    results = [application.ask(f"autocron.get_result({i!r}).get(60)") for i in ids]
    assert results == [0, 2, 4, 6, 8]


def test_a_delayed_task_runs_unasked_once_its_delay_is_over(world: World) -> None:
    application = world.application()
    application.do("result = tasks.pid.options(seconds=1)()")
    task = world.task(application.ask("result.id"))
    assert application.ask("result.get(60)") in world.workers
    started_at = world.task(task.id).started_at
    assert started_at is not None
    assert started_at >= task.run_at


def test_a_worker_starts_a_task_without_waiting_for_its_poll(world: World) -> None:
    """The idle times are 30 seconds, so what starts sooner was woken."""
    application = world.application()
    application.ask("tasks.pid().get(60)")
    task_ids = [application.ask("(result := tasks.pid()).get(60) and result.id") for _ in "12345"]
    delays = []
    for task_id in task_ids:
        task = world.task(task_id)
        assert task.started_at is not None
        delays.append((task.started_at - task.enqueued_at).total_seconds())
    assert min(delays) < 0.1
    assert max(delays) < 15


def test_several_workers_run_tasks_side_by_side(world: World) -> None:
    world.write_app("workers=2")
    application = world.application()
    application.do("results = [tasks.hold('a'), tasks.hold('b')]")
    begun = world.await_marks("begin", count=2)
    assert len({mark.pid for mark in begun}) == 2
    world.open_gate("a")
    world.open_gate("b")
    assert set(application.ask("[r.get(60) for r in results]")) == {mark.pid for mark in begun}


def test_sys_exit_in_a_task_is_its_failure_and_not_the_end_of_its_worker(world: World) -> None:
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.delay
def leave(code):
    import sys
    sys.exit(code)
""",
    )
    application = world.application()
    worker = application.ask("tasks.pid().get(60)")
    application.do("result = tasks.leave(3)")
    task = world.await_task(application.ask("result.id"), "failed")
    assert application.ask("result.error_message") == "SystemExit: 3"
    assert (task.attempt, task.deaths) == (1, 0)
    assert application.ask("tasks.pid().get(60)") == worker


def test_a_result_that_can_not_be_stored_is_a_failure_that_names_it(world: World) -> None:
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.delay
def unstorable():
    return {"open": object()}
""",
    )
    application = world.application()
    application.do("result = tasks.unstorable()")
    task = world.await_task(application.ask("result.id"), "failed")
    assert task.failure is not None
    assert task.failure.type == "NotStorable"
    assert "the result" in task.failure.message
    assert "open" in task.failure.message
    assert task.attempt == 1
    assert application.ask("tasks.add(1, 1).get(60)") == 2


def test_what_a_task_does_to_its_worker_does_not_outlast_it(world: World) -> None:
    world.write(
        "tasks.py",
        TASKS
        + """
import logging, sys

@autocron.delay
def talk():
    print("a printed line")
    print("without an end", end="")
    logging.getLogger("mine").warning("a logged line")

@autocron.delay
def wander():
    os.chdir("/")

@autocron.delay
def where():
    return os.getcwd()

@autocron.delay
def shut(name):
    getattr(sys, name).close()

@autocron.delay
def shut_descriptors():
    os.close(1)
    os.close(2)

@autocron.delay
def lose_streams():
    sys.stdout = sys.stderr = None
""",
    )
    application = world.application()
    worker = application.ask("tasks.pid().get(60)")
    application.ask("tasks.talk().get(60)")
    for text in ("a printed line\n", "without an end", "a logged line\n"):
        eventually(lambda text=text: text in world.said(), f"{text!r} where the application's goes")
    application.ask("tasks.wander().get(60)")
    assert application.ask("tasks.where().get(60)") == os.path.realpath(world.folder)
    for call in ("shut('stdout')", "shut('stderr')", "lose_streams()", "shut_descriptors()"):
        application.ask(f"tasks.{call}.get(60)")
        assert application.ask("tasks.add(1, 1).get(60)") == 2
    assert application.ask("tasks.pid().get(60)") == worker


def test_a_task_may_fork_and_its_children_may_call(world: World) -> None:
    world.write(
        "tasks.py",
        TASKS
        + """
import multiprocessing, subprocess, sys, warnings

def in_a_child(queue):
    queue.put((os.getpid(), add(40, 2).get(60)))

@autocron.delay
def fork():
    warnings.simplefilter("ignore")  # of Python 3.12, about threads
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_a_child, args=(queue,))
    child.start()
    found = queue.get(timeout=60)
    child.join()
    return [*found, child.exitcode]

@autocron.delay
def pool():
    warnings.simplefilter("ignore")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2, -3])

@autocron.delay
def run():
    return subprocess.run([sys.executable, "-c", "exit(7)"]).returncode
""",
    )
    # The child's call needs a second worker: the first one is waiting for it.
    world.write_app("workers=2")
    application = world.application()
    child, answer, code = application.ask("tasks.fork().get(60)")
    assert (answer, code) == (42, 0)
    assert child not in (application.pid, *world.workers)
    assert application.ask("tasks.pool().get(60)") == [1, 2, 3]
    assert application.ask("tasks.run().get(60)") == 7
    assert application.ask("tasks.add(1, 1).get(60)") == 2


def test_tasks_go_on_when_the_pipe_of_the_applications_output_is_dead(world: World) -> None:
    world.write(
        "tasks.py",
        TASKS
        + """
@autocron.delay
def talk(text):
    print(text)
    os.system("echo by a child")
    return os.getpid()
""",
    )
    reader, writer = os.pipe()
    application = world.application(stdout=writer)
    os.close(writer)
    application.ask("tasks.talk('while it lives').get(60)")
    assert b"while it lives\n" in os.read(reader, 1000)
    os.close(reader)
    workers = {application.ask(f"tasks.talk('x' * {size}).get(60)") for size in (1, 10, 100000)}
    assert workers == set(world.workers)
    said = world.said()
    assert said.count("the standard output is gone") == 1, said
