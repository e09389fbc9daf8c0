"""Which occurrences of a schedule are to be run now: what is on time, what was missed.

An occurrence noticed more than the grace late is *missed*. The *watermark* of a schedule is the
latest occurrence that has been dealt with; nothing at or before it is ever run again.
"""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta, tzinfo
from typing import List, Optional, Tuple

from autocron.core.cron import CronExpression
from autocron.core.next_run import previous_run
from autocron.core.policy import PLAIN, Policy
from autocron.core.task import DEFAULT_QUEUE
from autocron.core.values import frozen

MISSED_POLICIES = ("once", "skip", "all")
OVERLAP_POLICIES = ("skip", "wait", "allow")
DEFAULT_GRACE_SECONDS = 60.0
MAX_OWED = 1000
# Debian's cron: a clock set back by less is waited out, by more is a correction.
CLOCK_CORRECTION_SECONDS = 3 * 3600.0
_MICROSECOND = timedelta(microseconds=1)
# The arguments of a function that takes none, as the codec writes them.
NO_ARGUMENTS = "[[],{}]"


@frozen
class Schedule:
    """One ``@cron`` of one task function, as the store keeps it.

    Attributes:
        key: Its identity: the task's name and the text of the expression.
        name: The name of the task function.
        text: The cron expression; None for a schedule that runs only at the start.
        zone: The name of its time zone; ``"local"`` is the system's.
        missed: ``"once"``, ``"skip"`` or ``"all"``.
        overlap: ``"skip"``, ``"wait"`` or ``"allow"``.
        grace_seconds: How late an occurrence may be noticed and still be on time.
        at_start: Whether it also runs once when the application starts.
        watermark_at: The latest occurrence that has been dealt with.
        service: The period of service at whose start it last ran; see ``at_start``.
        is_enabled: Whether it fires.
        is_dynamic: Whether it was made at run time, and is kept until somebody takes it out; else
            it stands in the code.
        jitter_seconds: Each run begins later than its occurrence by less than this, always by the
            same.
        payload: The arguments of each run, as opaque text.
        queue: The queue of each run.
        priority: Its priority.
        policy: Its retries, backoff and timeout.
    """

    key: str
    name: str
    text: Optional[str]
    zone: str
    missed: str
    overlap: str
    grace_seconds: float
    at_start: bool
    watermark_at: datetime
    service: str = ""
    is_enabled: bool = True
    is_dynamic: bool = False
    jitter_seconds: float = 0.0
    payload: str = NO_ARGUMENTS
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    policy: Policy = PLAIN

    @property
    def delay_seconds(self) -> float:
        """By how much later than its occurrence each run begins: a share of the jitter.

        It is drawn from the schedule's own identity, so that it is the same for ever: intervals
        stay even, and runs keep their order.
        """
        return self.jitter_seconds * zlib.crc32(self.key.encode()) / 2**32


@frozen
class Owed:
    """What one look at a schedule found.

    Attributes:
        made_up: Missed occurrences to be run now, oldest first.
        on_time: Occurrences that are due now, oldest first.
    """

    made_up: Tuple[datetime, ...] = ()
    on_time: Tuple[datetime, ...] = ()


def owed(schedule: Schedule, expression: CronExpression, zone: tzinfo, now: datetime) -> Owed:
    """Tell which occurrences of a schedule are to be run at this instant.

    ``"once"`` makes up the latest missed occurrence, ``"all"`` the latest 1,000 of them, ``"skip"``
    none. Never more than 1,000 are on time at one look; the oldest beyond that are dropped.

    Arguments:
        schedule: The schedule with its watermark.
        expression: Its expression, parsed.
        zone: Its time zone.
        now: The instant of the look.

    Returns:
        The occurrences to run, all of them after the watermark and none after ``now``.
    """
    # An occurrence exactly `grace` late is still on time, hence the microsecond.
    on_time_after = now - timedelta(seconds=schedule.grace_seconds) - _MICROSECOND
    on_time = _latest(
        expression, zone, max(schedule.watermark_at, on_time_after), now + _MICROSECOND, MAX_OWED
    )
    limit = {"skip": 0, "once": 1, "all": MAX_OWED}[schedule.missed]
    made_up = _latest(expression, zone, schedule.watermark_at, on_time_after + _MICROSECOND, limit)
    return Owed(made_up, on_time)


def _latest(
    expression: CronExpression, zone: tzinfo, after: datetime, before: datetime, limit: int
) -> Tuple[datetime, ...]:
    """Return the latest occurrences strictly between two instants, at most so many, ascending."""
    # Searched backwards, so that years of downtime cost no more than what is to run.
    found: List[datetime] = []
    while len(found) < limit:
        at = previous_run(expression, before, zone)
        if at is None or at <= after:
            break
        found.append(at)
        before = at
    return tuple(reversed(found))


def corrected_watermark(watermark_at: datetime, now: datetime, stepped_seconds: float) -> datetime:
    """Tell where a watermark stands after the wall clock was set back.

    A clock set back by less than three hours is waited out, so that nothing runs twice; a larger
    step is a correction, and the schedule goes on from the new time.

    Arguments:
        watermark_at: The watermark as stored.
        now: The present instant.
        stepped_seconds: By how many seconds the clock was just seen to step, negative if back.

    Returns:
        ``now`` if the watermark lies in a future that a correction has undone, else the watermark.
    """
    ahead_seconds = (watermark_at - now).total_seconds()
    stepped_back = stepped_seconds <= -CLOCK_CORRECTION_SECONDS
    if ahead_seconds > 0 and (stepped_back or ahead_seconds >= CLOCK_CORRECTION_SECONDS):
        return now
    return watermark_at
