"""A disk that is really full: a file system of its own, in memory, mounted as root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from tests.processes.test_disk_faults import TELLS, assert_said_once, assert_sound
from tests.processes.world import World


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"NOT TESTED on a small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_is_really_full_is_told_and_survived(tmp_path: Path, small_disk: Path) -> None:
    world = World(tmp_path, database=str(small_disk / "project.db"))
    try:
        world.write_app(after=TELLS)
        application = world.application()
        assert application.ask("tasks.add(1, 2).get(60)") == 3
        serving = [world.await_supervisor(), *world.await_workers()]
        (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free))
        # Some of the log was written before, and is written again first.
        stored = application.ask(
            "[told(lambda: tasks.touch('it')) for _ in range(2000)].count(None)"
        )
        told = application.ask("told(lambda: tasks.touch('it'))")
        assert "the disk is full" in told
        assert application.ask("autocron.schedules()") == []

        (small_disk / "other").unlink()
        world.await_marks("touch", "it", count=stored)
        assert application.ask("tasks.add(1, 2).get(60)") == 3
        assert len(world.marks("touch", "it")) == stored
        assert [world.supervisor, *world.workers] == serving
        assert_said_once(world)
        assert_sound(world)
    finally:
        world.close(has_failed=True)
