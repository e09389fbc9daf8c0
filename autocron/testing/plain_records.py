"""What a plain store keeps beside tasks: schedules, settings, paused queues, starts of rates."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Tuple

from autocron.core.errors import StoreError
from autocron.core.schedule import Schedule
from autocron.testing.plain_journal import Journal, undone

_UTC = timezone.utc
# When a task with a rate key began, and from when on that does not matter any more.
Start = Tuple[datetime, datetime]


class PlainRecords:
    """Keeps them in dictionaries, and notes in a journal how to undo what is changed.

    Arguments:
        journal: Knows whether a transaction is open.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._forget()

    def _forget(self) -> None:
        self._schedules: Dict[str, Schedule] = {}
        self._settings: Mapping[str, str] = {}
        self._paused: Dict[str, bool] = {}
        self._starts: Dict[str, Tuple[Start, ...]] = {}
        self._busy: Dict[str, datetime] = {}

    # -- rates and queues ---------------------------------------------------------------------

    def starts(self, rate_key: str, limit: int) -> List[datetime]:
        """Return the latest starts of the tasks with a rate key, the last one first."""
        if self._journal.is_undone:
            raise undone("read the starts of a rate")
        starts = sorted((at for at, _ in self._starts.get(rate_key, ())), reverse=True)
        return starts[: max(limit, 0)]

    def put_start(
        self, rate_key: str, at: datetime, until_at: datetime, free_at: Optional[datetime]
    ) -> None:
        """Add a start of a task with a rate key.

        Arguments:
            rate_key: The key.
            at: When it began.
            until_at: From when on it does not matter any more.
            free_at: Until when no other one is claimable; None if the key is free.
        """
        if self._journal.is_undone:
            raise undone(f"note a start of rate {rate_key}")
        start = (at.astimezone(_UTC), until_at.astimezone(_UTC))
        self._set(self._starts, rate_key, (*self._starts.get(rate_key, ()), start))
        self._set(self._busy, rate_key, free_at and free_at.astimezone(_UTC))

    def purge_starts(self, now: datetime) -> None:
        """Remove the starts that do not matter any more, and what they kept from being free."""
        if self._journal.is_undone:
            raise undone("purge the starts of rates")
        for key, starts in list(self._starts.items()):
            left = tuple(start for start in starts if start[1] > now)
            if len(left) < len(starts):
                self._set(self._starts, key, left or None)
        for key, free_at in list(self._busy.items()):
            if free_at <= now:
                self._set(self._busy, key, None)

    def busy_rates(self) -> Mapping[str, datetime]:
        """Return until when rate keys are not free, as far as they are not, or were not lately."""
        if self._journal.is_undone:
            raise undone("read the rates")
        return dict(self._busy)

    def paused(self) -> FrozenSet[str]:
        """Return the queues that are paused; :data:`autocron.core.task.ALL_QUEUES` is all."""
        if self._journal.is_undone:
            raise undone("read the paused queues")
        return frozenset(self._paused)

    def put_paused(self, queue: str, is_paused: bool) -> None:
        """Pause a queue, or resume it."""
        if self._journal.is_undone:
            raise undone(f"{'pause' if is_paused else 'resume'} queue {queue}")
        self._set(self._paused, queue, True if is_paused else None)

    def _shift_rates(self, by: timedelta) -> None:
        for key, starts in list(self._starts.items()):
            moved_starts = tuple((moved(at, by), moved(end, by)) for at, end in starts)
            self._set(self._starts, key, moved_starts)
        for key, free_at in list(self._busy.items()):
            self._set(self._busy, key, moved(free_at, by))

    # -- schedules and settings -----------------------------------------------------------------

    def schedules(self, key: Optional[str] = None) -> List[Schedule]:
        """Return all schedules, or the one with a key, ordered by key."""
        if self._journal.is_undone:
            raise undone("read the schedules")
        if key is not None:
            schedule = self._schedules.get(key)
            return [] if schedule is None else [schedule]
        return [self._schedules[key] for key in sorted(self._schedules)]

    def swap_schedule(self, before: Optional[Schedule], after: Optional[Schedule]) -> bool:
        """Replace a schedule if it still equals ``before``; None is one that is not stored.

        Raises:
            StoreError: ``before`` and ``after`` have different keys.
        """
        given = before or after
        if given is None or (after is not None and after.key != given.key):
            keys = sorted({schedule.key for schedule in (before, after) if schedule is not None})
            raise StoreError(f"can not swap schedules: expected one key, given {keys}")
        if self._journal.is_undone:
            raise undone(f"change schedule {given.key}")
        stored = self._schedules.get(given.key)
        if stored is not before and stored != before:
            return False
        if after is not None and after.watermark_at.tzinfo is not _UTC:
            after = replace(after, watermark_at=after.watermark_at.astimezone(_UTC))
        if after is None or self._journal.depth == 0:
            self._set(self._schedules, given.key, after)
        else:
            self._journal.changes.append((self._set, self._schedules, given.key, stored))
            self._schedules[given.key] = after
        return True

    def settings(self) -> Mapping[str, str]:
        """Return all settings that were ever set."""
        if self._journal.is_undone:
            raise undone("read the settings")
        return self._settings

    def put_settings(self, changes: Mapping[str, Optional[str]]) -> None:
        """Set settings; None removes one. All are changed, or none."""
        if self._journal.is_undone:
            raise undone("change the settings")
        settings = {**self._settings, **changes}
        self._put_settings({name: value for name, value in settings.items() if value is not None})

    def _put_settings(self, settings: Mapping[str, str]) -> None:
        if self._journal.depth:
            self._journal.changes.append((self._put_settings, self._settings))
        # Never changed, only replaced: whoever holds them sees whether they are the same.
        self._settings = MappingProxyType(dict(settings))

    def _set(self, values: Dict[str, Any], key: str, value: Any) -> None:
        """Set what is kept under a key; None removes it."""
        if self._journal.depth:
            self._journal.changes.append((self._set, values, key, values.get(key)))
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value


def moved(at: datetime, by: timedelta) -> datetime:
    """Return an instant so much later, or an end of time."""
    try:
        return at + by
    except OverflowError:
        end = datetime.max if by > timedelta(0) else datetime.min
        return end.replace(tzinfo=_UTC)
