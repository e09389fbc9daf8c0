"""Changes of the clock.

A time zone changes its offset from UTC. Where the offset grows, the wall clock leaves out a *gap*;
where it shrinks, the clock is put back and shows a stretch twice: a *fold*, with a first and a
second pass. PEP 495 gives the words.

The rules are those of Debian's cron, cron(8), for changes of any size:

Fixed-time schedules
    Neither minute nor hour starts with ``*``. Such a schedule runs *when the wall clock first
    reaches its time or passes it*. So what falls into a gap runs once, at the first instant after
    it; several times in one gap make one run, together with one that matches just there. What
    falls into a fold runs on the first pass and not again.

Wildcard schedules
    They follow elapsed time: they run whenever the wall clock shows a matching time. Nothing is
    invented in a gap, and both passes of a fold count. ``*/15 2 * * *`` is a wildcard schedule, so
    on the day on which 2 o'clock is left out it does not run at all; ``0 */3 * * *`` runs twice
    where 3 o'clock comes twice, ``0 0,3,6 * * *`` once.

Both
    The rule is the same for six fields. Runs are strictly ordered in elapsed time: asked from
    inside a second pass, the answer is later than the question. It does not matter how long a gap
    or fold is or where it begins: half an hour (Lord Howe), two hours (Troll), a minute past
    midnight (St John's until 2011), across midnight (Santiago, Beirut, Cairo, Sao Paulo), or a
    whole day, which is made up for by one run (Apia). cron(8) takes changes of three hours and more for
    corrections of the clock, which a zone does not make; here they are gaps and folds as well.

Two changes of one zone that undo each other within a day would not be noticed; in the tz database
four days is the shortest such time.
"""

# A row of a table stays on one line.
# ruff: noqa: E501

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autocron.core.cron import parse
from autocron.core.next_run import between, occurrences, previous_run
from spec import oracles, strategies
from spec.tables import table
from spec.zones import ChangingZone, at, next_run, on_the_wall, zone

UTC = timezone.utc


def runs_after(text, after, where, count):
    found = itertools.islice(occurrences(parse(text), at(after), where), count)
    return ", ".join(on_the_wall(found, where))


def check(name, expression, after, runs):
    """Compare the runs after an instant, in both directions."""
    where = zone(name)
    expected = [at(run) for run in runs.split(", ")]
    assert runs_after(expression, after, where, len(expected)) == runs
    for earlier, later in zip(expected, expected[1:]):
        assert next_run(parse(expression), earlier, where) == later
        assert previous_run(parse(expression), later, where) == earlier


