"""What becomes of a database that an older autocron has made: all is kept, or nothing changed."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import fields
from datetime import timedelta

import pytest

from autocron.core.errors import StoreError
from autocron.core.outcome import Returned
from autocron.core.policy import Policy
from autocron.core.schedule import Schedule
from autocron.core.task import Failure, Message, Task, TaskState
from autocron.engine import Engine
from autocron.shell import rows, schema
from autocron.shell.sqlite import SQLiteStore
from autocron.testing import ManualClock
from autocron.testing.contract.tools import NOW, a_schedule, a_task, ids
from autocron.zones import load_zone
from tests.shell.sqlite_tools import execute, refusal

AT = rows.microseconds(NOW)
COLUMNS = (
    "id, name, payload, enqueued_at, run_at, state, revision, elapsed, priority, unique_key, "
    "lock_key, retries, backoff_seconds, schedule, occurrence_at, attempt, failures, deaths, "
    "worker, unknown_since_at, started_at, finished_at, result, failure_type, failure_message, "
    "failure_traceback"
)
TASKS = [
    ("plain", "a:b", '["ü"]', AT, AT, "waiting", 0, 0, 0, *[None] * 2, 0, *[None] * 3, 0, 0, 0),
    ("later", "a:b", "", AT, AT + 9, "waiting", 3, 1, -100, "U", "L", 5, 0.1, "S", AT, 2, 1, 1),
    ("high", "a:b", "", AT, AT, "waiting", 0, 0, 100, None, "L", 3, None, *[None] * 2, 0, 0, 0),
    ("busy", "a:b", "", AT, AT, "running", 1, 0, 7, None, "L", 0, 60.0, *[None] * 2, 1, 0, 2),
    ("done", "a:b", "", AT, AT, "succeeded", 2, 0, 0, None, None, 0, None, None, None, 1, 0, 0),
    ("bad", "a:b", "", AT, AT, "failed", 2, 0, 0, None, None, 1, 3.1e9, None, None, 1, 1, 0),
    ("gone", "a:b", "", AT, AT, "cancelled", 1, 0, 0, None, None, 0, None, None, None, 0, 0, 0),
]
ENDS = {
    "later": (None, AT + 1, AT + 2, None, None, "ValueError", "no 'ü'\nhere", "Traceback"),
    "busy": ("w1", None, AT, *[None] * 5),
    "done": (None, None, AT, AT + 1, '{"a": "\x00"}', *[None] * 3),
    "bad": (None, None, AT, AT + 1, None, "E", "", ""),
    "gone": (None, None, None, AT + 1, *[None] * 4),
}


def kept(task_id, **changes):
    """What a task of the old database is now."""
    given = {"name": "a:b", "payload": "", "enqueued_at": NOW, "run_at": NOW, **changes}
    return Task(id=task_id, **given)


def later(microseconds):
    return NOW + timedelta(microseconds=microseconds)


KEPT = [
    kept("plain", payload='["ü"]'),
    kept(
        "later",
        run_at=later(9),
        revision=3,
        elapsed=True,
        priority=-100,
        unique="U",
        lock="L",
        policy=Policy(5, 0.1),
        schedule="S",
        occurrence_at=NOW,
        attempt=2,
        failures=1,
        deaths=1,
        unknown_since_at=later(1),
        started_at=later(2),
        failure=Failure("ValueError", "no 'ü'\nhere", "Traceback"),
    ),
    kept("high", priority=100, lock="L", policy=Policy(3)),
    kept(
        "busy",
        state=TaskState.RUNNING,
        revision=1,
        priority=7,
        lock="L",
        policy=Policy(0, 60.0),
        attempt=1,
        deaths=2,
        worker="w1",
        started_at=NOW,
    ),
    kept(
        "done",
        state=TaskState.SUCCEEDED,
        revision=2,
        attempt=1,
        started_at=NOW,
        finished_at=later(1),
        result='{"a": "\x00"}',
    ),
    kept(
        "bad",
        state=TaskState.FAILED,
        revision=2,
        policy=Policy(1, 3.1e9),
        attempt=1,
        failures=1,
        started_at=NOW,
        finished_at=later(1),
        failure=Failure("E", "", ""),
    ),
    kept("gone", state=TaskState.CANCELLED, revision=1, finished_at=later(1)),
]
SCHEDULES = [
    ("a:b @daily", "a:b", "@daily", "UTC", "all", "wait", 0.1, 0, AT, "s1"),
    ("a:c", "a:c", None, "local", "once", "skip", 60.0, 1, AT, ""),
]
KEPT_SCHEDULES = [
    Schedule("a:b @daily", "a:b", "@daily", "UTC", "all", "wait", 0.1, False, NOW, "s1"),
    Schedule("a:c", "a:c", None, "local", "once", "skip", 60.0, True, NOW),
]


@pytest.fixture
def path(tmp_path):
    """A database that the first version has made, and used."""
    path = str(tmp_path / "project.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        for statement in schema.MIGRATIONS[0].split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version=1")
        marks = ", ".join("?" * len(COLUMNS.split(",")))
        for task in TASKS:
            values = (*task, *ENDS.get(task[0], [None] * 8))
            connection.execute(f"INSERT INTO tasks ({COLUMNS}) VALUES ({marks})", values)
        # Ages have gaps where tasks were purged.
        connection.execute("UPDATE tasks SET seq = 100 * seq")
        for schedule in SCHEDULES:
            connection.execute("INSERT INTO schedules VALUES (?,?,?,?,?,?,?,?,?,?)", schedule)
        connection.execute("INSERT INTO settings VALUES ('workers', '3'), ('ü', '')")
    return path


def content(path):
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump()), connection.execute("PRAGMA user_version").fetchall()


class TestFromVersion1:
    def test_everything_is_kept(self, path):
        with closing(SQLiteStore(path)) as store:
            assert store.find() == KEPT
            assert store.schedules() == KEPT_SCHEDULES
            assert store.settings() == {"workers": "3", "ü": ""}
            assert store.paused() == frozenset()
            assert store.stats(NOW).oldest_due_at == NOW
            store.add(a_task("new"))
            assert ids(store.find())[-1] == "new"
        assert execute(path, "PRAGMA user_version") == [(schema.VERSION,)]
        assert execute(path, "PRAGMA integrity_check") == [("ok",)]
        assert execute(path, "PRAGMA auto_vacuum") == [(2,)]

    def test_it_is_what_a_new_database_is(self, path, tmp_path):
        new = str(tmp_path / "new.db")
        for name in (path, new):
            with closing(SQLiteStore(name)) as store:
                store.open()
        made = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
        assert execute(path, made) == execute(new, made)

    def test_its_tasks_run_on(self, path):
        class Invoker:
            def invoke(self, task, hand):
                order.append(task.id)
                return Returned("null")

        order, clock = [], ManualClock(NOW)
        with closing(SQLiteStore(path)) as store:
            numbers = map(str, itertools.count())
            engine = Engine(
                store,
                clock,
                zones=load_zone,
                new_id=lambda: next(numbers),
                invoker=Invoker(),
                worker="w2",
            )
            while engine.tick().claimed is not None:
                pass
            assert order == ["plain"], "the others' lock is held"
            engine.reclaim("w1", charged=False)
            assert engine.retry("bad")
            clock.advance(seconds=1)
            while engine.tick().claimed is not None:
                pass
            assert order[1:] == ["high", "busy", "bad", "later"]
            assert engine.enqueue(Message("a:b", "", unique="U")).id not in ids(KEPT)
            at = NOW + timedelta(days=1)
            assert store.swap_schedule(KEPT_SCHEDULES[0], a_schedule("a:b @daily", watermark_at=at))

    def test_a_key_that_is_taken_stays_so(self, path):
        with closing(SQLiteStore(path)) as store:
            assert store.taken_by("U", False, NOW) == KEPT[1]
            assert store.find(state=TaskState.WAITING, schedule="S") == [KEPT[1]]

    def test_two_processes_may_do_it_at_once(self, path):
        script = """if True:
            import sys
            from autocron.shell.sqlite import SQLiteStore
            from autocron.testing.contract.tools import a_task
            print("ready", flush=True)
            sys.stdin.readline()
            store = SQLiteStore(sys.argv[1])
            store.open()
            store.add(a_task(sys.argv[2]))
            store.close()
            """
        with ExitStack() as stack:
            running = [
                stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-c", script, path, f"by {number}"],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                        cwd=os.getcwd(),
                    )
                )
                for number in range(4)
            ]
            for each in running:
                assert each.stdout.readline() == "ready\n"
            for each in running:
                each.stdin.write("go\n")
                each.stdin.flush()
            assert [each.wait(30) for each in running] == [0] * 4
        with closing(SQLiteStore(path)) as store:
            assert store.find()[: len(KEPT)] == KEPT
            assert sorted(ids(store.find())[len(KEPT) :]) == ["by 0", "by 1", "by 2", "by 3"]
            assert store.schedules() == KEPT_SCHEDULES

    @pytest.mark.parametrize("kept_statements", [0, 1, 2, 3, 4, 9, -1])
    def test_if_it_is_interrupted_all_is_as_before(self, path, monkeypatch, kept_statements):
        before = content(path)
        first, second = schema.MIGRATIONS
        pieces = second.split(";")[:kept_statements]
        broken = ";".join([*pieces, "INSERT INTO missing VALUES (7)"])
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", (first, broken))
            refusal(StoreError, SQLiteStore(path).open, path, "no such table: missing")
        assert content(path) == before
        with closing(SQLiteStore(path)) as store:
            assert store.find() == KEPT

    def test_if_its_process_is_killed_all_is_as_before(self, path):
        before = content(path)
        script = """if True:
            import os, sys
            from autocron.shell import schema
            from autocron.shell.sqlite import SQLiteStore

            class Killed(list):
                def __iter__(self):
                    yield from list.__iter__(self)
                    os._exit(7)

            class Step(str):
                def split(self, *how):
                    return Killed(str.split(self, *how))

            schema.MIGRATIONS = (schema.MIGRATIONS[0], Step(schema.MIGRATIONS[1]))
            SQLiteStore(sys.argv[1]).open()
            """
        done = subprocess.run([sys.executable, "-c", script, path], check=False, cwd=os.getcwd())
        assert done.returncode == 7
        assert content(path) == before
        with closing(SQLiteStore(path)) as store:
            assert store.find() == KEPT


class TestSchema:
    """The columns of the tables stand in the schema, and in the rows that are read and written."""

    def test_the_columns_are_those_of_the_rows(self, path):
        with closing(SQLiteStore(path)) as store:
            tasks = [row[1] for row in store.read("look", "PRAGMA table_info(tasks)")]
            schedules = [row[1] for row in store.read("look", "PRAGMA table_info(schedules)")]
        assert sorted(tasks) == sorted(["seq", rows.LANE, *rows.TASK_COLUMNS])
        assert schedules == list(rows.SCHEDULE_COLUMNS)

    def test_the_fields_are_those_of_the_values(self):
        failure = {"failure_type", "failure_message", "failure_traceback"}
        assert len(rows.TASK_COLUMNS) == len(set(rows.TASK_COLUMNS))
        assert len(set(rows.TASK_COLUMNS) - failure) == len(fields(Task)) - 1
        assert list(rows.SCHEDULE_COLUMNS) == [field.name for field in fields(Schedule)]

    def test_what_is_not_written_is_as_in_every_task(self, path):
        with closing(SQLiteStore(path)) as store:
            store.write(
                "store a task",
                "INSERT INTO tasks (id, name, payload, enqueued_at, run_at) VALUES (?, ?, ?, ?, ?)",
                ("bare", "a:b", "", AT, AT),
            )
            assert store.get("bare") == kept("bare")
            assert store.claimable(NOW, ["default"]) is not None
            lane = store.read("look", "SELECT lane FROM tasks WHERE id = 'bare'")
        assert lane == [(rows.lane(0, "default"),)]
