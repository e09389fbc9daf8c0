"""Coroutine functions as tasks, and results that are awaited in an event loop."""

from __future__ import annotations

from tests.processes.world import TASKS, World, eventually

_TASKS = (
    TASKS
    + """
import asyncio, contextvars

told = contextvars.ContextVar("told", default="nothing")

@autocron.delay
async def double(number):
    await asyncio.sleep(0)
    return 2 * number

@autocron.delay
async def fail():
    await asyncio.sleep(0)
    raise ValueError("async")

@autocron.delay
async def look(word):
    "What it sees of itself, from an asyncio task inside; and what the task before has left."
    async def inner():
        return autocron.current_task().name, told.get()
    before = told.get()
    told.set(word)
    ((name, inside),) = await asyncio.gather(asyncio.ensure_future(inner()))
    return before, inside, name, os.getpid()

@autocron.delay
async def leave_behind():
    "It ends while something that it has begun goes on: that is cancelled, and may clean up."
    begun = asyncio.Event()
    async def go_on():
        try:
            begun.set()
            await asyncio.sleep(3600)
        finally:
            mark("cleaned-up")
    asyncio.ensure_future(go_on())
    await begun.wait()
    return "done"

@autocron.delay
async def fan_out():
    "A coroutine calls tasks, and does not wait for them: there may be no other worker."
    return [add(number, 0).id for number in range(3)]

@autocron.delay
async def cancel_oneself():
    raise asyncio.CancelledError("of its own accord")

@autocron.cron("* * * * * *", overlap="skip")
async def every_second():
    await asyncio.sleep(0)
    mark("second")
"""
)


def test_coroutine_functions_are_tasks_and_have_schedules(world: World) -> None:
    world.write("tasks.py", _TASKS)
    application = world.application()
    assert application.ask("tasks.double(21).get(60)") == 42
    application.do("failed = tasks.fail()")
    eventually(lambda: application.ask("failed.is_ready"), "it has failed")
    assert application.ask("failed.error_message") == "ValueError: async"
    assert application.ask("'in fail' in failed.traceback")
    # No frame of the event loop stands in it.
    assert "asyncio" not in application.ask("failed.traceback")
    world.await_marks("second", count=2)


def test_each_runs_in_a_loop_and_a_context_of_its_own(world: World) -> None:
    world.write("tasks.py", _TASKS)
    application = world.application()
    first = application.ask("tasks.look('first').get(60)")
    second = application.ask("tasks.look('second').get(60)")
    assert first[:3] == ["nothing", "first", "tasks:look"]
    assert second[:3] == ["nothing", "second", "tasks:look"]
    assert first[3] == second[3], "one worker has run both"
    assert application.ask("tasks.leave_behind().get(60)") == "done"
    assert len(world.marks("cleaned-up")) == 1
    for task_id in application.ask("tasks.fan_out().get(60)"):
        world.await_task(task_id, "succeeded")
    application.do("cancelled = tasks.cancel_oneself()")
    eventually(lambda: application.ask("cancelled.is_ready"), "it has ended")
    # Before Python 3.9 asyncio loses what it was raised with.
    assert application.ask("cancelled.error_message").startswith("CancelledError")
    assert application.ask("tasks.pid().get(60)") == first[3]


# What an application does in its event loop; `beats` tells how often others had their turn.
_LOOP = """
import asyncio, threading, time

beats = []

async def beat():
    while True:
        beats.append(time.monotonic())
        await asyncio.sleep(0.01)

def in_loop(coroutine):
    async def main():
        beating = asyncio.ensure_future(beat())
        try:
            return await coroutine
        finally:
            beating.cancel()
    beats.clear()
    return asyncio.run(main())

async def await_many(count):
    results = [tasks.add(number, 0) for number in range(count)]
    threads = []
    async def watch():
        while True:
            threads.append(threading.active_count())
            await asyncio.sleep(0.005)
    watching = asyncio.ensure_future(watch())
    found = await asyncio.gather(*results)
    watching.cancel()
    return found == list(range(count)), max(threads)

async def give_up(name):
    result = tasks.hold(name)
    try:
        await asyncio.wait_for(result, 0.5)
    except asyncio.TimeoutError:
        return result.id

async def await_id(task_id):
    return await autocron.get_result(task_id)

async def await_group():
    return await tasks.add.starmap([(1, 1), (2, 2)])

async def await_failure():
    try:
        await tasks.fail()
    except autocron.TaskFailed as error:
        return str(error)
"""


def test_results_are_awaited_without_blocking_the_loop_nor_threads(world: World) -> None:
    world.write("tasks.py", _TASKS)
    world.write_app(before=_LOOP)
    application = world.application()
    assert application.ask("in_loop(await_many(200))") == [True, 1]
    assert application.ask("in_loop(await_group())") == [2, 4]
    assert "ValueError: async" in application.ask("in_loop(await_failure())")


def test_who_gives_up_waiting_leaves_the_task_alone(world: World) -> None:
    world.write("tasks.py", _TASKS)
    world.write_app(before=_LOOP)
    application = world.application()
    task_id = application.ask("in_loop(give_up('it'))")
    # The loop was free meanwhile.
    assert application.ask("len(beats)") >= 10
    world.await_marks("begin", "it")
    assert world.task(task_id).state.value == "running"
    assert world.task(task_id).cancel_asked_at is None
    world.open_gate("it")
    assert application.ask(f"in_loop(await_id({task_id!r}))") in world.workers
    # Once more: what is ready may be awaited as often as one likes.
    assert application.ask(f"in_loop(await_id({task_id!r}))") in world.workers


def test_results_of_another_process_are_awaited_where_no_worker_is_started(world: World) -> None:
    world.write("tasks.py", _TASKS)
    world.write_app("workers=0", before=_LOOP, name="attached.py")
    attached = world.application("attached.py")
    attached.send("in_loop(await_many(20))", is_expression=True)
    world.application()
    assert attached.answer() == [True, 1]
