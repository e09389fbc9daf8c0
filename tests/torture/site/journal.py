"""Two files that survive whatever is killed: what was accepted, and what was run.

Each line is one write to a file that is only ever appended to, so no process can damage what
another one has written, and what a killed process has noted is there.
"""

import os
import pathlib
import time

# A process id is used again, so a process also has the instant at which it came here.
_PROCESS = f"{os.getpid()}/{time.monotonic():.6f}"
HERE = pathlib.Path(__file__).resolve().parent


def _open(name):
    return os.open(HERE / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


_JOURNAL, _ACCEPTED = _open("journal"), _open("accepted")


def note(what, *words):
    """Note that something happens now, in this process; the clock is that of the machine."""
    line = " ".join(map(str, (what, f"{time.monotonic():.6f}", _PROCESS, *words)))
    os.write(_JOURNAL, line.encode() + b"\n")


def accept(kind, *results):
    """Note calls that have returned."""
    lines = "".join(f"{result.id} {kind} {os.getpid()}\n" for result in results)
    os.write(_ACCEPTED, lines.encode())


def exists(name):
    """Tell whether the rig has left a sign."""
    return (HERE / name).exists()
