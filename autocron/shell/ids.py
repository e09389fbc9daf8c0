"""Task ids: opaque, never the same twice, and in the order of their making as far as it goes."""

from __future__ import annotations

import os

from autocron.shell.clock import SystemClock

_clock = SystemClock()


def new_id() -> str:
    """Draw a task id: the present microsecond and 64 random bits, in hexadecimal.

    Ids that grow with time keep the index on them compact.
    """
    microseconds = int(_clock.now().timestamp() * 1_000_000)
    return f"{microseconds:014x}{os.urandom(8).hex()}"
