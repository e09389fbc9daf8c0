"""The SQLite store among real threads and processes: at once, over forks, killed in mid-write."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest

from autocron.core.errors import StoreError
from autocron.core.events import Claimed
from autocron.core.machine import apply
from autocron.core.task import TaskState
from autocron.shell.sqlite import SQLiteStore
from autocron.testing.contract.tools import NOW, a_task, ids, in_threads
from tests.shell.sqlite_tools import in_child

PATIENCE_SECONDS = 30.0


@pytest.fixture
def store(path):
    made = SQLiteStore(path, durability="normal")
    made.open()
    yield made
    made.close()


PREAMBLE = """
import os, sys
from autocron.shell.sqlite import SQLiteStore
from autocron.testing.contract.tools import NOW, a_task
path, number = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
"""


@contextmanager
def process(script, path, number=0):
    """A process that imports the store, says "ready", and waits for a line before it goes on."""
    command = [sys.executable, "-W", "error", "-c", PREAMBLE + script, path, str(number)]
    running = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    try:
        assert running.stdout.readline() == "ready\n"
        yield running
    finally:
        running.kill()
        running.wait()
        running.stdin.close()
        running.stdout.close()


def go(running):
    running.stdin.write("go\n")
    running.stdin.flush()


def ended_well(running):
    output, _ = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0
    return output


def is_sound(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class TestAtOnce:
    def test_ten_processes_may_create_one_database(self, tmp_path):
        script = """
for turn in range(5):
    store = SQLiteStore(f"{path}-{turn}")
    store.open()
    store.add(a_task(f"by {number}"))
    store.close()
"""
        path = str(tmp_path / "project")
        with ExitStack() as stack:
            running = [stack.enter_context(process(script, path, n)) for n in range(10)]
            for each in running:
                go(each)
            for each in running:
                ended_well(each)
        for turn in range(5):
            with closing(SQLiteStore(f"{path}-{turn}")) as store:
                assert sorted(ids(store.find())) == [f"by {number}" for number in range(10)]
            assert is_sound(f"{path}-{turn}")

    def test_processes_that_write_lose_nothing(self, store, path):
        script = """
store = SQLiteStore(path, durability="normal")
for turn in range(50):
    store.add(a_task(f"{number}-{turn}"))
    with store.transaction():
        store.put_settings({"count": str(int(store.settings().get("count", "0")) + 1)})
store.close()
"""
        with ExitStack() as stack:
            running = [stack.enter_context(process(script, path, n)) for n in range(4)]
            for each in running:
                go(each)
            for each in running:
                ended_well(each)
        assert len(store.find()) == 200
        assert store.settings() == {"count": "200"}

    def test_two_stores_of_one_file_take_turns(self, path):
        # They share no lock of Python's: SQLite's own has to keep them apart.
        stores = [SQLiteStore(path, durability="normal") for _ in range(4)]
        stores[0].put_settings({"count": "0"})

        def count(number):
            store = stores[number]
            for _ in range(25):
                with store.transaction():
                    store.put_settings({"count": str(int(store.settings()["count"]) + 1)})

        in_threads(4, count)
        assert stores[0].settings() == {"count": "100"}
        for store in stores:
            store.close()

    def test_sixteen_threads_claim_each_task_once(self, store):
        for number in range(160):
            store.add(a_task(f"t{number}", lock=str(number % 40)))

        def work(number):
            claimed = []
            while True:
                with store.transaction():
                    task = store.claimable(NOW)
                    if task is None:
                        return claimed
                    assert store.swap(task, apply(task, Claimed(f"w{number}", NOW)))
                    claimed.append(task.id)

        claimed = [task_id for claims in in_threads(16, work) for task_id in claims]
        assert sorted(claimed) == sorted({f"t{number}" for number in range(40)})
        assert store.stats(NOW).counts[TaskState.RUNNING] == 40

    def test_a_transaction_is_that_of_its_thread_alone(self, store):
        class Undo(Exception):
            pass

        other = SQLiteStore(store.path)
        with suppress(Undo), store.transaction():
            store.add(a_task("undone"))
            seen = in_threads(2, lambda number: (ids(store.find()), ids(other.find())))
            raise Undo
        other.close()
        assert seen == [([], []), ([], [])]
        assert store.find() == []

    def test_closing_while_others_work_harms_nobody(self, store):
        done = threading.Event()

        def work(number):
            if number == 0:
                for _ in range(50):
                    store.close()
                done.set()
                return 0
            count = 0
            while not done.is_set() or not count:
                store.add(a_task(f"{number}-{count}"))
                count += 1
            return count

        counts = in_threads(4, work)
        assert len(store.find()) == sum(counts)

    def test_an_idle_store_keeps_few_connections(self, store):
        pool = store._opened()

        def rush(number):
            connection = pool.take()
            arrived.wait(PATIENCE_SECONDS)
            pool.give(connection)

        arrived = threading.Barrier(40)
        in_threads(40, rush)
        assert len(pool._open) == len(pool._idle) == 16


class TestLocks:
    def test_closing_another_store_of_the_file_keeps_the_lock(self, store, path):
        # POSIX drops all locks of a process when it closes any descriptor of the file.
        script = """
