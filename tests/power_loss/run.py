"""Takes the power away at many moments of one recording, and judges what is left."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Dict, List, NamedTuple

from tests.power_loss.disk import Disk
from tests.power_loss.judge import calls, judge, promised
from tests.power_loss.recording import Record
from tests.power_loss.workload import DATABASE, Run, start_again

_LOG = DATABASE + "-wal"


class Found(NamedTuple):
    """What has come out.

    Attributes:
        cuts: How often the power was lost.
        promises: How many stored tasks were looked for, in all of them.
        unsynced: In how many of them something of the log was not synced.
        kinds: What was done last before the power was lost, and how often.
        at_risk: How many tasks at most had been accepted, and were not promised.
        starts: In how many of them the application itself was started.
        broken: Which promises are broken, in words.
    """

    cuts: int
    promises: int
    unsynced: int
    kinds: Dict[str, int]
    at_risk: int
    starts: int
    broken: List[str]


def lose_power(
    run: Run, folder: Path, *, durability: str, seed: int, cuts: int, starts: int = 0
) -> Found:
    """Take the power away.

    Arguments:
        run: What was recorded.
        folder: An empty folder.
        durability: What is promised.
        seed: Of the moments, and of what is left.
        cuts: How often.
        starts: In how many of them the application itself is started, which takes seconds.
    """
    chance = random.Random(seed)
    together = calls(run.notes)
    disk, moments = Disk(), _moments(run, chance, cuts)
    synced, syncing = 0, {}
    done = promises = unsynced = at_risk = started = 0
    kinds: Dict[str, int] = {}
    broken: List[str] = []
    for name, inode, content in run.before:
        disk.put(name, inode, content)
    for number, record in enumerate(run.records):
        disk.take(record)
        # Whoever syncs the log syncs what others have written to it.
        if record.path == _LOG and record.kind == "B":
            syncing[record.thread] = number
        elif record.path == _LOG and record.kind == "E":
            synced = max(synced, syncing[record.thread])
        for _ in range(moments.get(number, 0)):
            must = promised(run, number if durability == "full" else synced)
            what = f"{record.kind} {record.path}"
            kinds[what] = kinds.get(what, 0) + 1
            promises += len(must.stored)
            at_risk = max(at_risk, len(promised(run, number).stored) - len(must.stored))
            unsynced += disk.unsynced_bytes(_LOG) > 0
            left = folder / str(done)
            story = _leave(disk, chance, left / "disk")
            # As many at each stage of the run; a copy, since to judge is to start and go on.
            if (done + 1) * starts // cuts > done * starts // cuts:
                shutil.copytree(str(left), str(left / "again"))
                stuck = start_again(left / "again", durability, must.stored)
                found = [f"stuck, or lost, after a start: {task_id}" for task_id in stuck]
                started += 1
            else:
                found = []
            found += judge(left / "disk" / DATABASE, must, together)
            broken += [f"after {what} (record {number}), {story}: {why}" for why in found]
            shutil.rmtree(str(left))
            done += 1
    return Found(done, promises, unsynced, kinds, at_risk, started, broken)


def _moments(run: Run, chance: random.Random, cuts: int) -> Dict[int, int]:
    """Choose the records after which the power is lost, each how often."""
    last = len(run.records) - 1
    returned = [note.at - 1 for note in run.notes if note.at and note.words[0] != "done"]
    kinds: Dict[str, List[int]] = {}
    for number, record in enumerate(run.records):
        kinds.setdefault(_kind(record), []).append(number)
    # As often when a call has just returned, at any moment, and while the database itself, or a
    # name, is changed, which is rare.
    rare = [kinds[kind] for kind in ("database", "name") if kind in kinds]
    wells = [well for well in (returned, range(last + 1), *rare) if well]
    moments: Dict[int, int] = {}
    for number in range(cuts):
        moment = chance.choice(wells[number % len(wells)])
        moments[moment] = moments.get(moment, 0) + 1
    return moments


def _kind(record: Record) -> str:
    if record.kind in "LU" and "/" not in record.path:
        return "name"
    return "database" if record.path == DATABASE else "other"


def _leave(disk: Disk, chance: random.Random, folder: Path) -> str:
    folder.mkdir(parents=True)
    story = disk.lose_power(chance, folder, lambda name: not name.startswith(DATABASE))
    _spoil_index(chance, folder)
    return story


def _spoil_index(chance: random.Random, folder: Path) -> None:
    """Put anything in place of the index of the log, which is memory that processes share."""
    index = folder / f"{DATABASE}-shm"
    kind = chance.choice(("missing", "rubbish", "as it is"))
    if kind == "missing" and index.exists():
        index.unlink()
    elif kind == "rubbish":
        index.write_bytes(bytes(chance.getrandbits(8) for _ in range(32768)))
