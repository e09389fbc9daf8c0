"""The admin tool says the same of a PostgreSQL database as of a file, and does the same to it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from autocron.cli import main
from autocron.core.outcome import Raised, Returned
from autocron.core.task import Failure, Message
from autocron.engine import Engine
from autocron.operations import Operations
from autocron.shell import counting, looking, statistics
from autocron.shell.chance import new_id
from autocron.shell.kinds import prepared
from autocron.shell.paths import database_path
from autocron.zones import load_zone

# What depends on when, or where, it was asked.
_OF_THE_MOMENT = ("database", "at", "application", "hosts", "waited", "ran")


class Database:
    """One of the two, with tasks in it."""

    def __init__(self, name, capsys):
        self.name = name
        self._capsys = capsys
        kind = prepared(name, database_path(name))
        self.store = store = kind.store()
        store.open()
        operations = Operations(store, kind.clock, new_id=new_id)
        for number in range(3):
            operations.enqueue(Message("shop.mail:send", f"[[{number}],{{}}]", id=f"mail-{number}"))
        operations.enqueue(Message("shop.mail:tidy", "[[],{}]", id="tidy-1", queue="slow"))
        operations.enqueue(Message("shop.mail:later", "[[],{}]", id="later", delay_seconds=900.0))
        engine = Engine(
            store,
            kind.clock,
            zones=load_zone,
            new_id=new_id,
            invoker=self,
            worker="a worker",
            queues=["default"],
        )
        # The first succeeds, the second fails, the third runs.
        for _ in range(3):
            engine.tick(claim=True)
        assert engine.in_hand is not None

    def invoke(self, task, hand):
        if task.id == "mail-1":
            return Raised(Failure("ValueError", "no such address"), ())
        return Returned('"sent"')

    def ask(self, *words):
        code = main([self.name, *words])
        said = self._capsys.readouterr()
        return (
            code,
            said.out.replace(self.name, "DATABASE"),
            said.err.replace(self.name, "DATABASE"),
        )

    def document(self, *words):
        code, out, _ = self.ask(*words, "--json")
        assert code == 0
        return _without_the_moment(json.loads(out))


def _without_the_moment(value):
    if isinstance(value, dict):
        return {
            key: _without_the_moment(each)
            for key, each in value.items()
            if key not in _OF_THE_MOMENT and not key.endswith(("_at", "seconds"))
        }
    return [_without_the_moment(each) for each in value] if isinstance(value, list) else value


@pytest.fixture
def both(tmp_path, make_url, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    made = [Database(name, capsys) for name in (str(tmp_path / "project.db"), make_url())]
    yield made
    for database in made:
        database.store.close()


@pytest.mark.parametrize(
    "words",
    [
        ["--info"],
        ["--tasks"],
        ["--results"],
        ["--failed"],
        ["--stats"],
        ["--tasks", "--task", "send"],
        ["--results", "--task", "mail:send", "--limit", "1"],
        ["--results", "--queue", "slow"],
        ["--tasks", "--newer-than", "1h", "--queue", "default"],
        ["--show", "mail-1"],
    ],
    ids=" ".join,
)
def test_it_shows_the_same(both, words):
    file, server = (database.document(*words) for database in both)
    assert server == file


@pytest.mark.parametrize(
    "words",
    [
        ["--info"],
        ["--stats", "--task", "send"],
        ["--tasks", "--task", "send"],
        ["--tasks", "--queue", "slow"],
        ["--results", "--task", "mail:send"],
        ["--failed", "--queue", "default"],
    ],
    ids=" ".join,
)
def test_it_shows_the_same_where_all_is_many(both, words, monkeypatch):
    for module, most in ((counting, "FEW"), (looking, "MOST_READ"), (statistics, "MOST_READ")):
        monkeypatch.setattr(module, most, 1)
    file, server = (database.document(*words) for database in both)
    assert server == file


@pytest.mark.parametrize(
    "words",
    [
        ["--retry", "mail-1"],
        ["--discard", "all", "--yes"],
        ["--cancel", "later"],
        ["--cancel", "tidy"],
        ["--retry", "mail-0"],
        ["--pause", "slow"],
        ["--resume"],
        ["--show", "nothing"],
        ["--set-max-workers", "default=2,slow=1"],
        ["--enable", "nothing"],
    ],
    ids=" ".join,
)
def test_it_does_the_same(both, words):
    file, server = (database.ask(*words) for database in both)
    assert server == file
    for shown in ("--tasks", "--results", "--info"):
        of_file, of_server = (database.document(shown) for database in both)
        assert of_server == of_file


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--verify"], "is no file; PostgreSQL's own tools are for that, such as pg_dump"),
        (["--backup", "copy.db"], "is no file; PostgreSQL's own tools are for that"),
        (["--delete-database", "--yes"], "is not deleted from here, since other hosts may use it"),
    ],
)
def test_what_is_of_files_is_refused_and_says_what_to_use(both, words, said):
    _, server = both
    code, _, told = server.ask(*words)
    assert code == 1
    assert said in told


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://shop/shop", "begins with 'mysql://', and of URLs only those of PostgreSQL"),
        ("postgresql://shop", "names no database; expected one such as 'postgresql://user@host"),
        ("postgresql://shop:port/shop", "the URL can not be read"),
    ],
)
def test_what_is_no_such_url_is_refused(url, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main([url, "--info"]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_info_tells_of_all_hosts_and_of_no_processes_here_where_nothing_is_served(both):
    _, server = both
    store = server.store
    (running,) = store.find(worker="a worker")
    # As that worker's host has it; its name begins with that of the host.
    store.write(
        "rename it", "UPDATE autocron_tasks SET worker = 'web-1.a' WHERE id = %s", (running.id,)
    )
    store.put_host("web-1", ["web-1.a", "web-1.b"])
    store.put_host("web-2", [])
    code, out, _ = server.ask("--info")
    assert code == 0
    processes = out.partition("Processes\n")[2].partition("\n\n")[0].splitlines()
    assert [" ".join(line.split()[:4]).partition(" for ")[0] for line in processes] == [
        "host web-1 2 workers",
        "web-1.a shop.mail:send",
        "host web-2 0 workers",
    ]
    assert "The oldest due task has waited for" in out
    hosts = json.loads(server.ask("--info", "--json")[1])["info"]["hosts"]
    assert [host["name"] for host in hosts] == ["web-1", "web-2"]
    assert [worker["task"] and worker["task"]["id"] for worker in hosts[0]["workers"]] == [
        running.id,
        None,
    ]


def test_what_is_locked_is_not_run_and_says_so_without_the_password(both):
    _, server = both
    server.ask("--set-autocron-lock", "on")
    url = server.name.replace("autocron@", "autocron:secret@")
    words = [sys.executable, "-m", "autocron", url, "--run", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    shown = url.replace("secret", "***")
    assert f"{shown} is locked; unlock it: autocron {shown} --set-autocron-lock off" in done.stderr
    assert "secret" not in done.stderr
