"""A terminal that shows one picture after the other, and is given back as it was."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from types import FrameType, TracebackType
from typing import Any, List, Optional, Type

_ENTER = "\033[?1049h\033[?25l\033[H\033[2J"  # the other screen, no cursor, empty
_LEAVE = "\033[?25h\033[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\033[H", "\033[K", "\033[J"


class Terminal:
    """The terminal of this process, while it shows pictures; a context manager.

    However it is left, also by Ctrl-C, Ctrl-Z or SIGTERM, it is as it was before: screen, cursor,
    keys.

    Attributes:
        ended_by: The signal that has told this process to end; None if none has.
    """

    def __init__(self) -> None:
        self.ended_by: Optional[int] = None
        self._is_to_stop = False
        self._keys: Optional[int] = None
        self._saved: List[Any] = []
        self._handlers: List[Any] = []
        self._wakeup = -1
        self._reader, self._writer = -1, -1

    def __enter__(self) -> Terminal:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        # A signal ends the wait in pause(), so that a picture fits the terminal at once.
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number, handler in (
            (signal.SIGWINCH, _ignore),
            (signal.SIGTERM, self._end),
            (signal.SIGHUP, self._end),
            (signal.SIGTSTP, self._ask_to_stop),
        ):
            self._handlers.append((number, signal.signal(number, handler)))
        if sys.stdin is not None and sys.stdin.isatty():
            self._keys = sys.stdin.fileno()
            self._saved = termios.tcgetattr(self._keys)
        self._take()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._give_back()
        for number, handler in self._handlers:
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._reader)
        os.close(self._writer)

    def _take(self) -> None:
        if self._keys is not None:
            tty.setcbreak(self._keys)  # keys come one by one, and are not shown
        self._write(_ENTER)

    def _give_back(self) -> None:
        # The terminal may be gone, which is no reason to leave the rest undone.
        with contextlib.suppress(OSError):
            self._write(_LEAVE)
        if self._keys is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._saved)

    def show(self, picture: str) -> None:
        """Show a picture in the place of the one before; it is cut to the height."""
        height = os.get_terminal_size(sys.stdout.fileno()).lines
        lines = picture.splitlines()[: max(height - 1, 1)]
        # Written over, not wiped, so that nothing flickers.
        text = "".join(f"{line}{_REST_OF_LINE}\n" for line in lines)
        self._write(f"{_HOME}{text}{_REST_OF_SCREEN}")

    def pause(self, seconds: float) -> bool:
        """Wait, until the terminal has another size at the most; tell whether to go on.

        If this process is told to stop (Ctrl-Z), it does so in here, and goes on when told to.
        """
        listened = [self._reader] if self._keys is None else [self._reader, self._keys]
        ready, _, _ = select.select(listened, [], [], seconds)
        if self._reader in ready:
            os.read(self._reader, 4096)
        if self._is_to_stop:
            self._stop()
            return self.ended_by is None
        if self._keys is not None and self._keys in ready:
            # Nothing to read: the terminal is gone.
            return os.read(self._keys, 64) not in (b"q", b"Q", b"")
        return self.ended_by is None

    def _end(self, number: int, frame: Optional[FrameType]) -> None:
        self.ended_by = number

    def _ask_to_stop(self, number: int, frame: Optional[FrameType]) -> None:
        self._is_to_stop = True

    def _stop(self) -> None:
        self._give_back()
        ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here it goes on.
        signal.signal(signal.SIGTSTP, ours)
        self._is_to_stop = False
        self._take()

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _ignore(number: int, frame: Optional[FrameType]) -> None:
    """Take a signal: what waits is woken by it."""
