"""Workers that are forked off their supervisor before that has begun.

They share the memory of all that both have imported, and the first one is there sooner. The
supervisor has opened and started nothing by then, and knows nothing of the application; so they
begin as interpreters of their own would, if this one is :func:`autocron.shell.plain.is_plain`.
Whoever is hired later is one of its own.
"""

from __future__ import annotations

import gc
import importlib
import os
import socket
import sys
import threading
from contextlib import suppress
from typing import List, Optional, Union

from autocron.core.workforce import total
from autocron.shell import title
from autocron.shell.launch import Recruit, Recruited, new_worker_name, python_executable
from autocron.shell.output import flush_output
from autocron.shell.ownership import Lock, RunFolder
from autocron.shell.served import Served

# The return code of a process of which nobody knows how it has ended.
_UNSEEN = 255
# The first task waits for all forks; each takes a millisecond.
_AT_MOST = 32


class Forked:
    """A child of this process; implements :class:`autocron.shell.launch.Process`.

    Arguments:
        pid: Its process id.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: Optional[int] = None

    def poll(self) -> Optional[int]:
        """Look whether it has ended; return how."""
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        """Wait until it has ended; return how."""
        code = self._look(0)
        assert code is not None
        return code

    def send_signal(self, sig: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def _look(self, options: int) -> Optional[int]:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:
                self.returncode = _UNSEEN
            else:
                if pid:
                    is_exit = os.WIFEXITED(status)
                    self.returncode = os.WEXITSTATUS(status) if is_exit else -os.WTERMSIG(status)
        return self.returncode


def recruit(folder: RunFolder, lock: Lock, wake: socket.socket) -> Union[Recruited, List[str]]:
    """Fork off as many workers as will be wanted, as far as that is known.

    This process is plain, and has opened nothing but the socket since.

    Arguments:
        folder: The run folder.
        lock: The supervisor's lock, which this process holds.
        wake: The socket on which workers are woken.

    Returns:
        The workers, which may be fewer. In each of them: the arguments of its command line.
    """
    count = _wanted(folder, lock)
    # Whatever either of the two needs is to be shared.
    for name in ("shell.worker", "shell.supervisor", "core.arguments"):
        importlib.import_module(f"autocron.{name}")
    # What a .pth file has printed is not printed again.
    flush_output()
    gc.collect()
    # A collection writes to whatever it looks at, which would be shared no more.
    gc.freeze()
    begun = Recruited(wake, [])
    for _ in range(count):
        name = new_worker_name()
        try:
            ours, theirs = socket.socketpair()
            pid = os.fork()
        except OSError:
            # The supervisor tries again, and says it.
            break
        if pid == 0:
            # This closes a descriptor. The lock is the other process's, and it keeps it.
            lock.release()
            for connection in (ours, *(other.connection for other in begun.recruits)):
                connection.close()
            # What a terminal sends, or a task to its process group, is not for the others.
            os.setsid()
            _mend_main_thread()
            arguments = [folder.database, name, str(theirs.detach()), str(wake.detach())]
            _show([sys.argv[0], "worker", *arguments])
            return arguments
        theirs.close()
        begun.recruits.append(Recruit(name, python_executable(), Forked(pid), ours))
    return begun


def _wanted(folder: RunFolder, lock: Lock) -> int:
    """Return how many workers ``start()`` has asked for, or the last supervisor had by settings.

    The settings are in the database, which is not opened before a fork.
    """
    application = Served(folder).application
    if application is not None and application.executable != python_executable():
        return 0
    if application is not None and application.workers is not None:
        count = total(application.workers)
    else:
        noted = lock.noted()
        count = int(noted) if noted.isdecimal() else 1
    return min(count, _AT_MOST)


def _mend_main_thread() -> None:
    """Let the main thread have its own number of the system, and not that of the parent's."""
    # Some Pythons see to that after a fork, and have no need for this.
    mend = getattr(threading.main_thread(), "_set_native_id", None)
    if mend is not None:
        mend()


def _show(arguments: List[str]) -> None:
    """Show these arguments to this process, as Python does at its start, and to all others."""
    sys.argv[:] = arguments
    # Python 3.10+ keeps the whole line.
    line = [getattr(sys, "orig_argv", [sys.executable])[0], *arguments]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = line
    title.show(line)