try:
    SQLiteStore(path, timeout_seconds=0.0).add(a_task("intruder"))
except Exception as error:
    print(type(error).__name__, "locked" in str(error))
"""
        with process(script, path) as intruder, store.transaction():
            store.add(a_task("one"))
            other = SQLiteStore(path)
            other.open()
            assert other.find() == []
            other.close()
            go(intruder)
            assert ended_well(intruder) == "StoreError True\n"
        assert ids(store.find()) == ["one"]


class TestForks:
    def test_parent_and_child_both_go_on(self, store):
        store.add(a_task("before"))

        def child():
            store.add(a_task("child"))
            with store.transaction():
                store.put_settings({"child": "1"})
            return ids(store.find())

        assert in_child(child) == "['before', 'child']"
        store.add(a_task("parent"))
        assert ids(store.find()) == ["before", "child", "parent"]
        assert store.settings() == {"child": "1"}

    def test_a_child_neither_uses_nor_closes_what_it_inherited(self, store):
        pool = store._opened()
        inherited = list(pool._open)
        assert inherited

        def child():
            store.add(a_task("child"))
            store.close()
            used = [c for c in store._opened()._open if c in inherited]
            # A closed connection would raise here.
            return [connection.in_transaction for connection in inherited], used

        assert in_child(child) == f"({[False] * len(inherited)!r}, [])"

    def test_a_fork_inside_a_transaction_leaves_it_to_the_parent(self, store):
        with store.transaction():
            store.add(a_task("one"))

            def child():
                try:
                    return ids(store.find())
                finally:
                    store.close()

            assert in_child(child) == "[]"
            store.add(a_task("two"))
        assert ids(store.find()) == ["one", "two"]

    def test_a_child_can_not_commit_for_its_parent(self, store):
        def fork_inside():
            with store.transaction():
                store.add(a_task("one"))
                child = os.fork()
            return child

        reading, writing = os.pipe()
        parent = os.getpid()
        told = "nothing was raised"
        try:
            child = fork_inside()
        except StoreError as error:
            told = str(error)
        finally:
            if os.getpid() != parent:
                os.write(writing, told.encode())
                os._exit(0)
        os.close(writing)
        with open(reading, encoding="utf-8") as pipe:
            told = pipe.read()
        os.waitpid(child, 0)
        assert f"can not commit a transaction in {store.path}" in told
        assert "begun before a fork" in told
        assert ids(store.find()) == ["one"]

    def test_a_child_that_ends_as_python_does_undoes_nothing(self, path):
        # Its interpreter frees all objects at the end, and a connection that is freed rolls back
        # what it holds: here, in memory shared with the parent, what the parent is writing.
        script = """
