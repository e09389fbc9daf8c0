"""Time zones by name: how a schedule names its zone, and how the name becomes a tzinfo again.

A name is ``"local"`` (the system's zone), ``"UTC"``, a fixed offset such as ``"+05:30"``, or a key
of the IANA database such as ``"Europe/Berlin"``. The last needs :mod:`zoneinfo` (Python 3.9), or
its official backport on 3.8.
"""

from __future__ import annotations

import importlib
import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Optional, Union

from autocron.core.errors import InvalidSchedule

LOCAL = "local"
_FIXED = r"([+-])(\d\d):([0-5]\d)(?::([0-5]\d))?"


class LocalZone(tzinfo):
    """The system's local zone, as the C library knows it: always there, with gaps and folds.

    ``datetime.timestamp()`` and ``fromtimestamp()`` follow PEP 495, so the offset is the difference
    between the two readings.
    """

    def utcoffset(self, moment: Optional[datetime]) -> Optional[timedelta]:
        """Return the offset from UTC at a wall time."""
        if moment is None:
            return None
        wall = moment.replace(tzinfo=None)
        seconds = wall.timestamp()
        whole = datetime.fromtimestamp(int(seconds // 1), timezone.utc).replace(tzinfo=None)
        return wall.replace(microsecond=0) - whole

    def dst(self, moment: Optional[datetime]) -> Optional[timedelta]:
        """Return None: the C library's answer is not needed and differs between systems."""
        return None

    def tzname(self, moment: Optional[datetime]) -> Optional[str]:
        """Return the zone's abbreviation at a wall time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        """Return the wall time, its fold set, of an instant given in UTC."""
        aware = moment.replace(tzinfo=timezone.utc)
        local = datetime.fromtimestamp(int(aware.timestamp() // 1))
        return local.replace(microsecond=moment.microsecond, tzinfo=self)

    def __repr__(self) -> str:
        return "LocalZone()"


def zone_name(zone: Union[str, tzinfo]) -> str:
    """Tell under which name a zone is kept.

    Arguments:
        zone: A name, or a tzinfo that has one: ZoneInfo, ``datetime.timezone``, a pytz zone.

    Returns:
        The name; :func:`load_zone` turns it into the zone again.

    Raises:
        InvalidSchedule: The zone has no name or is not known here.
    """
    if isinstance(zone, LocalZone):
        return LOCAL
    if isinstance(zone, timezone):
        offset = zone.utcoffset(None)
        if offset.microseconds:
            raise InvalidSchedule(f"tz: {zone!r} is not a number of whole seconds away from UTC")
        return "UTC" if not offset else _fixed_name(offset)
    if isinstance(zone, tzinfo):
        key = getattr(zone, "key", None) or getattr(zone, "zone", None)
        if not isinstance(key, str):
            raise InvalidSchedule(
                f"tz: {zone!r} has no name under which a worker could find it; give the name of an "
                "IANA zone such as 'Europe/Berlin', a ZoneInfo or a datetime.timezone"
            )
        zone = key
    if not isinstance(zone, str):
        raise InvalidSchedule(
            f"tz: {zone!r} is {type(zone).__name__}; expected the name of an IANA zone such as "
            "'Europe/Berlin', or a tzinfo"
        )
    load_zone(zone)
    return zone


def load_zone(name: str) -> tzinfo:
    """Return the zone of a name.

    Arguments:
        name: As :func:`zone_name` gives it.

    Returns:
        A tzinfo that follows PEP 495.

    Raises:
        InvalidSchedule: No such zone is known on this machine; the message says what to do.
    """
    if name == LOCAL:
        return LocalZone()
    if name == "UTC":
        return timezone.utc
    fixed = re.fullmatch(_FIXED, name, re.ASCII)
    if fixed is not None:
        sign, hours, minutes, seconds = fixed.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds or 0))
        if offset >= timedelta(hours=24):
            raise InvalidSchedule(f"tz: {name!r} is not less than 24 hours away from UTC")
        return timezone(offset if sign == "+" else -offset)
    zoneinfo = _zoneinfo(name)
    try:
        zone: tzinfo = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSchedule(
            f"tz: no time zone {name!r} is known here; expected a name of the IANA database such "
            "as 'Europe/Berlin' (names are spelled exactly; if the system has no zone database, "
            'pip install "autocron[zones]")'
        ) from None
    return zone


def _zoneinfo(name: str) -> Any:
    for module in ("zoneinfo", "backports.zoneinfo"):
        try:
            return importlib.import_module(module)
        except ImportError:
            continue
    raise InvalidSchedule(
        f"tz: {name!r} needs the zone database, which Python 3.8 does not have: "
        'pip install "autocron[zones]", or leave tz out for the system\'s local zone'
    )


def _fixed_name(offset: timedelta) -> str:
    sign = "-" if offset < timedelta(0) else "+"
    seconds = int(abs(offset).total_seconds())
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{sign}{hours:02}:{minutes:02}" + (f":{seconds:02}" if seconds else "")
