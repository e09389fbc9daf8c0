"""Several hosts with one database, which die, freeze and come back; a server that goes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import psycopg
import pytest

from tests.contrib.procrastinate.host import Host
from tests.processes.world import eventually

# A lost host's tasks run again within 15 s; the machine may be slow.
PATIENCE_SECONDS = 120.0


@pytest.fixture
def make_host(tmp_path, make_url):
    url, hosts = make_url(), []

    def make():
        folder = tmp_path / f"host-{len(hosts)}"
        folder.mkdir()
        hosts.append(Host(folder, url))
        hosts[-1].allows_tracebacks = True
        return hosts[-1]

    yield make
    # What is frozen can not end.
    for host in hosts:
        for pid in host.background():
            os.kill(pid, signal.SIGCONT)
        host.close()


def _info(host):
    asked = subprocess.run(
        [sys.executable, "-m", "autocron", host.url, "--info", "--json"],
        capture_output=True,
        env=host.environment,
        check=True,
    )
    return json.loads(asked.stdout)["info"]


def _held_by(host, application):
    """Let one of its workers hold a task; return that."""
    task_id = application.ask("tasks.hold('a').id")
    host.await_marks("begin", "a")
    return host.task(task_id)


def test_the_tasks_of_a_lost_host_are_run_by_another_one(make_host):
    lost, other = make_host(), make_host()
    held = _held_by(lost, lost.application())
    application = other.application()
    other.open_gate("a")
    names = {host["name"] for host in _info(other)["hosts"]}
    assert len(names) == 2
    assert held.worker.rpartition(".")[0] in names
    everybody = [*lost.background(), *(each.pid for each in lost._applications)]
    lost.kill(*everybody)
    eventually(
        lambda: other.task(held.id).state.value == "succeeded", "it runs there", PATIENCE_SECONDS
    )
    task = other.task(held.id)
    assert (task.deaths, len(other.marks("end", "a"))) == (0, 1)
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    # The other one says who is gone, and whose task that was.
    assert "a worker has not been heard of" in other.said()


def test_a_host_that_was_frozen_can_not_end_what_another_one_has_run(make_host):
    frozen, other = make_host(), make_host()
    held = _held_by(frozen, frozen.application())
    application = other.application()
    other.open_gate("a")
    pids = frozen.background()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    eventually(
        lambda: other.task(held.id).state.value == "succeeded", "it runs there", PATIENCE_SECONDS
    )
    ended = other.task(held.id)
    frozen.open_gate("a")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    # It comes to its end there as well, at least once is what is promised; and changes nothing.
    frozen.await_marks("end", "a")
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    assert other.task(held.id) == ended


def test_a_worker_that_can_not_be_heard_is_not_taken_for_dead_while_its_host_lives(make_host):
    host, other = make_host(), make_host()
    held = _held_by(host, host.application())
    other.application()
    (worker,) = host.workers
    # As by a call into C that keeps the interpreter; procrastinate hears nothing of it then.
    os.kill(worker, signal.SIGSTOP)
    # Twice as long as a host may be silent, so that each has looked meanwhile.
    silent = (
        "SELECT count(*) FROM procrastinate_workers "
        "WHERE last_heartbeat < now() - interval '20 seconds'"
    )
    with psycopg.connect(host.url, autocommit=True) as connection:
        eventually(
            lambda: connection.execute(silent).fetchone() == (1,),
            "its worker is silent",
            PATIENCE_SECONDS,
            pause=0.2,
        )
    os.kill(worker, signal.SIGCONT)
    assert host.task(held.id) == held
    host.open_gate("a")
    task = host.await_task(held.id, "succeeded")
    assert (task.attempt, [mark.pid for mark in host.marks("end", "a")]) == (1, [worker])


def test_a_second_host_begins_no_new_period_of_service(make_host):
    one, other = make_host(), make_host()
    for host in (one, other):
        host.write(
            "tasks.py",
            "import autocron\nfrom shared import mark\n"
            "@autocron.cron(at_start=True)\ndef begin(): mark('began')\n"
            "@autocron.delay\ndef add(a, b): return a + b\n",
        )
    application = one.application()
    one.await_marks("began")
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    other.application().ask("tasks.add(1, 1).get(60)")
    assert len(one.marks("began") + other.marks("began")) == 1


def test_a_setting_reaches_every_host(make_host):
    one, other = make_host(), make_host()
    one.application()
    other.application()
    asked = [sys.executable, "-m", "autocron", one.url, "--set-max-workers", "2"]
    subprocess.run(asked, env=one.environment, check=True, stdout=subprocess.DEVNULL)
    one.await_workers(count=2)
    other.await_workers(count=2)


def _listeners(server, url):
    # procrastinate asks its listening connection for nothing else than, now and then, a 1.
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        count = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s "
            "AND (query ILIKE 'LISTEN%%' OR query = 'SELECT 1')",
            (url.rpartition("/")[2],),
        ).fetchone()
    return count[0]


def test_a_server_that_was_away_finds_all_of_them_back(make_host, server):
    host = make_host()
    application = host.application()
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    held = _held_by(host, application)
    eventually(lambda: _listeners(server, host.url) >= 1, "its worker listens")
    server.stop("immediate")
    try:
        with pytest.raises(AssertionError, match=r"StoreError: can not .* see that the server"):
            application.ask("tasks.add(1, 1)")
        # What comes of it can not be stored now, and is kept.
        host.open_gate("a")
        host.await_marks("end", "a")
    finally:
        server.start()
    eventually(
        lambda: host.task(held.id).state.value == "succeeded", "it is stored", PATIENCE_SECONDS
    )
    assert host.task(held.id).attempt == 1
    assert application.ask("tasks.add(1, 1).get(100)") == 2
    # And it is woken, as before, and need not look.
    eventually(lambda: _listeners(server, host.url) >= 1, "it listens again", PATIENCE_SECONDS)


def test_no_command_line_shows_a_password(make_host):
    host = make_host()
    host.url = host.named = host.url.replace("autocron@", "autocron:secret@")
    host.write_app()
    application = host.application()
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    assert oct(os.stat(host.run.url).st_mode & 0o777) == "0o600"
    for pid in host.background():
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            assert b"secret" not in file.read()
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert b"secret" not in file.read()
    assert "secret" not in host.said()
