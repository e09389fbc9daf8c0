"""Time zones for the clauses: those of the IANA database, and some of our own.

``zone(name)`` skips a clause where Python has no zone database (3.8 without
``backports.zoneinfo``).
:class:`ChangingZone` needs none: a PEP 495 zone made of its changes, however odd. ``next_run()``
asks twice.
"""

from __future__ import annotations

import importlib
from datetime import datetime, timedelta, tzinfo

import pytest

from autocron.core.next_run import next_run as core_next_run


def _load():
    for module in ("zoneinfo", "backports.zoneinfo"):
        try:
            return importlib.import_module(module).ZoneInfo
        except ImportError:
            continue
    return None


ZoneInfo = _load()

#: Zones with their days of change, in UTC: whole and half hours, two hours, hh:01, a skipped
#: midnight, a skipped and a repeated day, a change of three hours.
CHANGE_DAYS = {
    "Europe/Berlin": ("2024-03-31", "2024-10-27"),
    "Europe/London": ("2024-03-31", "2024-10-27"),
    "America/New_York": ("2024-03-10", "2024-11-03"),
    "Australia/Lord_Howe": ("2024-04-06", "2024-10-05"),
    "Pacific/Chatham": ("2024-04-06", "2024-09-28"),
    "America/Santiago": ("2024-04-07", "2024-09-08"),
    "Antarctica/Troll": ("2024-03-31", "2024-10-27"),
    "America/St_Johns": ("2010-03-14", "2010-11-07"),
    "Asia/Beirut": ("2024-03-30", "2024-10-26"),
    "Africa/Cairo": ("2024-04-25", "2024-10-31"),
    "America/Sao_Paulo": ("2018-02-18", "2018-11-04"),
    "Africa/Casablanca": ("2024-03-10", "2024-04-14"),
    "Pacific/Apia": ("2011-09-24", "2011-12-30"),
    "Pacific/Kwajalein": ("1969-09-30", "1993-08-21"),
    "Antarctica/Casey": ("2020-03-08", "2020-10-04"),
}


def zone(name):
    """Return an IANA zone, or skip the clause."""
    if ZoneInfo is None:
        pytest.skip("no zone database in this Python")
    return ZoneInfo(name)


class ChangingZone(tzinfo):
    """A zone that begins with an offset and changes it at some instants; keeps PEP 495.

    Args:
        minutes: The first offset, in minutes east of UTC.
        changes: Pairs of a naive datetime in UTC, ascending, and the offset from then on.
    """

    def __init__(self, minutes, *changes):
        self.minutes = minutes
        self.changes = changes

    def _offset_at(self, instant):
        minutes = self.minutes
        for at, changed in self.changes:
            if instant >= at:
                minutes = changed
        return timedelta(minutes=minutes)

    def fromutc(self, moment):
        instant = moment.replace(tzinfo=None)
        wall = instant + self._offset_at(instant)
        return self._folded(wall, instant).replace(tzinfo=self)

    def _folded(self, wall, instant):
        earlier = [shown for shown in self._instants(wall) if shown < instant]
        return wall.replace(fold=1 if earlier else 0)

    def _instants(self, wall):
        offsets = {self.minutes, *(changed for _, changed in self.changes)}
        shown = (wall - timedelta(minutes=minutes) for minutes in offsets)
        return sorted(at for at in shown if at + self._offset_at(at) == wall)

    def utcoffset(self, moment):
        wall = moment.replace(tzinfo=None, fold=0)
        instants = self._instants(wall)
        if instants:
            return wall - instants[-1 if moment.fold else 0]
        before, after = self.minutes, self.minutes
        for at, changed in self.changes:
            if at + timedelta(minutes=before) <= wall < at + timedelta(minutes=changed):
                after = changed
                break
            before = after = changed
        return timedelta(minutes=after if moment.fold else before)

    def dst(self, moment):
        return None

    def tzname(self, moment):
        return "changing"

    def __repr__(self):
        return f"ChangingZone({self.minutes}, *{list(self.changes)!r})"


def at(text):
    """Return the aware datetime of ``2024-03-31 03:00 +02:00``; without an offset it is UTC."""
    parts = text.split()
    offset = parts[2] if len(parts) == 3 else "+00:00"
    return datetime.fromisoformat(f"{parts[0]}T{parts[1]}{offset}")


def next_run(expression, after, zone):
    """Return the next run; what is searched at first is read from tables when it is asked again."""
    found = core_next_run(expression, after, zone)
    again = core_next_run(expression, after, zone)
    assert (again, again and again.tzinfo) == (found, found and found.tzinfo)
    return found


def on_the_wall(instants, zone):
    """Return instants as ``2024-03-31 03:00 +02:00``, with seconds only where there are some."""
    shown = []
    for instant in instants:
        wall = zone.fromutc(instant.replace(tzinfo=zone))
        clock = wall.strftime("%Y-%m-%d %H:%M:%S %z").replace(":00 ", " ")
        shown.append(f"{clock[:-2]}:{clock[-2:]}")
    return shown
