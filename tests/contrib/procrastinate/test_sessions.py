"""Test sessions on PostgreSQL, for whoever wants to see his tests on what runs in production."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import psycopg
import pytest

from autocron import testing
from autocron.app import App
from autocron.core.errors import AutocronError, ResultNotReady, StoreError

NOW = datetime(2024, 3, 1, 12, 0, tzinfo=timezone.utc)
app = App()
ran = []


@app.delay
def note(what):
    ran.append(what)
    return what


@app.delay(retries=1, backoff=60)
def frail():
    raise ValueError("no luck")


@app.cron("0 * * * *", tz="UTC")
def hourly():
    ran.append(testing.current().clock.now())


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


@pytest.fixture
def url(make_url):
    return make_url()


@pytest.fixture
def session(url):
    with testing.session(now=NOW, app=app, engine=url) as session:
        yield session


def _schemas(url):
    with psycopg.connect(url) as connection:
        sql = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'autocron_test_%'"
        return {name for (name,) in connection.execute(sql)}


def test_time_passes_as_on_any_engine(session):
    later, failing = note.options(minutes=90)("later"), frail()
    assert note("now").is_waiting
    session.travel(hours=2, raise_errors=False)
    assert ran == ["now", *(NOW + timedelta(hours=1),), "later", NOW + timedelta(hours=2)]
    assert (later.result, failing.error_message) == ("later", "ValueError: no luck")
    session.crash_next(note)
    again = note("again")
    session.run_pending()
    assert again.result == "again"


def test_a_call_is_committed_or_undone_with_the_transaction_that_it_is_part_of(session, url):
    with psycopg.connect(url) as connection:
        before = connection.execute("SHOW search_path").fetchone()
        undone = note.options(connection=connection)("undone")
        assert connection.execute("SHOW search_path").fetchone() == before
        connection.rollback()
        result = note.options(connection=connection)("done")
        session.run_pending()
        with pytest.raises(ResultNotReady):
            result.wait(1)
        connection.commit()
        session.run_pending()
    assert ran == ["done"]
    assert result.result == "done"
    assert session.backend.get(undone.id) is None


def test_each_session_sees_its_own_and_nothing_of_what_the_database_has(url):
    with testing.session(app=app, engine=url) as outer:
        note("outer")
        with testing.session(app=app, engine=url) as inner:
            note("inner")
            assert len(inner.enqueued()) == 1
            inner.run_pending()
        outer.run_pending()
    assert ran == ["inner", "outer"]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM autocron_tasks").fetchone() == (0,)


def test_the_tables_are_used_again_and_empty(url):
    made = set()
    for _ in range(3):
        with testing.session(app=app, engine=url) as session:
            assert session.enqueued() == []
            note("x")
        made.add(frozenset(_schemas(url)))
    assert len(made) == 1


_TESTS = """
import autocron

@autocron.delay
def send(x):
    return x

def test_one(autocron_session):
    result = send(1)
    autocron_session.run_pending()
    assert result.result == 1
    assert "postgresql://" in autocron_session.backend.store.url

def test_another(autocron_session):
    assert autocron_session.enqueued() == []
    send(2)
"""


def test_the_environment_chooses_it_for_all_and_nothing_is_left(url, tmp_path):
    (tmp_path / "test_shop.py").write_text(_TESTS)
    before = _schemas(url)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "AUTOCRON_TEST_ENGINE": url},
        cwd=str(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "2 passed" in done.stdout
    assert _schemas(url) == before


def test_what_is_no_such_url_or_not_there_is_told_of():
    with pytest.raises(AutocronError, match=r"^engine: 'mysql://a/b' begins with 'mysql://'"):
        testing.session(app=app, engine="mysql://a/b")
    with pytest.raises(StoreError, match="see that the server runs and is reached"):
        testing.session(app=app, engine="postgresql://127.0.0.1:1/shop").begin()
