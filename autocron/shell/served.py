"""Which code the workers of a database run, as it is written down in the run folder.

Nothing of it stands in the database. A row can ask for a decorated function to be called; which
interpreter is started, where modules are found and which ones are imported, and whether arguments
are unpickled, is said by the application alone, in a file that only its user may write.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from typing import Any, Collection, Dict, Iterator, List, NamedTuple, Optional, Tuple

from autocron.ports import Store
from autocron.shell.application import Application
from autocron.shell.ownership import RunFolder


class Known(NamedTuple):
    """What is written down.

    Attributes:
        application: The application; None if nothing is.
        modules: The modules in which its tasks live.
    """

    application: Optional[Application] = None
    modules: List[str] = []


def fingerprint(path: str) -> Optional[Tuple[int, int]]:
    """Return modification time and size of a file of code, or None if it can not be read."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Let one process at a time change it, that of which the transaction has its turn."""
    with store.transaction():
        store.settings()
        yield


class Served:
    """The file in which it is written; changed only where one is :func:`alone`.

    Arguments:
        folder: The run folder of the database.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def read(self) -> Known:
        """Return what is written down."""
        try:
            # A file that somebody has linked to another one is not ours.
            descriptor = os.open(self._folder.served, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return Known()
        with open(descriptor, "rb") as file:
            text = file.read()
        try:
            found: Dict[str, Any] = json.loads(text)
            return Known(Application.of(found["application"]), list(map(str, found["modules"])))
        except (ValueError, LookupError, TypeError, AttributeError):
            # A power cut may have left any of it; the next start() writes it anew.
            return Known()

    @property
    def application(self) -> Optional[Application]:
        """The application; None if there was none yet."""
        return self.read().application

    @property
    def modules(self) -> List[str]:
        """The names of the modules in which its tasks live."""
        return self.read().modules

    def mark(self) -> Optional[Tuple[int, int]]:
        """Return what is another one after each start of a process; None if nothing is written."""
        try:
            found = os.stat(self._folder.served)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def touch(self) -> None:
        """Have a start of a process seen that has nothing to write down."""
        with suppress(OSError):
            os.utime(self._folder.served)

    def write(self, application: Application, modules: Collection[str]) -> None:
        """Write it down; who reads meanwhile sees what was there, or this."""
        text = json.dumps({"application": application.entries(), "modules": sorted(modules)})
        new = f"{self._folder.served}.new"
        with suppress(FileNotFoundError):
            os.unlink(new)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)
        os.replace(new, self._folder.served)
