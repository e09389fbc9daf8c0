"""A row that is no task is set aside as failed, and says so; the others go on."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, List

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocron.core.errors import ForeignDatabase
from autocron.core.schedule import Schedule
from autocron.core.task import Task, TaskState
from autocron.shell.listing import listed
from autocron.shell.rows import LANE, SCHEDULE_COLUMNS, TASK_COLUMNS
from autocron.shell.sqlite import SQLiteStore
from tests.processes.world import World
from tests.security.rows import NO_TEXT, VALUES, spoil

NOW = datetime(2024, 3, 1, tzinfo=timezone.utc)
COLUMNS = [*TASK_COLUMNS, LANE]


def _store(folder: Path) -> SQLiteStore:
    # Nothing here is about a power cut.
    store = SQLiteStore(str(folder / "project.db"), durability="normal")
    store.open()
    return store


def _look_everywhere(store: SQLiteStore) -> List[Task]:
    """Ask all that engine and admin tool ask; return all tasks."""
    for task in store.find():
        store.get(task.id)
    store.next_due_at(NOW)
    store.expiring(10)
    store.stats(NOW)
    store.shift(1.5)
    store.has_in_hand("x")
    store.taken_by("x", True, NOW)
    for state in TaskState:
        if state.is_final:
            store.purge(state, NOW, 0)
        listed(store, [state], NOW)
    return store.find()


def _claim_all(store: SQLiteStore) -> List[str]:
    claimed = []
    while True:
        task = store.claimable(NOW)
        if task is None:
            return claimed
        claimed.append(task.id)
        with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM tasks WHERE id = ?", (task.id,))


@pytest.mark.parametrize("column", COLUMNS)
def test_whatever_a_column_holds_the_others_are_claimed(tmp_path: Path, column: str) -> None:
    with closing(_store(tmp_path)) as store:
        store.add(Task("first", "m:f", "[[],{}]", NOW, NOW))
        spoiled = spoil(store.path, [column])
        store.add(Task("last", "m:f", "[[],{}]", NOW, NOW))
        claimed = _claim_all(store)
        assert {"first", "last"} <= set(claimed)
        left = _look_everywhere(store)
        for task in left:
            if task.failure is not None and task.failure.type == "DamagedRow":
                assert task.state is TaskState.FAILED
                assert column in task.failure.message or "row of this task" in task.failure.message
                assert task.id.isprintable()
        # Each of them was claimed, set aside, or left where it stands.
        assert len(claimed) + len(left) == len(spoiled) + 2


@pytest.mark.parametrize("worker", ["\0", "x" * 300, "../../etc/x", "", "a/b", "\x1b[2J"])
def test_no_name_of_a_worker_leads_out_of_the_run_folder(tmp_path: Path, worker: str) -> None:
    """Who takes tasks back makes the name of a lock file of it."""
    with closing(_store(tmp_path)) as store:
        store.add(Task("odd", "m:f", "[[],{}]", NOW, NOW, TaskState.RUNNING, worker="w"))
        _execute(store.path, "UPDATE tasks SET worker = ?", worker)
        for task in store.find(state=TaskState.RUNNING):
            assert task.worker == worker == ""
        assert store.get("odd") is not None


def _execute(path: str, sql: str, *values: Any) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql, values)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER Odd AFTER UPDATE ON tasks BEGIN DELETE FROM settings; END",
        "DROP TABLE settings; CREATE VIEW settings AS SELECT 'start' AS name, 'x' AS value",
    ],
)
def test_what_would_act_on_its_own_is_refused(tmp_path: Path, sql: str) -> None:
    """Else a statement of ours would run whatever somebody has put there, or hang in it."""
    with closing(_store(tmp_path)) as store:
        store.add(Task("first", "m:f", "[[],{}]", NOW, NOW))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.executescript(sql)
    with pytest.raises(ForeignDatabase, match="that autocron did not make"):
        store.open()


def test_a_row_that_is_set_aside_keeps_its_arguments_unless_they_are_damaged(
    tmp_path: Path,
) -> None:
    with closing(_store(tmp_path)) as store:
        spoil(store.path, ["history"], values=["no JSON"])
        spoil(store.path, ["given"], values=[b"blob"])
        store.find()
        found = {task.payload for task in store.find(state=TaskState.FAILED)}
        assert found == {"[[1,2],{}]", ""}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(COLUMNS),
            st.one_of(
                st.none(),
                st.integers(-(2**63), 2**63 - 1),
                st.floats(),
                st.text(st.characters(exclude_categories=["Cs"])),
                st.binary(),
                st.sampled_from(VALUES),
                st.recursive(st.none() | st.floats() | st.text(), st.lists).map(repr),
            ),
            min_size=1,
            max_size=6,
        ),
        max_size=5,
    )
)
def test_any_rows_leave_the_others_alone(tmp_path_factory: Any, rows: Any) -> None:
    with closing(_store(tmp_path_factory.mktemp("rows"))) as store:
        with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            for row in rows:
                whole = {"id": os.urandom(4).hex(), "name": "m:f", "payload": "[[],{}]"}
                whole.update({"enqueued_at": 0, "run_at": 0, **row})
                marks = ", ".join("?" * len(whole))
                sql = f"INSERT OR IGNORE INTO tasks ({', '.join(whole)}) VALUES ({marks})"
                try:
                    connection.execute(sql, list(whole.values()))
                except (sqlite3.Error, OverflowError):
                    continue
        store.add(Task("good", "m:f", "[[],{}]", NOW, NOW))
        assert "good" in _claim_all(store)
        _look_everywhere(store)


@pytest.mark.parametrize("column", SCHEDULE_COLUMNS[1:])
def test_a_damaged_schedule_is_left_out_and_gives_way_to_the_one_in_the_code(
    tmp_path: Path, column: str
) -> None:
    one, other = (
        Schedule(key, "m:f", "* * * * *", "UTC", "once", "skip", 60.0, False, NOW)
        for key in ("one", "other")
    )
    with closing(_store(tmp_path)) as store:
        for value in [*VALUES, NO_TEXT]:
            for schedule in (one, other):
                for stored in store.schedules(schedule.key):
                    store.swap_schedule(stored, None)
                assert store.swap_schedule(None, schedule)
            what = "CAST(? AS TEXT)" if value is NO_TEXT else "?"
            with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
                connection.execute(
                    f"UPDATE OR IGNORE schedules SET {column} = {what} WHERE key = 'one'", (value,)
                )
            assert other in store.schedules()
            assert store.schedules("one") or store.swap_schedule(None, one)


def test_a_served_database_full_of_such_rows_is_served(world: World) -> None:
    """No code runs but that of the application, nothing hangs, nobody dies."""
    world.store.open()
    application = world.application()
    assert application.ask("tasks.add(1, 2).get(60)") == 3
    supervisor, workers = world.supervisor, world.workers
    spoil(world.database, COLUMNS)
    hostile = [value for value in VALUES if isinstance(value, (str, bytes))]
    with closing(sqlite3.connect(world.database, isolation_level=None)) as connection:
        for number, value in enumerate(hostile):
            connection.execute(
                "REPLACE INTO schedules VALUES (?, 'tasks:add', ?, ?, 'all', 'allow', 60.0, 1, 0, "
                "'', 1, 1, 0.0, ?, 'default', 0, NULL)",
                (f"spoiled {number}", value, value, value),
            )
            for name in ("schedules_version", "import_errors", "max_workers", "worker_idle_time"):
                connection.execute("REPLACE INTO settings VALUES (?, ?)", (name, value))
            connection.execute("REPLACE INTO busy_rates VALUES (?, ?)", (value, value))
            connection.execute("INSERT INTO starts VALUES ('x', ?, ?)", (value, value))
        connection.execute("REPLACE INTO settings VALUES ('start', 'anew')")
        for number, value in enumerate([*hostile, "../../x"]):
            connection.execute(
                "INSERT INTO tasks (id, name, payload, enqueued_at, run_at, state, attempt, worker)"
                " VALUES (?, 'tasks:add', '[[1,2],{}]', 0, 0, 'running', 1, ?)",
                (f"held {number}", value),
            )
        # Each waits for the other, and one for itself.
        for task_id, after in (("a", "b"), ("b", "a"), ("c", "c")):
            connection.execute(
                "INSERT INTO tasks (id, name, payload, enqueued_at, run_at, after_id, feeds) "
                "VALUES (?, 'tasks:add', '[[1,2],{}]', 0, 0, ?, 1)",
                (task_id, after),
            )
    assert application.ask("tasks.add(2, 3).get(120)") == 5
    application.do("autocron.get_result('a').cancel()")
    assert application.ask("tasks.add(3, 4).get(120)") == 7
    assert world.supervisor == supervisor
    assert set(workers) <= set(world.workers) or world.workers
    assert {task.state for task in world.store.find(state=TaskState.FAILED)} == {TaskState.FAILED}
