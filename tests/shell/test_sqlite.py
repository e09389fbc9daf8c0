"""The SQLite store on a real machine: opening files that are new, old, missing, foreign or newer.

What every store promises is specified in ``spec/store_contract_spec.py``.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest

from autocron.core.errors import ForeignDatabase, NewerDatabase, StoreError
from autocron.shell import schema
from autocron.shell.connections import JOURNAL_START
from autocron.shell.queries import MOST_LANES
from autocron.shell.sqlite import SQLiteStore
from autocron.testing.contract.tools import NOW, a_task, ids
from tests.shell.sqlite_tools import execute, in_child, refusal


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def snapshot(folder):
    """Every file with its content, but for the -shm index, which SQLite rebuilds to read."""
    contents = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            contents[name] = "index" if name.endswith("-shm") else file.read()
    return contents


class TestOpening:
    def test_making_a_store_touches_nothing(self, path):
        SQLiteStore(path)
        assert os.listdir(os.path.dirname(path)) == []

    def test_open_creates_files_that_only_their_owner_reads(self, path):
        old = os.umask(0)
        try:
            store = SQLiteStore(path)
            store.open()
            store.add(a_task("one"))
            files = {name: mode(path + name) for name in ("", "-wal", "-shm")}
            store.close()
        finally:
            os.umask(old)
        assert files == {"": 0o600, "-wal": 0o600, "-shm": 0o600}

    def test_open_may_be_repeated(self, store, path):
        store.add(a_task("one"))
        store.open()
        other = SQLiteStore(path)
        other.open(create=False)
        assert ids(other.find()) == ["one"]
        other.close()

    def test_the_schema_says_what_it_is(self, store, path):
        assert execute(path, "PRAGMA application_id") == [(0x6163726E,)]
        assert execute(path, "PRAGMA user_version") == [(schema.VERSION,)]
        assert execute(path, "PRAGMA journal_mode") == [("wal",)]
        assert execute(path, "PRAGMA auto_vacuum") == [(2,)]

    def test_databases_in_memory_are_made_like_files_and_share_nothing(self, store):
        looks = ["SELECT type, name, sql FROM sqlite_master ORDER BY name"]
        looks += [f"PRAGMA {name}" for name in ("application_id", "user_version", "auto_vacuum")]
        with closing(SQLiteStore(":memory:")) as first, closing(SQLiteStore(":memory:")) as second:
            first.add(a_task("one"))
            for other in (first, second):
                for sql in looks:
                    assert other.read("look", sql) == store.read("look", sql)
            assert [ids(other.find()) for other in (first, second)] == [["one"], []]
            assert in_child(lambda: ids(SQLiteStore(":memory:").find())) == "[]"

    @pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
    def test_every_connection_is_as_durable_as_asked(self, path, durability, synchronous):
        store = SQLiteStore(path, durability=durability)
        with store.transaction():
            first = store.read("look", "PRAGMA synchronous")
        pool = store._opened()
        taken = [pool.take() for _ in range(3)]
        others = [c.execute("PRAGMA synchronous").fetchall() for c in taken]
        for connection in taken:
            pool.give(connection)
        store.close()
        assert [first, *others] == 4 * [[(synchronous,)]]

    def test_an_empty_file_is_a_new_database(self, path):
        with open(path, "wb"):
            pass
        with closing(SQLiteStore(path)) as store:
            store.add(a_task("one"))
            assert ids(store.find()) == ["one"]

    @pytest.mark.parametrize(
        "name", ["a b.db", "what?.db", "50%.db", "#1.db", "ü.db", "a&b=c.db", "{0}"]
    )
    def test_a_file_may_have_any_name(self, tmp_path, name):
        with closing(SQLiteStore(str(tmp_path / name))) as store:
            store.add(a_task("one"))
            assert name in os.listdir(tmp_path)
        with closing(SQLiteStore(str(tmp_path / name))) as store:
            assert ids(store.find()) == ["one"]

    def test_no_file_is_made_unless_asked(self, path):
        store = SQLiteStore(path)
        refusal(StoreError, lambda: store.open(create=False), "no database at", path)
        # The next use does not make one either.
        refusal(StoreError, store.find, "no database at", path)
        assert os.listdir(os.path.dirname(path)) == []

    def test_a_missing_folder_is_named_and_not_made(self, tmp_path):
        folder = str(tmp_path / "no" / "such")
        store = SQLiteStore(os.path.join(folder, "x.db"))
        refusal(StoreError, store.open, "can not create", folder, f"no folder {folder}", "create")
        assert os.listdir(tmp_path) == []

    def test_a_folder_is_no_database(self, tmp_path):
        folder = str(tmp_path / "{x}")
        os.mkdir(folder)
        refusal(StoreError, SQLiteStore(folder).open, folder, "a folder", "name a file")

    def test_a_file_is_no_folder(self, path):
        with open(path, "wb"):
            pass
        refusal(StoreError, SQLiteStore(path + "/x.db").open, path, "no folder", "create it")

    @pytest.mark.parametrize("name", ["project.db", "", "./x.db", "~/x.db"])
    def test_a_name_has_to_be_absolute(self, name):
        refusal(StoreError, lambda: SQLiteStore(name), repr(name), "absolute")

    def test_durability_is_one_of_two_words(self):
        refusal(StoreError, lambda: SQLiteStore(":memory:", durability="off"), "'off'", "'full'")

    @pytest.mark.parametrize(("durability", "synced"), [("full", [2, 1, 1]), ("normal", [1, 0, 1])])
    def test_a_sync_goes_through_the_memory_of_the_disk(self, path, durability, synced):
        """SQLite does so on every system but macOS, unless it is told to."""
        names = ("synchronous", "fullfsync", "checkpoint_fullfsync")
        with closing(SQLiteStore(path, durability=durability)) as store:
            assert [store.read("look", f"PRAGMA {name}")[0][0] for name in names] == synced

    def test_a_database_that_is_just_being_created_is_not_foreign(self, path):
        execute(path, "PRAGMA journal_mode=WAL")

        def create_meanwhile(statement):
            if "user_version" in statement:
                looking.set_trace_callback(None)
                with closing(SQLiteStore(path)) as store:
                    store.open()
                created.append(path)

        created = []
        with closing(sqlite3.connect(path, isolation_level=None)) as looking:
            looking.set_trace_callback(create_meanwhile)
            assert schema.check_is_ours(looking, path) == 0
            assert created == [path]
            assert schema.check_is_ours(looking, path) == schema.VERSION


class TestMigration:
    def test_an_older_file_is_migrated_and_keeps_its_tasks(self, path, monkeypatch):
        with closing(SQLiteStore(path)) as store:
            store.add(a_task("old"))
        steps = (*schema.MIGRATIONS, "CREATE TABLE extra (a); INSERT INTO extra VALUES (7)")
        monkeypatch.setattr(schema, "MIGRATIONS", steps)
        monkeypatch.setattr(schema, "VERSION", len(steps))
        for _ in range(2):
            with closing(SQLiteStore(path)) as store:
                assert ids(store.find()) == ["old"]
        assert execute(path, "SELECT a FROM extra") == [(7,)]
        assert execute(path, "PRAGMA user_version") == [(len(steps),)]

    def test_a_migration_that_fails_changes_nothing(self, path, monkeypatch):
        with closing(SQLiteStore(path)) as store:
            store.add(a_task("old"))
        steps = (*schema.MIGRATIONS, "CREATE TABLE extra (a); INSERT INTO missing VALUES (7)")
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", steps)
            patch.setattr(schema, "VERSION", len(steps))
            refusal(StoreError, SQLiteStore(path).open, path, "no such table")
        assert execute(path, "SELECT count(*) FROM sqlite_master WHERE name = 'extra'") == [(0,)]
        with closing(SQLiteStore(path)) as store:
            assert ids(store.find()) == ["old"]


def plain_database(path):
    execute(path, "CREATE TABLE invoices (a)", "INSERT INTO invoices VALUES (1)")


def other_application(path):
    execute(path, "PRAGMA application_id=1234567", "PRAGMA user_version=1")


def other_version(path):
    execute(path, "PRAGMA user_version=1")


def logged_database(path):
    execute(path, "PRAGMA journal_mode=WAL", "CREATE TABLE invoices (a)")


def killed_application(path):
    """A foreign database whose last changes are only in its log."""
    script = """if True:
        import os, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE invoices (a)")
        os._exit(0)
        """
    subprocess.run([sys.executable, "-c", script, path], check=True)
    assert os.path.getsize(path + "-wal") > 0


def cut_off(path, *statements):
    """What is left of a database if its process is killed while it writes these tables into it."""
    script = """if True:
        import os, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        for statement in sys.argv[2:]:
            connection.execute(statement)
        # With so little memory, what is written has to go to the disk before it is committed.
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN")
        for number in range(20):
            connection.execute(f"CREATE TABLE invoices_{number} (a)")
        os._exit(0)
        """
    subprocess.run([sys.executable, "-c", script, path, *statements], check=True)
    with open(path + "-journal", "rb") as file:
        assert file.read(8) == JOURNAL_START


def foreign_cut_off(path):
    cut_off(path, "CREATE TABLE invoices (a)")


class TestCutOff:
    """A process was killed, or the power lost, before the database was in write-ahead logging."""

    @pytest.mark.parametrize("before", [(), ("PRAGMA auto_vacuum=INCREMENTAL", "VACUUM")])
    def test_a_database_whose_making_was_cut_off_is_made_again(self, path, before):
        cut_off(path, *before)
        with closing(SQLiteStore(path)) as store:
            store.add(a_task("one"))
        assert execute(path, "SELECT name FROM sqlite_master WHERE name GLOB 'invoices*'") == []
        with closing(SQLiteStore(path)) as store:
            assert ids(store.find()) == ["one"]

    def test_what_is_beside_a_file_that_is_no_database_is_left_untouched(self, path):
        for name in (path, path + "-journal"):
            with open(name, "wb") as file:
                file.write(b"hello world\n" * 400)
        before = snapshot(os.path.dirname(path))
        refusal(ForeignDatabase, SQLiteStore(path).open, path, "no SQLite database", "another")
        assert snapshot(os.path.dirname(path)) == before


class TestRefusing:
    @pytest.mark.parametrize(
        "make",
        [
            plain_database,
            other_application,
            other_version,
            logged_database,
            killed_application,
            foreign_cut_off,
        ],
    )
    def test_a_foreign_database_is_left_untouched(self, path, make):
        make(path)
        before = snapshot(os.path.dirname(path))
        for create in (True, False):
            store = SQLiteStore(path)
            pieces = (path, "another application", "name another file", "untouched")
            refusal(ForeignDatabase, lambda s=store, c=create: s.open(create=c), *pieces)
        assert snapshot(os.path.dirname(path)) == before

    @pytest.mark.parametrize("content", [b"x", b"hello world\n" * 400, b"\0" * 4096, b"PK\x03\x04"])
    def test_what_is_no_database_is_left_untouched(self, path, content):
        with open(path, "wb") as file:
            file.write(content)
        before = snapshot(os.path.dirname(path))
        refusal(ForeignDatabase, SQLiteStore(path).open, path, "no SQLite database", "another")
        assert snapshot(os.path.dirname(path)) == before

    def test_a_newer_database_is_left_untouched(self, path):
        with closing(SQLiteStore(path)) as store:
            store.add(a_task("one"))
        execute(path, f"PRAGMA user_version={schema.VERSION + 1}")
        before = snapshot(os.path.dirname(path))
        pieces = (path, "newer autocron", f"version {schema.VERSION + 1}", "update autocron")
        refusal(NewerDatabase, SQLiteStore(path).open, *pieces)
        assert snapshot(os.path.dirname(path)) == before


def test_what_follows_is_of_as_many_queues_as_there_is_time_to_look_at(tmp_path):
    with closing(SQLiteStore(str(tmp_path / "p.db"))) as store:
        for number in range(MOST_LANES):
            store.add(a_task(f"task {number:02}", -9, queue=f"queue {number}"))
        head = a_task("head", -10)
        assert len(store.claimable_next(head, NOW, 99)) == MOST_LANES
        store.add(a_task("one more", -9, queue="one more"))
        assert store.claimable_next(head, NOW, 99) == []
        assert ids(store.claimable_next(head, NOW, 99, ["one more"])) == ["one more"]
