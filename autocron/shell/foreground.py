"""A supervisor in the foreground: ``autocron DATABASE --run MODULE…``, for systemd or a container.

The process that is started is the supervisor, and its workers are its children. It holds the share
of an application itself, since those that only enqueue hold none. It ends when it is told to, and
its exit code says why it has ended.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from dataclasses import dataclass
from typing import Collection, List, Optional

from autocron.core.errors import StartError
from autocron.core.settings import Settings
from autocron.core.workforce import Workers
from autocron.shell.application import apart
from autocron.shell.clock import SystemClock
from autocron.shell.code import DJANGO_PROJECT
from autocron.shell.kinds import opened, prepared
from autocron.shell.output import guard_output, log_to_stderr
from autocron.shell.ownership import Lock, RunFolder, Share, acquire, holder, is_shared
from autocron.shell.paths import database_path
from autocron.shell.service import begin_service
from autocron.shell.supervisor import Supervisor

logger = logging.getLogger("autocron")

# Exit codes. 1 is any other error, 2 bad use, as everywhere at the command line.
ASKED_TO_STOP, WENT_WRONG, IS_RUN_ALREADY, CAN_NOT_IMPORT = 0, 1, 3, 4

# A supervisor whose application has ended is gone so long after the grace of its workers.
_LEAVING_SECONDS = 15.0
_LEAVING_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Wanted:
    """What is to be run.

    Attributes:
        modules: The modules in which the tasks live.
        app: ``MODULE:APP`` if they are tasks of an App of the application's own, else None.
        workers: How many workers, in the form of :mod:`autocron.core.workforce`; None leaves it to
            the settings.
        tz: The time zone of schedules that name none; None is Django's, or the system's.
        serializer: ``"json"`` or ``"pickle"``, as the application says in ``start()``.
    """

    modules: Collection[str]
    app: Optional[str] = None
    workers: Optional[Workers] = None
    tz: Optional[str] = None
    serializer: str = "json"


class Foreground:
    """What a supervisor in the foreground tells whoever has started it.

    Arguments:
        wanted: What is to be run.
        share: Its share in the application.
        notify: The address of the socket of a service manager (``NOTIFY_SOCKET``), or None.
    """

    def __init__(self, wanted: Wanted, share: Share, notify: Optional[str]) -> None:
        self._wanted = wanted
        self._share = share
        self._notify = notify
        self._is_ready = self._is_leaving = False
        self.broken: List[str] = []

    def see(self, broken: Collection[str]) -> bool:
        """Hear of the first worker that has imported the application; of others nothing is asked.

        Arguments:
            broken: The modules that could not be imported.

        Returns:
            Whether to go on.
        """
        if self._is_ready:
            return True
        self._is_ready = True
        app = self._wanted.app or ""
        names = {*self._wanted.modules, app, app.partition(":")[0], DJANGO_PROJECT}
        self.broken = sorted(names.intersection(broken))
        if self.broken:
            return False
        logger.info("ready: the application is imported, and its tasks are run")
        self._tell("READY=1")
        return True

    def leave(self, stop_grace: float) -> None:
        """Take note that the workers leave, within so many seconds, and give up the share."""
        if self._is_leaving:
            return
        self._is_leaving = True
        if not self.broken:
            logger.info("told to stop: the tasks in hand have %g seconds to end", stop_grace)
        self._tell("STOPPING=1")
        self._share.release()

    def hurry(self) -> None:
        """Take note that this process was told to stop once more."""
        logger.info("told to stop at once: the tasks in hand are handed back")

    def _tell(self, state: str) -> None:
        if self._notify:
            address = "\0" + self._notify[1:] if self._notify[0] == "@" else self._notify
            # A service manager that does not listen is no reason not to serve.
            with contextlib.suppress(OSError), socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)
            ) as sender:
                sender.sendto(state.encode(), address)


def run(name: str, wanted: Wanted) -> int:
    """Run supervisor and workers of a database until told to stop.

    SIGTERM, SIGINT and SIGHUP let the tasks in hand end within the grace; a second signal does not
    wait for them. What has not ended is handed back, uncharged.

    Arguments:
        name: The database, as ``start()`` takes it.
        wanted: What is to be run.

    Returns:
        The exit code: 0 if told to stop, 3 if another supervisor serves the database, 4 if a module
        can not be imported.

    Raises:
        AutocronError: The database can not be used, or is locked, or another application uses it.
    """
    guard_output()
    log_to_stderr(logging.INFO)
    path = database_path(name)
    kind = prepared(name, path)
    store = opened(kind)
    settings = Settings.read(store.settings())
    if settings.autocron_lock:
        raise StartError(
            f"{kind.shown} is locked; unlock it: autocron {kind.shown} --set-autocron-lock off"
        )
    folder = RunFolder(path)
    folder.make()
    lock = _acquire(folder, SystemClock(), settings.stop_grace + _LEAVING_SECONDS)
    if lock is None:
        logger.error(
            "%s is served already, by the supervisor with pid %s; an application whose workers run "
            "apart calls autocron.start(…, workers=0)",
            kind.shown,
            holder(folder.supervisor),
        )
        return IS_RUN_ALREADY
    application = apart(
        app=wanted.app, workers=wanted.workers, tz=wanted.tz, serializer=wanted.serializer
    )
    share = begin_service(
        kind, store, folder, application, lambda: Share(folder.application), wanted.modules
    )
    store.close()
    # It is meant for this process, and not for tasks and their children.
    foreground = Foreground(wanted, share, os.environ.pop("NOTIFY_SOCKET", None))
    logger.info("serving %s in the foreground, pid %d", kind.shown, os.getpid())
    Supervisor(path, foreground).run(lock)
    if foreground.broken:
        logger.error(
            "not served: can not import %s, from %s", ", ".join(foreground.broken), os.getcwd()
        )
        return CAN_NOT_IMPORT
    logger.info("stopped")
    return ASKED_TO_STOP


def _acquire(folder: RunFolder, clock: SystemClock, patience_seconds: float) -> Optional[Lock]:
    """Take the supervisor's lock; one whose application has ended is waited for."""
    ends_at = clock.monotonic() + patience_seconds
    while True:
        lock = acquire(folder.supervisor)
        if lock is not None or is_shared(folder.application) or clock.monotonic() > ends_at:
            return lock
        time.sleep(_LEAVING_POLL_SECONDS)
