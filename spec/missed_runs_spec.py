"""Missed runs: what becomes of occurrences that passed while nobody looked.

The application may be down, or its supervisor late. Each look at a schedule finds the occurrences
since its **watermark**, the latest occurrence that has been dealt with, up to the present.

* One that is noticed at most ``grace`` late (60 seconds by default, to the microsecond) is **on
  time** and runs.
* One that is noticed later is **missed**. ``missed="once"`` makes up the latest of them, so one run
  however long the downtime; it is the default of fixed-time schedules. ``"skip"`` makes up none;
  the default of wildcard ones, whose next run is near. ``"all"`` makes up every one, in order, but
  at most the latest 1,000.
* Nothing at or before the watermark runs, so nothing runs twice. Nothing after the present runs.
* Neither does a look ever take more than 1,000 occurrences that are on time, and what it costs
  depends on what is to run, not on how long it was down.

**Nothing is owed** where a schedule begins: when it is first seen, when its text or its zone has
changed, and when the application is unlocked (the admin tool's tests show the last). It then begins
with the present.

A wall clock that was set back leaves watermarks in its future. By less than three hours, it is
waited out: until the clock has passed the watermark again, nothing runs, since it has run already.
By three hours or more, it was a correction: the watermark becomes the present.
"""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron import testing
from autocron.app import App
from autocron.core.cron import parse
from autocron.core.errors import ScheduleWarning
from autocron.core.next_run import between
from autocron.core.schedule import MAX_OWED, Owed, Schedule, corrected_watermark, owed
from autocron.schedule_options import CronOptions
from spec.strategies import clock_texts, near_changes
from spec.tables import table
from spec.zones import ChangingZone, at, zone

UTC = timezone.utc
HOUR = timedelta(hours=1)


def a_schedule(text, watermark_at, missed="once", grace=60.0):
    return Schedule(
        key=f"shop:clean {text}",
        name="shop:clean",
        text=text,
        zone="UTC",
        missed=missed,
        overlap="skip",
        grace_seconds=grace,
        at_start=False,
        watermark_at=watermark_at,
    )


def look(text, watermark, now, missed="once", grace=60.0):
    """Return what is made up and what is on time, as texts."""
    schedule = a_schedule(text, at(f"2024-03-{watermark}"), missed, grace)
    found = owed(schedule, parse(text), UTC, at(f"2024-03-{now}"))
    return [
        " ".join(f"{moment:%d %H:%M}" for moment in part) for part in (found.made_up, found.on_time)
    ]


@table("""
expression   | missed | watermark | now         | made_up                    | on_time
30 2 * * *   | once   | 01 00:00  | 01 02:29:59 |                            |
30 2 * * *   | once   | 01 00:00  | 01 02:30:00 |                            | 01 02:30
30 2 * * *   | once   | 01 00:00  | 01 02:31:00 |                            | 01 02:30
30 2 * * *   | once   | 01 00:00  | 01 02:31:01 | 01 02:30                   |
30 2 * * *   | once   | 01 02:30  | 01 02:31:01 |                            |
30 2 * * *   | once   | 01 02:30  | 05 12:00:00 | 05 02:30                   |
30 2 * * *   | skip   | 01 02:30  | 05 12:00:00 |                            |
30 2 * * *   | all    | 01 02:30  | 05 12:00:00 | 02 02:30 03 02:30 04 02:30 05 02:30 |
30 2 * * *   | once   | 01 02:30  | 05 02:30:10 | 04 02:30                   | 05 02:30
30 2 * * *   | skip   | 01 02:30  | 05 02:30:10 |                            | 05 02:30
30 2 * * *   | all    | 01 02:30  | 03 02:30:10 | 02 02:30                   | 03 02:30
*/10 * * * * | skip   | 01 00:00  | 01 01:00:30 |                            | 01 01:00
*/10 * * * * | all    | 01 00:30  | 01 01:05:00 | 01 00:40 01 00:50 01 01:00 |
* * * * *    | skip   | 01 00:00  | 01 00:02:00 |                            | 01 00:01 01 00:02
30 2 * * *   | once   | 09 00:00  | 05 12:00:00 |                            |
""")
def it_makes_up_what_the_policy_says_and_runs_what_is_on_time(
    expression, missed, watermark, now, made_up, on_time
):
    assert look(expression, watermark, now, missed) == [made_up, on_time]


