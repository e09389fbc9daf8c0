"""Which file stands under a name: a database may be deleted or replaced while it is open.

Who has a file open keeps it, whatever becomes of its name. So a process would go on storing into a
file that nobody else can find, and two processes might use two files under one name.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import Dict, Iterator, Optional, Tuple

# The log and its index, which SQLite finds by their names, and does not ask whose they are.
_BESIDE = ("-wal", "-shm")
_Identity = Optional[Tuple[int, int]]


class Place:
    """The file under a path at the moment of making this, and later what SQLite has beside it.

    Arguments:
        path: The path of the database.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._identity = _identity(path)
        self._beside: Dict[str, _Identity] = {}

    def look_beside(self) -> None:
        """Remember the files that SQLite has made beside it."""
        self._beside = {path: _identity(path) for path in (self._path + end for end in _BESIDE)}

    def is_still_there(self) -> bool:
        """Tell whether the same file stands there; asked at each use, by one call of the system."""
        try:
            found = os.stat(self._path)
        except OSError:
            return self._identity is None
        return (found.st_dev, found.st_ino) == self._identity

    def leave(self) -> None:
        """Remove the log of this file, which is not that of the one in its place.

        SQLite would read it into that one. If another process has removed it, what stands there by
        now belongs to the new file, and stays.
        """
        with alone_beside(self._path):
            for path, identity in self._beside.items():
                if identity is not None and _identity(path) == identity:
                    with suppress(OSError):
                        os.unlink(path)


def remove_left_over(path: str) -> None:
    """Remove what a database that was deleted has left, perhaps while others have it open.

    To be called alone, before a new one is made in its place: nothing that is beside a file is left
    over, even if that file is a moment old.
    """
    if not os.path.lexists(path):
        for end in _BESIDE:
            with suppress(OSError):
                os.unlink(path + end)


def _identity(path: str) -> _Identity:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def alone_beside(path: str) -> Iterator[None]:
    """Be the only one who looks at what is beside a database, and removes it."""
    try:
        descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # Who may not read the folder can not be alone in it.
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
