"""The SQLite store on a real machine: no rights, locked, full, damaged; and what it costs."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from autocron.core.errors import StoreError
from autocron.core.task import TaskState
from autocron.shell import queries
from autocron.shell.rows import microseconds
from autocron.shell.schema import PAGE_BYTES
from autocron.shell.sqlite import SQLiteStore
from autocron.testing.contract.tools import NOW, a_schedule, a_task, ended, ids
from tests.shell.sqlite_tools import execute, in_child, refusal


@pytest.fixture
def small_disk():
    """A disk of one megabyte."""
    folder = tempfile.mkdtemp()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    try:
        done = subprocess.run(mount, check=False, capture_output=True, text=True)
    except OSError as error:
        done = subprocess.CompletedProcess(mount, 1, stderr=str(error))
    if done.returncode != 0:
        os.rmdir(folder)
        pytest.skip(f"NOT TESTED on a full disk, no disk could be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)
    os.rmdir(folder)


class TestRights:
    """Files that this user may not use. Root may use all, so root steps down for these."""

    @pytest.fixture
    def folder(self):
        made = tempfile.mkdtemp()
        os.chmod(made, 0o755)
        yield made
        os.chmod(made, 0o755)
        shutil.rmtree(made)

    def message(self, path):
        """What a plain user is told who opens the database and stores a task."""

        def store():
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            with closing(SQLiteStore(path)) as store:
                store.add(a_task("new"))
            return "no error"

        return in_child(store)

    def give_away(self, *paths):
        if os.getuid() == 0:
            for path in paths:
                os.chown(path, 65534, 65534)

    def test_a_folder_that_can_not_be_written(self, folder):
        os.chmod(folder, 0o555)
        told = self.message(os.path.join(folder, "x.db"))
        assert told.startswith(f"StoreError: can not create {folder}/x.db: the file can not be")
        assert "make its folder writable" in told

    def test_a_file_that_can_not_be_read(self, folder):
        path = os.path.join(folder, "x.db")
        with closing(SQLiteStore(path)) as store:
            store.open()
        os.chmod(path, 0)
        told = self.message(path)
        assert told.startswith(f"StoreError: can not open the database in {path}: the file or its")
        assert "give this user the right" in told

    def test_a_file_that_can_not_be_written(self, folder):
        path = os.path.join(folder, "x.db")
        with closing(SQLiteStore(path)) as store:
            store.open()
        self.give_away(folder)
        os.chmod(path, 0o444)
        told = self.message(path)
        assert told.startswith("StoreError: can not ")
        assert path in told
        assert "can not be written" in told
        assert "give this user the right" in told
        assert execute(path, "SELECT count(*) FROM tasks") == [(0,)]

    def test_a_folder_that_became_read_only(self, folder):
        path = os.path.join(folder, "x.db")
        with closing(SQLiteStore(path)) as store:
            store.open()
        self.give_away(path)
        os.chmod(folder, 0o555)
        told = self.message(path)
        assert told.startswith(f"StoreError: can not open the database in {path}: ")
        assert "give this user the right" in told


class TestTrouble:
    def test_a_lock_that_is_kept_is_told_after_the_timeout(self, path):
        store = SQLiteStore(path, timeout_seconds=0.05)
        store.add(a_task("one"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            pieces = (path, "locked by another process or thread", "0.05 seconds", "try again")
            refusal(StoreError, lambda: store.add(a_task("two")), "store task two", *pieces)
            refusal(StoreError, store.transaction().__enter__, "begin a transaction", *pieces)
            assert ids(store.find()) == ["one"], "reading does not wait"
            other.execute("ROLLBACK")
        store.add(a_task("two"))
        assert ids(store.find()) == ["one", "two"]
        store.close()

    @pytest.mark.parametrize("where", ["file", ":memory:"])
    def test_a_thread_that_keeps_the_lock_is_told_too(self, path, where):
        store = SQLiteStore(path if where == "file" else where, timeout_seconds=0.05)
        leave, inside = threading.Event(), threading.Event()

        def hold():
            with store.transaction():
                inside.set()
                leave.wait(30)

        holder = threading.Thread(target=hold)
        holder.start()
        assert inside.wait(30)
        pieces = (store.path, "locked by another process or thread", "0.05 seconds")
        refusal(StoreError, lambda: store.add(a_task("one")), "store task one", *pieces)
        leave.set()
        holder.join()
        store.add(a_task("one"))
        assert ids(store.find()) == ["one"]
        store.close()

    def test_a_full_disk_is_told_and_nothing_is_lost(self, small_disk):
        path = os.path.join(small_disk, "x.db")
        store = SQLiteStore(path)
        store.open()
        stored = []

        def fill():
            while True:
                task = a_task(f"t{len(stored)}", schedule="x" * 4000)
                store.add(task)
                stored.append(task.id)

        refusal(StoreError, fill, "can not store task", path, "the disk is full", "free some")
        assert len(stored) > 10
        assert ids(store.find()) == stored

        def fill_in_transaction():
            with store.transaction():
                store.put_settings({"a": "1"})
                store.add(replace(a_task("big"), payload="x" * 2_000_000))

        refusal(StoreError, fill_in_transaction, path, "the disk is full")
        assert ids(store.find()) == stored
        assert store.settings() == {}
        store.close()

        # Space is free again: the same database goes on.
        subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
        with closing(SQLiteStore(path)) as store:
            assert ids(store.find()) == stored
            store.add(a_task("after"))
            assert store.get("after") == a_task("after")
            assert execute(path, "PRAGMA integrity_check") == [("ok",)]

    def test_nothing_is_stored_after_an_error_has_undone_a_transaction(self, store, path):
        limit = store.read("look", "PRAGMA page_count")[0][0] + 2

        def go_on_regardless():
            with store.transaction():
                store.add(a_task("first"))
                store.read("limit", f"PRAGMA max_page_count={limit}")
                big = replace(a_task("big"), payload="x" * 100_000)
                refusal(StoreError, lambda: store.add(big), "the disk is full")
                store.add(a_task("second"))

        refusal(StoreError, go_on_regardless, "task second", path, "undone", "begin again")
        assert store.find() == []

    def test_an_exception_that_is_caught_inside_still_undoes_the_whole(self, store):
        def catch():
            with store.transaction():
                store.add(a_task("outer"))
                try:
                    with store.transaction():
                        store.add(a_task("inner"))
                        raise KeyError
                except KeyError:
                    pass

        refusal(StoreError, catch, "commit", "undone")
        assert store.find() == []

    def test_a_task_that_was_refused_does_not_spoil_its_transaction(self, store):
        with store.transaction():
            store.add(a_task("one"))
            twin = a_task("one")
            refusal(StoreError, lambda: store.add(twin), "store task one", "id is stored already")
            store.add(a_task("two"))
        assert ids(store.find()) == ["one", "two"]

    def test_several_that_were_refused_undo_their_transaction(self, store):
        def catch():
            with store.transaction():
                store.add(a_task("outer"))
                several = [a_task("first"), a_task("outer"), a_task("last")]
                refusal(StoreError, lambda: store.add_all(several), "id is stored already")

        refusal(StoreError, catch, "commit", "undone")
        assert store.find() == []

    def test_a_damaged_file_is_told(self, path):
        with closing(SQLiteStore(path)) as store:
            for number in range(300):
                store.add(a_task(f"t{number}", schedule="x" * 300))
        with open(path, "r+b") as file:
            file.seek(PAGE_BYTES)
            file.write(os.urandom(os.path.getsize(path) - PAGE_BYTES))
        with closing(SQLiteStore(path)) as store:
            refusal(StoreError, store.find, path, "damaged", "restore a copy")

    def test_tables_that_were_removed_are_told(self, store, path):
        execute(path, "DROP TABLE settings")
        refusal(StoreError, store.settings, "read the settings", path, "changed by something else")

    def test_a_file_that_is_gone_is_told(self, path):
        store = SQLiteStore(path)
        store.open()
        store.close()
        os.remove(path)
        refusal(StoreError, lambda: store.open(create=False), "no database at", path)

    def test_a_row_of_another_hand_is_set_aside_and_tells_why(self, store, path):
        store.add(a_task("odd"))
        execute(path, "UPDATE tasks SET state = 'sleeping'")
        assert store.find() == []
        (task,) = store.find()
        assert (task.id, task.state, task.failure.type) == ("odd", TaskState.FAILED, "DamagedRow")
        assert "autocron did not write" in task.failure.message
        assert "sleeping" in task.failure.message

    def test_values_that_sqlite_can_not_take_are_told(self, store):
        refusal(StoreError, lambda: store.get("\ud800"), "read a task", "UnicodeEncodeError")
        huge = replace(a_task("huge"), priority=2**70)
        refusal(StoreError, lambda: store.add(huge), "store task huge", "OverflowError")
        assert store.find() == []

    def test_what_has_not_ended_is_not_purged(self, store):
        refusal(StoreError, lambda: store.purge(TaskState.WAITING, NOW, 1), "waiting", "ended")

    def test_a_schedule_keeps_its_key(self, store):
        a, b = a_schedule("a"), a_schedule("b")
        refusal(StoreError, lambda: store.swap_schedule(a, b), "one key", "['a', 'b']")
        refusal(StoreError, lambda: store.swap_schedule(None, None), "one key", "[]")

    def test_a_store_is_not_closed_inside_a_transaction(self, store):
        with store.transaction():
            store.add(a_task("one"))
            refusal(StoreError, store.close, "inside a transaction")
        assert ids(store.find()) == ["one"]


class TestCost:
    """Steps of SQLite's machine, counted: a measure of work that is the same on every machine."""

    @staticmethod
    def steps(store, action):
        pool = store._opened()
        connection = pool.take()
        count = []
        connection.set_progress_handler(lambda: count.append(1), 1)
        pool.give(connection)
        action()
        connection.set_progress_handler(None, 1)
        return len(count)

    QUESTIONS = {
        "claimable": lambda store: store.claimable(NOW),
        "claimable in a queue": lambda store: store.claimable(NOW, ["mail"]),
        "next_due_at": lambda store: store.next_due_at(NOW),
        "next_due_at in a queue": lambda store: store.next_due_at(NOW, ["mail"]),
        "oldest due": lambda store: store._instant(
            "look", queries.OLDEST_DUE_AT, {"now": microseconds(NOW)}
        ),
        "expiring": lambda store: store.expiring(3),
        "taken_by": lambda store: store.taken_by("U", True, NOW),
        "waiting": lambda store: store.find(state=TaskState.WAITING, schedule="S", limit=1),
        "running": lambda store: store.find(state=TaskState.RUNNING, schedule="S", limit=1),
        "in hand": lambda store: store.has_in_hand("S"),
        "worker": lambda store: store.find(state=TaskState.RUNNING, worker="w"),
        "in a group": lambda store: store.find(state=TaskState.WAITING, group="G", limit=1),
        "held": lambda store: store.find(state=TaskState.WAITING, after="G"),
        "paused": lambda store: store.paused(),
        "starts": lambda store: store.starts("R", 3),
        "get": lambda store: store.get("0-3"),
        "purge": lambda store: store.purge(TaskState.SUCCEEDED, NOW, 9),
        "purge starts": lambda store: store.purge_starts(NOW - timedelta(days=1)),
    }

    @staticmethod
    def fill(store, part, count):
        """Store what has nothing to say about any of the questions, in every place but one."""
        later = NOW + timedelta(days=1)
        for number in range(count):

            def name(kind, number=number):
                return f"{part}{kind}-{number}"

            for priority, seconds in ((0, number), (50, number + 1), (-50, -number)):
                store.add(a_task(name(priority), seconds, priority=priority))
            for queue, priority in (("mail", 0), ("mail", 100), ("paused", 0), ("paused", 99)):
                due = -number if queue == "paused" else number + 1
                task = a_task(name(f"{queue}{priority}"), due, queue=queue, priority=priority)
                store.add(task)
            store.add(replace(a_task(name("held"), -9, priority=100), after=name("x")))
            store.add(a_task(name("expires"), 9, expires_at=later))
            store.add(replace(a_task(name("member"), 9), group=name("group")))
            store.add(a_task(name("unique"), 9, unique=name("key")))
            used = ended(name("used"), TaskState.SUCCEEDED, NOW)
            store.add(replace(used, unique="U", unique_until_at=NOW))
            done = ended(name("e"), TaskState.SUCCEEDED, NOW)
            store.add(replace(done, schedule="S", group="G"))
            store.put_start(name("rate"), NOW, later, NOW)

    def all_steps(self, store):
        asks = self.QUESTIONS.items()
        return {name: self.steps(store, partial(ask, store)) for name, ask in asks}

    def test_no_question_of_the_engine_costs_more_with_more_tasks(self):
        with closing(SQLiteStore(":memory:")) as store:
            store.put_paused("paused", True)
            with store.transaction():
                self.fill(store, "", 10)
            few = self.all_steps(store)
            with store.transaction():
                self.fill(store, "more ", 1500)
            many = self.all_steps(store)
            assert min(few.values()) > 0
            assert {name: many[name] - few[name] for name in few if many[name] > few[name]} == {}

    def test_every_question_of_the_engine_is_a_search_in_an_index(self):
        with closing(SQLiteStore(":memory:")) as store:
            store.add(a_task("one", queue="mail", lock="L", rate_key="R"))
            pool = store._opened()
            connection, told = pool.take(), []
            connection.set_trace_callback(told.append)
            pool.give(connection)
            for ask in self.QUESTIONS.values():
                ask(store)
            connection.set_trace_callback(None)
            asked = [sql for sql in told if sql.lstrip().split()[0] in ("SELECT", "WITH", "DELETE")]
            steps = {
                row[3] for sql in asked for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")
            }
            stored = re.compile("SCAN (TABLE )?(tasks|starts|busy_rates)")
            assert [step for step in steps if stored.match(step)] == []
            assert any("tasks_to_run (lane=? AND run_at<?)" in step for step in steps)
            assert any("tasks_to_run (lane>?)" in step for step in steps)
            assert any("tasks_locking (lock_key=?)" in step for step in steps)

    def test_a_task_that_may_not_begin_is_passed_over_without_reading_it(self):
        """Its row may be large, and many may wait for one lock or rate."""
        with closing(SQLiteStore(":memory:")) as store:
            pool = store._opened()
            connection = pool.take()
            values = {"now": 0, "passed": ""}
            code = connection.execute(f"EXPLAIN {queries.step(None)}", values).fetchall()
            pool.give(connection)
            # A cursor that follows an index is moved in the table only when a column is read.
            following = {row[4] for row in code if row[1] == "DeferredSeek"}
            read = {row[2] for row in code if row[1] == "Column"}
            assert following
            assert following & read == set()

    def test_a_call_updates_two_indexes(self, store):
        plain = {row[0]: row[1] for row in self.plan(store, a_task("plain"))}
        assert plain == {"tasks_to_run": 1, "sqlite_autoindex_tasks_1": 1}
        full = a_task("full", unique="U", schedule="S", lock="L", expires_at=NOW)
        assert len(self.plan(store, full)) == 5

    @staticmethod
    def plan(store, task):
        """The indexes in which a stored task stands."""
        store.add(task)
        names = [
            row[0]
            for row in store.read(
                "look", "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'tasks'"
            )
        ]
        found = []
        for name in names:
            where = store.read("look", "SELECT sql FROM sqlite_master WHERE name = ?", (name,))
            condition = (where[0][0] or "").partition(" WHERE ")[2].strip() or "1"
            count = store.read(
                "look", f"SELECT count(*) FROM tasks WHERE id = ? AND {condition}", (task.id,)
            )
            found += [(name, count[0][0])] if count[0][0] else []
        return found

    def test_a_purged_file_gives_space_back(self, store, path):
        for number in range(60):
            task = ended(f"t{number}", TaskState.SUCCEEDED, NOW)
            store.add(replace(task, result="x" * 100_000))
        pages = store.read("look", "PRAGMA page_count")[0][0]
        while store.purge(TaskState.SUCCEEDED, NOW + timedelta(days=1), 5):
            pass
        assert store.find() == []
        assert store.read("look", "PRAGMA page_count")[0][0] < pages / 3
        assert execute(path, "PRAGMA integrity_check") == [("ok",)]