class DescribeGaps:
    @table("""
    zone                | expression    | after                   | runs
    Europe/Berlin       | 30 2 * * *    | 2024-03-30 02:30 +01:00 | 2024-03-31 03:00 +02:00, 2024-04-01 02:30 +02:00
    Europe/Berlin       | 0,30 2 * * *  | 2024-03-30 02:30 +01:00 | 2024-03-31 03:00 +02:00, 2024-04-01 02:00 +02:00
    Europe/Berlin       | 30 2,3 * * *  | 2024-03-30 03:30 +01:00 | 2024-03-31 03:00 +02:00, 2024-03-31 03:30 +02:00, 2024-04-01 02:30 +02:00
    Europe/Berlin       | 0,30 2,3 * * * | 2024-03-30 03:30 +01:00 | 2024-03-31 03:00 +02:00, 2024-03-31 03:30 +02:00, 2024-04-01 02:00 +02:00
    Europe/Berlin       | 0-59 0-23 * * * | 2024-03-31 01:58 +01:00 | 2024-03-31 01:59 +01:00, 2024-03-31 03:00 +02:00, 2024-03-31 03:01 +02:00
    Europe/Berlin       | 30 2 31 3 *   | 2023-04-01 00:00 +02:00 | 2024-03-31 03:00 +02:00, 2025-03-31 02:30 +02:00
    Europe/London       | 30 1 * * *    | 2024-03-30 01:30 +00:00 | 2024-03-31 02:00 +01:00, 2024-04-01 01:30 +01:00
    America/New_York    | 30 2 * * *    | 2024-03-09 02:30 -05:00 | 2024-03-10 03:00 -04:00, 2024-03-11 02:30 -04:00
    America/New_York    | 0 3 * * *     | 2024-03-09 03:00 -05:00 | 2024-03-10 03:00 -04:00, 2024-03-11 03:00 -04:00
    Australia/Lord_Howe | 15 2 * * *    | 2024-10-05 02:15 +10:30 | 2024-10-06 02:30 +11:00, 2024-10-07 02:15 +11:00
    Pacific/Chatham     | 0 3 * * *     | 2024-09-28 03:00 +12:45 | 2024-09-29 03:45 +13:45, 2024-09-30 03:00 +13:45
    Antarctica/Troll    | 30 1,2 * * *  | 2024-03-30 02:30 +00:00 | 2024-03-31 03:00 +02:00, 2024-04-01 01:30 +02:00
    America/St_Johns    | 0 1 * * *     | 2010-03-13 01:00 -03:30 | 2010-03-14 01:01 -02:30, 2010-03-15 01:00 -02:30
    America/St_Johns    | 0 0 * * *     | 2010-03-13 00:00 -03:30 | 2010-03-14 00:00 -03:30, 2010-03-15 00:00 -02:30
    America/Santiago    | 0 0 * * *     | 2024-09-07 00:00 -04:00 | 2024-09-08 01:00 -03:00, 2024-09-09 00:00 -03:00
    America/Santiago    | 0 0 * * 0     | 2024-09-01 00:00 -04:00 | 2024-09-08 01:00 -03:00, 2024-09-15 00:00 -03:00
    America/Santiago    | 0 0 8 9 *     | 2023-10-01 00:00 -03:00 | 2024-09-08 01:00 -03:00, 2025-09-08 00:00 -03:00
    Asia/Beirut         | 0 0 * * *     | 2024-03-30 00:00 +02:00 | 2024-03-31 01:00 +03:00, 2024-04-01 00:00 +03:00
    Africa/Cairo        | 0 0 * * *     | 2024-04-25 00:00 +02:00 | 2024-04-26 01:00 +03:00, 2024-04-27 00:00 +03:00
    America/Sao_Paulo   | 30 0 * * *    | 2018-11-03 00:30 -03:00 | 2018-11-04 01:00 -02:00, 2018-11-05 00:30 -02:00
    Africa/Casablanca   | 30 2 * * *    | 2024-04-13 02:30 +00:00 | 2024-04-14 03:00 +01:00, 2024-04-15 02:30 +01:00
    Pacific/Apia        | 0 12 * * *    | 2011-12-28 12:00 -10:00 | 2011-12-29 12:00 -10:00, 2011-12-31 00:00 +14:00, 2011-12-31 12:00 +14:00
    Pacific/Apia        | 0 8,12 * * *  | 2011-12-29 12:00 -10:00 | 2011-12-31 00:00 +14:00, 2011-12-31 08:00 +14:00
    Pacific/Apia        | 0 0 30 12 *   | 2010-12-31 00:00 -10:00 | 2011-12-31 00:00 +14:00, 2012-12-30 00:00 +14:00
    Pacific/Apia        | 0 0 * * fri   | 2011-12-23 00:00 -10:00 | 2011-12-31 00:00 +14:00, 2012-01-06 00:00 +14:00
    Antarctica/Casey    | 0 1 * * *     | 2020-10-03 01:00 +08:00 | 2020-10-04 03:01 +11:00, 2020-10-05 01:00 +11:00
    """)
    def it_runs_a_fixed_time_once_right_after_the_gap(self, zone, expression, after, runs):
        check(zone, expression, after, runs)

    @table("""
    zone                | expression   | after                   | runs
    Europe/Berlin       | */15 2 * * * | 2024-03-30 02:45 +01:00 | 2024-04-01 02:00 +02:00, 2024-04-01 02:15 +02:00
    Europe/Berlin       | 30 */2 * * * | 2024-03-31 00:30 +01:00 | 2024-03-31 04:30 +02:00, 2024-03-31 06:30 +02:00
    Europe/Berlin       | */30 * * * * | 2024-03-31 01:00 +01:00 | 2024-03-31 01:30 +01:00, 2024-03-31 03:00 +02:00, 2024-03-31 03:30 +02:00
    Europe/Berlin       | 0 * * * *    | 2024-03-31 00:00 +01:00 | 2024-03-31 01:00 +01:00, 2024-03-31 03:00 +02:00
    Australia/Lord_Howe | */20 * * * * | 2024-10-06 01:39 +10:30 | 2024-10-06 01:40 +10:30, 2024-10-06 02:40 +11:00
    Antarctica/Troll    | 0 * * * *    | 2024-03-31 00:00 +00:00 | 2024-03-31 03:00 +02:00, 2024-03-31 04:00 +02:00
    America/Santiago    | * 0 * * *    | 2024-09-07 00:58 -04:00 | 2024-09-07 00:59 -04:00, 2024-09-09 00:00 -03:00
    Pacific/Apia        | * 12 30 12 * | 2010-12-31 00:00 -10:00 | 2012-12-30 12:00 +14:00, 2012-12-30 12:01 +14:00
    Pacific/Apia        | 0 */12 * * * | 2011-12-29 00:00 -10:00 | 2011-12-29 12:00 -10:00, 2011-12-31 00:00 +14:00, 2011-12-31 12:00 +14:00
    """)
    def it_invents_nothing_for_a_wildcard(self, zone, expression, after, runs):
        check(zone, expression, after, runs)