class DescribeTheGrace:
    @pytest.mark.parametrize(
        ("late", "is_on_time"),
        [
            (timedelta(0), True),
            (timedelta(seconds=10), True),
            (timedelta(seconds=10, microseconds=1), False),
        ],
    )
    def it_is_exact_to_the_microsecond(self, late, is_on_time):
        schedule = a_schedule("0 6 * * *", at("2024-03-01 00:00"), grace=10.0)
        due = at("2024-03-01 06:00")
        found = owed(schedule, parse("0 6 * * *"), UTC, due + late)
        assert found == (Owed(on_time=(due,)) if is_on_time else Owed(made_up=(due,)))

    def it_may_be_none_at_all(self):
        assert look("0 6 * * *", "01 00:00", "01 06:00:00", grace=0.0) == ["", "01 06:00"]
        assert look("0 6 * * *", "01 00:00", "01 06:00:01", "skip", grace=0.0) == ["", ""]

    def it_may_be_longer_than_the_downtime(self):
        on_time = "01 06:00 02 06:00 03 06:00"
        assert look("0 6 * * *", "01 00:00", "03 12:00", "skip", grace=7 * 86400.0) == ["", on_time]

    def it_leaves_an_occurrence_either_on_time_or_missed_never_both(self):
        assert look("0 6 * * *", "01 00:00", "01 06:01:00", "all") == ["", "01 06:00"]


class DescribeALongDowntime:
    def it_makes_up_the_latest_thousand_at_most(self):
        now = at("2024-03-08 00:00")
        schedule = a_schedule("* * * * *", at("2024-03-01 00:00"), "all")
        found = owed(schedule, parse("* * * * *"), UTC, now)
        assert len(found.made_up) == MAX_OWED == 1000
        assert found.made_up[-1] == now - timedelta(minutes=2)
        assert found.made_up[0] == now - timedelta(minutes=1001)
        assert found.on_time == (now - timedelta(minutes=1), now)

    def it_takes_the_latest_thousand_that_are_on_time_however_long_the_grace(self):
        now = at("2024-03-08 00:00")
        schedule = a_schedule("* * * * * *", at("1924-03-01 00:00"), "skip", 100 * 366 * 86400.0)
        found = owed(schedule, parse("* * * * * *"), UTC, now)
        assert len(found.on_time) == MAX_OWED
        assert (found.on_time[0], found.on_time[-1]) == (now - timedelta(seconds=999), now)

    def it_finds_the_latest_one_by_the_clock_of_its_own_day(self):
        # Half an hour after it the clock went forward, and has not changed in the months since.
        where = ChangingZone(0, (datetime(2024, 1, 1, 23, 30), 60))
        schedule = a_schedule("0 * 1 1 *", at("2023-06-01 00:00"))
        found = owed(schedule, parse("0 * 1 1 *"), where, at("2024-06-01 00:00"))
        assert found == Owed(made_up=(at("2024-01-01 23:00"),))

    def it_finds_nothing_where_there_never_was_an_occurrence(self):
        schedule = a_schedule("0 0 29 2 *", at("0001-01-02 00:00"))
        found = owed(schedule, parse("0 0 29 2 *"), UTC, at("0002-01-01 00:00"))
        assert found == Owed()


class DescribeTheLaws:
    """For any schedule, zone and downtime, checked against the list of all occurrences."""

    @given(
        clock_texts(),
        near_changes,
        st.integers(0, 3 * 86400),
        st.integers(0, 2 * 86400),
        st.sampled_from(["once", "skip", "all"]),
    )
    def it_runs_each_occurrence_since_the_watermark_at_most_once_in_order(
        self, text, place, down_seconds, grace, missed
    ):
        name, now = place
        where, expression = zone(name), parse(text)
        watermark_at = now - timedelta(seconds=down_seconds)
        found = owed(a_schedule(text, watermark_at, missed, grace), expression, where, now)
        expected = list(between(expression, watermark_at, now, where))
        on_time = [moment for moment in expected if now - moment <= timedelta(seconds=grace)]
        too_late = [moment for moment in expected if moment not in set(on_time)]
        made_up = {"skip": [], "once": too_late[-1:], "all": too_late[-1000:]}[missed]
        assert found == Owed(tuple(made_up), tuple(on_time[-1000:]))

    @given(clock_texts(), near_changes, st.integers(0, 3 * 86400))
    def it_owes_nothing_more_once_the_latest_has_been_dealt_with(self, text, place, down_seconds):
        name, now = place
        where, expression = zone(name), parse(text)
        schedule = a_schedule(text, now - timedelta(seconds=down_seconds), "all")
        found = owed(schedule, expression, where, now)
        for moment in (*found.made_up, *found.on_time)[-1:]:
            assert owed(a_schedule(text, moment, "all"), expression, where, now) == Owed()


