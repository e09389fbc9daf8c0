"""From a file to PostgreSQL: all of it, once, whoever is killed or away meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import threading
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from autocron.cli import main
from autocron.contrib.procrastinate.backend import postgres_store
from autocron.core import pickled
from autocron.core.errors import StoreError
from autocron.core.outcome import Raised, Returned
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.schedule import Schedule
from autocron.core.settings import NAMES
from autocron.core.task import Failure, Message, TaskState, new_task
from autocron.engine import Engine
from autocron.shell.chance import new_id
from autocron.shell.clock import SystemClock
from autocron.shell.kinds import OneHost, opened
from autocron.shell.moved import MovedDatabase, mark_of
from autocron.shell.moving import move
from autocron.shell.schema import APPLICATION_ID, MIGRATIONS
from autocron.shell.sqlite import SQLiteStore
from autocron.zones import load_zone
from tests.contrib.procrastinate.inline_worker import InlineWorker

LATER = 86400.0


class Invoker:
    """Runs tasks as their names say."""

    def invoke(self, task, hand):
        if task.name == "shop:fail":
            return Raised(Failure("ValueError", "no \0 luck", "Traceback …"), ())
        return Returned('"a\0b"')


class Source:
    """A file with some of everything in it, that nobody serves."""

    def __init__(self, path):
        self.path = str(path)
        self.clock = SystemClock()
        self.store = SQLiteStore(self.path)
        self.store.open()
        self.engine = self._engine("a worker")

    def _engine(self, worker):
        return Engine(
            self.store,
            self.clock,
            zones=load_zone,
            new_id=new_id,
            invoker=Invoker(),
            worker=worker,
        )

    def fill(self):
        """Let there be tasks in each state, and of each kind that waits."""
        enqueue = self.engine.enqueue
        enqueue(Message("shop:fail", "[[],{}]"))
        enqueue(Message("shop:send", '[["a\0b"],{}]'))
        rate = Policy(rate=Rate(1, 3600.0))
        for _ in range(2):
            enqueue(Message("shop:send", "[[],{}]", rate_key="R", policy=rate))
        self.work()
        cancelled = enqueue(Message("shop:send", "[[],{}]"))
        self.engine.cancel(cancelled.id)
        # Of each kind of those that wait; none is due but the first.
        enqueue(Message("shop:send", "[[1],{}]", queue="mail", priority=7))
        enqueue(Message("shop:send", pickled.dump_call((object,), {}), delay_seconds=LATER))
        enqueue(Message("shop:send", "[[],{}]", unique="U", lock="L", delay_seconds=LATER))
        enqueue(Message("shop:send", "[[],{}]", expires_seconds=2 * LATER, delay_seconds=LATER))
        late = Message("shop:send", "[[],{}]", delay_seconds=LATER)
        self.engine.enqueue_all([late, late], [replace(late, name="shop:sum"), late])
        now = self.clock.now()
        self.engine.declare([a_schedule("30 2 * * *", now - timedelta(days=3))])
        self.engine.put_schedule(a_schedule("@hourly", now, is_dynamic=True, is_enabled=False))
        self.store.put_settings({"max_workers": "default=2,mail=1", "result_ttl": "99999"})
        self.store.put_paused("slow", True)
        return self

    def work(self):
        while self.engine.tick().claimed is not None or self.engine.in_hand is not None:
            pass

    def copied_to(self, path):
        """Return a copy that nobody has open."""
        self.store.close()
        shutil.copy(self.path, path)
        return str(path)


def a_schedule(text, watermark_at, **changes):
    given = {
        "key": f"shop:tidy {text}",
        "name": "shop:tidy",
        "text": text,
        "zone": "UTC",
        "missed": "once",
        "overlap": "skip",
        "grace_seconds": 60.0,
        "at_start": False,
        "watermark_at": watermark_at,
        **changes,
    }
    return Schedule(**given)


def content(store):
    """Return all that is to be the same in both, in order."""
    asked = {
        "starts": "SELECT rate_key, at, until_at FROM {}starts ORDER BY 1, 2",
        "paused": "SELECT queue FROM {}paused_queues ORDER BY 1",
        "rates": "SELECT rate_key, free_at FROM {}busy_rates ORDER BY 1",
    }
    prefix = "" if isinstance(store, SQLiteStore) else "autocron_"
    rows = {
        n: [tuple(row) for row in store.read(n, sql.format(prefix))] for n, sql in asked.items()
    }
    settings = {name: value for name, value in store.settings().items() if name in NAMES}
    return {**rows, "tasks": store.find(), "schedules": store.schedules(), "settings": settings}


def assert_each_has_its_ticket(url):
    """Check that what waits for nothing but its time has one ticket, its own, and nothing else."""
    with psycopg.connect(url) as connection:
        tickets = connection.execute(
            "SELECT id, args->>'task_id', queue_name, priority FROM procrastinate_jobs "
            "WHERE status = 'todo' ORDER BY id"
        ).fetchall()
        wanted = connection.execute(
            "SELECT ticket, id, queue, priority FROM autocron_tasks "
            "WHERE state = 'waiting' AND after_id IS NULL ORDER BY ticket"
        ).fetchall()
    assert tickets == wanted


@pytest.fixture
def source(tmp_path):
    made = Source(tmp_path / "shop.db")
    yield made
    made.store.close()


@pytest.fixture
def filled(source):
    return source.fill()


@pytest.fixture
def there():
    """Opens targets, closed at the end."""
    made = []

    def open_it(url):
        made.append(postgres_store(url))
        made[-1].open()
        return made[-1]

    yield open_it
    for store in made:
        store.close()


@pytest.fixture
def main_here(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return main


# -- what arrives -------------------------------------------------------------------------------


def test_all_arrives_as_it_is(filled, make_url, there):
    url = make_url()
    before = content(filled.store)
    moved = move(filled.path, url)
    assert content(there(url)) == before == content(filled.store)
    assert_each_has_its_ticket(url)
    # Here it says where it is, and the state of each task is one that was made above.
    assert moved.tasks == {state.value: len(filled.store.find(state=state)) for state in TaskState}
    assert [state for state, count in moved.tasks.items() if not count] == ["running"]
    assert moved.settings == {"max_workers": "default=2,mail=1", "result_ttl": "99999"}
    assert moved.paused == ("slow",)
    assert len(moved.schedules) == 2


def test_what_arrives_is_run_there(source, make_url, there):
    url = make_url()
    one = source.engine.enqueue(Message("shop:send", "[[1],{}]"))
    first, then = source.engine.enqueue_all(
        [Message("shop:send", "[[2],{}]")] * 2, [Message("shop:sum", "[[],{}]")]
    )
    move(source.path, url)
    store = there(url)
    engine = Engine(
        store, store.clock, zones=load_zone, new_id=new_id, invoker=Invoker(), worker="worker-1"
    )
    InlineWorker(store, engine).run(wait=False)
    ended = [store.get(task.id) for task in (one, *first, *then)]
    assert [(task.state.value, task.attempt) for task in ended] == [("succeeded", 1)] * 4


def test_many_arrive_in_their_order_and_not_all_of_them_are_in_memory(source, make_url, there):
    url = make_url()
    messages = [Message("shop:send", f"[[{number}],{{}}]") for number in range(2500)]
    source.engine.enqueue_all(messages, group=False)
    for _ in range(3):
        source.engine.enqueue(Message("shop:send", f'[["{"x" * 5_000_000}"],{{}}]'))
    told = []
    move(source.path, url, lambda done, total: told.append((done, total)))
    assert told == [(done, 2503) for done in (1000, 2000, 2501, 2502, 2503)]
    store = there(url)
    assert [task.id for task in store.find()] == [task.id for task in source.store.find()]
    assert_each_has_its_ticket(url)


def test_what_the_dead_have_left_running_waits_there(source, make_url, there):
    url = make_url()
    task = source.engine.enqueue(Message("shop:send", "[[],{}]"))
    source.engine.tick()
    assert source.engine.in_hand is not None
    move(source.path, url)
    arrived = there(url).get(task.id)
    assert (arrived.state.value, arrived.deaths) == ("waiting", 0)
    assert_each_has_its_ticket(url)


def test_a_row_that_autocron_did_not_write_arrives_as_a_failed_task(source, make_url, there):
    url = make_url()
    tasks = [source.engine.enqueue(Message("shop:send", "[[],{}]")) for _ in range(3)]
    source.engine.declare([a_schedule("@daily", source.clock.now())])
    source.store.close()
    with closing(sqlite3.connect(source.path)) as connection:
        sql = "UPDATE tasks SET run_at = 'soon' WHERE id = ?"
        connection.execute(sql, (tasks[1].id,))
        connection.execute("UPDATE schedules SET missed = 'perhaps'")
        connection.commit()
    moved = move(source.path, url)
    states = [task.state.value for task in there(url).find()]
    assert states == ["waiting", "failed", "waiting"]
    assert there(url).get(tasks[1].id).failure.type == "DamagedRow"
    assert (moved.schedules, moved.schedules_damaged) == ((), 1)


def test_what_stands_there_stays_as_it_is(filled, make_url, there):
    url = make_url()
    store = there(url)
    now = store.clock.now()
    mine = new_task(Message("shop:send", "[[],{}]"), "mine", now)
    daily = a_schedule("30 2 * * *", now)
    store.add(mine)
    store.swap_schedule(None, daily)
    store.put_settings({"result_ttl": "60"})
    store.put_paused("mine", True)
    store.put_start("R", now, now + timedelta(days=1), now + timedelta(days=1))
    before = content(filled.store)
    moved = move(filled.path, url)
    after = content(store)
    assert after["tasks"] == [mine, *before["tasks"]]
    assert daily in after["schedules"]
    assert moved.schedules_kept == (daily.key,)
    assert moved.settings_kept == ("result_ttl",)
    assert after["settings"] == {"max_workers": "default=2,mail=1", "result_ttl": "60"}
    assert after["paused"] == [("mine",), ("slow",)]
    # Both have begun under that rate; what is later holds.
    assert len(after["starts"]) == len(before["starts"]) + 1
    assert store.busy_rates()["R"] == now + timedelta(days=1)


def test_a_copy_of_what_was_moved_brings_only_what_is_not_there(filled, make_url, there, tmp_path):
    url = make_url()
    copy = filled.copied_to(tmp_path / "copy.db")
    move(filled.path, url)
    before = content(there(url))["tasks"]
    with closing(SQLiteStore(copy)) as store:
        more = new_task(Message("shop:send", "[[],{}]"), "more", filled.clock.now())
        store.add(more)
    moved = move(copy, url)
    assert (moved.there, sum(moved.tasks.values())) == (len(before), 1)
    assert content(there(url))["tasks"] == [*before, more]
    assert_each_has_its_ticket(url)


# -- whoever is killed, or away -----------------------------------------------------------------


def _cut(path, url, count):
    """Move in a child that is killed at its ``count``-th step; tell whether it was.

    A step is the begin, or the end, of whatever talks to one of the databases.
    """
    child = os.fork()
    if child == 0:
        try:
            steps = iter(range(count))

            def look(frame, event, argument):
                file, name = frame.f_code.co_filename, frame.f_code.co_name
                talks = name in ("_count", "_rows", "_on", "transaction", "sign", "release")
                is_step = event in ("call", "return") and talks and "autocron" in file
                if is_step and next(steps, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.setprofile(look)
            move(path, url)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_killed_at_whichever_step_it_ends_when_it_is_done_again(
    filled, make_url, empty, there, tmp_path
):
    url = make_url()
    wanted = content(filled.store)
    copy = tmp_path / "copy.db"
    counts, count, was_cut = {0: 0, len(wanted["tasks"]): 0}, 0, True
    while was_cut:
        filled.copied_to(copy)
        empty(url)
        was_cut = _cut(str(copy), url, count)
        store = there(url)
        # Nothing, or all of it.
        arrived = len(store.find())
        counts[arrived] += 1
        with closing(SQLiteStore(str(copy))) as source:
            mark = mark_of(source.settings())
            assert content(source)["tasks"] == wanted["tasks"]
        if mark is not None:
            with pytest.raises(MovedDatabase):
                opened(OneHost(str(copy)))
        # Whatever is there has been run, and purged, before anybody comes back.
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DELETE FROM autocron_tasks")
        moved = move(str(copy), url)
        assert moved.is_news is not bool(arrived)
        assert content(store)["tasks"] == ([] if arrived else wanted["tasks"])
        assert content(store)["schedules"] == wanted["schedules"]
        with closing(SQLiteStore(str(copy))) as source:
            assert mark_of(source.settings()).is_complete
        for end in ("", "-wal", "-shm"):
            (tmp_path / f"copy.db{end}").unlink(missing_ok=True)
        count += 5
    assert all(counts.values())


def assert_is_as_it_was(source, before):
    """Check that a file can be used as if nothing had been tried."""
    assert content(source.store) == before
    assert mark_of(source.store.settings()) is None
    source.engine.enqueue(Message("shop:send", "[[],{}]"))


def test_a_server_that_goes_away_leaves_the_file_as_it_was(filled, make_url, server, there):
    url = make_url()
    before = content(filled.store)
    try:
        with pytest.raises(StoreError, match="see that the server runs and is reached"):
            move(filled.path, url, lambda done, total: server.stop("immediate"))
    finally:
        server.start()
    assert content(there(url))["tasks"] == []
    assert_is_as_it_was(filled, before)
    move(filled.path, url)
    assert len(content(there(url))["tasks"]) == len(before["tasks"]) + 1


def test_to_be_interrupted_leaves_the_file_as_it_was(filled, make_url, there):
    def interrupt(done, total):
        raise KeyboardInterrupt

    before = content(filled.store)
    url = make_url()
    with pytest.raises(KeyboardInterrupt):
        move(filled.path, url, interrupt)
    assert content(there(url))["tasks"] == []
    assert_is_as_it_was(filled, before)


class Line:
    """A line to a server that is cut when the commit of a move has been done, and not told of."""

    def __init__(self, port):
        self._port = port
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._sockets = [listener]
        self._has_signed = self._is_cut = False
        self._threads = []
        self._begin(self._serve, listener)

    def _begin(self, target, *given):
        self._threads.append(threading.Thread(target=target, args=given, daemon=True))
        self._threads[-1].start()

    def _serve(self, listener):
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, server]
                self._begin(self._ask, client, server)
                self._begin(self._answer, server, client)

    def _ask(self, client, server):
        with suppress(OSError):
            while True:
                data = client.recv(65536)
                self._has_signed = self._has_signed or b"arrived " in data
                self._is_cut = self._is_cut or (self._has_signed and b"COMMIT" in data)
                server.sendall(data)
                if not data:
                    break
        self._end(server)

    def _answer(self, server, client):
        with suppress(OSError):
            while True:
                data = server.recv(65536)
                if self._is_cut or not data:
                    break
                client.sendall(data)
        self._end(client)

    @staticmethod
    def _end(end):
        # To close it would wake nobody who waits for what it says.
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    def close(self):
        for end in self._sockets:
            self._end(end)
        for thread in self._threads:
            thread.join(60)
        for end in self._sockets:
            end.close()


def test_a_commit_whose_answer_is_lost_is_found_when_it_is_done_again(
    filled, make_url, server, there
):
    url = make_url()
    with closing(Line(server.port)) as line:
        cut = url.replace(str(server.port), str(line.port))
        with pytest.raises(StoreError):
            move(filled.path, cut)
        mark = mark_of(filled.store.settings())
        assert not mark.is_complete
        # Nobody knows, so nothing is run here meanwhile, nor moved elsewhere.
        with pytest.raises(MovedDatabase, match=r"is being moved to .* --move-to URL"):
            opened(OneHost(filled.path))
        with pytest.raises(StoreError, match="let that one end first"):
            move(filled.path, url)
    assert len(content(there(url))["tasks"]) == len(content(filled.store)["tasks"])


# -- who is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["REVOKE ALL ON autocron_tasks FROM visitor"], "give this user the rights"),
        (["UPDATE autocron_schema SET version = 99"], "made by a newer autocron"),
        (["ALTER ROLE visitor SET default_transaction_read_only = on"], "read-only, perhaps a"),
        (["DROP TABLE autocron_busy_rates"], "can not store the rates in"),
    ],
    ids=["no rights", "a newer one", "read-only", "a table is gone"],
)
def test_a_server_that_does_not_take_it_leaves_the_file_as_it_was(
    filled, empty_copy, statements, said
):
    url = empty_copy.replace("autocron@", "visitor@")
    with psycopg.connect(empty_copy, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
    before = content(filled.store)
    with pytest.raises(StoreError, match=said):
        move(filled.path, url)
    assert_is_as_it_was(filled, before)


@pytest.fixture
def empty_copy(server, template):
    """A database with tables of which somebody else has all rights, dropped at the end."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE moving TEMPLATE {template}".encode())
        connection.execute("CREATE ROLE visitor LOGIN")
    with psycopg.connect(server.url("moving"), autocommit=True) as connection:
        for kind in ("TABLES", "SEQUENCES"):
            connection.execute(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO visitor".encode())
    yield server.url("moving")
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE moving WITH (FORCE)")
        connection.execute("DROP ROLE visitor")


def test_two_do_not_move_it_at_once(filled, make_url):
    url = make_url()
    refused = []

    def once_more(done, total):
        with pytest.raises(StoreError, match="is being moved by another process") as caught:
            move(filled.path, url)
        refused.append(caught)

    assert move(filled.path, url, once_more).is_news
    assert len(refused) == 1
    assert not move(filled.path, url).is_news


def test_what_was_moved_is_not_moved_elsewhere(filled, make_url):
    move(filled.path, make_url())
    with pytest.raises(StoreError, match=r"was moved to .*; nothing is left in it"):
        move(filled.path, make_url())


def test_an_older_file_is_moved_and_a_newer_or_foreign_one_is_left_alone(
    tmp_path, make_url, main_here, capsys
):
    for name, statement, said in [
        ("newer.db", "PRAGMA user_version = 99", "made by a newer autocron"),
        ("foreign.db", "PRAGMA application_id = 1", "database of another application"),
    ]:
        source = Source(tmp_path / name)
        source.store.close()
        with closing(sqlite3.connect(source.path)) as connection:
            connection.execute(statement)
        assert main_here([source.path, "--move-to", make_url()]) == 1
        assert said in capsys.readouterr().err
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(str(old))) as connection:
        connection.executescript(MIGRATIONS[0])
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
    old.chmod(0o600)
    assert main_here([str(old), "--move-to", make_url()]) == 0


