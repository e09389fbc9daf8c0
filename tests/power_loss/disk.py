"""A disk that loses its power: what it may have kept of what it was told.

The model is the harshest that SQLite is made for. Of a file, what was there when a sync began that
has ended is kept; of what came later any part may be: none, all, some writes and not others, in
whatever order, each of them torn at the borders of sectors, and where one was torn there may be
rubbish. Bytes beside those that were written stay as they are. Of the names in a folder, those are
kept that were there at its last sync, and then the changes up to some moment.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from tests.power_loss.recording import Record

SECTOR_BYTES = 512


class _Change(NamedTuple):
    """A write; or, without data, a cut to a size."""

    offset: int
    data: Optional[bytes]


class _File:
    def __init__(self) -> None:
        self.kept = bytearray()
        self.pending: List[_Change] = []
        # Thread that syncs -> how many of the pending changes it will have synced.
        self.syncing: Dict[int, int] = {}

    def sync(self, thread: int) -> None:
        count = self.syncing.pop(thread)
        for change in self.pending[:count]:
            _apply(self.kept, change)
        del self.pending[:count]
        self.syncing = {who: max(0, other - count) for who, other in self.syncing.items()}


class _Folder:
    def __init__(self) -> None:
        self.kept: Dict[str, int] = {}
        # Name -> inode, or None where it is removed.
        self.pending: List[Tuple[str, Optional[int]]] = []
        self.syncing: Dict[int, int] = {}

    def now(self, changes: Optional[int] = None) -> Dict[str, int]:
        """Return the names as they are after so many of the pending changes, or all of them."""
        names = dict(self.kept)
        for name, inode in self.pending[:changes]:
            if inode is None:
                names.pop(name, None)
            else:
                names[name] = inode
        return names

    def sync(self, thread: int) -> None:
        count = self.syncing.pop(thread)
        self.kept = self.now(count)
        del self.pending[:count]
        self.syncing = {who: max(0, other - count) for who, other in self.syncing.items()}


class Disk:
    """The files of one folder, without what is in folders below it."""

    def __init__(self) -> None:
        self._files: Dict[int, _File] = {}
        self._folder = _Folder()

    def put(self, name: str, inode: int, content: bytes) -> None:
        """Have a file on the disk from the beginning."""
        self._files[inode] = _File()
        self._files[inode].kept = bytearray(content)
        self._folder.kept[name] = inode

    def take(self, record: Record) -> None:
        """Do what a process did."""
        if "/" in record.path:
            return
        if not record.path:
            if record.kind == "B":
                self._folder.syncing[record.thread] = len(self._folder.pending)
            elif record.kind == "E":
                self._folder.sync(record.thread)
            return
        if record.kind == "L":
            if self._folder.now().get(record.path) != record.inode:
                self._files[record.inode] = _File()
                self._folder.pending.append((record.path, record.inode))
        elif record.kind == "U":
            self._folder.pending.append((record.path, None))
        elif record.kind == "R":
            # Only a file in the folder of locks is ever renamed.
            raise AssertionError(f"a disk is not told what to make of {record}")
        else:
            self._take_change(self._files[record.inode], record)

    def _take_change(self, file: _File, record: Record) -> None:
        if record.kind == "W":
            file.pending.append(_Change(record.offset, record.data))
        elif record.kind == "T":
            file.pending.append(_Change(record.offset, None))
        elif record.kind == "B":
            file.syncing[record.thread] = len(file.pending)
        elif record.kind == "E":
            file.sync(record.thread)

    def unsynced_bytes(self, name: str) -> int:
        """Return how much was written to a file since it was synced."""
        inode = self._folder.now().get(name)
        pending = () if inode is None else self._files[inode].pending
        return sum(len(change.data or b"") for change in pending)

    def lose_power(
        self, chance: random.Random, folder: Path, is_left_out: Callable[[str], bool]
    ) -> str:
        """Write the files, as they may be once the power is back, into an empty folder.

        Arguments:
            chance: Decides what is kept.
            folder: The folder.
            is_left_out: Tells of a name whether it is not to be written.

        Returns:
            What was kept, in words.
        """
        common = chance.choice(_WAYS)
        names = self._folder.now(chance.randrange(len(self._folder.pending) + 1))
        story = [f"names {sorted(names)}"]
        for name, inode in sorted(names.items()):
            if is_left_out(name):
                continue
            file = self._files[inode]
            way = common if chance.random() < 0.6 else chance.choice(_WAYS)
            content = bytearray(file.kept)
            kept = way(file.pending, chance)
            for change in kept:
                _apply(content, change)
            with open(os.path.join(str(folder), name), "wb") as target:
                target.write(content)
            if file.pending:
                story.append(f"{name}: {way.__name__[1:]} of {len(file.pending)} changes")
        return ", ".join(story)


def _apply(content: bytearray, change: _Change) -> None:
    offset, data = change
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


# -- what may be kept of what was not synced ------------------------------------------------------


def _none(pending: List[_Change], chance: random.Random) -> List[_Change]:
    return []


def _all(pending: List[_Change], chance: random.Random) -> List[_Change]:
    """What a process that is killed leaves behind."""
    return pending


def _first(pending: List[_Change], chance: random.Random) -> List[_Change]:
    """Up to some moment, the last of them torn."""
    count = chance.randrange(len(pending) + 1)
    return [*pending[:count], *_sectors(pending[count : count + 1], chance)]


def _last(pending: List[_Change], chance: random.Random) -> List[_Change]:
    return pending[chance.randrange(len(pending) + 1) :]


def _some(pending: List[_Change], chance: random.Random) -> List[_Change]:
    share = chance.choice((0.1, 0.5, 0.9))
    return [change for change in pending if chance.random() < share]


def _all_but_one(pending: List[_Change], chance: random.Random) -> List[_Change]:
    missing = chance.randrange(len(pending)) if pending else 0
    return [change for number, change in enumerate(pending) if number != missing]


def _sectors(pending: List[_Change], chance: random.Random) -> List[_Change]:
    """Some sectors of each write."""
    share = chance.choice((0.1, 0.5, 0.9))
    return [piece for piece in _pieces(pending) if chance.random() < share]


def _rubbish(pending: List[_Change], chance: random.Random) -> List[_Change]:
    """Some sectors, and what nobody has written in some others."""
    kept = []
    for piece in _pieces(_some(pending, chance)):
        drawn = chance.random()
        if drawn < 0.1 and piece.data is not None:
            kept.append(piece._replace(data=bytes(chance.getrandbits(8) for _ in piece.data)))
        elif drawn < 0.8:
            kept.append(piece)
    return kept


_WAYS = (_none, _all, _first, _last, _some, _all_but_one, _sectors, _rubbish)


def _pieces(pending: List[_Change]) -> List[_Change]:
    """Cut writes at the borders of sectors."""
    pieces = []
    for offset, data in pending:
        if data is None:
            pieces.append(_Change(offset, None))
            continue
        at, end = offset, offset + len(data)
        while at < end:
            until = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
            pieces.append(_Change(at, data[at - offset : until - offset]))
            at = until
    return pieces
