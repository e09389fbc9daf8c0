"""The logbook of a worker: what it has begun and ended of a stint, for when it is killed amid one.

A file beside its lock file. Each entry is written by one call of the system: then it is the
kernel's, and outlives the process. Nobody waits for the disk: a power cut may take entries, and
what is lost is run again. One that was cut off does no harm: each stands for itself, and says which
attempt it is about.
"""

from __future__ import annotations

import os
import struct
from binascii import crc32
from contextlib import suppress
from datetime import datetime
from typing import Dict, Iterable, Iterator, List, Optional, Set, Tuple

from autocron.core.task import Task
from autocron.ports import Attempt, Logged
from autocron.shell.ownership import RunFolder
from autocron.shell.rows import instant, microseconds

# The length of what follows, and its checksum.
_HEAD = struct.Struct("=LL")
# Behind the last entry, so that what is left of earlier stints is not read as going on with it.
_END = bytes(_HEAD.size)
# More than this is not kept until the end of a stint.
_MOST_BYTES = 1024 * 1024


class FileLogbook:
    """Writes the logbook of this process; implements :class:`autocron.ports.Logbook`.

    Arguments:
        path: The path of the file, in the run folder. If it can not be made, nothing is noted, and
            so tasks are stored one by one.
    """

    def __init__(self, path: str) -> None:
        self._at = 0
        self._descriptor = -1
        with suppress(OSError):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def note(self, begun: Task, ended: Optional[Task] = None) -> bool:
        """Note that an attempt begins, and how the one before it has ended."""
        if "\n" in begun.id or (ended is not None and "\n" in ended.id):
            # None of ours is like this; the entry could not be read.
            return False
        text = f"{begun.id}\n{begun.attempt}"
        if ended is not None and ended.started_at is not None and ended.finished_at is not None:
            began_us, ended_us = microseconds(ended.started_at), microseconds(ended.finished_at)
            text += f"\n{ended.id}\n{ended.attempt}\n{began_us}\n{ended_us}\n{ended.result}"
        entry = text.encode(errors="surrogatepass")
        size = _HEAD.size + len(entry)
        if self._at + size > _MOST_BYTES:
            return False
        try:
            head = _HEAD.pack(len(entry), crc32(entry))
            written = os.pwrite(self._descriptor, head + entry + _END, self._at)
        except OSError:
            return False
        if written < size:
            # The next one is written over it.
            return False
        self._at += size
        return True

    def clear(self) -> None:
        """Take note that all that has ended is stored: entries begin anew."""
        self._at = 0
        # What was handed back has the same number of an attempt when it begins again.
        with suppress(OSError):
            os.pwrite(self._descriptor, _END, 0)


def logged(folder: RunFolder, worker: str) -> Optional[Logged]:
    """Return what a worker has noted; None if it keeps no logbook, or it can not be read."""
    try:
        with open(folder.logbook(worker), "rb") as file:
            content = file.read(2 * _MOST_BYTES)
    except OSError:
        return None
    begun: Set[Attempt] = set()
    ended: Dict[Attempt, Tuple[datetime, datetime, str]] = {}
    for entry in _entries(content):
        task_id, attempt, *end = entry.decode(errors="surrogatepass").split("\n", 6)
        begun.add((task_id, int(attempt)))
        if end:
            ended_id, ended_attempt, began_us, ended_us, result = end
            times = instant(int(began_us)), instant(int(ended_us))
            ended[ended_id, int(ended_attempt)] = (*times, result)
    return Logged(frozenset(begun), ended)


def in_hand(folder: RunFolder, running: Iterable[Task]) -> Dict[str, Task]:
    """Return the task that each worker has in hand, by its name: others are claimed behind it.

    Arguments:
        folder: The run folder.
        running: All tasks that are stored as running.
    """
    tasks: Dict[str, List[Task]] = {}
    for task in running:
        tasks.setdefault(task.worker or "", []).append(task)
    found = {}
    for worker, held in tasks.items():
        found[worker] = held[0]
        known = logged(folder, worker) if len(held) > 1 else None
        if known is not None:
            for task in held:
                if (task.id, task.attempt) in known.under_way:
                    found[worker] = task
    return found


def _entries(content: bytes) -> Iterator[bytes]:
    """Yield the entries up to the first place where there is none."""
    at = 0
    while at + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        entry = content[at : at + length]
        if not length or len(entry) < length or crc32(entry) != checksum:
            return
        yield entry
        at += length
