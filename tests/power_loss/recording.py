"""What processes had a disk do: the recorder that is preloaded, and what it has written."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Dict, Iterator, NamedTuple, Optional

RECORDER = Path(__file__).with_name("recorder.c")
_HEAD = struct.Struct("=IIQQII")
# struct record ends on a whole number of eight bytes.
assert _HEAD.size == 32


class Record(NamedTuple):
    """One thing that a process had the disk do.

    Attributes:
        kind: W write, T cut to a size, L a name for a file, U that name removed, R renamed, B and E
            the beginning and the end of a sync.
        thread: Who did it.
        inode: The file.
        offset: Where it was written, or the size.
        path: The name of the file, from the recorded folder on; empty for the folder itself.
        data: What was written, or the new name.
    """

    kind: str
    thread: int
    inode: int
    offset: int
    path: str
    data: bytes


class Recorder:
    """Records what processes do with the files of a folder.

    Arguments:
        compiled: The shared library that is preloaded.
        folder: The folder; no link leads to it.
        log: Where the record is written.
    """

    def __init__(self, compiled: Path, folder: Path, log: Path) -> None:
        self._folder = folder
        self._log = log
        self.environment: Dict[str, str] = {
            "LD_PRELOAD": str(compiled),
            "POWER_FOLDER": str(folder),
            "POWER_LOG": str(log),
        }

    def records(self) -> Iterator[Record]:
        """Return what was recorded."""
        skipped = len(str(self._folder)) + 1
        with open(self._log, "rb") as file:
            while True:
                head = file.read(_HEAD.size)
                if not head:
                    return
                kind, thread, inode, offset, path_length, data_length = _HEAD.unpack(head)
                path = file.read(path_length).decode()[skipped:]
                data = file.read(data_length)
                yield Record(chr(kind), thread, inode, offset, path, data)


def why_not() -> Optional[str]:
    """Tell why nothing can be recorded on this machine; None if it can."""
    if shutil.which("gcc") is None:
        return "there is no gcc to compile tests/power_loss/recorder.c"
    if not Path("/proc/self/fd").is_dir():
        return "there is no /proc, where the recorder reads which file a descriptor is"
    return None


def compile_recorder(folder: Path) -> Path:
    """Compile the recorder into a folder; return the shared library."""
    compiled = folder / "recorder.so"
    subprocess.run(
        ["gcc", "-Wall", "-shared", "-fPIC", "-O1", "-o", compiled, RECORDER, "-ldl"], check=True
    )
    return compiled
