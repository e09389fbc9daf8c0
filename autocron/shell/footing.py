"""What a worker stands on, and a task may have pulled away: noticed after it, or put back.

The function of a task may do to its process whatever it likes. The worker must neither run on in a
child that the function has forked, nor write to a file that has taken the place of the database.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from typing import NoReturn, Optional, Sequence

from autocron.shell import signals
from autocron.shell.member import CLOSED_DESCRIPTORS
from autocron.shell.mode import WORKER_VARIABLE
from autocron.shell.output import flush_output, open_outputs


class Footing:
    """How this process was before it ran its first task; to be made in the main thread.

    Arguments:
        sockets: Two of what only this process uses; a task that closes them closes all.
        signal_writer: Where signals are written, see :func:`autocron.shell.signals.listen`.
    """

    def __init__(self, sockets: Sequence[socket.socket], signal_writer: int) -> None:
        self._pid = os.getpid()
        self._sockets = [
            (each, each.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)) for each in sockets
        ]
        self._signal_writer = signal_writer
        self._handlers = {number: signal.getsignal(number) for number in signals.HEARD}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._recursion_limit = sys.getrecursionlimit()
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._database = os.environ[WORKER_VARIABLE]

    def check(self) -> None:
        """Look, right after a function has ended, whether this process may go on; cheap.

        A child that was forked by the function ends here, as it would at the end of its script. A
        worker whose descriptors were closed ends at once: the numbers of SQLite's may be those of
        other files by now.
        """
        if os.getpid() != self._pid:
            _end_child(sys.exc_info()[1])
        if sys.getrecursionlimit() < self._recursion_limit:
            sys.setrecursionlimit(self._recursion_limit)
        self.check_descriptors()

    def check_descriptors(self) -> None:
        """End this process if its descriptors were closed; for any thread, before it stores."""
        try:
            for each, kind in self._sockets:
                if each.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) != kind:
                    os._exit(CLOSED_DESCRIPTORS)
        except OSError:
            os._exit(CLOSED_DESCRIPTORS)

    def restore(self) -> None:
        """Put back what would be in the way of this worker, or of what later tasks rely on."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        # An event loop that handles signals takes it away when it is closed.
        signal.set_wakeup_fd(self._signal_writer, warn_on_full_buffer=False)
        os.umask(self._umask)
        os.environ[WORKER_VARIABLE] = self._database
        open_outputs()


def _end_child(error: Optional[BaseException]) -> NoReturn:
    """End a child as the end of a script does, but without what stands above the function."""
    code: object = None
    if isinstance(error, SystemExit):
        code = error.code
    elif error is not None:
        traceback.print_exception(type(error), error, error.__traceback__)
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    flush_output()
    os._exit((code or 0) & 0xFF)
