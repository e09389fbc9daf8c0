"""Files are their user's alone; what somebody else owns, or may write, is refused."""

from __future__ import annotations

import functools
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Callable, List

import pytest

from autocron.core.errors import StartError
from autocron.shell.ownership import RunFolder
from autocron.shell.paths import database_path
from autocron.shell.private import check_database
from autocron.shell.wakeup import unbind
from tests.processes.world import World

SOMEBODY_ELSE = 12345


def _mode(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def _attempt(database: str, before: str = "") -> str:
    """Start an application in a process of its own; return what it says."""
    script = f"import autocron\n{before}\nprint(autocron.start({database!r}, workers=0))"
    said = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    return said.stdout.decode()


def test_what_a_served_database_leaves_is_for_its_user_alone_whatever_the_umask(
    world: World,
) -> None:
    world.write_app(before="os.umask(0)")
    application = world.application()
    assert application.ask("tasks.add(1, 2).get(60)") == 3
    assert _mode(world.run.path) == 0o700
    files = [world.database + end for end in ("", "-wal", "-shm")]
    files += [entry.path for entry in os.scandir(world.run.path) if entry.is_file()]
    assert world.run.served in files
    assert {_mode(path) for path in files} == {0o600}


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o602])
@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, end: str, mode: int) -> None:
    path = str(tmp_path / "project.db")
    Path(path + end).touch()
    os.chmod(path + end, mode)
    with pytest.raises(StartError, match=f"other users may write '.*project.db{end}'.*chmod go-w"):
        check_database(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal", ".run"])
def test_what_somebody_else_owns_is_refused(tmp_path: Path, end: str) -> None:
    path = str(tmp_path / "project.db")
    if end == ".run":
        os.mkdir(path + end, 0o700)
    else:
        Path(path + end).touch(mode=0o600)
    os.chown(path + end, SOMEBODY_ELSE, SOMEBODY_ELSE)
    check = RunFolder(path).make if end == ".run" else functools.partial(check_database, path)
    with pytest.raises(StartError, match=f"is owned by user {SOMEBODY_ELSE}"):
        check()


def test_a_folder_in_which_everybody_may_replace_files_is_refused(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    with pytest.raises(StartError, match="everybody may replace files"):
        check_database(str(tmp_path / "project.db"))
    # In /tmp, for example, nobody may replace what is another's.
    os.chmod(tmp_path, 0o1777)
    check_database(str(tmp_path / "project.db"))


def _writable(path: str) -> None:
    os.mkdir(path)
    os.chmod(path, 0o777)


def _elsewhere(path: str) -> None:
    os.mkdir(f"{path}-of-theirs", 0o700)
    os.symlink(f"{path}-of-theirs", path)


@pytest.mark.parametrize("prepare", [_writable, _elsewhere])
def test_a_run_folder_that_was_prepared_is_refused(
    tmp_path: Path, prepare: Callable[[str], None]
) -> None:
    path = str(tmp_path / "project.db")
    prepare(RunFolder(path).path)
    with pytest.raises(StartError, match=r"project\.db\.run"):
        RunFolder(path).make()


def test_a_home_folder_that_others_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    database_path("project.db")
    assert _mode(str(tmp_path / ".autocron")) == 0o700
    os.chmod(tmp_path / ".autocron", 0o777)
    with pytest.raises(StartError, match="other users may write"):
        database_path("project.db")


def test_start_refuses_with_one_clear_sentence_and_changes_nothing(tmp_path: Path) -> None:
    database = tmp_path / "project.db"
    assert _attempt(str(database)) == "False\n"  # attached: it has no workers of its own
    os.chmod(database, 0o666)
    before = database.read_bytes()
    assert "StartError: database: other users may write" in _attempt(str(database))
    assert database.read_bytes() == before


def test_a_link_in_the_place_of_a_socket_deletes_nothing_of_others(tmp_path: Path) -> None:
    kept = [tmp_path / "precious" / name for name in ("one", "two")]
    kept[0].parent.mkdir()
    for path in kept:
        path.touch()
    os.symlink(kept[0].parent / "no such socket", tmp_path / "wake.sock")
    unbind(str(tmp_path / "wake.sock"))
    left: List[Path] = sorted(kept[0].parent.iterdir())
    assert left == kept


def test_a_file_that_somebody_puts_there_just_before_it_is_opened_is_refused(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "project.db")
    somebody = """
import os
from autocron.shell.sqlite import SQLiteStore
opened = SQLiteStore.open
def open_too_late(self, create=True):
    os.chmod(self.path, 0o666)
    opened(self, create)
SQLiteStore.open = open_too_late
"""
    assert _attempt(path) == "False\n"
    assert "other users may write" in _attempt(path, somebody)
