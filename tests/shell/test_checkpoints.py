"""The log is copied into the database in time; with most versions of SQLite while nobody writes."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any, List, Tuple

import pytest

from autocron.core.errors import StoreError
from autocron.core.task import Message, Task, new_task
from autocron.shell import checkpoints
from autocron.shell.checkpoints import IS_UNSAFE, is_unsafe
from autocron.shell.clock import SystemClock
from autocron.shell.sqlite import SQLiteStore

only_unsafe = pytest.mark.skipif(not IS_UNSAFE, reason="this SQLite sees to its log by itself")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.52.0", False),
        ("4.0.0", False),
    ],
)
def test_versions_that_lose_commits_are_known(version: str, expected: bool) -> None:
    assert is_unsafe(tuple(map(int, version.split(".")))) is expected


def a_task(number: int) -> Task:
    return new_task(Message("shop:work", "[[],{}]"), f"task-{number:05d}", SystemClock().now())


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = SQLiteStore(str(tmp_path / "a.db"), durability="normal")
    store.open()
    yield store
    store.close()


def said_by(store: SQLiteStore) -> List[Tuple[int, str]]:
    """Have each statement noted, with the connection that it was for."""
    said: List[Tuple[int, str]] = []
    pool: Any = store._pool
    other = pool.take()
    pool.give(pool.take())  # one more is open now
    pool.give(other)
    for number, connection in enumerate(sorted(pool._open, key=id)):

        def note(sql: str, number: int = number) -> None:
            said.append((number, sql))

        connection.set_trace_callback(note)
    return said


def log_bytes(store: SQLiteStore) -> int:
    return os.stat(f"{store.path}-wal").st_size


@pytest.mark.parametrize("at_once", [False, True])
def test_the_log_stays_small(store: SQLiteStore, at_once: bool) -> None:
    largest = 0
    for start in range(0, 6000, 500):
        tasks = [a_task(number) for number in range(start, start + 500)]
        if at_once:
            store.add_all(tasks)
        else:
            for task in tasks:
                store.add(task)
        largest = max(largest, log_bytes(store))
    assert len(store.find()) == 6000
    # A connection that writes alone comes to some four megabytes; all of it would be 40 of them.
    assert largest < 8 * 1024 * 1024


@only_unsafe
def test_a_checkpoint_is_made_by_who_keeps_others_from_writing(store: SQLiteStore) -> None:
    said = said_by(store)
    number = 0
    while not any("wal_checkpoint" in sql for _, sql in said):
        assert number < 3000
        store.add(a_task(number))
        number += 1
    *_, commit, begin, copy, end = said
    assert commit[1].startswith("INSERT INTO tasks")
    assert (begin[1], copy[1], end[1]) == (
        "BEGIN IMMEDIATE",
        "PRAGMA wal_checkpoint(PASSIVE)",
        "ROLLBACK",
    )
    assert begin[0] == end[0] != copy[0]
    connection = sqlite3.connect(store.path)
    (pages,) = connection.execute("PRAGMA wal_autocheckpoint").fetchone()
    connection.close()
    assert pages > 0  # of others it is their own matter
    pool: Any = store._pool
    ours = {c.execute("PRAGMA wal_autocheckpoint").fetchone() for c in pool._open}
    assert ours == {(0,)}


@only_unsafe
def test_who_finds_another_one_writing_tries_it_at_the_next_commit(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_PAGES_EACH_PROCESS", 1.0)
    said = said_by(store)
    other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    held = threading.Event()

    def hold(sql: str) -> None:
        # Between the commit and the beginning of the checkpoint.
        if sql == "BEGIN IMMEDIATE" and not held.is_set():
            held.set()
            other.execute("BEGIN IMMEDIATE")

    pool: Any = store._pool
    for connection in pool._open:
        connection.set_trace_callback(hold)
    store.add(a_task(1))
    assert held.is_set()
    assert store.get("task-00001") is not None
    assert not any("wal_checkpoint" in sql for _, sql in said)
    other.execute("ROLLBACK")
    other.close()
    del said[:]
    for number, connection in enumerate(pool._open):
        connection.set_trace_callback(lambda sql, number=number: said.append((number, sql)))
    store.add(a_task(2))
    assert any("wal_checkpoint" in sql for _, sql in said)


@only_unsafe
def test_a_transaction_counts_with_its_rows_and_not_if_it_is_undone(store: SQLiteStore) -> None:
    pool: Any = store._pool
    before = pool.logged_pages
    with pytest.raises(StoreError):
        store.add_all([a_task(number) for number in (0, 1, 2, 0)])
    assert pool.logged_pages == before
    with store.transaction():
        for number in range(5):
            store.add(a_task(number))
    assert pool.logged_pages - before == pytest.approx(3 + 5 * 0.4)
