"""What --info, --tasks and --results show, of a database that nobody serves."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from autocron.cli import main
from autocron.core import pickled
from autocron.core.events import Cancelled, Claimed, Succeeded
from autocron.core.machine import apply
from autocron.shell.logbook import FileLogbook
from autocron.shell.ownership import RunFolder, acquire
from autocron.shell.sqlite import SQLiteStore

TASK_KEYS = {
    "id", "name", "state", "enqueued_at", "run_at", "started_at", "priority", "unique", "lock",
    "schedule", "occurrence_at", "attempt", "deaths", "worker", "queue", "expires_at",
    "unique_until_at", "limit", "rate_key", "group", "after", "failures", "progress",
    "cancel_asked_at",
}  # fmt: skip
SCHEDULE_KEYS = {
    "key", "name", "expression", "zone", "missed", "overlap", "grace_seconds", "at_start",
    "watermark_at", "next_at", "problem", "is_enabled", "is_dynamic", "jitter_seconds", "queue",
    "priority",
}  # fmt: skip


def run(capsys, *words):
    code = main(list(words))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def document(capsys, *words):
    code, out, err = run(capsys, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def content(folder: Path):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestInfo:
    def test_is_what_a_database_alone_shows(self, shop, capsys):
        assert run(capsys, "shop.db")[:2] == run(capsys, "shop.db", "--info")[:2]

    def test_shows_settings_processes_schedules_and_counts(self, shop, capsys):
        shop.plan("30 2 * * *")
        shop.call("add", 1, 2)
        code, out, err = run(capsys, "shop.db", "-i")
        assert (code, err) == (0, "")
        assert out.startswith(f"{shop.path}\n")
        for piece in (
            "  autocron-lock         off\n",
            "  max-workers           1 (default)\n",
            "  result-ttl            1800 s (30 min)\n",
            "  application  not running\n",
            "  supervisor   none\n",
            "  workers      none\n",
            "  shop:nightly  30 2 * * *  UTC   ",
            " 02:30 +00:00 (in ",
            "  waiting         1\n",
            "  The oldest due task has waited for ",
        ):
            assert piece in out

    def test_tells_of_a_lock(self, shop, capsys):
        shop.store.put_settings({"autocron_lock": "on"})
        assert "locked: calls run in place" in run(capsys, "shop.db")[1]

    def test_tells_of_a_task_whose_worker_is_gone(self, shop, capsys):
        shop.call("add", 1, 2)
        shop.engine.tick()
        assert "1 running of a worker that is gone" in run(capsys, "shop.db")[1]

    def test_tells_which_of_several_tasks_a_worker_has_in_hand(self, shop, capsys):
        folder = RunFolder(str(shop.path))
        folder.make()
        running = []
        for number in range(3):
            task = shop.call("add", number, number)
            running.append(apply(task, Claimed("w1", task.run_at)))
            assert shop.store.swap(task, running[-1])
        FileLogbook(folder.logbook("w1")).note(running[1])
        lock = acquire(folder.worker("w1"))
        try:
            out = run(capsys, "shop.db")[1]
            (worker,) = document(capsys, "shop.db")["info"]["workers"]
        finally:
            lock.release()
        assert ", 2 more behind it\n" in out
        assert "of a worker that is gone" not in out
        assert (worker["task"]["id"], worker["claimed"]) == (running[1].id, 3)

    def test_has_a_stable_shape_as_json(self, shop, capsys):
        shop.plan()
        shop.call("add", 1, 2)
        shown = document(capsys, "shop.db")
        assert set(shown) == {"database", "at", "info"}
        assert shown["database"] == str(shop.path)
        info = shown["info"]
        assert info["settings"] == {
            "autocron_lock": False,
            "max_workers": None,
            "max_tasks_per_worker": 0,
            "max_memory_mb": 0.0,
            "stop_grace": 5.0,
            "worker_idle_time": 30.0,
            "monitor_idle_time": 30.0,
            "result_ttl": 1800.0,
            "failure_ttl": 2592000.0,
        }
        assert info["application"] is None
        assert info["supervisor"] is None
        assert info["workers"] == []
        assert [set(one) for one in info["schedules"]] == [SCHEDULE_KEYS]
        assert info["counts"] == {
            "waiting": 1, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0
        }  # fmt: skip
        at = datetime.fromisoformat(shown["at"])
        oldest = datetime.fromisoformat(info["oldest_due_at"])
        assert at.utcoffset() == oldest.utcoffset() == timedelta(0)
        assert info["oldest_due_seconds"] == (at - oldest).total_seconds()

    def test_shows_schedules_that_have_no_next_run(self, shop, capsys):
        shop.plan(None, key="shop:begin @start", at_start=True)
        shop.plan("0 0 1 1 *", key="shop:lost", zone="Nowhere/Town")
        out = run(capsys, "shop.db")[1]
        assert ["at", "start", "UTC"] in [line.split()[1:4] for line in out.splitlines()]
        assert "when the application starts" in out
        assert "'Nowhere/Town'" in out
        problems = [one["problem"] for one in document(capsys, "shop.db")["info"]["schedules"]]
        assert problems[0] is None
        assert "Nowhere/Town" in problems[1]

    def test_lists_the_next_run_first(self, shop, capsys):
        now = shop.clock.now()
        for hours in (3, 1, 2):
            at = now + timedelta(hours=hours)
            shop.plan(f"{at.minute} {at.hour} * * *")
        runs = [one["next_at"] for one in document(capsys, "shop.db")["info"]["schedules"]]
        assert runs == sorted(runs)


class TestTasks:
    def test_shows_what_runs_what_waits_and_the_schedules(self, shop, capsys):
        shop.plan()
        shop.call("add", 1, 2)
        shop.engine.tick()
        shop.call("add", 1, 2, delay_seconds=7260.0)
        out = run(capsys, "shop.db", "-t")[1]
        assert "Running\n  ID                SINCE" in out
        assert "Waiting\n  ID                LOCAL TIME" in out
        assert "  in 2 h" in out
        assert "  shop:nightly  30 2 * * *  UTC" in out

    def test_says_nothing_where_there_is_nothing(self, shop, capsys):
        assert run(capsys, "shop.db", "-t")[1].count("  nothing\n") == 2

    def test_begins_with_what_is_due_first_and_says_how_many_more_there_are(self, shop, capsys):
        for hours in (3, 1, 2):
            shop.call("add", 1, hours, delay_seconds=3600.0 * hours)
        out = run(capsys, "shop.db", "-t", "--limit", "2")[1]
        assert "and 1 more; --limit N" in out
        tasks = document(capsys, "shop.db", "-t", "--limit", "2")["tasks"]
        assert [len(tasks["waiting"]), tasks["waiting_count"], tasks["running_count"]] == [2, 3, 0]
        assert all(set(task) == TASK_KEYS for task in tasks["waiting"])
        due = [task["run_at"] for task in tasks["waiting"]]
        assert due == sorted(due)


class TestResults:
    def test_shows_when_how_long_and_what_came_of_it(self, shop, capsys):
        shop.call("add", 1, 2)
        shop.call("fail", "no\x1b[31m such\nthing")
        shop.run_all()
        code, out, err = run(capsys, "shop.db", "-r")
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert " ".join(lines[3].split()) == "ID LOCAL TIME TOOK STATE TASK RESULT OR ERROR"
        # The latest first; and nothing that a task says reaches the terminal as it is.
        assert lines[4].endswith(r"failed     shop:fail  ValueError: no\x1b[31m such\nthing")
        assert lines[5].endswith("succeeded  shop:add   3")

    def test_has_a_stable_shape_as_json(self, shop, capsys):
        shop.call("add", 1, 2)
        shop.call("fail", "oh")
        shop.run_all()
        results = document(capsys, "shop.db", "-r")["results"]
        assert results["ended_count"] == 2
        failed, succeeded = results["ended"]
        keys = {"finished_at", "seconds", "result", "error_message", "traceback"}
        assert set(failed) == set(succeeded) == TASK_KEYS | keys
        assert (succeeded["result"], succeeded["error_message"]) == (3, None)
        assert succeeded["seconds"] >= 0
        assert (failed["result"], failed["error_message"]) == (None, "ValueError: oh")
        assert "in fail" in failed["traceback"]

    def test_limits_over_all_states_to_the_latest(self, shop, capsys):
        for number in range(3):
            shop.call("add", number, 0)
            shop.call("fail", str(number))
            shop.run_all()
        ended = document(capsys, "shop.db", "-r", "--limit", "3")["results"]["ended"]
        assert [task["error_message"] or task["result"] for task in ended] == [
            "ValueError: 2", 2, "ValueError: 1"
        ]  # fmt: skip
        assert "and 3 more" in run(capsys, "shop.db", "-r", "--limit", "3")[1]

    def test_shows_cancelled_tasks_too(self, shop, capsys):
        task = shop.call("add", 1, 2)
        shop.store.swap(task, apply(task, Cancelled(shop.clock.now())))
        assert "cancelled  shop:add" in run(capsys, "shop.db", "-r")[1]

    def test_does_not_load_what_was_pickled(self, shop, capsys, tmp_path):
        proof = tmp_path / "proof"
        task = shop.call("add", 1, 2)
        running = apply(task, Claimed("w1", shop.clock.now()))
        text = pickled.dump_result(Trap(str(proof)))
        ended = apply(running, Succeeded(text, shop.clock.now()))
        shop.store.swap(task, ended)
        assert "(pickled)" in run(capsys, "shop.db", "-r")[1]
        assert set(document(capsys, "shop.db", "-r")["results"]["ended"][0]["result"]) == {
            "$pickle"
        }
        assert not proof.exists()

    def test_shows_a_result_that_is_none_of_ours_as_it_is(self, shop, capsys):
        task = shop.call("add", 1, 2)
        running = apply(task, Claimed("w1", shop.clock.now()))
        ended = apply(running, Succeeded('{"$new":1}', shop.clock.now()))
        shop.store.swap(task, ended)
        assert '{"$new":1}' in run(capsys, "shop.db", "-r")[1]


class Trap:
    """Leaves a proof when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