class DescribeTheDefaults:
    @table("""
    expression   | missed
    30 2 * * *   | once
    0,30 0-23 * * * | once
    */5 * * * *  | skip
    0 * * * *    | skip
    * 2 * * *    | skip
    """)
    def it_makes_up_fixed_times_and_skips_wildcards(self, expression, missed):
        app = App()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScheduleWarning)  # "* 2 * * *" looks like a slip

            @app.cron(expression)
            def clean(): ...

        assert [options.missed for options in app.schedules.values()] == [missed]


class DescribeWhereNothingIsOwed:
    """The places at which a schedule begins with the present, in a running system."""

    def it_is_first_seen(self):
        app = App()
        with testing.session(now="2024-03-01 02:30", app=app) as session:

            @app.cron("30 2 * * *", tz="UTC")
            def clean(): ...

            assert session.run_pending().count(clean) == 0
            session.advance(days=1)
            assert session.run_pending().count(clean) == 1

    @pytest.mark.parametrize(
        ("changes", "runs"),
        [
            ({}, 1),
            ({"text": "31 2 * * *"}, 0),
            ({"zone": "+01:00"}, 0),
            ({"grace_seconds": 5.0}, 1),
            ({"overlap": "allow"}, 1),
        ],
    )
    def it_has_another_text_or_zone_but_not_another_policy(self, bench, changes, runs):
        given_before = {
            "name": "shop:clean",
            "text": "30 2 * * *",
            "zone": "UTC",
            "missed": "once",
            "overlap": "skip",
            "grace_seconds": 60.0,
            "at_start": False,
        }
        engine = bench.engine(keeps_house=True)
        before = CronOptions(**given_before)
        engine.declare([before.schedule("UTC", bench.clock.now())])
        bench.clock.advance(hours=12)
        # The application is started with other code.
        after = CronOptions(**{**given_before, **changes})
        engine.declare([after.schedule("UTC", bench.clock.now())], complete_for=["shop"])
        assert len(engine.tick().fired) == runs


class DescribeALookAfterADowntime:
    @table("""
    missed | grace | now   | runs
    once   | 60    | 01:01 | 01:00
    skip   | 60    | 01:01 | 01:00
    once   | 60    | 01:02 | 01:00
    skip   | 60    | 01:02 |
    all    | 60    | 01:02 | 01:00
    once   | 60    | 03:01 | 02:00 03:00
    skip   | 60    | 03:01 | 03:00
    all    | 60    | 03:01 | 01:00 02:00 03:00
    once   | 60    | 03:02 | 03:00
    skip   | 60    | 03:02 |
    skip   | 9999  | 03:02 | 01:00 02:00 03:00
    skip   | 9999  | 02:00 | 01:00 02:00
    """)
    def it_stores_a_task_for_each_occurrence_that_is_owed(self, bench, missed, grace, now, runs):
        @bench.app.delay
        def clean(): ...

        bench.schedule(
            clean, "0 * * * *", missed=missed, grace_seconds=float(grace), overlap="allow"
        )
        bench.clock.advance_to(f"2024-03-01 {now}")
        engine = bench.engine(runs=False, keeps_house=True)
        fired = engine.tick().fired
        assert " ".join(f"{task.occurrence_at:%H:%M}" for task in fired) == runs
        assert engine.tick().fired == ()


class DescribeASteppedClock:
    @table("""
    ahead | stepped | becomes
    -1    | 0       | itself
    0     | -10     | itself
    0.5   | 0       | itself
    2.9   | -2.9    | itself
    2.9   | -3      | now
    0.1   | -3      | now
    1e-5  | -3      | now
    2.9   | 10      | itself
    3     | 0       | now
    3     | -0.5    | now
    900   | 0       | now
    """)
    def it_is_waited_out_below_three_hours_and_is_a_correction_from_there(
        self, ahead, stepped, becomes
    ):
        now = at("2024-03-01 12:00")
        watermark_at = now + float(ahead) * HOUR
        expected = {"itself": watermark_at, "now": now}[becomes]
        assert corrected_watermark(watermark_at, now, float(stepped) * 3600) == expected

    @given(
        st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC)),
        st.floats(-1e7, 1e7),
        st.floats(-1e7, 1e7),
    )
    def it_never_moves_a_watermark_forwards(self, now, ahead_seconds, stepped_seconds):
        watermark_at = now + timedelta(seconds=ahead_seconds)
        corrected = corrected_watermark(watermark_at, now, stepped_seconds)
        assert corrected in (watermark_at, now)
        assert corrected <= watermark_at