# -- at the command line ------------------------------------------------------------------------


def test_it_says_what_was_moved(filled, make_url, main_here, capsys):
    url = make_url().replace("autocron@", "autocron:secret@")
    assert main_here([filled.path, "--move-to", url]) == 0
    told = capsys.readouterr().out
    shown = url.replace("secret", "***")
    assert told.startswith(f"{filled.path} is moved to {shown}\n  waiting    9 tasks\n")
    assert "\n  settings   max-workers default=2,mail=1, result-ttl 99999\n" in told
    assert "\n  paused     slow\n" in told
    assert told.endswith("This file is kept, and not used any more.\n")
    assert main_here([filled.path, "--move-to", url, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)["move"]
    assert (document["to"], document["is_news"]) == (shown, False)
    assert document["tasks"]["waiting"] == 9
    assert main_here([filled.path]) == 0
    assert f"is moved to {shown}; nothing is stored or run here" in capsys.readouterr().out
    assert main_here([filled.path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["info"]["moved_to"] == shown


def test_it_says_what_stays_as_it_is_there(filled, make_url, there, main_here, capsys):
    url = make_url()
    store = there(url)
    store.put_settings({"result_ttl": "60"})
    store.swap_schedule(None, a_schedule("30 2 * * *", store.clock.now()))
    filled.store.put_settings({"autocron_lock": "on"})
    assert main_here([filled.path, "--move-to", url]) == 0
    told = capsys.readouterr().out
    assert "Known there already, and left as they are there: shop:tidy 30 2 * * *.\n" in told
    assert "Set there already, and left as they are there: result-ttl.\n" in told
    assert "It is locked there, too: calls run in place until that is set off.\n" in told


def test_a_file_that_was_moved_can_be_verified_copied_and_deleted(
    filled, make_url, main_here, tmp_path, capsys
):
    assert main_here([filled.path, "--move-to", make_url()]) == 0
    assert main_here([filled.path, "--verify"]) == 0
    assert main_here([filled.path, "--backup", str(tmp_path / "copy.db")]) == 0
    for words in (["--cancel", "all", "--yes"], ["--set-max-workers", "2"], ["--pause", "mail"]):
        capsys.readouterr()
        assert main_here([filled.path, *words]) == 1
        assert "what is in it was moved to another database" in capsys.readouterr().err
    filled.store.close()
    assert main_here([filled.path, "--delete-database", "--yes"]) == 0
