"""Whatever somebody has written into a database, who looks at it sees harmless text."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any, List

import pytest

from autocron import cli
from autocron.shell.sqlite import SQLiteStore
from tests.security.rows import VALUES

_ENDED = ("result", "failure_type", "failure_message", "failure_traceback", "progress", "name")
_ADD = (
    "INSERT INTO tasks (id, name, payload, enqueued_at, run_at, finished_at, failure_type,"
    " failure_message, failure_traceback, state)"
    " VALUES (?, 'm:f', '[[1,2],{}]', 0, 0, 1, 'E', 'm', 't', ?)"
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    store = SQLiteStore(str(tmp_path_factory.mktemp("odd") / "project.db"), durability="normal")
    store.open()
    store.close()
    hostile = [value for value in VALUES if value is not None]
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for state in ("waiting", "running", "succeeded", "failed"):
            for column in (*_ENDED, "queue", "lane", "payload", "run_at", "finished_at"):
                for number, value in enumerate(hostile):
                    task_id = f"{state} {column} {number}"
                    connection.execute(_ADD, (task_id, state))
                    connection.execute(
                        f"UPDATE OR IGNORE tasks SET {column} = ? WHERE id = ?", (value, task_id)
                    )
        for number, value in enumerate(hostile):
            connection.execute("REPLACE INTO settings VALUES (?, ?)", (value, value))
            connection.execute("REPLACE INTO paused_queues VALUES (?)", (value,))
            connection.execute(
                "REPLACE INTO schedules VALUES (?, 'm:f', '* * * * *', ?, 'all', 'allow', 60.0, 1,"
                " 0, '', 1, 1, 0.0, ?, 'default', 0, NULL)",
                (f"{number} {value!s:.20}", value, value),
            )
        connection.execute("COMMIT")
    return store.path


@pytest.mark.parametrize("how", [[], ["--json"]])
@pytest.mark.parametrize(
    "what",
    [
        ["--info"],
        ["--stats"],
        ["--tasks", "--limit", "100"],
        ["--results", "--limit", "100"],
        ["--failed", "--limit", "100"],
        ["--show", "succeeded progress 3"],
        ["--show", "failed failure_message 2"],
    ],
)
def test_what_is_shown_controls_no_terminal_and_nothing_fails(
    database: str, capsys: Any, what: List[str], how: List[str]
) -> None:
    assert cli.main([database, *what, *how]) == 0
    said = capsys.readouterr()
    assert said.out
    assert said.out.replace("\n", "").isprintable()
    assert said.err.replace("\n", "").isprintable()
