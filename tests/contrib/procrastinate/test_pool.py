"""A pool before the server: one by session is as that itself, one by transaction is refused."""

from __future__ import annotations

import psycopg
import pytest

from autocron.cli import main
from autocron.contrib.procrastinate.backend import postgres_backend
from autocron.core.errors import StoreError
from autocron.core.task import Message
from tests.contrib.procrastinate import pool
from tests.processes.world import eventually

pytestmark = pytest.mark.skipif(
    pool.program() is None, reason="PgBouncer is not installed (Debian: pgbouncer)"
)
MESSAGE = Message("shop.mail:send", "[[],{}]")


@pytest.fixture
def make_pool(server, request):
    made = []

    def make(mode):
        folder = server.folder.parent / f"pool-{len(made)}-{request.node.name}"
        made.append(pool.Pool(folder, server.port, server.user, mode))
        eventually(made[-1].is_ready, "PgBouncer takes connections")
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def backend_of():
    made = []

    def make(url):
        made.append(postgres_backend(url))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


def test_one_that_gives_each_transaction_another_session_is_refused(
    make_pool, make_url, backend_of, tmp_path, monkeypatch, capsys
):
    direct = make_url()
    url = make_pool("transaction").url(direct)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"PgBouncer: pool_mode = transaction.*by session"):
            backend_of(url).enqueue(MESSAGE)
    # Nothing of ours is left in the sessions, which are the application's.
    with psycopg.connect(url, autocommit=True) as connection:
        shown = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert shown == ("0",)
    assert backend_of(direct).list() == []
    monkeypatch.setenv("HOME", str(tmp_path))
    for words in (["--info"], ["--migrate"]):
        assert main([url, *words]) == 1
        assert "name the server itself, or a pool by session" in capsys.readouterr().err


def test_one_by_session_is_as_the_server_itself(make_pool, make_url, backend_of):
    direct = make_url()
    backend = backend_of(make_pool("session").url(direct))
    task = backend.enqueue(MESSAGE)
    assert backend_of(direct).list() == [task]


def test_a_transaction_of_the_application_may_go_by_any(make_pool, make_url, backend_of):
    direct = make_url()
    backend = backend_of(direct)
    url = make_pool("transaction").url(direct)
    with psycopg.connect(url, prepare_threshold=None) as connection:
        route = backend.within(connection)
        undone = route.enqueue(MESSAGE)
        connection.rollback()
        task = route.enqueue(MESSAGE)
        connection.commit()
    assert backend.get(undone.id) is None
    assert backend.list() == [task]
