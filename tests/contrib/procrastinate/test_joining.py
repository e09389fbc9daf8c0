"""Calls in a transaction of the application: committed with its rows, or never there."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.rows import dict_row

from autocron.app import App
from autocron.contrib.procrastinate.backend import postgres_backend
from autocron.core.errors import InvalidTask, ResultNotReady, StoreError
from autocron.shell.clock import SystemClock
from autocron.shell.kinds import OneHost, stored_backend


class Service:
    """What a started App has, without any process."""

    is_serving = True

    def __init__(self, backend):
        self.backend = backend
        self.clock = SystemClock()

    def announce(self):
        """Nobody needs to know."""

    def look_after(self):
        """Nobody works here."""

    def check_wait(self, what, status):
        """As above; who waits inside of a transaction is told before."""


@pytest.fixture
def backend(make_url):
    backend = postgres_backend(make_url())
    backend.open()
    yield backend
    backend.close()


app = App()


@app.delay
def letter(name):
    return name


@pytest.fixture
def send(backend):
    app.use(Service(backend))
    yield letter
    app.use(None)


@pytest.fixture
def connection(backend):
    with psycopg.connect(backend.store.url) as connection:
        yield connection


def test_what_is_rolled_back_was_never_called(send, backend, connection):
    result = send.options(connection=connection)("ada")
    assert result.is_waiting
    assert backend.list() == []
    connection.rollback()
    assert backend.list() == []
    assert backend.get(result.id) is None
    assert backend.store.reissue() == 0


def test_a_call_is_committed_with_the_rows_of_the_application(send, backend, connection):
    connection.execute("CREATE TEMP TABLE letters (name text)")
    connection.execute("INSERT INTO letters VALUES ('ada')")
    result = send.options(connection=connection, seconds=5)("ada")
    group = send.options(connection=connection).map(["bob", "cyd"])
    assert backend.list() == []
    connection.commit()
    assert sorted(task.id for task in backend.list()) == sorted([result.id, *(r.id for r in group)])
    assert result.is_waiting
    # Each has its ticket.
    assert connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (3,)
    assert connection.execute("SELECT count(ticket) FROM autocron_tasks").fetchone() == (3,)


def test_a_connection_that_commits_each_statement_commits_the_call(send, backend):
    with psycopg.connect(backend.store.url, autocommit=True, row_factory=dict_row) as connection:
        send.options(connection=connection)("ada")
        assert len(backend.list()) == 1
        with connection.transaction():
            result = send.options(connection=connection)("bob")
            assert backend.get(result.id) is None
        assert result.is_waiting
        assert backend.get(result.id) is not None


def test_to_wait_inside_of_the_transaction_would_be_for_ever(send, connection):
    result = send.options(connection=connection)("ada")
    with pytest.raises(ResultNotReady, match="commit first"):
        result.get(timeout=1)


def test_a_call_can_be_taken_back_inside_of_the_transaction(send, backend, connection):
    result = send.options(connection=connection)("ada")
    assert result.cancel()
    connection.commit()
    assert result.status == "cancelled"


def test_what_is_unique_is_so_inside_of_a_transaction_too(send, backend, connection):
    first = send.options(unique="args")("ada")
    second = send.options(unique="args", connection=connection)("ada")
    assert second.id == first.id
    connection.commit()
    assert len(backend.list()) == 1


def test_a_failure_undoes_the_call_and_not_the_transaction(send, backend, connection):
    connection.execute("CREATE TEMP TABLE letters (name text)")
    connection.execute("ALTER TABLE autocron_tasks RENAME TO hidden_tasks")
    with pytest.raises(StoreError):
        send.options(connection=connection)("ada")
    connection.execute("ALTER TABLE hidden_tasks RENAME TO autocron_tasks")
    send.options(connection=connection)("ada")
    connection.commit()
    assert len(backend.list()) == 1
    connection.commit()


def test_what_is_no_such_connection_is_refused(send, backend, make_url, connection):
    with pytest.raises(InvalidTask, match="object given; expected an open connection of psycopg 3"):
        send.options(connection=object())("ada")
    with pytest.raises(InvalidTask, match="is no open connection to a database"):
        send.options(connection="postgresql://x/y")
    connection.close()
    with pytest.raises(InvalidTask, match="a closed one given"):
        send.options(connection=connection)("ada")
    with psycopg.connect(make_url()) as other, pytest.raises(InvalidTask, match="autocron uses"):
        send.options(connection=other)("ada")
    with pytest.raises(InvalidTask, match="give one"):
        send.options(connection=connection, on_commit=True)
    assert backend.list() == []


def test_with_sqlite_a_connection_is_refused_with_what_to_do(tmp_path):
    kind = OneHost(str(tmp_path / "project.db"))
    app.use(Service(stored_backend(kind, kind.store())))
    try:
        with pytest.raises(InvalidTask, match=r'start\("postgresql://…"\)'):
            letter.options(connection=object())("ada")
    finally:
        app.use(None)


def test_a_connection_to_the_same_server_by_another_name_is_taken(send, backend):
    url = backend.store.url.replace("127.0.0.1", "localhost")
    with psycopg.connect(url) as connection:
        result = send.options(connection=connection)("ada")
    assert [task.id for task in backend.list()] == [result.id]


def test_one_to_another_database_of_the_same_server_is_not(send, backend, server):
    url = server.url("postgres").replace("127.0.0.1", "localhost")
    with psycopg.connect(url) as connection, pytest.raises(InvalidTask, match="autocron uses"):
        send.options(connection=connection)("ada")
    assert backend.list() == []
