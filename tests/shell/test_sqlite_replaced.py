"""A database that is deleted, renamed or replaced while it is open: followed by its name."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from autocron.core.errors import ForeignDatabase, StoreError
from autocron.shell.sqlite import SQLiteStore
from autocron.testing.contract.tools import a_task, ids
from tests.shell.sqlite_tools import execute, in_child, refusal


@pytest.fixture
def copy(tmp_path):
    """Another database of autocron's, with one task."""
    path = str(tmp_path / "copy.db")
    with closing(SQLiteStore(path)) as store:
        store.add(a_task("copied"))
    return path


def stored(path):
    """What a process finds that opens the file now."""

    def look():
        with closing(SQLiteStore(path)) as store:
            return ids(store.find())

    return in_child(look)


def is_whole(path):
    return execute(path, "PRAGMA integrity_check") == [("ok",)]


def test_nothing_is_stored_in_a_file_that_is_gone(store, path):
    store.add(a_task("one"))
    os.unlink(path)
    pieces = ("store task two", path, "the file is gone", "restore it, or start again")
    refusal(StoreError, lambda: store.add(a_task("two")), *pieces)
    refusal(StoreError, store.find, "the file is gone")
    refusal(StoreError, store.transaction().__enter__, "the file is gone")
    # An empty one in its place would hide that something is lost.
    assert not os.path.exists(path)


def test_a_file_that_comes_back_is_used_as_before(store, path):
    store.add(a_task("one"))
    os.rename(path, f"{path}.away")
    refusal(StoreError, store.find, "the file is gone")
    os.rename(f"{path}.away", path)
    store.add(a_task("two"))
    assert ids(store.find()) == ["one", "two"]
    assert store.replacements == 0
    assert stored(path) == "['one', 'two']"


def test_a_call_into_a_replaced_file_lands_in_the_new_one(store, path, copy):
    store.add(a_task("lost"))
    os.rename(copy, path)
    store.add(a_task("two"))
    assert ids(store.find()) == ["copied", "two"]
    assert store.replacements == 1
    assert stored(path) == "['copied', 'two']"
    store.close()
    # What had not been written from the log of the old file into it was not written into this one.
    assert is_whole(path)
    assert stored(path) == "['copied', 'two']"


def test_all_that_have_it_open_follow_and_none_disturbs_another(path, copy):
    stores = [SQLiteStore(path) for _ in range(3)]
    for store in stores:
        store.open()
    stores[0].add(a_task("lost"))
    os.rename(copy, path)
    stores[0].add(a_task("two"))
    stores[1].add(a_task("three"))
    # This one ends without ever having noticed.
    stores[2].close()
    stores[1].close()
    assert ids(stores[0].find()) == ["copied", "two", "three"]
    stores[0].close()
    assert is_whole(path)
    assert stored(path) == "['copied', 'two', 'three']"


def test_what_was_left_beside_a_deleted_file_is_not_taken_for_the_next_one(store, path):
    store.add(a_task("lost"))
    os.unlink(path)
    assert os.path.exists(f"{path}-wal")

    def start():
        with closing(SQLiteStore(path)) as new:
            new.add(a_task("new"))
            return ids(new.find())

    assert in_child(start) == "['new']"
    store.add(a_task("two"))
    assert ids(store.find()) == ["new", "two"]
    store.close()
    assert is_whole(path)
    assert stored(path) == "['new', 'two']"


def test_a_file_of_another_hand_in_its_place_is_refused_and_untouched(store, path, tmp_path):
    store.add(a_task("one"))
    other = str(tmp_path / "other.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE own (x)")
    with open(other, "rb") as file:
        before = file.read()
    os.rename(other, path)
    refusal(ForeignDatabase, store.find, "is a database of another application")
    refusal(ForeignDatabase, lambda: store.add(a_task("two")), "is a database of another")
    with open(path, "rb") as file:
        assert file.read() == before


def test_a_transaction_is_not_torn_between_two_files(store, path, copy):
    with store.transaction():
        store.add(a_task("one"))
        os.rename(copy, path)
        store.add(a_task("two"))
        assert ids(store.find()) == ["one", "two"]
    assert ids(store.find()) == ["copied"]


def test_a_child_of_a_fork_follows_too(store, path, copy):
    store.add(a_task("one"))
    os.rename(copy, path)
    assert in_child(lambda: ids(store.find())) == "['copied']"
    os.unlink(path)
    told = in_child(lambda: store.add(a_task("two")))
    assert told.startswith("StoreError: ")
    assert not os.path.exists(path)
