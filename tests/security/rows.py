"""Rows that autocron did not write: what an attacker, or a bad disk, puts into a column."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any, List, Tuple

# Each is put into every column of a task, one at a time.
VALUES: List[Any] = [
    None,
    "",
    "\0",
    "\x1b]0;owned\x07",
    "x" * 100_000,
    "[" * 100_000,
    '{"a":' * 50_000,
    '{"retries": 1e999}',
    '{"timeout_seconds": "soon", "rate": [0, -1]}',
    '{"backoff_seconds": 1e300, "retries": 3}',
    '{"timeout_seconds": -5}',
    "[[1, 1e999, NaN, []]]",
    "[[1, 99999999999999999999, 0, 1]]",
    "1" * 5000,
    f'{{"retries": {"1" * 50_000}}}',
    f"[[{'1' * 50_000}, 0, 0, 1]]",
    "NaN",
    "zombie",
    "running",
    b"\xff\x00blob",
    b"",
    -1,
    -(2**63),
    2**63 - 1,
    1e300,
    -1e300,
    float("inf"),
    0.5,
]
# A text that is none: SQLite keeps whatever bytes it is given.
NO_TEXT = b"\xff\xfe\x80surrogate \xed\xa0\x80"

_ADD = (
    "INSERT INTO tasks (id, name, payload, enqueued_at, run_at) VALUES (?, ?, '[[1,2],{}]', 0, 0)"
)


def spoil(
    path: str, columns: List[str], name: str = "tasks:add", values: Any = None
) -> List[Tuple[int, str, Any]]:
    """Add a task for each column and value, of which that column is spoiled; return which."""
    spoiled: List[Tuple[int, str, Any]] = []
    tries = 0
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for column in columns:
            for value in [*(VALUES if values is None else values), NO_TEXT]:
                tries += 1
                task_id = f"spoiled-{column}-{tries}"
                seq = connection.execute(_ADD, (task_id, name)).lastrowid
                what = "CAST(? AS TEXT)" if value is NO_TEXT else "?"
                try:
                    connection.execute(
                        f"UPDATE tasks SET {column} = {what} WHERE seq = ?", (value, seq)
                    )
                except sqlite3.IntegrityError:
                    connection.execute("DELETE FROM tasks WHERE seq = ?", (seq,))
                    continue
                spoiled.append((seq or 0, column, value))
        connection.execute("COMMIT")
    return spoiled