class DescribeFolds:
    @table("""
    zone                | expression    | after                   | runs
    Europe/Berlin       | 30 2 * * *    | 2024-10-26 02:30 +02:00 | 2024-10-27 02:30 +02:00, 2024-10-28 02:30 +01:00
    Europe/Berlin       | 0 2,3 * * *   | 2024-10-26 03:00 +02:00 | 2024-10-27 02:00 +02:00, 2024-10-27 03:00 +01:00, 2024-10-28 02:00 +01:00
    Europe/Berlin       | 0 0-23 * * *  | 2024-10-27 01:00 +02:00 | 2024-10-27 02:00 +02:00, 2024-10-27 03:00 +01:00
    America/New_York    | 30 1 * * *    | 2024-11-02 01:30 -04:00 | 2024-11-03 01:30 -04:00, 2024-11-04 01:30 -05:00
    Australia/Lord_Howe | 45 1 * * *    | 2024-04-06 01:45 +11:00 | 2024-04-07 01:45 +11:00, 2024-04-08 01:45 +10:30
    Pacific/Chatham     | 0 3 * * *     | 2024-04-06 03:00 +13:45 | 2024-04-07 03:00 +13:45, 2024-04-08 03:00 +12:45
    Antarctica/Troll    | 30 1,2 * * *  | 2024-10-26 02:30 +02:00 | 2024-10-27 01:30 +02:00, 2024-10-27 02:30 +02:00, 2024-10-28 01:30 +00:00
    America/St_Johns    | 0 0 * * *     | 2010-11-06 00:00 -02:30 | 2010-11-07 00:00 -02:30, 2010-11-08 00:00 -03:30
    America/St_Johns    | 30 23 * * *   | 2010-11-05 23:30 -02:30 | 2010-11-06 23:30 -02:30, 2010-11-07 23:30 -03:30
    America/Santiago    | 30 23 * * *   | 2024-04-05 23:30 -03:00 | 2024-04-06 23:30 -03:00, 2024-04-07 23:30 -04:00
    America/Santiago    | 0 0 * * *     | 2024-04-06 00:00 -03:00 | 2024-04-07 00:00 -04:00, 2024-04-08 00:00 -04:00
    Asia/Beirut         | 15 23 * * *   | 2024-10-25 23:15 +03:00 | 2024-10-26 23:15 +03:00, 2024-10-27 23:15 +02:00
    Pacific/Kwajalein   | 0 12 * * *    | 1969-09-29 12:00 +11:00 | 1969-09-30 12:00 +11:00, 1969-10-01 12:00 -12:00
    """)
    def it_runs_a_fixed_time_on_the_first_pass_only(self, zone, expression, after, runs):
        check(zone, expression, after, runs)

    @table("""
    zone                | expression   | after                   | runs
    Europe/Berlin       | 0 * * * *    | 2024-10-27 01:00 +02:00 | 2024-10-27 02:00 +02:00, 2024-10-27 02:00 +01:00, 2024-10-27 03:00 +01:00
    Europe/Berlin       | 30 */2 * * * | 2024-10-27 00:30 +02:00 | 2024-10-27 02:30 +02:00, 2024-10-27 02:30 +01:00, 2024-10-27 04:30 +01:00
    Europe/Berlin       | */30 2 * * * | 2024-10-26 02:30 +02:00 | 2024-10-27 02:00 +02:00, 2024-10-27 02:30 +02:00, 2024-10-27 02:00 +01:00, 2024-10-27 02:30 +01:00
    Europe/London       | 0 * * * *    | 2024-10-27 00:00 +01:00 | 2024-10-27 01:00 +01:00, 2024-10-27 01:00 +00:00, 2024-10-27 02:00 +00:00
    America/New_York    | 59 * * * *   | 2024-11-03 00:59 -04:00 | 2024-11-03 01:59 -04:00, 2024-11-03 01:59 -05:00
    Australia/Lord_Howe | */15 1 * * * | 2024-04-07 01:29 +11:00 | 2024-04-07 01:30 +11:00, 2024-04-07 01:45 +11:00, 2024-04-07 01:30 +10:30, 2024-04-07 01:45 +10:30
    Antarctica/Troll    | 30 * * * *   | 2024-10-27 01:30 +02:00 | 2024-10-27 02:30 +02:00, 2024-10-27 01:30 +00:00, 2024-10-27 02:30 +00:00
    America/St_Johns    | 0 * * * *    | 2010-11-06 23:00 -02:30 | 2010-11-07 00:00 -02:30, 2010-11-07 00:00 -03:30, 2010-11-07 01:00 -03:30
    America/St_Johns    | */30 23 * * * | 2010-11-06 23:29 -02:30 | 2010-11-06 23:30 -02:30, 2010-11-06 23:30 -03:30, 2010-11-07 23:00 -03:30
    America/Santiago    | 30 * 6 4 *   | 2024-04-06 22:30 -03:00 | 2024-04-06 23:30 -03:00, 2024-04-06 23:30 -04:00, 2025-04-06 00:30 -04:00
    """)
    def it_runs_a_wildcard_on_both_passes(self, zone, expression, after, runs):
        check(zone, expression, after, runs)

    @table("""
    zone             | expression  | inside                  | next                    | previous
    Europe/Berlin    | 30 2 * * *  | 2024-10-27 02:15 +01:00 | 2024-10-28 02:30 +01:00 | 2024-10-27 02:30 +02:00
    Europe/Berlin    | 30 2 * * *  | 2024-10-27 02:30 +01:00 | 2024-10-28 02:30 +01:00 | 2024-10-27 02:30 +02:00
    Europe/Berlin    | 15 3 * * *  | 2024-10-27 02:15 +01:00 | 2024-10-27 03:15 +01:00 | 2024-10-26 03:15 +02:00
    Europe/Berlin    | */30 * * * * | 2024-10-27 02:15 +01:00 | 2024-10-27 02:30 +01:00 | 2024-10-27 02:00 +01:00
    Europe/Berlin    | */30 * * * * | 2024-10-27 02:00 +01:00 | 2024-10-27 02:30 +01:00 | 2024-10-27 02:30 +02:00
    America/New_York | 45 1 * * *  | 2024-11-03 01:00 -05:00 | 2024-11-04 01:45 -05:00 | 2024-11-03 01:45 -04:00
    """)
    def it_answers_later_from_inside_the_second_pass(
        self, zone, expression, inside, next, previous
    ):
        where = globals()["zone"](zone)
        later, earlier = (
            ask(parse(expression), at(inside), where) for ask in (next_run, previous_run)
        )
        assert on_the_wall([later, earlier], where) == [next, previous]
        # The fold of the question counts: the same wall time, with fold=1.
        wall = where.fromutc(at(inside).astimezone(UTC).replace(tzinfo=where))
        assert wall.fold == 1
        assert next_run(parse(expression), wall, where) == later


