"""Standard output of background processes: as the application's, and harmless when that is gone."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import Any

from autocron.shell.printable_log import make_log_printable

# How background processes log.
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class GuardedFile(io.FileIO):
    """A file descriptor whose death loses output, and nothing else.

    The application's terminal or pipe may go away while a worker runs. A task that prints must not
    fail for that, so from then on its output goes nowhere.
    """

    def write(self, data: Any) -> int:
        """Write, or turn the descriptor to nowhere if its other end is gone."""
        try:
            return super().write(data) or 0
        except OSError:
            _to_nowhere(self.fileno())
            _say_once(self.fileno())
            return len(data)


def _to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    else:
        os.set_inheritable(descriptor, True)


def _say_once(descriptor: int) -> None:
    """Tell on the other stream, which may be alive; this one is dead only once."""
    other, name = (2, "output") if descriptor == 1 else (1, "error output")
    try:
        text = f"autocron: the standard {name} is gone; what tasks write to it is lost\n"
        os.write(other, text.encode())
    except OSError:
        _to_nowhere(other)


def open_outputs() -> None:
    """Let what is written to a descriptor that somebody has closed go nowhere.

    It must not become the descriptor of something else.
    """
    for descriptor in (1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            _to_nowhere(descriptor)


def guard_output() -> None:
    """Guard this process's standard output and error."""
    open_outputs()
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        before = getattr(sys, name)
        raw = GuardedFile(descriptor, "w", closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=getattr(before, "encoding", None) or "utf-8",
            errors=getattr(before, "errors", None) or "backslashreplace",
            line_buffering=True,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def log_to_stderr(level: int = logging.WARNING) -> None:
    """Have what this process logs written to its standard error, in autocron's format."""
    make_log_printable()
    logging.basicConfig(stream=sys.stderr, level=level, format=LOG_FORMAT)


def log_at_last_resort() -> None:
    """Have that done where an application has set up no logging of its own."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter(LOG_FORMAT))


def flush_output() -> None:
    """Pass on what was printed, whatever the streams have become."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue
