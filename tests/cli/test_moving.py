"""--move-to and --migrate, as far as they need no server: what is refused before anything is done.

What they do stands in tests/contrib/procrastinate.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from autocron.cli import main
from autocron.core.errors import StoreError
from autocron.shell.moved import GUARDS, MOVED_TO, Mark, MovedDatabase, check_not_moved, mark_of
from autocron.shell.schema import APPLICATION_ID, MIGRATIONS, VERSION

URL = "postgresql://anna@db.example/shop"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shop.db", "--move-to", "other.db"], "'other.db' is no URL; expected the URL of a Postg"),
        (["shop.db", "--move-to", "mysql://a/b"], "begins with 'mysql://', and of URLs only those"),
        (["shop.db", "--move-to", "postgresql://shop"], "names no database; expected the URL of a"),
        (
            ["shop.db", "--move-to", "postgresql://a:b/c"],
            "--move-to: the URL can not be read: its port",
        ),
        (["shop.db", "--move-to"], "expected one argument"),
        ([URL, "--move-to", URL], "--move-to moves a file to PostgreSQL, and postgresql://anna@db"),
        (["shop.db", "--move-to", URL, "--verify"], "--verify and --move-to: one at a time"),
        (["shop.db", "--move-to", URL, "--info"], "--move-to and --info: one at a time"),
        (["shop.db", "--move-to", URL, "--migrate"], "--move-to and --migrate: one at a time"),
        (["shop.db", "--move-to", URL, "--yes"], "--move-to and --yes: one at a time"),
        (["shop.db", "--migrate", "--tasks"], "--migrate and --tasks: one at a time"),
        (["shop.db", "--migrate", "--backup", "x"], "--backup and --migrate: one at a time"),
        (["mysql://a/b", "--migrate"], "begins with 'mysql://'"),
    ],
)
def test_what_can_not_be_meant_is_refused(shop, words, said, capsys):
    before = shop.path.read_bytes()
    assert main(words) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
    assert shop.path.read_bytes() == before


@pytest.mark.parametrize("words", [["--move-to", URL], ["--migrate"], ["--move-to", "none"]])
def test_a_missing_database_is_not_made(home, words, capsys):
    assert main(["nothing.db", *words]) == 1
    assert "there is no database" in capsys.readouterr().err
    assert not (home / ".autocron" / "nothing.db").exists()


# -- a file that was moved ----------------------------------------------------------------------


@pytest.fixture
def moved(shop):
    """A database of which a move has begun."""
    shop.task = shop.call("add", 1, 2)
    shop.plan()
    with shop.store.transaction():
        shop.mark = Mark(URL, "postgresql-0123", "the first", is_complete=False)
        shop.store.put_settings({MOVED_TO: shop.mark.text()})
        for guard in GUARDS.values():
            shop.store.write("mark it", guard)
    return shop


def test_nothing_is_stored_in_it_by_those_who_have_it_open(moved):
    store = moved.store
    (schedule,) = store.schedules()
    for change in (
        lambda: moved.call("add", 3, 4),
        lambda: moved.engine.tick(),
        lambda: moved.engine.cancel(moved.task.id),
        lambda: store.discard(moved.task),
        lambda: store.swap_schedule(schedule, None),
        lambda: store.put_settings({"max_workers": "2"}),
        lambda: store.put_paused("default", True),
    ):
        with pytest.raises(StoreError, match="what is in it was moved to another"):
            change()
    assert store.find() == [moved.task]
    assert store.schedules() == [schedule]


def test_the_mark_says_where_it_is(moved):
    stored = moved.store.settings()
    assert mark_of(stored) == moved.mark
    with pytest.raises(MovedDatabase, match=f"being moved to {URL}; wait until that has ended, or"):
        check_not_moved(stored, "shop.db")
    moved.store.put_settings({MOVED_TO: moved.mark._replace(is_complete=True).text()})
    with pytest.raises(MovedDatabase, match=f"was moved to {URL}, and nothing is stored or run"):
        check_not_moved(moved.store.settings(), "shop.db")


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"url": 1}', "nonsense"])
def test_a_mark_that_autocron_did_not_write_is_none(text):
    assert mark_of({MOVED_TO: text}) is None


def test_other_triggers_are_refused_as_ever(shop):
    name, guard = next(iter(GUARDS.items()))
    with closing(sqlite3.connect(str(shop.path))) as connection:
        connection.execute(guard.replace("RAISE(ABORT, ", "max(1, "))
        connection.commit()
    shop.store.close()
    assert main(["shop.db"]) == 1
    with pytest.raises(StoreError, match=f"has a trigger '{name}' that autocron did not make"):
        shop.store.open()


def test_start_and_run_refuse_it(moved, command):
    served = command("shop.db", "--run", "json")
    assert served.returncode == 1
    assert f"is being moved to {URL}" in served.stderr


def test_a_move_that_was_cut_off_can_be_taken_back(moved, capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["shop.db", "--move-to", "none"]) == 1
    said = capsys.readouterr()
    assert "Is it certain that nothing of" in said.out
    assert "nothing is changed (for scripts: --yes)" in said.err
    assert mark_of(moved.store.settings()) is not None
    assert main(["shop.db", "--move-to", "none", "--yes"]) == 0
    assert "is not moved to postgresql://anna@db.example/shop" in capsys.readouterr().out
    assert moved.store.find() == [moved.task]
    moved.call("add", 3, 4)
    assert main(["shop.db", "--move-to", "none", "--yes"]) == 1
    assert "is not being moved; nothing is changed" in capsys.readouterr().err


def test_one_that_has_ended_can_not(moved, capsys):
    moved.store.put_settings({MOVED_TO: moved.mark._replace(is_complete=True).text()})
    assert main(["shop.db", "--move-to", "none", "--yes"]) == 1
    assert "to go back to a file, restore a copy from before" in capsys.readouterr().err


# -- --migrate ----------------------------------------------------------------------------------


def test_a_file_is_brought_up_to_date_once(shop, capsys):
    shop.store.close()
    old = shop.path.with_name("old.db")
    with closing(sqlite3.connect(str(old))) as connection:
        connection.executescript(MIGRATIONS[0])
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
    old.chmod(0o600)
    assert main(["old.db", "--migrate"]) == 0
    assert capsys.readouterr().out == f"{old}: tables brought from version 1 to {VERSION}\n"
    assert main(["old.db", "--migrate"]) == 0
    assert capsys.readouterr().out == f"{old}: tables up to date, version {VERSION}\n"
    assert main(["old.db", "--migrate", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["migrate"]
    assert told == {
        "before": VERSION,
        "after": VERSION,
        "queue_before": "",
        "queue_after": "",
        "is_change": False,
    }


@pytest.mark.parametrize(
    ("pragma", "said"),
    [("user_version = 99", "made by a newer"), ("application_id = 1", "of another application")],
)
def test_what_is_newer_or_foreign_is_left_alone(shop, pragma, said, capsys):
    shop.store.close()
    with closing(sqlite3.connect(str(shop.path))) as connection:
        connection.execute(f"PRAGMA {pragma}")
    assert main(["shop.db", "--migrate"]) == 1
    assert said in capsys.readouterr().err
