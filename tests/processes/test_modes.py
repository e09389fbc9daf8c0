"""What real programs come to: ``start()`` decides by what they are, and says so."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Dict, Optional

import pytest

from tests.processes.world import World

_LOGGED = "import logging; logging.basicConfig(level='INFO')"


def _run(world: World, *arguments: str, environment: Optional[Dict[str, str]] = None) -> str:
    """Run a program to its end; return what it says."""
    found = subprocess.run(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**world.environment, **(environment or {})},
        cwd=str(world.folder),
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stdout.decode()
    return found.stdout.decode()


# Starts, calls, and says what came of it.
_PROGRAM = """
import logging; logging.basicConfig(level="INFO")
import autocron, tasks
served = autocron.start({database!r})
print("served", served, tasks.pid().status)
"""


@pytest.fixture
def program(world: World) -> World:
    world.write("program.py", _PROGRAM.format(database=world.database))
    return world


def test_autocron_start_0_stores_calls_and_starts_nothing(program: World) -> None:
    said = _run(program, "program.py", environment={"AUTOCRON_START": "0"})
    assert "served False waiting" in said
    assert f"attached to {program.database}" in said
    assert "AUTOCRON_START is 0" in said
    assert program.background() == []


def test_autocron_start_1_starts_workers_in_what_looks_like_a_command(world: World) -> None:
    world.write_app(before=_LOGGED, name="manage.py")
    attached = world.application("manage.py", "migrate")
    assert attached.ask("served") is False
    assert world.background() == []
    application = world.application("manage.py", "migrate", environment={"AUTOCRON_START": "1"})
    assert application.ask("served") is True
    assert application.ask("tasks.add(1, 1).get(60)") == 2
    assert f"serving {world.database}" in world.said()
    assert "AUTOCRON_START is 1" in world.said()


def test_another_word_is_an_error_that_changes_nothing(program: World) -> None:
    program.write(
        "program.py",
        f"""
import autocron, os, tasks
try: autocron.start({program.database!r})
except autocron.StartError as error: print(error)
print("active", autocron.default_app.is_active)
""",
    )
    said = _run(program, "program.py", environment={"AUTOCRON_START": "maybe"})
    assert "AUTOCRON_START: 'maybe' is not one of 0, 1" in said
    assert "active False" in said
    assert not os.path.exists(program.database)
    assert program.background() == []


def test_children_of_tasks_attach_whatever_the_environment_says(world: World) -> None:
    world.write("program.py", _PROGRAM.format(database=world.database))
    world.write(
        "tasks.py",
        (world.folder / "tasks.py").read_text()
        + """
@autocron.delay
def run_program():
    import subprocess, sys
    return subprocess.check_output([sys.executable, "program.py"]).decode()
""",
    )
    application = world.application(environment={"AUTOCRON_START": "1"})
    assert "served False" in application.ask("tasks.run_program().get(60)")
    assert len(world.background()) == 2


def test_a_test_run_starts_and_stores_nothing(program: World) -> None:
    """Neither where an application is imported by its tests, nor in tests of unittest."""
    program.write(
        "test_it.py",
        """
import os, unittest
import program, tasks

class ItTest(unittest.TestCase):
    def test_it(self):
        self.assertIs(program.served, False)
        self.assertEqual(tasks.pid().result, os.getpid())
""",
    )
    said = _run(program, "-m", "unittest", "test_it")
    assert "this is a test run (unittest)" in said
    # Not with what this run was given.
    plain = {"PYTEST_ADDOPTS": ""}
    said = _run(
        program, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", environment=plain
    )
    assert "1 passed" in said
    assert program.background() == []
    assert not os.path.exists(program.database)
