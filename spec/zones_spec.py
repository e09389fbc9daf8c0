"""Time zones by name.

A schedule keeps its zone as text, since another process has to find it again. The text is a key of
the IANA database such as ``Europe/Berlin``, spelled exactly; ``UTC``; a fixed offset such as
``+05:30``; or ``local``, the zone of the system. A zone may be given as text, or as a tzinfo that
has such a name: a ``ZoneInfo`` with a key, a pytz zone, a ``datetime.timezone``. Others are refused
where they are written.

The zone database comes with Python 3.9; on 3.8 it is ``autocron[zones]``, and until it is needed
nothing asks for it. ``local`` needs no database: it is what the C library makes of the system's
settings, with the gaps and folds of PEP 495.
"""

from __future__ import annotations

import builtins
import os
import time
from datetime import datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.core.cron import parse
from autocron.core.errors import InvalidSchedule
from autocron.core.next_run import occurrences
from autocron.zones import LOCAL, LocalZone, load_zone, zone_name
from spec.tables import table
from spec.zones import ZoneInfo, at, next_run, on_the_wall, zone

HOUR = timedelta(hours=1)


class Nameless(tzinfo):
    """A zone without a name."""


class WithZone(tzinfo):
    """A zone as pytz makes it."""

    zone = "UTC"


class DescribeNames:
    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ("UTC", "UTC"),
            ("local", "local"),
            ("+05:30", "+05:30"),
            ("-03:00", "-03:00"),
            ("+00:00", "+00:00"),
            ("+01:02:03", "+01:02:03"),
            (timezone.utc, "UTC"),
            (timezone(timedelta(0)), "UTC"),
            (timezone(5.5 * HOUR, "IST"), "+05:30"),
            (timezone(-3 * HOUR), "-03:00"),
            (timezone(-timedelta(hours=1, minutes=2, seconds=3)), "-01:02:03"),
            (LocalZone(), "local"),
            (WithZone(), "UTC"),
        ],
    )
    def it_keeps_a_zone_under_a_name(self, given, name):
        assert zone_name(given) == name

    def it_keeps_a_zone_of_the_database_under_its_key(self):
        assert zone_name(zone("Europe/Berlin")) == zone_name("Europe/Berlin") == "Europe/Berlin"

    @table("""
    name    | hours
    UTC     | 0
    +05:30  | 5.5
    -03:00  | -3
    +00:00  | 0
    +23:59  | 23.983333333333334
    """)
    def it_finds_the_zone_of_a_name_again(self, name, hours):
        assert load_zone(name).utcoffset(None) == float(hours) * HOUR

    def it_finds_the_zone_of_a_key_again(self):
        assert zone("Europe/Berlin") is load_zone("Europe/Berlin")
        assert load_zone("Europe/Berlin").utcoffset(datetime(2024, 7, 1)) == 2 * HOUR

    @given(st.timedeltas(-timedelta(hours=23, minutes=59), timedelta(hours=23, minutes=59)))
    def it_finds_every_fixed_offset_of_whole_seconds_again(self, offset):
        whole = timedelta(seconds=offset // timedelta(seconds=1))
        assert load_zone(zone_name(timezone(whole))).utcoffset(None) == whole


class DescribeWhatIsRefused:
    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ("Mars/Olympus_Mons", "no time zone 'Mars/Olympus_Mons' is known here"),
            ("europe/berlin!", "no time zone"),
            ("", "no time zone ''"),
            ("../zone", "no time zone"),
            ("+24:00", "'\\+24:00' is not less than 24 hours away from UTC"),
            ("+05:60", "no time zone '\\+05:60' is known here"),
            ("+5:30", "no time zone"),
            ("+\u0660\u0665:\u0663\u0660", "no time zone"),
            (5, "tz: 5 is int; expected the name of an IANA zone such as 'Europe/Berlin', or a tz"),
            (b"UTC", "is bytes"),
            (Nameless(), "has no name under which a worker could find it"),
            (timezone(timedelta(microseconds=1)), "whole seconds"),
            (timezone(timedelta(hours=1, microseconds=-1)), "whole seconds"),
        ],
    )
    def it_says_what_was_expected(self, given, says):
        if isinstance(given, str) and ZoneInfo is None and "away" not in says:
            says = "needs the zone database"
        with pytest.raises(InvalidSchedule, match=says):
            zone_name(given)

    def it_is_a_zone_info_without_a_key(self):
        if ZoneInfo is None:
            pytest.skip("no zone database in this Python")
        with open(_zone_file("Europe/Berlin"), "rb") as file:
            nameless = ZoneInfo.from_file(file)
        with pytest.raises(InvalidSchedule, match="has no name"):
            zone_name(nameless)

    def it_is_a_key_where_there_is_no_database(self, monkeypatch):
        import_module = builtins.__import__

        def no_zoneinfo(name, *args, **kwargs):
            if name in ("zoneinfo", "backports.zoneinfo"):
                raise ImportError(name)
            return import_module(name, *args, **kwargs)

        monkeypatch.setattr("autocron.zones.importlib.import_module", no_zoneinfo)
        with pytest.raises(InvalidSchedule, match=r'pip install "autocron\[zones\]"'):
            load_zone("Europe/Berlin")
        assert load_zone("UTC") is timezone.utc
        assert isinstance(load_zone(LOCAL), LocalZone)


