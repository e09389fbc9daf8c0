"""What is to be done on time, by whoever keeps house: one bounded step of it.

The clock is followed, cron occurrences are fired, what has expired is ended, and what was kept long
enough removed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Mapping, Optional, Tuple

from autocron.core.settings import Settings
from autocron.core.task import Task
from autocron.firing import CronTicker
from autocron.operations import PURGE_BATCH, Operations
from autocron.ports import Zones

PURGE_EVERY_SECONDS = 30.0
# Below this a difference between the two clocks is measurement and slewing, not a step.
CLOCK_STEP_SECONDS = 1.0


class House:
    """Keeps one database in order.

    Arguments:
        operations: What may be done to it; its clock is followed.
        zones: Finds time zones by name.

    Attributes:
        purge_at: When it looks next for what was kept long enough; None is at the next step.
        settings: The settings as they were at the last step.
    """

    #: How often it looks for that.
    purge_every = timedelta(seconds=PURGE_EVERY_SECONDS)

    def __init__(self, operations: Operations, zones: Zones) -> None:
        self._operations = operations
        self._store, self._clock = operations.store, operations.clock
        self._ticker = CronTicker(self._store, zones, operations)
        self.purge_at: Optional[datetime] = None
        self._clock_offset: Optional[float] = None
        self._stored_settings: Mapping[str, str] = {}
        self.settings = Settings()

    def keep(self) -> Tuple[Tuple[Task, ...], Optional[datetime]]:
        """Do what is to be done now.

        Returns:
            The tasks of cron occurrences that were stored; and when there is something to do again.
        """
        operations, ticker = self._operations, self._ticker
        now = self._clock.now()
        stepped_seconds = self._follow_clock(now)
        settings = self._store.settings()
        if settings is not self._stored_settings and settings != self._stored_settings:
            self._stored_settings, self.settings = settings, Settings.read(settings)
        fired = ticker.tick(now, self._stored_settings, stepped_seconds)
        if fired:
            operations.tell_enqueued(fired)
        expires_at = operations.expire(now)
        if self.purge_at is None or now >= self.purge_at or stepped_seconds:
            # A full batch means that there is more, so the next step goes on with it.
            full = operations.purge_by(self.settings, now) >= PURGE_BATCH
            self.purge_at = now if full else now + self.purge_every
        return fired, earlier(expires_at, earlier(self.purge_at, ticker.next_at))

    @property
    def next_occurrence_at(self) -> Optional[datetime]:
        """When the next occurrence is to be fired, as far as is known."""
        return self._ticker.next_at

    def _follow_clock(self, now: datetime) -> float:
        """Move elapsed delays along with a stepped wall clock; return the step in seconds."""
        offset = now.timestamp() - self._clock.monotonic()
        if self._clock_offset is None:
            self._clock_offset = offset
            return 0.0
        stepped_seconds = offset - self._clock_offset
        if abs(stepped_seconds) < CLOCK_STEP_SECONDS:
            return 0.0
        self._store.shift(stepped_seconds)
        self._clock_offset = offset
        return stepped_seconds


def earlier(first: Optional[datetime], second: Optional[datetime]) -> Optional[datetime]:
    """Return the earlier one of two instants; None is never."""
    if first is None or second is None:
        return second if first is None else first
    return second if second < first else first
