"""Whatever is written in the database, only decorated functions run, and nothing is unpickled."""

from __future__ import annotations

import base64
import json
import os
import pickle
import sqlite3
import sys
from contextlib import closing

import pytest

from autocron.core.task import TaskState
from tests.processes.world import World

# Imported, it leaves a mark.
EVIL = 'import shared\nshared.mark("evil-was-imported")\n'


class Evil:
    def __reduce__(self) -> object:
        return os.system, ("touch evil-was-unpickled",)


PICKLED = '{"$pickle":"' + base64.b64encode(pickle.dumps(((Evil(),), {}))).decode() + '"}'

# Functions of the standard library, of modules that are there to import, and ways around the colon.
NAMES = [
    "os:system",
    "evil:function",
    "evil:",
    "evil",
    "tasks:os.system",
    "tasks:mark",
    "tasks:add.function.__globals__",
    "tasks:__class__.__init__.__globals__",
    "tasks.add:__call__",
    "builtins:exec",
    "../evil:function",
    "autocron:stop",
    "tasks:add\0",
    ":",
    "",
]


def _insert(world: World, *rows: object) -> None:
    sql = "INSERT INTO tasks (id, name, payload, enqueued_at, run_at) VALUES (?, ?, ?, 0, 0)"
    with closing(sqlite3.connect(world.database, isolation_level=None)) as connection:
        connection.executemany(sql, rows)


def test_a_name_in_a_row_imports_nothing_and_calls_nothing_undecorated(world: World) -> None:
    world.write("evil.py", EVIL + "def function(*args): shared.mark('evil-ran')\n")
    application = world.application()
    rows = [(f"evil-{n}", name, '[["touch evil-ran"],{}]') for n, name in enumerate(NAMES)]
    _insert(world, *rows, ("good", "tasks:touch", '[["after-all-of-them"],{}]'))
    application.do("tasks.touch('one-more')")
    world.await_marks("touch", "after-all-of-them")
    world.await_marks("touch", "one-more")
    assert not world.marks("evil-was-imported")
    assert not world.marks("evil-ran")
    assert not (world.folder / "evil-ran").exists()
    states = {world.task(f"evil-{n}").state for n in range(len(NAMES))}
    # Workers do not know them: they wait for newer code, and fail after a minute.
    assert states <= {TaskState.WAITING, TaskState.RUNNING, TaskState.FAILED}
    application.ask("tasks.add(1, 1).get(60)")


def test_a_pickled_row_is_not_unpickled_by_an_application_that_has_not_opted_in(
    world: World,
) -> None:
    application = world.application()
    _insert(world, ("pickled", "tasks:touch", PICKLED))
    assert application.ask("tasks.add(1, 2).get(60)") == 3
    task = world.await_task("pickled", "failed")
    assert task.failure is not None
    assert 'start(serializer="pickle")' in task.failure.message
    assert not (world.folder / "evil-was-unpickled").exists()


def test_a_pickled_result_is_not_unpickled_either(world: World) -> None:
    application = world.application()
    _insert(world, ("pickled", "tasks:add", "[[1,2],{}]"))
    world.await_task("pickled", "succeeded")
    with closing(sqlite3.connect(world.database, isolation_level=None)) as connection:
        connection.execute("UPDATE tasks SET result = ? WHERE id = 'pickled'", (PICKLED,))
    with pytest.raises(AssertionError, match="NotStorable"):
        application.ask("autocron.get_result('pickled').result")
    assert not (world.folder / "evil-was-unpickled").exists()


def test_settings_say_neither_which_code_runs_nor_whether_it_is_unpickled(world: World) -> None:
    """Once the description of the application was a setting, and an interpreter could be named."""
    program = world.write("program", f"#!/bin/sh\ntouch {world.folder}/evil-ran\n")
    os.chmod(program, 0o700)
    world.write("evil.py", EVIL)
    first = world.application()
    assert first.ask("tasks.add(1, 2).get(60)") == 3
    application = {
        "root": str(world.folder),
        "directory": "/",
        "sys_path": [str(world.folder)],
        "executable": str(program),
        "main_name": "evil",
        "main_file": str(world.folder / "evil.py"),
        "serializer": "pickle",
    }
    world.store.put_settings(
        {
            "application": json.dumps(application),
            "modules": '["evil", "antigravity"]',
            "start": "another",
        }
    )
    _insert(world, ("pickled", "tasks:touch", PICKLED))
    # Everything begins anew, and finds it.
    world.kill(world.supervisor, *world.workers)
    assert first.ask("tasks.add(2, 3).get(60)") == 5
    first.end()
    world.await_end()
    second = world.application()
    assert second.ask("tasks.add(3, 4).get(60)") == 7
    world.await_task("pickled", "failed")
    assert not world.marks("evil-was-imported")
    assert not (world.folder / "evil-ran").exists()
    assert not (world.folder / "evil-was-unpickled").exists()
    assert sys.executable in second.ask("sys.executable")