class DescribeSeconds:
    @table("""
    expression       | after                      | runs
    15,45 30 2 * * * | 2024-03-30 02:30:45 +01:00 | 2024-03-31 03:00 +02:00, 2024-04-01 02:30:15 +02:00
    */30 59 1 * * *  | 2024-03-31 01:59:00 +01:00 | 2024-03-31 01:59:30 +01:00, 2024-04-01 01:59 +02:00
    */30 * * * * *   | 2024-03-31 01:59:00 +01:00 | 2024-03-31 01:59:30 +01:00, 2024-03-31 03:00 +02:00
    15,45 30 2 * * * | 2024-10-27 02:30:15 +02:00 | 2024-10-27 02:30:45 +02:00, 2024-10-28 02:30:15 +01:00
    15 59 * * * *    | 2024-10-27 01:59:15 +02:00 | 2024-10-27 02:59:15 +02:00, 2024-10-27 02:59:15 +01:00
    */30 59 * * * *  | 2024-10-27 02:59:29 +02:00 | 2024-10-27 02:59:30 +02:00, 2024-10-27 02:59 +01:00
    """)
    def it_follows_the_same_rule(self, expression, after, runs):
        check("Europe/Berlin", expression, after, runs)


class DescribeOddZones:
    def it_takes_a_change_of_three_hours_as_any_other(self):
        ahead = ChangingZone(0, (datetime(2024, 5, 1, 12), 180))
        assert runs_after("0 13 * * *", "2024-05-01 00:00", ahead, 2) == (
            "2024-05-01 15:00 +03:00, 2024-05-02 13:00 +03:00"
        )
        back = ChangingZone(180, (datetime(2024, 5, 1, 12), 0))
        assert runs_after("0 13 * * *", "2024-05-01 00:00", back, 2) == (
            "2024-05-01 13:00 +03:00, 2024-05-02 13:00 +00:00"
        )
        assert runs_after("0 */13 * * *", "2024-05-01 00:00", back, 3) == (
            "2024-05-01 13:00 +03:00, 2024-05-01 13:00 +00:00, 2024-05-02 00:00 +00:00"
        )

    def it_sees_a_change_on_the_first_day_of_a_year(self):
        where = ChangingZone(0, (datetime(2025, 1, 1, 12), 60))
        for after, later in (("01 11:30", "01 13:30"), ("01 13:30", "02 13:30")):
            run = next_run(parse("30 14 * * *"), at(f"2025-01-{after}"), where)
            assert run == at(f"2025-01-{later}")

    def it_takes_a_gap_that_ends_between_minutes(self):
        # Amsterdam left its own mean time, 19 min 32 s ahead of UTC, in 1937.
        amsterdam = zone("Europe/Amsterdam")
        midnight = parse("0 0 1 7 *")
        run = next_run(midnight, at("1937-06-30 12:00"), amsterdam)
        assert amsterdam.fromutc(run.replace(tzinfo=amsterdam)).strftime("%d %H:%M") in (
            "01 00:00",
            "01 01:00",
        )
        assert previous_run(midnight, run + timedelta(days=1), amsterdam) == run

    @pytest.mark.parametrize("text", ["30 2 * * *", "*/30 * * * *"])
    @pytest.mark.parametrize("minutes", [60, -60])
    def it_is_exact_where_the_last_moment_before_a_change_is_an_occurrence(self, text, minutes):
        where = ChangingZone(0, (datetime(2024, 5, 1, 2, 30, 0, 1), minutes))
        last = at("2024-05-01 02:30")
        before = at("2024-05-01 02:29")
        assert next_run(parse(text), before, where) == last
        assert next(occurrences(parse(text), before, where)) == last
        for later in (timedelta(microseconds=1), timedelta(minutes=10)):
            assert previous_run(parse(text), last + later, where) == last

    def it_holds_where_a_small_fold_lies_in_a_large_one(self):
        # May 1 comes twice but for its first hours; meanwhile the clock goes back once more.
        where = ChangingZone(
            720, (datetime(2024, 5, 1, 12), -480), (datetime(2024, 5, 1, 22), -540)
        )
        assert next_run(parse("0 18 * * *"), at("2024-05-01 00:00"), where) == at(
            "2024-05-01 06:00"
        )
        for after in ("06:00", "11:59", "12:00", "21:59", "22:10"):
            run = next_run(parse("0 18 * * *"), at(f"2024-05-01 {after}"), where)
            assert run == at("2024-05-03 03:00")  # 18:00 on May 2
            # What was shown before the large fold was the last.
            last = previous_run(parse("0 18 * * *"), at(f"2024-05-01 {after}:01"), where)
            assert last == at("2024-05-01 06:00")

    def it_holds_where_a_gap_and_a_fold_are_close(self):
        # The fold shows what the gap left out, for the first time; it has been made up for.
        near = ChangingZone(0, (datetime(2024, 5, 1, 2), 60), (datetime(2024, 5, 2, 2), 0))
        assert runs_after("30 2 * * *", "2024-05-01 00:00", near, 3) == (
            "2024-05-01 03:00 +01:00, 2024-05-02 02:30 +01:00, 2024-05-03 02:30 +00:00"
        )

    def it_sees_two_changes_within_a_day(self):
        twice = ChangingZone(0, (datetime(2024, 5, 1, 2), 60), (datetime(2024, 5, 1, 12), 30))
        text, start, end = "*/15 * * * *", at("2024-04-30 12:00"), at("2024-05-02 12:00")
        assert list(between(parse(text), start, end, twice)) == oracles.scan(
            text, start, end, twice
        )
        last = oracles.scan(text, start, at("2024-05-01 15:00"), twice)[-1]
        assert previous_run(parse("*/15 2-12 * * *"), at("2024-05-01 15:00"), twice) < last
        daily = oracles.scan("30 2 * * *", start, end, twice)
        moment = end
        for run in reversed(daily):
            moment = previous_run(parse("30 2 * * *"), moment, twice)
            assert moment == run


