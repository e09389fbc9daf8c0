"""The clock of a virtual machine: true time, and a wall clock that somebody may set."""

from __future__ import annotations

from datetime import datetime, timedelta


class VirtualClock:
    """The clock of the machine: true time, and by how much the wall clock is off.

    Arguments:
        start_at: The first instant.
    """

    def __init__(self, start_at: datetime) -> None:
        self.true_at = start_at
        self.offset = timedelta(0)
        self._start_at = start_at
        self._now = start_at

    def now(self) -> datetime:
        """Return what the wall clock shows, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds that have really passed."""
        return (self.true_at - self._start_at).total_seconds()

    def move(self, true_at: datetime) -> None:
        """Let time pass until an instant."""
        self.true_at = true_at
        self._now = true_at + self.offset if self.offset else true_at

    def step(self, seconds: float) -> None:
        """Set the wall clock; no time passes."""
        self.offset += timedelta(seconds=seconds)
        self._now = self.true_at + self.offset

    def true(self, wall_at: datetime) -> datetime:
        """Return when the wall clock will show an instant, if nobody sets it before."""
        return wall_at - self.offset if self.offset else wall_at
