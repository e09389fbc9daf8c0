"""An application that goes from a file to PostgreSQL, with its processes, as its people do it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.contrib.procrastinate.host import Host
from tests.processes.world import World, eventually


@pytest.fixture
def before(tmp_path):
    folder = tmp_path / "before"
    folder.mkdir()
    world = World(folder)
    world.allows_tracebacks = True
    yield world
    world.close()


@pytest.fixture
def after(tmp_path, make_url):
    folder = tmp_path / "after"
    folder.mkdir()
    host = Host(folder, make_url())
    yield host
    host.close()


def _command(world, *words):
    return subprocess.run(
        [sys.executable, "-m", "autocron", world.database, *words],
        capture_output=True,
        env=world.environment,
        text=True,
        check=False,
    )


def _schedules(world):
    """Let a schedule fire each second, and leave a mark of which second that was."""
    world.write(
        "tasks.py",
        "import autocron\nfrom shared import mark\n"
        "@autocron.cron('* * * * * *', tz='UTC')\n"
        "def tick(): mark('tick', autocron.current_task().id)\n"
        "@autocron.delay\ndef add(a, b): return a + b\n",
    )


def test_it_is_stopped_moved_and_goes_on_where_it_was(before, after):
    application = before.application()
    ended = application.ask("tasks.add(1, 1).id")
    before.await_task(ended, "succeeded")
    later = application.ask("tasks.add.options(hours=1)(2, 2).id")
    # While it is served it is not moved, and nothing happens to it.
    refused = _command(before, "--move-to", after.url)
    assert refused.returncode == 1
    assert "is in use (the application, supervisor" in refused.stderr
    assert "stop the application and its workers, all of its processes" in refused.stderr
    assert application.ask("tasks.add(1, 2).get(60)") == 3
    # Nobody sees that one: it only calls, and has the file open.
    before.write_app("workers=0", name="caller.py")
    caller = before.application(str(before.folder / "caller.py"))
    application.do("autocron.stop()")
    application.end()
    eventually(lambda: not before.background(), "all of them have ended")
    waiting = caller.ask("tasks.add(3, 3).id")
    moved = _command(before, "--move-to", after.url)
    assert (moved.returncode, moved.stderr) == (0, "")
    # From now on its calls are refused, and so is whoever starts with the file.
    with pytest.raises(AssertionError, match="what is in it was moved to another database"):
        caller.ask("tasks.add(4, 4).id")
    started = before.launch()
    assert started.wait() == 1
    assert f"was moved to {after.url}" in before.said()
    there = after.application()
    assert there.ask(f"autocron.get_result({ended!r}).result") == 2
    assert there.ask(f"autocron.get_result({waiting!r}).get(60)") == 6
    assert there.ask(f"autocron.get_result({later!r}).is_ready") is False
    caller.end()


def test_no_second_of_a_schedule_is_run_here_and_there(before, after):
    for world in (before, after):
        _schedules(world)
    application = before.application()
    before.await_marks("tick", count=2)
    application.do("autocron.stop()")
    application.end()
    eventually(lambda: not before.background(), "all of them have ended")
    assert _command(before, "--move-to", after.url).returncode == 0
    after.application()
    after.await_marks("tick", count=2)
    seconds = [task.occurrence_at for task in after.store.find(name="tasks:tick")]
    assert len(seconds) == len(set(seconds))
    ran = [mark.words[1] for mark in (*before.marks("tick"), *after.marks("tick"))]
    assert len(ran) == len(set(ran))
