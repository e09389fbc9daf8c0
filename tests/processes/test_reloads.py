"""Reloaders: a parent starts the server anew whenever a file has changed, each in its own way."""

from __future__ import annotations

import pytest

from tests.processes.world import Application, World, eventually

# What a reloader does: as long as the server ends to be started anew, it is.
_RELOADER = """
import subprocess, sys
while subprocess.call([sys.executable, "server.py", *sys.argv[1:]]) in (3, -9):
    pass
"""

# Runs until it is told to reload, the third one until it is told to end.
_SERVER = """
import os, pathlib, signal, sys
import autocron, tasks
from shared import HERE, mark, pass_gate

autocron.start({database!r})
mark("serving")
number = (HERE / "marks").read_text().count("serving")
tasks.version(number)
pass_gate("reload-" + str(number))
if number < 3:
    how = sys.argv[1]
    if how == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "calls execv":
        os.execv(sys.executable, [sys.executable, *sys.argv])
    sys.exit(3)
"""

_TASKS = """
import autocron
from shared import mark

@autocron.delay
def version(number):
    mark("ran", {version!r}, number)
"""


@pytest.mark.parametrize("how", ["exits with 3", "calls execv", "is killed"])
def test_after_a_reload_there_is_one_supervisor_and_it_has_the_new_code(
    world: World, how: str
) -> None:
    world.write("reloader.py", _RELOADER)
    world.write("server.py", _SERVER.format(database=world.database))
    # Of different lengths: Python does not see another change of the same size in the same second.
    versions = {number: "v" * number for number in (1, 2, 3)}
    world.write("tasks.py", _TASKS.format(version=versions[1]))
    reloader: Application = world.launch("reloader.py", how)
    for number in (1, 2, 3):
        (mark,) = world.await_marks("ran", versions[number], str(number))
        # Those of the code before have ended by now, or do so with nothing in hand.
        eventually(lambda mark=mark: world.workers == [mark.pid], "one worker, with new code")
        assert world.supervisor is not None
        assert len(world.background()) == 2
        if number < 3:
            world.write("tasks.py", _TASKS.format(version=versions[number + 1]))
        world.open_gate(f"reload-{number}")
    assert reloader.wait() == 0
    world.await_end()
    assert [mark.words[1:] for mark in world.marks("ran")] == [
        ("v", "1"),
        ("vv", "2"),
        ("vvv", "3"),
    ]
