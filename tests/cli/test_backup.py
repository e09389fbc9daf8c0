"""--backup: a copy of one moment, whatever others write; whole, or not there at all."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
from contextlib import closing

import pytest

from autocron.cli import main
from autocron.shell.backup import BadTarget, back_up
from autocron.shell.schema import PAGE_BYTES, VERSION


def rows(path):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT id, name, state FROM tasks ORDER BY seq").fetchall()


def test_copies_what_is_stored(shop, tmp_path, capsys):
    shop.call("add", 1, 2)
    shop.call("add", 3, 4)
    copy = tmp_path / "copy.db"
    assert main(["shop.db", "--backup", str(copy)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{shop.path} is copied to {copy} (")
    assert said.err == ""
    assert rows(copy) == rows(shop.path)
    assert len(rows(copy)) == 2
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    # One file, and nothing half done is left.
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == ["copy.db"]
    assert main([str(copy), "--tasks"]) == 0


def test_copies_what_is_in_use_and_the_copy_can_take_its_place(serve, command):
    served = serve()
    copy = served.database.with_name("copy.db")
    assert command("shop.db", "--backup", str(copy)).returncode == 0
    served.stop()
    os.replace(copy, served.database)
    for end in ("-wal", "-shm"):
        served.database.with_name(f"shop.db{end}").unlink(missing_ok=True)
    assert "shop_tasks:add" in command("shop.db", "--results").stdout


def test_prints_json(shop, tmp_path, capsys):
    copy = tmp_path / "copy.db"
    assert main(["shop.db", "--backup", str(copy), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["backup"] == {"path": str(copy), "bytes": copy.stat().st_size}


def test_a_relative_file_lies_where_the_command_is_given(shop, command):
    assert command("shop.db", "--backup", "copy.db").returncode == 0
    assert (command.directory / "copy.db").exists()


def test_is_consistent_and_ends_while_another_connection_writes(shop, tmp_path):
    with closing(sqlite3.connect(shop.path, isolation_level=None)) as connection:
        # 16 MB, which are copied in several steps.
        connection.execute("CREATE TABLE pairs (a, b, filler)")
        connection.executemany("INSERT INTO pairs VALUES (0, 0, ?)", [(b"x" * 1_000_000,)] * 16)
    written, steps = threading.Event(), []

    def write():
        with closing(sqlite3.connect(shop.path, isolation_level=None)) as connection:
            connection.execute("UPDATE pairs SET a = 1, b = 1")
        written.set()

    def tell(done, total):
        if not steps:
            threading.Thread(target=write).start()
            assert written.wait(30)
        steps.append((done, total))

    copy = tmp_path / "copy.db"
    assert back_up(str(shop.path), str(copy), tell=tell) == copy.stat().st_size
    assert len(steps) > 2
    assert steps[-1][0] == steps[-1][1]
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT DISTINCT a, b FROM pairs").fetchall() == [(0, 0)]


def test_replaces_a_file_only_if_told(shop, tmp_path, capsys):
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    assert main(["shop.db", "--backup", str(copy)]) == 1
    assert "is there already; give another name, or --overwrite" in capsys.readouterr().err
    assert copy.read_text() == "mine"
    assert main(["shop.db", "--backup", str(copy), "--overwrite"]) == 0
    assert rows(copy) == []


@pytest.mark.parametrize("end", ["-wal", ".run"])
def test_never_replaces_what_may_be_in_use(shop, tmp_path, end):
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    copy.with_name(f"copy.db{end}").write_text("")
    with pytest.raises(BadTarget, match="may be in use as a database"):
        back_up(str(shop.path), str(copy), overwrite=True)
    assert copy.read_text() == "mine"


def test_refuses_places_that_are_none(shop, tmp_path):
    with pytest.raises(BadTarget, match="there is no folder"):
        back_up(str(shop.path), str(tmp_path / "none" / "copy.db"))
    with pytest.raises(BadTarget, match="is a folder"):
        back_up(str(shop.path), str(tmp_path))
    with pytest.raises(BadTarget, match="is the database itself"):
        back_up(str(shop.path), str(shop.path), overwrite=True)


def test_does_not_copy_what_is_damaged(shop, tmp_path, command):
    for number in range(200):
        shop.call("add", number, number)
    shop.store.close()
    with open(shop.path, "r+b") as file:
        file.seek(PAGE_BYTES * 3)
        file.write(b"\xff" * PAGE_BYTES * 2)
    copy = tmp_path / "copy.db"
    done = command("shop.db", "--backup", str(copy))
    assert (done.returncode, copy.exists()) == (1, False)
    assert "damaged" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


def test_copies_an_older_schema_as_it_is(shop, tmp_path):
    shop.store.close()
    with closing(sqlite3.connect(shop.path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION - 1}")
    copy = tmp_path / "copy.db"
    back_up(str(shop.path), str(copy))
    for path in (copy, shop.path):
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (VERSION - 1,)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--backup"], "expected one argument"),
        (["--backup", ""], "--backup: a file is missing"),
        (["--backup", "x.db", "--info"], "--backup and --info: one at a time"),
        (["--backup", "x.db", "--retry", "all"], "--backup and --retry: one at a time"),
        (["--backup", "x.db", "--run"], "--run and --backup: one at a time"),
        (["--backup", "x.db", "--delete-database"], "--backup and --delete-database"),
        (["--overwrite"], "--overwrite goes with --backup"),
    ],
)
def test_bad_use(shop, capsys, words, complaint):
    assert main(["shop.db", *words]) == 2
    assert complaint in capsys.readouterr().err


def test_a_missing_database_is_told(home, tmp_path, capsys):
    assert main(["none.db", "--backup", str(tmp_path / "copy.db")]) == 1
    assert "there is no database" in capsys.readouterr().err
