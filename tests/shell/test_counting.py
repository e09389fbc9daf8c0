"""The counts of an administrator are those of the rows, be they few or many."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from autocron.core.task import TaskState
from autocron.shell import counting
from autocron.shell.at_once import at_once
from autocron.shell.counting import counted, waiting, waiting_in
from autocron.shell.rows import instant, microseconds
from autocron.shell.sqlite import SQLiteStore

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
STATES = ["waiting"] * 6 + ["running", "succeeded", "succeeded", "failed", "cancelled", "strange"]


@pytest.fixture
def store(tmp_path: Path):
    store = SQLiteStore(str(tmp_path / "one.db"))
    store.open()
    with closing(store):
        yield store


def _fill(path: str, seed: int, count: int):
    """Write rows at random; return (queue, state, is held, due time) of each."""
    chance = random.Random(seed)
    rows = []
    with closing(sqlite3.connect(path)) as connection, connection:
        for number in range(count):
            queue, priority = chance.choice(["default", "mail", "a b"]), chance.choice([0, 5, -9])
            state = chance.choice(STATES)
            after = "another" if state == "waiting" and chance.random() < 0.2 else None
            run_at = microseconds(NOW + timedelta(seconds=chance.randint(-50, 50)))
            rows.append((queue, state, after is not None, run_at))
            connection.execute(
                "INSERT INTO tasks (id, name, payload, enqueued_at, queue, priority, lane, run_at, "
                "state, after_id) VALUES (?, 'shop:add', '[[],{}]', 0, ?, ?, ?, ?, ?, ?)",
                (f"t{number:05}", queue, priority, f"{100 - priority:03} {queue}", run_at, state,
                 after),
            )  # fmt: skip
    return rows


@pytest.mark.parametrize("few", [1, 3, 20, 20_000])
@pytest.mark.parametrize("seed", range(5))
def test_are_those_of_the_rows(store, monkeypatch, few, seed):
    monkeypatch.setattr(counting, "FEW", few)
    rows = _fill(store.path, seed, 150)
    found = counted(store, frozenset({"mail", "empty"}), NOW)
    states = Counter(state for _, state, _, _ in rows)
    assert found.stats.counts == {state: states[state.value] for state in TaskState}
    now = microseconds(NOW)
    dues = [at for _, state, held, at in rows if state == "waiting" and not held and at <= now]
    assert found.stats.oldest_due_at == (instant(min(dues)) if dues else None)
    assert [one.name for one in found.queues] == ["a b", "default", "empty", "mail"]
    for one in found.queues:
        mine = [(state, held, at) for queue, state, held, at in rows if queue == one.name]
        kept = [(held, at) for state, held, at in mine if state == "waiting"]
        due = [at for held, at in kept if not held and at <= now]
        assert one.waiting == len(kept)
        assert one.due == len(due)
        assert one.held == sum(held for held, _ in kept)
        assert one.running == sum(state == "running" for state, _, _ in mine)
        assert one.oldest_due_at == (instant(min(due)) if due else None)
        assert one.is_paused == (one.name in ("mail", "empty"))


@pytest.mark.parametrize("few", [1, 10, 30, 20_000])
@pytest.mark.parametrize("seed", range(3))
def test_of_one_queue_are_those_of_the_rows(store, monkeypatch, few, seed):
    monkeypatch.setattr(counting, "FEW", few)
    rows = _fill(store.path, seed, 150)
    assert waiting(store) == sum(state == "waiting" for _, state, _, _ in rows)
    for queue in ("default", "mail", "a b", "none"):
        mine = sum(one == queue and state == "waiting" for one, state, _, _ in rows)
        assert waiting_in(store, queue) == mine


def test_of_one_queue_that_has_nearly_all_are_those_of_the_rows(store, monkeypatch):
    monkeypatch.setattr(counting, "FEW", 5)
    rows = [row for row in _fill(store.path, 1, 150) if row[1] == "waiting"]
    with closing(sqlite3.connect(store.path)) as connection, connection:
        sql = "UPDATE tasks SET queue = 'default', lane = '100 default' WHERE queue <> 'default'"
        connection.execute(f"{sql} AND state = 'waiting' AND seq > 4")
    assert waiting_in(store, "default") > len(rows) - 5
    assert waiting_in(store, "default") + waiting_in(store, "mail") + waiting_in(
        store, "a b"
    ) == len(rows)


def test_of_nothing(store):
    found = counted(store, frozenset(), NOW)
    assert found.queues == ()
    assert set(found.stats.counts.values()) == {0}
    assert found.stats.oldest_due_at is None


def test_questions_asked_at_once_are_answered_in_order():
    assert at_once() == []
    assert at_once(*(lambda number=number: number for number in range(20))) == list(range(20))


def test_of_several_errors_the_first_is_raised():
    def fail(error):
        raise error

    with pytest.raises(KeyError):
        at_once(lambda: 1, lambda: fail(KeyError()), lambda: fail(ValueError()))
