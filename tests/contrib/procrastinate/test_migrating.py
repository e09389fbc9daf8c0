"""--migrate: tables are made, or brought up to date, and it is said what was done."""

from __future__ import annotations

import json
import subprocess
import sys

import psycopg
import pytest

from autocron.cli import main
from autocron.contrib.procrastinate import schema
from autocron.contrib.procrastinate.backend import postgres_backend
from autocron.contrib.procrastinate.schema import procrastinate_steps
from autocron.core.task import Message

LATEST = procrastinate_steps()[-1]


@pytest.fixture
def empty_url(server, tmp_path, monkeypatch):
    """A database without any table, dropped at the end."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrating")
    yield server.url("migrating")
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE migrating WITH (FORCE)")


def _run(url, *statements):
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _migrated(url, capsys):
    assert main([url, "--migrate", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["migrate"]


def test_tables_are_made_once_and_then_there_is_nothing_to_do(empty_url, capsys, tmp_path):
    assert _migrated(empty_url, capsys) == {
        "before": 0,
        "after": 1,
        "queue_before": "",
        "queue_after": LATEST,
        "is_change": True,
    }
    done = _migrated(empty_url, capsys)
    assert (done["before"], done["queue_before"], done["is_change"]) == (1, LATEST, False)
    # No place of its own was made on this host: the URL stands nowhere.
    assert list(tmp_path.iterdir()) == []
    backend = postgres_backend(empty_url)
    backend.enqueue(Message("shop:send", "[[],{}]"))
    backend.close()


def test_it_says_in_words_what_it_has_done(empty_url, capsys):
    url = empty_url.replace("autocron@", "autocron:secret@")
    short = "_".join(LATEST.split("_")[:2])
    for what in ("tables made", "tables up to date"):
        assert main([url, "--migrate"]) == 0
        told = f"{what}, version 1; procrastinate's {what}, version {short}\n"
        assert capsys.readouterr().out == f"{url.replace('secret', '***')}: {told}"


def test_ten_at_once_make_them_once(empty_url):
    words = [sys.executable, "-m", "autocron", empty_url, "--migrate", "--json"]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(10)]
    told = [json.loads(process.communicate(timeout=120)[0])["migrate"] for process in running]
    assert [process.returncode for process in running] == [0] * 10
    assert sorted(done["before"] for done in told) == [0] + [1] * 9


def test_what_a_newer_procrastinate_brings_is_added(empty_url, tmp_path, monkeypatch, capsys):
    _migrated(empty_url, capsys)
    (tmp_path / "99.00.00_01_pre_more.sql").write_text("CREATE TABLE more (id int);", "utf-8")
    monkeypatch.setattr(
        schema.SchemaManager, "get_migrations_path", staticmethod(lambda: str(tmp_path))
    )
    assert main([empty_url, "--migrate"]) == 0
    short = "_".join(LATEST.split("_")[:2])
    assert f"procrastinate's tables brought from version {short} to 99.00.00_01\n" in (
        capsys.readouterr().out
    )


def test_those_of_an_application_that_has_procrastinate_itself_are_left_to_it(empty_url, capsys):
    _run(empty_url, schema.SchemaManager.get_schema())
    assert main([empty_url, "--migrate"]) == 0
    said = "tables made, version 1; procrastinate's are another application's, which looks after"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["CREATE USER nobody", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"], "give this user"),
        (["ALTER DATABASE migrating SET default_transaction_read_only = on"], "read-only, perhaps"),
    ],
    ids=["no rights", "read-only"],
)
def test_a_server_that_does_not_let_it_is_told_of(empty_url, statements, said, capsys):
    _run(empty_url, *statements)
    url = empty_url.replace("autocron@", "nobody@") if "nobody" in statements[0] else empty_url
    try:
        assert main([url, "--migrate"]) == 1
        told = capsys.readouterr()
        assert said in told.err
        assert told.out == ""
    finally:
        # It stands in no database.
        _run(empty_url.replace("/migrating", "/postgres"), "DROP USER IF EXISTS nobody")


def test_a_newer_one_is_left_alone(empty_url, capsys):
    _migrated(empty_url, capsys)
    _run(empty_url, "UPDATE autocron_schema SET version = 99")
    assert main([empty_url, "--migrate"]) == 1
    assert "they have version 99, this autocron knows up to 1" in capsys.readouterr().err


def test_nobody_there_is_told_of(capsys):
    assert main(["postgresql://ada:secret@127.0.0.1:1/shop", "--migrate"]) == 1
    told = capsys.readouterr().err
    assert "can not migrate the database in postgresql://ada:***@127.0.0.1:1/shop" in told
    assert "see that the server runs and is reached" in told
