"""What is drawn by chance: task ids, and numbers for jitter."""

from __future__ import annotations

import os

from autocron.shell.clock import SystemClock

_clock = SystemClock()


def new_id() -> str:
    """Draw a task id: the present microsecond and 64 random bits, in hexadecimal.

    It is opaque, never the same twice, and grows with time, which keeps the index on it compact.
    """
    return f"{_clock.microseconds():014x}{os.urandom(8).hex()}"


def draw() -> float:
    """Draw a number evenly from 0 (inclusive) to 1 (exclusive)."""
    return int.from_bytes(os.urandom(6), "big") / float(1 << 48)
