"""A server that can not be used, or is away for a time: errors in words, and nothing is lost."""

from __future__ import annotations

import os
import threading

import psycopg
import pytest

from autocron.contrib.procrastinate import schema
from autocron.contrib.procrastinate.backend import postgres_backend
from autocron.contrib.procrastinate.schema import migrate, procrastinate_steps
from autocron.core.errors import ForeignDatabase, NewerDatabase, StoreError
from autocron.core.task import Message

MESSAGE = Message("shop.mail:send", "[[],{}]")


@pytest.fixture
def empty_url(server):
    """A database without any table, dropped at the end."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
    yield server.url("empty")
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE empty WITH (FORCE)")


@pytest.fixture
def backend_of():
    """Makes backends, closed at the end."""
    made = []

    def make(url):
        made.append(postgres_backend(url))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


def _run(url, *statements):
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_nobody_there_is_a_store_error_without_the_password(backend_of):
    backend = backend_of("postgresql://ada:secret@127.0.0.1:1/shop")
    with pytest.raises(StoreError) as caught:
        backend.enqueue(MESSAGE)
    told = str(caught.value)
    assert "postgresql://ada:***@127.0.0.1:1/shop" in told
    assert "secret" not in told
    assert "see that the server runs and is reached" in told


def test_a_url_of_a_database_that_is_not_there_is_a_store_error(server, backend_of):
    with pytest.raises(StoreError, match="does not exist"):
        backend_of(server.url("nowhere")).open()


def test_ten_that_open_at_once_make_the_tables_once(empty_url, backend_of):
    backends = [backend_of(empty_url) for _ in range(10)]
    errors = []

    def open_it(backend):
        try:
            backend.open()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it, args=(backend,)) for backend in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert backends[0].enqueue(MESSAGE) == backends[9].list()[0]


def test_tables_that_may_not_be_made_are_told_of(server, empty_url, backend_of):
    _run(empty_url, "CREATE USER visitor", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(StoreError, match="give this user the rights to create"):
        backend_of(empty_url.replace("autocron@", "visitor@")).open()


def test_a_server_that_takes_no_writes_is_told_of(make_url, backend_of):
    url = make_url() + "?options=-c%20default_transaction_read_only%3Don"
    backend = backend_of(url)
    with pytest.raises(StoreError, match="read-only, perhaps a standby"):
        backend.enqueue(MESSAGE)


def test_the_tables_of_a_newer_autocron_are_refused_untouched(empty_url, backend_of):
    backend_of(empty_url).open()
    _run(empty_url, "UPDATE autocron_schema SET version = 99")
    with pytest.raises(NewerDatabase, match="they have version 99"):
        backend_of(empty_url).open()
    with psycopg.connect(empty_url) as connection, pytest.raises(NewerDatabase):
        migrate(connection)


def test_tables_without_those_of_procrastinate_are_refused(empty_url, backend_of):
    backend_of(empty_url).open()
    _run(
        empty_url,
        "DROP TABLE procrastinate_periodic_defers, procrastinate_events, procrastinate_jobs "
        "CASCADE",
        "UPDATE autocron_schema SET version = 0",
    )
    with pytest.raises(ForeignDatabase, match="not those of procrastinate"):
        backend_of(empty_url).open()


def test_the_tables_that_an_application_made_with_procrastinate_are_used(empty_url, backend_of):
    _run(empty_url, schema.SchemaManager.get_schema())
    backend = backend_of(empty_url)
    backend.enqueue(MESSAGE)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT procrastinate FROM autocron_schema").fetchone() == ("",)


def test_what_a_newer_procrastinate_needs_is_added(empty_url, tmp_path, monkeypatch, backend_of):
    backend_of(empty_url).open()
    (tmp_path / "99.00.00_01_pre_more.sql").write_text("CREATE TABLE more (id int);", "utf-8")
    (tmp_path / procrastinate_steps()[-1]).write_text("SELECT no_such_function();", "utf-8")
    monkeypatch.setattr(
        schema.SchemaManager, "get_migrations_path", staticmethod(lambda: str(tmp_path))
    )
    for _ in range(2):
        backend = backend_of(empty_url)
        backend.enqueue(MESSAGE)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT count(*) FROM more").fetchone() == (0,)


def test_what_can_not_be_stored_is_a_store_error_and_the_next_call_is_stored(make_url, backend_of):
    backend = backend_of(make_url())
    with pytest.raises(StoreError):
        backend.enqueue(Message("shop.mail:send", "a lone \ud800"))
    with pytest.raises(StoreError, match="value too long"):
        backend.enqueue(Message("shop.mail:send", "[[],{}]", queue="q" * 129))
    assert backend.list() == []
    backend.enqueue(MESSAGE)
    assert len(backend.list()) == 1


def test_after_a_crash_of_the_server_the_next_call_is_stored(server, make_url, backend_of):
    backend = backend_of(make_url())
    before = backend.enqueue(MESSAGE)
    server.stop("immediate")
    try:
        with pytest.raises(StoreError, match="see that the server runs and is reached"):
            backend.enqueue(MESSAGE)
    finally:
        server.start()
    # What was idle meanwhile is not used again: no first call that fails.
    after = backend.enqueue(MESSAGE)
    assert backend.list() == [before, after]


def test_connections_that_the_server_has_ended_are_not_used_again(make_url, backend_of):
    url = make_url()
    backend = backend_of(url)
    backend.enqueue(MESSAGE)
    _run(
        url,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE application_name = 'autocron' AND datname = current_database()",
    )
    backend.enqueue(MESSAGE)
    assert len(backend.list()) == 2


def test_a_host_that_is_frozen_with_the_turn_loses_it_and_what_it_was_about_to_write(
    make_url, backend_of
):
    url = make_url()
    frozen, other = backend_of(url), backend_of(url)
    frozen.open()
    begun, go_on = threading.Event(), threading.Event()
    errors = []

    def freeze():
        try:
            with frozen.store.transaction():
                frozen.store.put_settings({"frozen": "1"})
                begun.set()
                go_on.wait(120)
        except StoreError as error:
            errors.append(error)

    thread = threading.Thread(target=freeze)
    thread.start()
    assert begun.wait(60)
    # A call that has to judge, and so waits for the turn, is stored all the same.
    task = other.enqueue(Message("shop.mail:send", "[[],{}]", unique="U"))
    go_on.set()
    thread.join(60)
    assert len(errors) == 1
    assert "frozen" not in other.store.settings()
    assert frozen.list() == [task]


def test_a_statement_that_is_interrupted_is_told_as_what_has_interrupted_it(make_url, backend_of):
    backend = backend_of(make_url())
    backend.open()

    def write_and_ask():
        with backend.store.transaction():
            backend.store.put_settings({"interrupted": "1"})
            # As by Ctrl-C between the question and the answer.
            backend.store.in_transaction.pgconn.send_query(b"SELECT 1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_ask()
    assert "interrupted" not in backend.store.settings()
    task = backend.enqueue(MESSAGE)
    assert backend.list() == [task]


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_leaves_the_connections_of_its_parent_alone(make_url, backend_of):
    backend = backend_of(make_url())
    backend.enqueue(MESSAGE)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            backend.enqueue(MESSAGE)
            backend.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    backend.enqueue(MESSAGE)
    assert len(backend.list()) == 3
