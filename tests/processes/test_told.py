"""What a worker tells: hooks of what the supervisor has done, and log records of their task."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from tests.processes.world import TASKS, World, eventually

HOOKED = (
    TASKS
    + """
import signal

@autocron.on("enqueued", "started", "succeeded", "failed", "retried", "lost", "cancelled")
def hear(event):
    mark("heard", event.kind, event.name.partition(":")[2], event.attempt)

@autocron.delay
def dies():
    os.kill(os.getpid(), signal.SIGKILL)

@autocron.delay(timeout=0.2)
def hangs():
    sum(range(10**12))

@autocron.delay(queue="nobody", expires=0.2)
def expires():
    pass
"""
)


def heard(world: World, name: str) -> List[Tuple[str, str]]:
    """Return what was heard of a function: the kinds and the numbers of the attempts."""
    marks = (mark.words for mark in world.marks("heard"))
    return [(words[1], words[3]) for words in marks if words[2] == name]


def test_a_lost_worker_is_told_to_the_hooks_by_the_next_one(world: World) -> None:
    world.write("tasks.py", HOOKED)
    application = world.application()
    application.do("result = tasks.dies()")
    world.await_task(application.ask("result.id"), "failed")
    eventually(
        lambda: [kind for kind, _ in heard(world, "dies")].count("failed"), "the failure is told"
    )
    kinds = [kind for kind, _ in heard(world, "dies")]
    # More than twice, if a worker has died just after it had told it.
    assert kinds.count("lost") >= 2
    assert kinds.count("started") == 3
    assert application.pid not in {mark.pid for mark in world.marks("heard", "lost")}


@pytest.mark.mostly_waits
def test_a_task_whose_worker_was_ended_is_told_to_the_hooks(world: World) -> None:
    world.write("tasks.py", HOOKED)
    application = world.application()
    application.do("result = tasks.hangs()")
    world.await_task(application.ask("result.id"), "failed")
    eventually(lambda: ("failed", "1") in heard(world, "hangs"), "the timeout is told")
    application.do("cut = tasks.hold('it')")
    world.await_marks("begin", "it")
    application.ask("cut.cancel(kill=True)")
    eventually(lambda: ("cancelled", "1") in heard(world, "hold"), "the cancel is told")


def test_what_expires_is_told_to_the_hooks(world: World) -> None:
    world.write("tasks.py", HOOKED)
    world.write_app("workers={'default': 1}")
    application = world.application()
    application.ask("tasks.add(1, 1).get(60)")
    application.do("tasks.expires()")
    eventually(lambda: ("cancelled", "0") in heard(world, "expires"), "the end is told")


LOGGED = (
    TASKS
    + """
import logging

class Factory(logging.LogRecord):
    pass

class Formatter(logging.Formatter):
    "Formats records of the application, too, which carry nothing."
    def format(self, record):
        record.__dict__.setdefault("task_name", "no worker")
        record.__dict__.setdefault("task_id", "no worker")
        return super().format(record)

logging.setLogRecordFactory(Factory)
handler = logging.FileHandler("log")
handler.setFormatter(Formatter("%(message)s|%(task_name)s|%(task_id)s|"))
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel("INFO")
logging.info("outside")

@autocron.delay
def logs():
    assert isinstance(logging.getLogger().makeRecord("a", 20, "f", 1, "m", (), None), Factory)
    logging.getLogger("somewhere").info("inside")
    autocron.current_task().logger.info("by its own logger")
    logging.info("own", extra={"task_id": "mine"})
"""
)


def test_log_records_carry_the_task(world: World) -> None:
    world.write("tasks.py", LOGGED)
    application = world.application()
    task_id = application.ask("(result := tasks.logs()).get(60) or result.id")
    lines = (world.folder / "log").read_text().splitlines()
    assert "outside|no worker|no worker|" in lines
    assert "outside|None|None|" in lines
    assert lines[-3:] == [
        f"inside|tasks:logs|{task_id}|",
        f"by its own logger|tasks:logs|{task_id}|",
        "own|tasks:logs|mine|",
    ]


SPEAKING = (
    TASKS
    + """
@autocron.delay
def speaks(name):
    for done in range(1, 4):
        autocron.current_task().progress(done, 9)
    pass_gate(name)
"""
)


def test_the_last_progress_is_seen_although_the_task_says_nothing_more(world: World) -> None:
    world.write("tasks.py", SPEAKING)
    application = world.application()
    application.do("result = tasks.speaks('gate')")
    done = "result.progress and result.progress.done"
    eventually(lambda: application.ask(done) == 3, "the last value is stored")
    assert application.ask("result.status") == "running"
    world.open_gate("gate")
    application.do("result.get(60)")
    assert application.ask("result.progress.done") == 3
