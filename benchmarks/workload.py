"""What all peers run: a function that does nothing, and now and then says when and where it began.

Parent and workers share the clock, and a file to which each appends lines.
"""

from __future__ import annotations

import os
import time
from typing import List, NamedTuple

FOLDER = "AUTOCRON_BENCH_FOLDER"
REDIS = "AUTOCRON_BENCH_REDIS"
#: Each so many-th task tells of itself, so that what is measured is not the telling.
EVERY = 100
_POLL_SECONDS = 0.002


class Stamp(NamedTuple):
    """A task has begun."""

    number: int
    at: float
    pid: int


def work(number: int) -> int:
    """Do nothing; tell of each hundredth call."""
    if number % EVERY == 0:
        line = f"{number} {time.time():.6f} {os.getpid()}\n"
        told = os.open(_path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(told, line.encode())
        os.close(told)
    return number


def stamps() -> List[Stamp]:
    """Return what has been told so far."""
    try:
        with open(_path()) as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    fields = (line.split() for line in lines)
    return [Stamp(int(number), float(at), int(pid)) for number, at, pid in fields]


def wait_for(count: int, patience_seconds: float = 180.0) -> List[Stamp]:
    """Wait until so many have been told; what does not come is an error."""
    ends = time.monotonic() + patience_seconds
    while time.monotonic() < ends:
        found = stamps()
        if len(found) >= count:
            return found
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"{len(stamps())} of {count} tasks came within {patience_seconds} s")


def _path() -> str:
    return os.path.join(os.environ[FOLDER], "stamps")
