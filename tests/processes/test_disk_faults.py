"""A disk that fails, and a database that is taken away, under a running application.

It goes on answering, says what is wrong once, and goes on working when that is over.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import List

import pytest

from autocron.shell.clock import SystemClock
from autocron.shell.schema import PAGE_BYTES
from autocron.shell.sqlite import SQLiteStore
from autocron.shell.verify import verify
from tests.processes.world import World, eventually

pytestmark = pytest.mark.mostly_waits

SHIM = Path(__file__).with_name("faulty_disk.c")
# So long is looked at what a fault costs; whoever spins takes nearly all of it.
FAULT_SECONDS = 3.0

# What a call comes to: nothing, or what the caller is told.
TELLS = """
def told(call):
    try:
        call()
    except autocron.AutocronError as error:
        return str(error)
"""

needs_shim = pytest.mark.skipif(
    shutil.which("gcc") is None or not sys.platform.startswith("linux"),
    reason="NOT TESTED on a failing disk: there is no gcc to make one of, or no /proc",
)


class Disk:
    """The disk of a world, which can be told to fail."""

    def __init__(self, world: World) -> None:
        compiled = world.folder / "faulty_disk.so"
        subprocess.run(
            ["gcc", "-Wall", "-shared", "-fPIC", "-O1", "-o", compiled, SHIM, "-ldl"], check=True
        )
        self._told = world.folder / "fault"
        world.environment.update(
            LD_PRELOAD=str(compiled), FAULT_FILE=str(self._told), FAULT_PATH=world.database
        )

    def begin(self, fault: str) -> None:
        # At once, for all that look.
        written = self._told.with_name("fault-to-come")
        written.write_text(fault)
        written.replace(self._told)

    def end(self) -> None:
        self._told.unlink()


def cpu_seconds(pids: List[int]) -> float:
    """The processor time that processes have taken so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def complaints(world: World) -> List[str]:
    """What background processes have told of trouble."""
    lines = [line.partition(f"{world.database}: ") for line in world.said().splitlines()]
    return [text for _, database, text in lines if database]


def assert_said_once(world: World) -> None:
    """Check that supervisor and worker have each said a thing once, however often they tried."""
    told = complaints(world)
    assert [text for text in set(told) if told.count(text) > 2] == []


def assert_sound(world: World) -> None:
    assert verify(world.database, SystemClock().now()).findings == ()


@needs_shim
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("full", "the disk is full"),
        ("broken", "the disk reported an error|its disk fails"),
        ("readonly", "the disk reported an error"),
    ],
)
def test_work_goes_on_when_a_fault_of_the_disk_is_over(world: World, fault: str, told: str) -> None:
    disk = Disk(world)
    world.write_app(after=TELLS)
    application = world.application()
    application.do("held = tasks.hold('it')")
    world.await_marks("begin", "it")
    serving = [world.await_supervisor(), *world.await_workers()]

    disk.begin(fault)
    answer = application.ask("told(lambda: tasks.touch('refused'))")
    assert re.search(told, answer or "it was stored")
    # What has run must not run again for want of a place for its result.
    world.open_gate("it")
    world.await_marks("end", "it")
    eventually(lambda: complaints(world), "a worker says that it can not store the result")
    spent_seconds, ends_at = cpu_seconds(serving), time.monotonic() + FAULT_SECONDS
    while time.monotonic() < ends_at:
        answer = application.ask("told(lambda: tasks.touch('refused'))")
        assert re.search(told, answer or "it was stored")
        time.sleep(0.1)
    assert cpu_seconds(serving) - spent_seconds < FAULT_SECONDS / 2
    assert_said_once(world)

    disk.end()
    application.ask("held.get(60)")
    assert application.ask("tasks.add(1, 2).get(60)") == 3
    eventually(lambda: "work goes on" in world.said(), "somebody says that it is over")
    assert len(world.marks("begin", "it")) == 1
    assert world.marks("touch", "refused") == []
    assert [world.supervisor, *world.workers] == serving
    assert_sound(world)