class DescribeLaws:
    """The scan of the oracle looks at each minute and at the wall clock, and at nothing else."""

    @strategies.examples(60)
    @given(strategies.clock_texts(), strategies.near_changes, st.integers(0, 2880))
    @example("30 2 * * *", ("Europe/Berlin", at("2024-03-31 00:00")), 600)
    @example("* 12 * * *", ("Pacific/Apia", at("2011-12-29 00:00")), 4000)
    def it_agrees_with_the_scan_around_every_change(self, text, near, minutes):
        name, start = near
        agree(text, zone(name), start, start + timedelta(minutes=minutes))

    @strategies.examples(30)
    @given(strategies.cron_texts(six=False), strategies.near_changes)
    def it_agrees_with_the_scan_for_any_text(self, text, near):
        name, start = near
        agree(text, zone(name), start, start + timedelta(minutes=2000))

    @strategies.examples(15)
    @given(strategies.cron_texts(six=True), strategies.near_changes)
    def it_agrees_with_the_scan_by_seconds(self, text, near):
        name, start = near
        agree(text, zone(name), start, start + timedelta(minutes=61))

    @strategies.examples(40)
    @given(strategies.clock_texts(), strategies.odd_zones(), st.integers(0, 12_000))
    def it_agrees_with_the_scan_in_zones_no_one_has_thought_of(self, text, where, minutes):
        start = at("2024-05-01 00:00") + timedelta(minutes=minutes)
        agree(text, where, start, start + timedelta(minutes=1500))

    @strategies.examples(60)
    @given(strategies.cron_texts(), strategies.near_changes, st.integers(0, 10**6))
    def it_is_strict_and_monotone_and_leads_back(self, text, near, seconds):
        name, start = near
        where, expression = zone(name), parse(text)
        end = start + timedelta(seconds=seconds)
        later, earlier = next_run(expression, start, where), previous_run(expression, start, where)
        assert earlier < start < later
        assert previous_run(expression, later, where) in (earlier, start)
        assert next_run(expression, earlier, where) in (later, start)
        assert later <= next_run(expression, end, where)
        assert earlier <= previous_run(expression, end, where)

    @strategies.examples(30)
    @given(strategies.cron_texts(), strategies.near_changes)
    def it_runs_in_strict_order(self, text, near):
        name, start = near
        found = list(itertools.islice(occurrences(parse(text), start, zone(name)), 50))
        assert all(earlier < later for earlier, later in zip(found, found[1:]))


def agree(text, where, start, end):
    expression = parse(text)
    expected = oracles.scan(text, start, end, where)
    assert list(between(expression, start, end, where)) == expected
    backwards, moment = [], end + timedelta(microseconds=1)
    for _ in range(min(len(expected), 30)):
        moment = previous_run(expression, moment, where)
        backwards.append(moment)
    assert backwards == expected[::-1][:30]
    for run, following in list(zip(expected, expected[1:]))[:30]:
        assert next_run(expression, run, where) == following