store = SQLiteStore(path, durability="normal")
store.open()
store.read("make the cache small, so that much is in the log before the commit",
           "PRAGMA cache_size=1")
with store.transaction():
    for turn in range(300):
        store.add(a_task(f"before {turn}", schedule="x" * 500))
    child = os.fork()
    if child == 0:
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    for turn in range(300):
        store.add(a_task(f"after {turn}", schedule="x" * 500))
print(len(store.find()))
store.close()
"""
        with process(script, path) as running:
            go(running)
            assert ended_well(running) == "600\n"
        assert is_sound(path)

    def test_forks_among_threads_that_write_leave_children_that_write(self, store):
        done, written = threading.Event(), threading.Semaphore(0)
        stored = [0, 0, 0]

        def write(place):
            while not done.is_set():
                store.add(a_task(f"{place}-{stored[place]}"))
                stored[place] += 1
                written.release()
                # Threads that are new each time, too.
                look = threading.Thread(target=store.settings)
                look.start()
                look.join()

        threads = [threading.Thread(target=write, args=(place,)) for place in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(15):

                def child(number=number):
                    store.add(a_task(f"child-{number}"))
                    return store.get(f"child-{number}").id

                assert in_child(child) == repr(f"child-{number}")
                for _ in range(3):
                    assert written.acquire(timeout=PATIENCE_SECONDS)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert len(store.find()) == 15 + sum(stored)

    def test_a_store_in_memory_is_the_childs_own(self):
        with closing(SQLiteStore(":memory:")) as store:
            store.add(a_task("one"))

            def child():
                store.add(a_task("child"))
                return ids(store.find())

            assert in_child(child) == "['child']"
            assert ids(store.find()) == ["one"]


class TestKills:
    def test_a_kill_in_mid_write_loses_nothing_that_was_stored(self, path):
        script = """
store = SQLiteStore(path, durability="normal")
turn = 0
while True:
    with store.transaction():
        store.add(a_task(f"{number}-{turn}", schedule="x" * 2000))
        store.add(a_task(f"{number}-{turn}-twin", schedule="x" * 2000))
    print(f"{number}-{turn}", flush=True)
    turn += 1
"""
        stored = []
        for number in range(6):
            with process(script, path, number) as running:
                go(running)
                for _ in range(random.randrange(1, 60)):
                    stored.append(running.stdout.readline().strip())
                running.send_signal(signal.SIGKILL)
                stored += running.stdout.read().split()
            with closing(SQLiteStore(path, timeout_seconds=1.0)) as store:
                found = set(ids(store.find()))
                assert found >= set(stored) | {f"{task_id}-twin" for task_id in stored}
                # Both of a transaction, or none.
                assert len(found) % 2 == 0
                store.add(a_task(f"goes on {number}"))
                store.add(a_task(f"goes on {number}-twin"))
            assert is_sound(path)
        assert len(stored) >= 6


SLOW_TO_BEGIN = """
import signal
from autocron.shell import database
plain = database.create_file
def create_and_be_suspended(path):
    made = plain(path)
    os.kill(os.getpid(), signal.SIGSTOP)
    return made
database.create_file = create_and_be_suspended
store = SQLiteStore(path)
store.open()
store.add(a_task("its own"))
print("stored", flush=True)
"""


def test_who_made_the_file_takes_nothing_from_who_was_quicker_to_use_it(path):
    # Once the whole log of that one was removed as left over, and what he stored was lost.
    with process(SLOW_TO_BEGIN, path) as slow, closing(SQLiteStore(path)) as quick:
        slow.stdin.write("\n")
        slow.stdin.flush()
        _, status = os.waitpid(slow.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert os.path.getsize(path) == 0
        quick.open()
        quick.add(a_task("at once"))
        slow.send_signal(signal.SIGCONT)
        assert slow.stdout.readline() == "stored\n"
        quick.add(a_task("and later"))
        with closing(SQLiteStore(path)) as third:
            assert ids(third.find()) == ["at once", "its own", "and later"]
