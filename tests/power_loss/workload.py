"""An application under load, whose disk is recorded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from tests.fresh_start import OLD_TASKS, make_version_1
from tests.power_loss.recording import Record, Recorder
from tests.processes.world import PACKAGE_ROOT, World, eventually

SITE = Path(__file__).with_name("site")
DATABASE, NOTES = "project.db", "notes"
# So long all that was called may take to be done.
_PATIENCE_SECONDS = 120.0

# Bugs that are planted in all processes, each a sitecustomize.py, to see whether they are found.
PLANTS = {
    "off": """
from autocron.shell import connections
connections.SYNCHRONOUS["full"] = "OFF"
""",
    "normal": """
from autocron.shell import connections
connections.SYNCHRONOUS["full"] = "NORMAL"
""",
}


class Note(NamedTuple):
    """What the application has noted.

    Attributes:
        at: How many records stand before it.
        words: What it says.
    """

    at: int
    words: Tuple[str, ...]


class Run(NamedTuple):
    """What was recorded.

    Attributes:
        records: All that was done to the disk, in order.
        notes: The notes among it.
        before: What was on the disk before: name, inode and content of each file.
    """

    records: List[Record]
    notes: List[Note]
    before: Sequence[Tuple[str, int, bytes]] = ()


def site(folder: Path, disk: Path, plant: Optional[str] = None) -> World:
    """Write the application into a folder, its database to be on a disk of its own."""
    disk.mkdir(exist_ok=True)
    world = World(folder, str(disk / DATABASE))
    for file in SITE.glob("*.py"):
        shutil.copy(str(file), str(folder))
    world.environment["POWER_NOTES"] = str(disk / NOTES)
    if plant is not None:
        world.write("planted/sitecustomize.py", PLANTS[plant])
        path = world.environment["PYTHONPATH"]
        world.environment["PYTHONPATH"] = f"{folder / 'planted'}:{path}"
    return world


def record(
    compiled: Path,
    folder: Path,
    *,
    durability: str,
    seed: int,
    calls: int,
    plant: Optional[str] = None,
) -> Run:
    """Run an application, and record what is done to its disk.

    Two of its processes call at once, and end; a third one finds what they have left.

    Arguments:
        compiled: The recorder.
        folder: An empty folder.
        durability: What the application asks for.
        seed: Of its chance.
        calls: How many calls each of the two processes makes.
        plant: A bug to plant.
    """
    folder = folder.resolve()
    disk = folder / "disk"
    world = site(folder, disk, plant)
    world.allows_tracebacks = True
    recorder = Recorder(compiled, disk, folder / "log")
    has_failed = True
    try:
        for shares in ({"0": calls, "1": calls}, {"2": calls // 4}):
            _run(world, recorder, shares, durability, seed)
        has_failed = False
    finally:
        world.close(has_failed)
    return _read(recorder)


def _run(
    world: World, recorder: Recorder, shares: Dict[str, int], durability: str, seed: int
) -> None:
    notes = Path(world.environment["POWER_NOTES"])
    running = [
        world.launch(
            str(world.folder / "app.py"),
            *(world.database, durability, who, str(seed), str(count)),
            environment=recorder.environment,
        )
        for who, count in shares.items()
    ]

    def are_done() -> bool:
        for application in running:
            assert application.process.poll() is None, world.said()
        said = notes.read_text().splitlines() if notes.exists() else []
        return {f"done {who}" for who in shares} <= set(said)

    eventually(are_done, "all that was called is done", _PATIENCE_SECONDS)
    for application in running:
        application.end()
    world.await_end()


def record_migration(compiled: Path, folder: Path) -> Run:
    """Record how a database of the first version is brought up to date.

    Arguments:
        compiled: The recorder.
        folder: An empty folder.
    """
    disk = folder.resolve() / "disk"
    disk.mkdir()
    path = disk / DATABASE
    make_version_1(path)
    before = [(DATABASE, path.stat().st_ino, path.read_bytes())]
    recorder = Recorder(compiled, disk, folder / "log")
    environment = {**os.environ, **recorder.environment, "PYTHONPATH": PACKAGE_ROOT}
    script = "import sys; from autocron.shell.sqlite import SQLiteStore; SQLiteStore(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", f"{script}.open()", str(path)], env=environment, check=True
    )
    notes = [Note(0, ("accepted", *OLD_TASKS))]
    return Run(list(recorder.records()), notes, before)


def start_again(folder: Path, durability: str, awaited: Iterable[str]) -> List[str]:
    """Start the application on what is left of its disk; return which tasks do not come to an end.

    Arguments:
        folder: A folder that holds the disk.
        durability: What the application asks for.
        awaited: The ids of the tasks.
    """
    world = site(folder, folder / "disk")
    world.allows_tracebacks = True
    has_failed = True
    try:
        world.launch(str(world.folder / "app.py"), world.database, durability, "3", "0", "0")
        eventually(lambda: world.supervisor, "a supervisor")

        def stuck() -> List[str]:
            tasks = {task.id: task for task in world.store.find()}
            return [i for i in awaited if i not in tasks or not tasks[i].state.is_final]

        try:
            eventually(lambda: not stuck(), "all that was stored has ended", pause=0.05)
        except AssertionError:
            return stuck()
        has_failed = False
        return []
    finally:
        world.close(has_failed)


def _read(recorder: Recorder) -> Run:
    records: List[Record] = []
    notes: List[Note] = []
    for record in recorder.records():
        if record.path == NOTES:
            if record.kind == "W":
                for line in record.data.decode().splitlines():
                    notes.append(Note(len(records), tuple(line.split(" "))))
        else:
            records.append(record)
    return Run(records, notes)
