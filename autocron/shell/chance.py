"""What is drawn by chance: task ids, and numbers for jitter."""

from __future__ import annotations

import os
from typing import List

from autocron.shell.clock import SystemClock

_clock = SystemClock()


def new_id() -> str:
    """Draw a task id: the present microsecond and 64 random bits, in hexadecimal.

    It is opaque, never the same twice, and grows with time, which keeps the index on it compact.
    """
    return f"{_clock.microseconds():014x}{os.urandom(8).hex()}"


def new_ids(count: int) -> List[str]:
    """Draw many ids, in the order in which they grow; together they take a fifth.

    Each has a microsecond of its own, from the present one on.
    """
    now, bits = _clock.microseconds(), os.urandom(8 * count).hex()
    return [f"{now + place:014x}{bits[16 * place : 16 * place + 16]}" for place in range(count)]


def draw() -> float:
    """Draw a number evenly from 0 (inclusive) to 1 (exclusive)."""
    return int.from_bytes(os.urandom(6), "big") / float(1 << 48)
