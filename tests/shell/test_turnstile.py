"""Workers wait for each other to write; who dies, or can not wait there, is in nobody's way."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from autocron.core.errors import StoreError
from autocron.core.task import Message, new_task
from autocron.shell.clock import SystemClock
from autocron.shell.sqlite import SQLiteStore
from autocron.shell.turnstile import Turnstile

_PATIENCE_SECONDS = 30.0
_spawned = multiprocessing.get_context("spawn")


def _hold(path: str, word: Any) -> None:
    turnstile = Turnstile(path)
    turnstile.enter()
    word.send("held")
    if word.recv() == "leave":
        turnstile.leave()
        word.send("left")
        word.recv()


def _pass(path: str, word: Any) -> None:
    turnstile = Turnstile(path)
    word.send("waits")
    turnstile.enter()
    word.send("passed")


class Pair:
    """A process that holds a turnstile, and one that comes to it."""

    def __init__(self, path: str) -> None:
        self.ours, theirs = _spawned.Pipe()
        self.holder = _spawned.Process(target=_hold, args=(path, theirs), daemon=True)
        self.holder.start()
        assert self.hear(self.ours) == "held"
        self.second, theirs = _spawned.Pipe()
        self.passer = _spawned.Process(target=_pass, args=(path, theirs), daemon=True)
        self.passer.start()
        assert self.hear(self.second) == "waits"

    @staticmethod
    def hear(word: Any) -> Any:
        assert word.poll(_PATIENCE_SECONDS)
        return word.recv()

    def close(self) -> None:
        for process in (self.holder, self.passer):
            process.kill()
            process.join()


@pytest.fixture
def pair(tmp_path: Path) -> Any:
    pair = Pair(str(tmp_path / "turnstile"))
    yield pair
    pair.close()


def test_who_comes_waits_until_the_other_one_leaves(pair: Pair) -> None:
    assert not pair.second.poll(0.2)
    pair.ours.send("leave")
    assert pair.hear(pair.ours) == "left"
    assert pair.hear(pair.second) == "passed"


def test_who_is_killed_lets_the_next_one_in(pair: Pair) -> None:
    assert not pair.second.poll(0.2)
    pair.holder.kill()
    assert pair.hear(pair.second) == "passed"


def a_store(tmp_path: Path, turnstile: Turnstile) -> SQLiteStore:
    store = SQLiteStore(str(tmp_path / "a.db"), timeout_seconds=0.0, turnstile=turnstile)
    store.open()
    return store


def test_a_transaction_leaves_it_however_it_ends(tmp_path: Path) -> None:
    path = str(tmp_path / "turnstile")
    store = a_store(tmp_path, Turnstile(path))
    other = SQLiteStore(store.path)
    task = new_task(Message("shop:work", "[[],{}]"), "task", SystemClock().now())
    with store.transaction():
        store.add(task)
    with pytest.raises(StoreError, match="task"):
        store.add_all([task])
    with other.transaction(), pytest.raises(StoreError, match="locked"):
        store.transaction().__enter__()
    other.close()
    # Whoever comes is let in at once.
    ours, theirs = _spawned.Pipe()
    passer = _spawned.Process(target=_pass, args=(path, theirs), daemon=True)
    passer.start()
    assert [Pair.hear(ours), Pair.hear(ours)] == ["waits", "passed"]
    passer.join()
    store.close()


def test_where_there_can_be_none_nobody_waits(tmp_path: Path) -> None:
    turnstile = Turnstile(str(tmp_path / "missing" / "turnstile"))
    store = a_store(tmp_path, turnstile)
    with store.transaction():
        assert store.find() == []
    store.close()
    assert not os.path.exists(tmp_path / "missing")
