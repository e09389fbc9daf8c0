"""Who is alive: ownership as locks of the kernel, which no death can leave behind.

Beside ``project.db`` stands a folder ``project.db.run``. In it the supervisor and each worker hold
an exclusive lock (``lockf``, which belongs to a process) on a file of their own, and every process
of the application holds a share (``flock``, which belongs to an open file) on one. A row, a
process id or a lease can be stale; a lock can not.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import time

from autocron.core.errors import StoreError
from autocron.shell.private import check_folder

# Type checkers take this for true. Not from typing: start() waits for a process that imports this.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Dict, List, Optional

# struct flock, as fcntl(2) lays it out: type, whence, start, length, pid.
_FLOCK = "@qqihh" if sys.platform == "darwin" else "@hhqqi"

# Closing any descriptor of a file gives up this process's lockf locks on it, so a file that is
# locked here must never be opened a second time. Path -> process id.
_held: Dict[str, int] = {}


class RunFolder:
    """The paths of the lock files and sockets that belong to one database."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.path = database + ".run"
        self.supervisor = os.path.join(self.path, "supervisor.lock")
        self.application = os.path.join(self.path, "application.lock")
        self.wake = os.path.join(self.path, "wake.sock")
        self.control = os.path.join(self.path, "control.sock")
        self.turnstile = os.path.join(self.path, "turnstile.lock")
        self.served = os.path.join(self.path, "served.json")
        # Of a database that several hosts share; see `autocron.shell.remote`.
        self.url = os.path.join(self.path, "url")
        self.host = os.path.join(self.path, "host")

    def make(self) -> None:
        """Create the folder, readable by its owner only.

        Raises:
            StartError: There is one that is somebody else's, or that others may write.
        """
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        check_folder(self.path)

    def worker(self, name: str) -> str:
        """Return the path of a worker's lock file."""
        return os.path.join(self.path, f"worker-{name}.lock")

    def logbook(self, name: str) -> str:
        """Return the path of a worker's logbook; see :mod:`autocron.shell.logbook`."""
        return os.path.join(self.path, f"worker-{name}.logbook")

    def workers(self) -> List[str]:
        """Return the names of all workers that have a lock file, alive or not."""
        return self._names(".lock")

    def logbooks(self) -> List[str]:
        """Return the names of all workers that have a logbook, alive or not."""
        return self._names(".logbook")

    def _names(self, end: str) -> List[str]:
        start = "worker-"
        try:
            files = os.listdir(self.path)
        except FileNotFoundError:
            return []
        return sorted(
            file[len(start) : -len(end)]
            for file in files
            if file.startswith(start) and file.endswith(end)
        )


def remove(path: str) -> None:
    """Remove the lock file of a process that is gone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


class Lock:
    """An exclusive lock of this process; the kernel releases it when the process ends."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        _held[path] = os.getpid()

    def note(self, text: str) -> None:
        """Write something into the file, for others to read; see :func:`read_note`."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def noted(self) -> str:
        """Return what this process, or an earlier holder, has written there."""
        return os.pread(self._descriptor, 4096, 0).decode(errors="replace")

    def release(self) -> None:
        """Give the lock up; the file stays."""
        _held.pop(self.path, None)
        os.close(self._descriptor)


def _opened(path: str, flags: int = 0) -> int:
    """Open a lock file.

    Raises:
        FileNotFoundError: It is missing, or its folder is.
        StoreError: It can not be opened; the message says why.
    """
    try:
        return os.open(path, os.O_RDWR | flags, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(
            f"the lock file {path} can not be opened ({error.strerror}); give this user the right "
            "to write it and its folder, and its disk some space"
        ) from error


def acquire(path: str) -> Optional[Lock]:
    """Take the exclusive lock on a file.

    Arguments:
        path: The lock file; it is created if it is missing.

    Returns:
        The lock, or None if another process holds it.
    """
    if _held.get(path) == os.getpid():
        return None
    while True:
        descriptor = _opened(path, os.O_CREAT)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return None
            raise
        # Somebody may have removed the file between our open and our lock: then we locked a file
        # that nobody else will find.
        try:
            is_found = os.path.samestat(os.fstat(descriptor), os.stat(path))
        except FileNotFoundError:
            is_found = False
        if is_found:
            return Lock(path, descriptor)
        os.close(descriptor)


def holder(path: str) -> Optional[int]:
    """Tell who holds the exclusive lock on a file, without disturbing anybody.

    Arguments:
        path: The lock file.

    Returns:
        The process id of the holder, or None if the file is free or missing.
    """
    if _held.get(path) == os.getpid():
        return os.getpid()
    try:
        descriptor = _opened(path)
    except FileNotFoundError:
        return None
    try:
        if sys.platform == "darwin":
            asked = struct.pack(_FLOCK, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
        else:
            asked = struct.pack(_FLOCK + "0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = struct.unpack_from(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    kind, pid = (answer[3], answer[2]) if sys.platform == "darwin" else (answer[0], answer[4])
    return None if kind == fcntl.F_UNLCK else pid


def living_workers(folder: RunFolder) -> List[str]:
    """Return the names of the workers that live."""
    return [name for name in folder.workers() if holder(folder.worker(name)) is not None]


def read_note(path: str) -> str:
    """Return what the holder of the lock on a file has written into it; nothing of our own.

    To close a file whose lock this process holds would give up the lock.
    """
    if _held.get(path) == os.getpid():
        return ""
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


class Share:
    """A process's share in the application: while one is held, the application lives.

    A forked child inherits the open file and with it the parent's lock, so it takes a share of its
    own (:meth:`renew`) and closes the inherited one. Closing is the only way of giving up: LOCK_UN
    in a child would unlock the parent's.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: Optional[int] = self._take()

    def _take(self) -> int:
        descriptor = _opened(self._path, os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor

    def renew(self) -> None:
        """Take an own share after a fork, in the child."""
        if self._descriptor is not None:
            inherited = self._descriptor
            self._descriptor = self._take()
            os.close(inherited)

    def release(self) -> None:
        """Give the share up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_shared(path: str) -> bool:
    """Tell whether any process holds a share."""
    # Whoever else just asks is in our way for a moment, as we are in his; a share is there to stay.
    for pause_seconds in (0.001, 0.002, 0.0):
        try:
            descriptor = _opened(path)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
        else:
            return False
        finally:
            os.close(descriptor)
        time.sleep(pause_seconds)
    return True


def wait_until_unshared(path: str) -> None:
    """Block until no process holds a share."""
    descriptor = _opened(path, os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)
