"""The system's clock. Nothing else in the shell reads the time."""

from __future__ import annotations

import time
from datetime import datetime, timezone

# Linux stops CLOCK_MONOTONIC while the machine sleeps; a delay of an hour is to end after an hour.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", None)


class SystemClock:
    """Reads the clocks of the operating system at each use."""

    def now(self) -> datetime:
        """Return the wall-clock time as an aware UTC datetime."""
        # Not datetime.now(): while freezegun freezes the time with an offset, that is wrong by it.
        return datetime.fromtimestamp(time.time(), timezone.utc)

    def microseconds(self) -> int:
        """Return the same as microseconds since 1970."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return seconds since some point in the past, going on while the machine sleeps."""
        return time.monotonic() if _ELAPSED is None else time.clock_gettime(_ELAPSED)