@needs_shim
def test_what_is_open_stays_usable_when_rights_are_taken_away(world: World) -> None:
    disk = Disk(world)
    world.write_app(after=TELLS)
    application = world.application()
    (worker,) = world.await_workers()
    assert application.ask("tasks.pid().get(60)") == worker

    disk.begin("forbidden")
    assert application.ask("tasks.pid().get(60)") == worker
    world.kill(worker)
    # The next one is not let in. What is called meanwhile waits.
    application.do("later = tasks.pid()")
    eventually(lambda: "a worker can not go on: the lock file" in world.said(), "it says why")
    assert application.ask("later.status") == "waiting"

    disk.end()
    assert application.ask("later.get(60)") in world.workers
    assert_sound(world)


def test_damaged_pages_are_told_and_a_copy_helps(world: World) -> None:
    world.write_app(after=TELLS)
    application = world.application()
    (worker,) = world.await_workers()
    application.ask("[tasks.touch('x' * 4000).get(60) for _ in range(50)] and 0")
    copy = str(world.folder / "copy.db")
    ask = [sys.executable, "-m", "autocron", world.database]
    subprocess.run([*ask, "--backup", copy], env=world.environment, check=True)
    connection = sqlite3.connect(world.database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    with open(world.database, "r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(os.urandom(os.path.getsize(world.database) - PAGE_BYTES))

    # Those who have read the pages before may go on with what they have read.
    answer = application.ask("told(lambda: tasks.touch('it'))")
    assert answer is None or "the file is damaged" in answer
    world.kill(worker)
    eventually(lambda: "the file is damaged" in world.said(), "somebody says that it is damaged")
    answer = application.ask("told(lambda: tasks.touch('it'))")
    assert answer is None or "the file is damaged" in answer
    found = subprocess.run(
        [*ask, "--verify"], env=world.environment, capture_output=True, check=False
    )
    assert found.returncode == 1

    # As it is told: it is stopped, and the copy takes its place.
    application.end()
    world.await_end()
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(world.database + end)
    os.replace(copy, world.database)
    assert world.application().ask("tasks.add(1, 2).get(60)") == 3
    world.store.close()
    assert len(world.store.find()) == 51
    assert_sound(world)


CRON = """
@autocron.cron("* * * * * *", missed="skip")
def each_second():
    mark("second")
"""


def test_a_deleted_database_is_told_and_followed_by_the_next_one(world: World) -> None:
    world.write("tasks.py", (world.folder / "tasks.py").read_text() + CRON)
    world.write_app(after=TELLS)
    application = world.application()
    assert application.ask("tasks.add(1, 2).get(60)") == 3
    world.await_marks("second")
    for end in ("", "-wal", "-shm"):
        os.unlink(world.database + end)
    assert "the file is gone (" in application.ask("told(lambda: tasks.add(1, 2))")
    eventually(lambda: "the file is gone" in world.said(), "the supervisor says that it is gone")
    assert_said_once(world)
    # As it is told: another start makes an empty one, which all processes use from then on.
    other = world.application()
    assert other.ask("tasks.add(2, 3).get(60)") == 5
    assert application.ask("tasks.add(3, 4).get(60)") == 7
    # Its schedules were declared anew.
    before = len(world.marks("second"))
    world.await_marks("second", count=before + 2)
    world.store.close()
    assert_sound(world)


def test_a_database_that_is_replaced_is_used_by_all(world: World) -> None:
    application = world.application()
    assert application.ask("tasks.add(1, 2).get(60)") == 3
    (worker,) = world.await_workers()
    copy = str(world.folder / "copy.db")
    store = SQLiteStore(copy)
    store.open()
    store.close()
    os.rename(copy, world.database)
    assert application.ask("tasks.add(2, 3).get(60)") == 5
    # The supervisor looks at the latest when it looks around; a new process asks it to.
    other = world.application()
    world.await_workers(other_than=[worker])
    assert "replaced by another file while it was in use" in world.said()
    assert other.ask("tasks.add(3, 4).get(60)") == 7
    world.store.close()
    assert len(world.store.find()) >= 2
    assert_sound(world)
