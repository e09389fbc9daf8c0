"""Starts background processes: a supervisor that is nobody's child, and workers that are its."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import contextmanager, suppress
from typing import Iterator, List, NamedTuple, Optional, Protocol, Union

from autocron.core.errors import AutocronError
from autocron.shell.ownership import Lock, RunFolder, holder, is_shared
from autocron.shell.plain import is_plain
from autocron.shell.private import check_folder
from autocron.shell.wakeup import bind

BOOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot")
# What a launcher waits for.
GO = b"!"
# What the command line of a worker has more than that of the supervisor that it is forked off.
_ROOM = " " * 16


def python_executable() -> str:
    """Return the path of a Python interpreter like this one.

    A server that embeds Python may have put its own path into ``sys.executable``.
    """
    if os.path.basename(sys.executable or "").startswith(("python", "pypy")):
        return sys.executable
    return os.path.join(sys.prefix, "bin", "python3")


class Launcher:
    """A process that is going to be a supervisor, and waits for the word; until then it is ours.

    Arguments:
        database: The absolute path of the database.

    Raises:
        OSError: It can not be started.
    """

    def __init__(self, database: str) -> None:
        import subprocess  # A worker mostly needs none, and it is large.

        self._ours, theirs = socket.socketpair()
        command = [python_executable(), BOOT, "supervisor", database, _ROOM]
        try:
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), cwd="/")
        except OSError:
            self._ours.close()
            raise
        finally:
            theirs.close()

    def go(self) -> None:
        """Give the word; if there is a supervisor already, the new one sees that and ends.

        Returns when the supervisor is on its own and holds its lock, or was not needed: it is no
        child of this process, has no terminal and has inherited nothing but the standard output and
        error.
        """
        self._say(GO)

    def cancel(self) -> None:
        """Let it end, unless it has had the word."""
        self._say(b"-")

    def _say(self, word: bytes) -> None:
        with suppress(OSError):
            # Said, and not just hung up: a fork of another thread may hold our end, too. And if the
            # other one is gone, no signal is to tell this process.
            self._ours.send(word, getattr(socket, "MSG_NOSIGNAL", 0))
        self._ours.close()
        self._process.wait()


@contextmanager
def getting_ready(folder: RunFolder, is_wanted: bool) -> Iterator[Optional[Launcher]]:
    """Have a launcher get ready, if it looks as if one will be needed, while the block is passed.

    Arguments:
        folder: The run folder, which need not be there.
        is_wanted: False if it will not be needed, whatever it looks like.
    """
    launcher: Optional[Launcher] = None
    # What is wrong is said when it is needed, and tried again.
    with suppress(AutocronError, OSError):
        # Whoever has a share is about to launch one.
        if is_wanted and not is_shared(folder.application) and holder(folder.supervisor) is None:
            launcher = Launcher(folder.database)
    try:
        yield launcher
    finally:
        if launcher is not None:
            launcher.cancel()


def launch_supervisor(database: str) -> None:
    """Start a supervisor; see :meth:`Launcher.go`.

    Arguments:
        database: The absolute path of the database.

    Raises:
        OSError: It can not be started.
    """
    Launcher(database).go()


class Process(Protocol):
    """A worker process; a ``subprocess.Popen`` is one."""

    #: Its process id.
    pid: int
    #: How it has ended, once that was seen: the exit code, or minus the signal.
    returncode: Optional[int]

    def poll(self) -> Optional[int]:
        """Look whether it has ended; return how."""
        ...

    def wait(self) -> int:
        """Wait until it has ended; return how."""
        ...

    def send_signal(self, sig: int) -> None:
        """Send it a signal, if it has not ended."""
        ...


class Recruit(NamedTuple):
    """A worker process that waits to be told what it is for.

    Attributes:
        name: Its name.
        executable: Its interpreter.
        process: The process.
        connection: Its supervisor's end of the channel to it.
    """

    name: str
    executable: str
    process: Process
    connection: socket.socket

    def dismiss(self) -> None:
        """End it; nobody has told it anything, so it leaves nothing behind."""
        self.connection.close()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Recruited(NamedTuple):
    """The first workers of a supervisor, which were started before that has begun.

    Attributes:
        wake: The socket on which workers are woken.
        recruits: The workers.
    """

    wake: socket.socket
    recruits: List[Recruit]


def spawn_worker(executable: str, database: str, name: str, wake: socket.socket) -> Recruit:
    """Start a worker process.

    Arguments:
        executable: The application's Python interpreter.
        database: The absolute path of the database.
        name: The worker's name.
        wake: The socket on which it is woken.

    Raises:
        OSError: It can not be started.
    """
    import subprocess

    ours, theirs = socket.socketpair()
    inherited = (theirs.fileno(), wake.fileno())
    try:
        process = subprocess.Popen(
            [executable, BOOT, "worker", database, name, *map(str, inherited)],
            stdin=subprocess.DEVNULL,
            cwd="/",
            pass_fds=inherited,
            # What a terminal sends, or a task to its process group, is not for the others.
            start_new_session=True,
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return Recruit(name, executable, process, ours)


def recruit(folder: RunFolder, lock: Lock) -> Union[Recruited, List[str], None]:
    """Start the first workers of a supervisor, before that begins.

    Either they are forked off this process, when it has imported what both need. Or the first one
    is an interpreter of its own, which imports meanwhile, so that the first task of an application
    does not wait for one after the other.

    Arguments:
        folder: The run folder.
        lock: The supervisor's lock, which this process holds.

    Returns:
        Them, or None if the supervisor had better look first: nobody is served, or the database is
        one of several hosts, who name workers. In a worker that was forked off: the arguments of
        its command line.
    """
    if os.path.exists(folder.url) or not is_shared(folder.application):
        return None
    is_forking = is_plain()
    try:
        check_folder(folder.path)
        wake = bind(folder.wake)
        if not is_forking:
            name = new_worker_name()
            return Recruited(wake, [spawn_worker(python_executable(), folder.database, name, wake)])
    except (AutocronError, OSError):
        # The supervisor will see it, too, and say it.
        return None
    # All that is imported here is shared.
    from autocron.shell import forked

    return forked.recruit(folder, lock, wake)


def new_worker_name() -> str:
    """Draw the name of a worker of this host."""
    return os.urandom(4).hex()