class TestReading:
    def test_all_lists_go_into_one_document(self, shop, capsys):
        assert set(document(capsys, "shop.db", "-i", "-t", "-r")) == {
            "database", "at", "info", "tasks", "results"
        }  # fmt: skip

    @pytest.mark.parametrize("option", ["-i", "-t", "-r"])
    def test_creates_and_changes_nothing(self, shop, command, option):
        shop.plan()
        shop.call("add", 1, 2)
        shop.store.close()
        before = content(shop.path.parent)
        assert command("shop.db", option).returncode == 0
        assert content(shop.path.parent) == before
        assert list(before) == ["shop.db"]

    @pytest.mark.parametrize("option", ["-i", "-t", "-r", "--delete-database"])
    def test_refuses_a_missing_database(self, home, capsys, option):
        code, out, err = run(capsys, "shop.db", option)
        assert (code, out) == (1, "")
        assert err == (
            f"autocron: there is no database {home}/.autocron/shop.db; it is created by "
            "autocron.start(), or by setting something\n"
        )
        assert not (home / ".autocron").exists()

    def test_guesses_which_database_was_meant(self, shop, capsys):
        assert "did you mean shop.db?" in run(capsys, "ship.db")[2]

    def test_guesses_that_a_command_was_meant(self, home, capsys):
        assert "did you mean explain (a command)?" in run(capsys, "explian")[2]

    def test_tells_where_the_file_in_this_folder_would_be_found(
        self, home, capsys, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "shop.db").touch()
        assert f"for the file in this folder write {tmp_path}/shop.db" in run(capsys, "shop.db")[2]

    def test_refuses_a_missing_folder(self, home, capsys, tmp_path):
        code, _, err = run(capsys, str(tmp_path / "no" / "shop.db"))
        assert (code, err) == (1, f"autocron: there is no database {tmp_path}/no/shop.db, nor its "
                                  "folder\n")  # fmt: skip

    def test_refuses_an_empty_file_and_leaves_it_empty(self, home, capsys, tmp_path):
        path = tmp_path / "empty.db"
        path.touch()
        code, _, err = run(capsys, str(path))
        assert code == 1
        assert "is an empty file" in err
        assert path.read_bytes() == b""

    def test_refuses_what_is_no_database(self, home, capsys, tmp_path):
        path = tmp_path / "letter.txt"
        path.write_text("Dear Sir or Madam, " * 100)
        before = content(tmp_path)
        code, _, err = run(capsys, str(path))
        assert code == 1
        assert "is no SQLite database" in err
        assert content(tmp_path) == before

    def test_refuses_a_foreign_database(self, home, capsys, tmp_path):
        path = tmp_path / "foreign.db"
        with sqlite3.connect(str(path)) as connection:
            connection.execute("CREATE TABLE letters (text)")
        connection.close()
        before = content(tmp_path)
        for option in ("-i", "--set-defaults", "--delete-database"):
            code, _, err = run(capsys, str(path), option)
            assert code == 1
            assert "another application" in err
        assert content(tmp_path) == before

    def test_refuses_a_newer_database(self, shop, capsys):
        shop.store.write("age", "PRAGMA user_version=99")
        shop.store.close()
        for option in ("-i", "--set-defaults", "--delete-database"):
            code, _, err = run(capsys, "shop.db", option)
            assert code == 1
            assert "newer autocron" in err

    def test_takes_an_absolute_path(self, home, capsys, tmp_path):
        path = tmp_path / "far.db"
        store = SQLiteStore(str(path))
        store.open()
        store.close()
        assert run(capsys, str(path))[1].startswith(f"{path}\n")

    def test_takes_a_command_for_a_name_if_it_is_written_as_a_path(self, home, capsys):
        assert "/.autocron/demo;" in run(capsys, "./demo")[2]
