"""The tool on a database that real processes serve."""

from __future__ import annotations

import json
import os
from contextlib import closing

from autocron.shell.sqlite import SQLiteStore
from autocron.testing.contract.tools import a_task


def info(command):
    done = command("shop.db", "--info", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)["info"]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_info_shows_who_serves_and_what_they_do(serve, command, tmp_path):
    word = tmp_path / "go"
    served = serve(", workers=2", str(word))
    begun = tmp_path / "go.begun"
    while not begun.exists():  # the other worker has answered, which may be sooner
        assert served.process.poll() is None
    try:
        found = info(command)
        assert found["application"]["is_running"] is True
        assert found["application"]["root"] == str(tmp_path / "application")
        assert found["application"]["modules"] == ["shop_tasks"]
        assert found["application"]["workers"] == 2
        assert alive(found["supervisor"]["pid"])
        assert all(alive(worker["pid"]) for worker in found["workers"])
        tasks = [worker["task"]["name"] for worker in found["workers"] if worker["task"]]
        assert tasks == ["shop_tasks:wait_for"]
        assert [one["key"] for one in found["schedules"]] == ["shop_tasks:nightly 30 2 * * *"]
        shown = command("shop.db").stdout
        assert "  application  running\n" in shown
        assert f"  supervisor   pid {found['supervisor']['pid']}\n" in shown
        assert "of 2, as start(workers=2) asks" in shown
        assert "shop_tasks:wait_for for " in shown
    finally:
        word.touch()
    served.stop()
    found = info(command)
    assert (found["supervisor"], found["workers"]) == (None, [])
    assert found["application"]["is_running"] is False


def test_start_wins_over_a_setting_and_the_tool_says_so(serve, command):
    serve(", workers=2")
    done = command("shop.db", "--set-max-workers", "5")
    assert "The supervisor (pid " in done.stdout
    assert "has called start(workers=2), which wins over max-workers.\n" in done.stdout
    assert len(info(command)["workers"]) <= 2


def test_a_living_supervisor_is_told_of_the_number_of_workers(serve, command):
    serve("")
    done = command("shop.db", "--set-max-workers", "3")
    assert "which wins" not in done.stdout
    # The supervisor wakes at once; it hires before it sleeps again, and its workers lock as they
    # begin. `autocron` starts in about a tenth of a second, so this asks a few times.
    for _ in range(100):
        if len(info(command)["workers"]) == 3:
            break
    else:
        raise AssertionError("the supervisor did not hear of it")


def test_a_lock_does_not_stop_what_runs_and_the_tool_says_so(serve, command):
    serve()
    done = command("shop.db", "--set-autocron-lock", "on")
    assert "workers go on until the application is started anew" in done.stdout
    assert info(command)["settings"]["autocron_lock"] is True
    assert command("shop.db", "--set-autocron-lock", "off").returncode == 0


def test_a_queue_of_which_no_worker_takes_tasks_is_pointed_out(serve, command):
    served = serve(", workers={'mail': 1, 'default': 1}")
    assert info(command)["unserved"] == []
    with closing(SQLiteStore(str(served.database))) as store:
        store.add(a_task("lost", queue="nowhere"))
        store.add(a_task("found", 1e9, queue="mail"))
    assert info(command)["unserved"] == ["nowhere"]
    shown = command("shop.db").stdout
    assert "  No worker takes tasks of nowhere: name them in start(workers={…})" in shown
    assert "no worker takes tasks of its queue" in command("shop.db", "--show", "lost").stdout
    assert "no worker takes" not in command("shop.db", "--show", "found").stdout