def _zone_file(key):
    for folder in ("/usr/share/zoneinfo", "/usr/lib/zoneinfo"):
        if os.path.exists(os.path.join(folder, key)):
            return os.path.join(folder, key)
    tzdata = pytest.importorskip("tzdata")
    return os.path.join(os.path.dirname(tzdata.__file__), "zoneinfo", key)


# Berlin's rules, and New York's, as POSIX writes them: known without any database.
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
NEW_YORK = "EST5EDT,M3.2.0,M11.1.0"


@pytest.fixture
def system_zone(monkeypatch):
    def system_zone(rules):
        monkeypatch.setenv("TZ", rules)
        time.tzset()
        return LocalZone()

    yield system_zone
    monkeypatch.undo()
    time.tzset()


class DescribeTheSystemsZone:
    @table("""
    rules      | instant          | wall                    | name
    CET-1CEST,M3.5.0,M10.5.0/3 | 2024-01-01 12:00 | 2024-01-01 13:00 +01:00 | CET
    CET-1CEST,M3.5.0,M10.5.0/3 | 2024-07-01 12:00 | 2024-07-01 14:00 +02:00 | CEST
    CET-1CEST,M3.5.0,M10.5.0/3 | 2024-03-31 00:59 | 2024-03-31 01:59 +01:00 | CET
    CET-1CEST,M3.5.0,M10.5.0/3 | 2024-03-31 01:00 | 2024-03-31 03:00 +02:00 | CEST
    CET-1CEST,M3.5.0,M10.5.0/3 | 2024-10-27 00:30 | 2024-10-27 02:30 +02:00 | CEST
    CET-1CEST,M3.5.0,M10.5.0/3 | 2024-10-27 01:30 | 2024-10-27 02:30 +01:00 | CET
    EST5EDT,M3.2.0,M11.1.0     | 2024-11-03 05:30 | 2024-11-03 01:30 -04:00 | EDT
    EST5EDT,M3.2.0,M11.1.0     | 2024-11-03 06:30 | 2024-11-03 01:30 -05:00 | EST
    UTC0                       | 1965-01-01 00:00 | 1965-01-01 00:00 +00:00 | UTC
    """)
    def it_shows_the_wall_time_of_the_c_library(self, system_zone, rules, instant, wall, name):
        local = system_zone(rules)
        moment = at(instant)
        assert on_the_wall([moment], local) == [wall]
        shown = moment.astimezone(local)
        assert (shown.astimezone(timezone.utc), shown.tzname()) == (moment, name)

    @given(
        st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1), timezones=st.just(timezone.utc)),
        st.sampled_from([BERLIN, NEW_YORK]),
    )
    def it_loses_no_instant_on_the_way_there_and_back(self, moment, rules):
        before = os.environ.get("TZ")
        try:
            os.environ["TZ"] = rules
            time.tzset()
            assert moment.astimezone(LocalZone()).astimezone(timezone.utc) == moment
        finally:
            os.environ.pop("TZ", None)
            if before is not None:
                os.environ["TZ"] = before
            time.tzset()

    def it_runs_cron_right_across_its_gaps_and_folds(self, system_zone):
        local = system_zone(BERLIN)
        nights = {}
        for day in ("2024-03-30", "2024-10-26"):
            found = occurrences(parse("30 2 * * *"), at(f"{day} 12:00"), local)
            nights[day] = on_the_wall([next(found), next(found)], local)
        assert nights == {
            "2024-03-30": ["2024-03-31 03:00 +02:00", "2024-04-01 02:30 +02:00"],
            "2024-10-26": ["2024-10-27 02:30 +02:00", "2024-10-28 02:30 +01:00"],
        }

    def it_has_no_say_in_what_is_asked_in_other_zones(self, system_zone):
        system_zone(NEW_YORK)  # where the year has not begun
        after = at("2025-01-01 01:00 +00:30")
        assert next_run(parse("0 1 * * *"), after, timezone.utc) == at("2025-01-01 01:00")

    def it_says_nothing_about_no_moment(self):
        local = LocalZone()
        assert (local.utcoffset(None), local.tzname(None), local.dst(None)) == (None, None, None)
        assert local.dst(datetime(2024, 7, 1)) is None
        assert repr(local) == "LocalZone()"
