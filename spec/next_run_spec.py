"""Next and previous runs.

``next_run(expression, after, zone)`` is the first occurrence strictly after an instant,
``previous_run(expression, before, zone)`` the last one strictly before it. The instants are aware
datetimes in any zone; a naive one is refused. What comes back is an aware datetime in UTC.

``occurrences`` gives all runs after an instant, one by one, as chained calls of ``next_run`` would;
``between(expression, after, until, zone)`` those in ``(after, until]``, so that neighbouring
stretches share no run and miss none.

Every search is bounded. Runs lie within datetime's years 1 to 9999, in UTC and on the wall;
where there is none left the answer is None, or the iterator ends.

Laws: a run is later than the instant asked about; it matches; nothing matches strictly between;
there and back again leads no further; later questions have no earlier answers. The laws hold in
every zone; what clock changes do to them is said in ``daylight_saving_spec.py``.
"""

from __future__ import annotations

import importlib.metadata
import itertools
from datetime import date, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autocron.core.cron import parse
from autocron.core.errors import AutocronError, InvalidSchedule
from autocron.core.next_run import between, occurrences, previous_run
from spec import oracles, strategies
from spec.tables import table
from spec.zones import ChangingZone, at, next_run, zone

UTC = timezone.utc


def shown(moment):
    return moment.strftime("%Y-%m-%d %H:%M" + (":%S" if moment.second else ""))


class DescribeExamples:
    @table("""
    expression       | after            | next             | previous
    * * * * *        | 2024-03-01 09:00 | 2024-03-01 09:01 | 2024-03-01 08:59
    0 9 * * 1-5      | 2024-03-01 09:00 | 2024-03-04 09:00 | 2024-02-29 09:00
    */15 9-17 * * *  | 2024-03-01 17:45 | 2024-03-02 09:00 | 2024-03-01 17:30
    */15 9-17 * * *  | 2024-03-01 08:59 | 2024-03-01 09:00 | 2024-02-29 17:45
    1 0 2 * * *      | 2024-03-01 02:00 | 2024-03-01 02:00:01 | 2024-02-29 02:00:01
    30 2 * * *       | 2024-12-31 23:59 | 2025-01-01 02:30 | 2024-12-31 02:30
    0 0 29 2 *       | 2024-03-01 00:00 | 2028-02-29 00:00 | 2024-02-29 00:00
    0 0 29 2 *       | 1896-02-29 00:00 | 1904-02-29 00:00 | 1892-02-29 00:00
    0 0 29 2 */7     | 2024-03-01 00:00 | 2032-02-29 00:00 | 2004-02-29 00:00
    0 0 29 2 */7     | 1880-02-29 00:00 | 1920-02-29 00:00 | 1852-02-29 00:00
    0 0 31 * *       | 2024-03-31 00:00 | 2024-05-31 00:00 | 2024-01-31 00:00
    0 0 L * *        | 2024-02-15 00:00 | 2024-02-29 00:00 | 2024-01-31 00:00
    0 0 15W * *      | 2024-06-14 00:00 | 2024-07-15 00:00 | 2024-05-15 00:00
    0 0 * * mon#5    | 2024-05-01 00:00 | 2024-07-29 00:00 | 2024-04-29 00:00
    0 0 13 * 5       | 2024-09-01 00:00 | 2024-09-06 00:00 | 2024-08-30 00:00
    0 0 */2 * 1      | 2024-01-01 00:00 | 2024-01-15 00:00 | 2023-12-25 00:00
    0 12 * jan,jul * | 2024-01-31 12:00 | 2024-07-01 12:00 | 2024-01-30 12:00
    59 23 31 12 *    | 2024-12-31 23:59 | 2025-12-31 23:59 | 2023-12-31 23:59
    @weekly          | 2024-03-03 00:00 | 2024-03-10 00:00 | 2024-02-25 00:00
    @hourly          | 2024-03-03 00:30 | 2024-03-03 01:00 | 2024-03-03 00:00
    """)
    def it_finds_the_runs_around_an_instant(self, expression, after, next, previous):
        assert shown(next_run(parse(expression), at(after), UTC)) == next
        assert shown(previous_run(parse(expression), at(after), UTC)) == previous

    @table("""
    expression         | after               | next                | previous
    * * * * * *        | 2024-03-01 09:00:00 | 2024-03-01 09:00:01 | 2024-03-01 08:59:59
    */20 * * * * *     | 2024-03-01 09:00:41 | 2024-03-01 09:01    | 2024-03-01 09:00:40
    15,45 30 2 * * *   | 2024-03-01 02:30:15 | 2024-03-01 02:30:45 | 2024-02-29 02:30:45
    15,45 30 2 * * *   | 2024-03-01 02:30:10 | 2024-03-01 02:30:15 | 2024-02-29 02:30:45
    15,45 30,31 2 * * * | 2024-03-01 02:31:10 | 2024-03-01 02:31:15 | 2024-03-01 02:30:45
    0 0 0 1 1 *        | 2024-03-01 00:00:00 | 2025-01-01 00:00    | 2024-01-01 00:00
    59 59 23 L 12 *    | 2024-03-01 00:00:00 | 2024-12-31 23:59:59 | 2023-12-31 23:59:59
    """)
    def it_counts_seconds_where_there_are_six_fields(self, expression, after, next, previous):
        assert shown(next_run(parse(expression), at(after), UTC)) == next
        assert shown(previous_run(parse(expression), at(after), UTC)) == previous

    def it_follows_the_wall_clock_of_the_zone(self):
        india = timezone(timedelta(hours=5, minutes=30))
        nine = parse("0 9 * * *")
        assert next_run(nine, at("2024-03-01 00:00"), india) == at("2024-03-01 09:00 +05:30")
        assert previous_run(nine, at("2024-03-01 00:00"), india) == at("2024-02-29 09:00 +05:30")

    def it_takes_an_instant_in_any_zone_and_answers_in_utc(self):
        after = at("2024-03-01 12:00 +09:00")
        for found in (
            next_run(parse("0 4 * * *"), after, UTC),
            previous_run(parse("0 4 * * *"), after, UTC),
        ):
            assert found.tzinfo is UTC
        assert next_run(parse("0 4 * * *"), after, UTC) == at("2024-03-01 04:00")

    def it_is_exact_to_the_microsecond(self):
        run = at("2024-03-01 09:00")
        tick = timedelta(microseconds=1)
        nine = parse("0 9 * * *")
        assert next_run(nine, run - tick, UTC) == run
        assert next_run(nine, run, UTC) == run + timedelta(days=1)
        assert previous_run(nine, run + tick, UTC) == run
        assert previous_run(nine, run, UTC) == run - timedelta(days=1)

    def it_keeps_offsets_with_seconds_and_less(self):
        odd = timezone(timedelta(hours=1, seconds=7, microseconds=11))
        run = next_run(parse("0 9 * * *"), at("2024-03-01 00:00"), odd)
        assert run.astimezone(odd).replace(tzinfo=None) == datetime(2024, 3, 1, 9)

    def it_does_not_need_a_zone_that_gives_its_own_object_back(self):
        # pytz does so: fromutc() answers with another tzinfo, one for each offset.
        class Delegating(tzinfo):
            def fromutc(self, moment):
                return moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=2)))

        assert next_run(parse("0 9 * * *"), at("2024-03-01 00:00"), Delegating()) == at(
            "2024-03-01 07:00"
        )

    @table("""
    expression   | after            | next
    30 2 29 3 *  | 2026-01-15 00:00 | 2026-03-29 01:00
    30 2 29 3 *  | 2026-03-28 12:00 | 2026-03-29 01:00
    0 12 30 3 *  | 2026-01-15 00:00 | 2026-03-30 10:00
    0 * * * *    | 2026-10-25 01:30 | 2026-10-25 02:00
    30 2 * * *   | 2026-10-25 01:00 | 2026-10-26 01:30
    30 2 25 10 * | 2026-01-15 00:00 | 2026-10-25 00:30
    */30 2 29 3 * | 2025-07-01 00:00 | 2027-03-29 00:00
    """)
    def it_sees_a_change_of_the_clock_however_far_off(self, expression, after, next):
        found = next_run(parse(expression), at(after), zone("Europe/Berlin"))
        assert shown(found) == next

    @table("""
    expression   | after            | hours | next
    0 21 15 * *  | 2025-01-01 00:30 | -5    | 2025-01-16 02:00
    0 21 31 12 * | 2025-01-01 00:30 | -5    | 2025-01-01 02:00
    0 21 1 1 *   | 2025-01-01 00:30 | -5    | 2025-01-02 02:00
    0 21 1 1 *   | 2024-12-31 20:30 | 5     | 2025-01-01 16:00
    0 21 2 1 *   | 2024-12-31 20:30 | 5     | 2025-01-02 16:00
    0 21 31 12 * | 2024-12-31 20:30 | 5     | 2025-12-31 16:00
    0 21 1 2 *   | 2024-12-31 20:30 | 5     | 2025-02-01 16:00
    """)
    def it_follows_the_calendar_of_the_wall_where_the_year_turns(
        self, expression, after, hours, next
    ):
        where = timezone(timedelta(hours=int(hours)))
        assert shown(next_run(parse(expression), at(after), where)) == next

    def it_ends_months_before_the_calendar_does(self):
        assert next_run(parse("0 0 1 1 *"), at("9999-02-01 00:00"), UTC) is None

    def it_answers_alike_however_much_has_been_asked_before(self):
        for minute, hour in itertools.product(range(60), range(20)):
            found = next_run(parse(f"{minute} {hour} * * *"), at("2024-03-01 20:00"), UTC)
            assert found == datetime(2024, 3, 2, hour, minute, tzinfo=UTC)
        for year in range(1400, 2000):
            assert shown(next_run(parse("0 0 1 1 *"), at(f"{year}-01-01 00:00"), UTC)) == (
                f"{year + 1}-01-01 00:00"
            )

    def it_does_not_need_a_zone_that_can_be_a_key(self):
        # Some of dateutil's can not.
        class Unhashable(tzinfo):
            __hash__ = None

            def fromutc(self, moment):
                return moment + timedelta(hours=1)

        assert next_run(parse("0 9 * * *"), at("2024-03-01 00:00"), Unhashable()) == at(
            "2024-03-01 08:00"
        )


class DescribeRefusals:
    @pytest.mark.parametrize(
        "moment", [datetime(2024, 3, 1), date(2024, 3, 1), "2024-03-01", 0, None]
    )
    def it_refuses_an_instant_without_a_zone(self, moment):
        daily, now = parse("@daily"), at("2024-03-01 00:00")
        for name, ask in (
            ("after", lambda: next_run(daily, moment, UTC)),
            ("before", lambda: previous_run(daily, moment, UTC)),
            ("after", lambda: occurrences(daily, moment, UTC)),
            ("after", lambda: between(daily, moment, now, UTC)),
            ("until", lambda: between(daily, now, moment, UTC)),
        ):
            with pytest.raises(ValueError, match=f"{name}: expected a datetime with a time zone"):
                ask()

    def it_refuses_with_an_error_of_autocron(self):
        for moment, told in ((datetime(2024, 3, 1), "2024-03-01T00:00:00"), (7, "int")):
            with pytest.raises(AutocronError) as refusal:
                next_run(parse("@daily"), moment, UTC)
            assert str(refusal.value) == (
                f"after: expected a datetime with a time zone, got {told}; for an instant in UTC "
                "write datetime(..., tzinfo=timezone.utc)"
            )
            assert refusal.value.field == "after"
        assert issubclass(InvalidSchedule, ValueError)


class DescribeTheEndsOfTime:
    first = datetime.min.replace(tzinfo=UTC)
    last = datetime.max.replace(tzinfo=UTC)

    @pytest.mark.parametrize("text", ["* * * * *", "0 0 1 1 *", "@daily", "* * * * * *"])
    @pytest.mark.parametrize("hours", [-12, -5, 0, 5, 14])
    def it_ends_with_none(self, text, hours):
        expression, zone = parse(text), timezone(timedelta(hours=hours))
        assert next_run(expression, self.last, zone) is None
        assert list(occurrences(expression, self.last, zone)) == []
        assert previous_run(expression, self.first, zone) is None

    @pytest.mark.parametrize("text", ["0 12 * * *", "* 12 * * *"])
    @pytest.mark.parametrize("hours", [-12, -5, 0, 5, 14])
    def it_reaches_the_first_and_the_last_day(self, text, hours):
        expression, zone = parse(text), timezone(timedelta(hours=hours))
        start = next_run(expression, self.first, zone)
        assert self.first < start < self.first + timedelta(days=2)
        assert previous_run(expression, start, zone) is None
        end = previous_run(expression, self.last, zone)
        assert self.last - timedelta(days=2) < end < self.last
        assert next_run(expression, end, zone) is None

    def it_takes_instants_that_utc_can_not_express(self):
        east, west = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
        before_the_first = datetime.min.replace(tzinfo=east)
        after_the_last = datetime.max.replace(tzinfo=west)
        for text in ("0 12 * * *", "*/5 * * * *"):
            expression = parse(text)
            assert next_run(expression, after_the_last, west) is None
            assert previous_run(expression, before_the_first, east) is None
            assert next_run(expression, before_the_first, UTC) < datetime(1, 1, 3, tzinfo=UTC)
            assert previous_run(expression, after_the_last, UTC).year == 9999
            assert list(between(expression, before_the_first, before_the_first, east)) == []
        assert len(list(between(parse("@yearly"), self.last, after_the_last, UTC))) == 0

    def it_ends_after_the_last_run_also_where_the_clock_is_changed_then(self):
        assert list(occurrences(parse("* * * * *"), at("9999-12-31 23:58"), UTC)) == [
            at("9999-12-31 23:59")
        ]
        ahead = ChangingZone(0, (datetime(9999, 12, 30, 22), 60))
        assert next_run(parse("*/10 22 30 12 *"), at("9999-12-30 21:59"), ahead) is None

    def it_searches_the_rarest_schedule_in_a_moment(self):
        # 29 February on a Monday, at the end of the calendar: nothing comes any more.
        rare = parse("0 0 29 2 */8")
        assert next_run(rare, at("9990-01-01 00:00"), UTC) is None
        assert previous_run(rare, at("0004-02-28 00:00"), UTC) is None

    @pytest.mark.parametrize("text", ["0 0 1 1 *", "30 0 0 1 1 *", "* 0 1 1 *", "30 * 0 1 1 *"])
    def it_ends_where_the_last_run_has_been(self, text):
        assert next_run(parse(text), at("9999-06-01 00:00"), UTC) is None
        assert previous_run(parse(text), at("0001-01-01 00:00"), UTC) is None


class DescribeStretches:
    def it_may_lead_back_to_the_first_moment_of_all(self):
        first = datetime(1, 1, 1, tzinfo=UTC)
        for later in (timedelta(microseconds=1), timedelta(days=200)):
            assert previous_run(parse("@yearly"), first + later, UTC) == first
        assert previous_run(parse("* * * * *"), first + timedelta(microseconds=1), UTC) == first
        assert previous_run(parse("* * * * *"), first, UTC) is None

    def it_may_end_with_the_first_moment_of_all(self):
        before = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
        first = datetime(1, 1, 1, tzinfo=UTC)
        assert list(between(parse("* * * * *"), before, first, UTC)) == [first]
        assert list(between(parse("* * * * *"), before, before, UTC)) == []

    def it_leaves_out_the_start_and_includes_the_end(self):
        hours = parse("0 * * * *")
        found = between(hours, at("2024-03-01 00:00"), at("2024-03-01 03:00"), UTC)
        assert [run.hour for run in found] == [1, 2, 3]

    def it_is_empty_where_the_end_is_not_after_the_start(self):
        noon = at("2024-03-01 12:00")
        assert list(between(parse("* * * * *"), noon, noon, UTC)) == []
        assert list(between(parse("* * * * *"), noon, noon - timedelta(hours=1), UTC)) == []

    def it_ends_with_the_calendar(self):
        last = datetime.max.replace(tzinfo=UTC)
        found = list(between(parse("0 0 1 1 *"), at("9997-06-01 00:00"), last, UTC))
        assert [run.year for run in found] == [9998, 9999]

    @given(strategies.cron_texts(), strategies.moments, st.integers(0, 500), st.integers(0, 500))
    def it_cuts_a_stretch_in_two_without_losing_a_run(self, text, start, first, second):
        expression = parse(text)
        middle = start + timedelta(seconds=first)
        end = middle + timedelta(seconds=second)
        halves = [*between(expression, start, middle, UTC), *between(expression, middle, end, UTC)]
        assert halves == list(between(expression, start, end, UTC))


class DescribeLaws:
    @given(strategies.cron_texts(), strategies.moments)
    def it_answers_later_and_with_a_match(self, text, after):
        found = next_run(parse(text), after, UTC)
        assert found > after
        assert oracles.matches(text, found.replace(tzinfo=None))

    @given(strategies.cron_texts(), strategies.moments)
    def it_answers_earlier_and_with_a_match(self, text, before):
        found = previous_run(parse(text), before, UTC)
        assert found < before
        assert oracles.matches(text, found.replace(tzinfo=None))

    @strategies.examples(40)
    @given(strategies.cron_texts(six=False), strategies.moments)
    def it_has_no_match_strictly_between(self, text, after):
        # The scan looks at each minute of a day, and knows the rules by itself.
        until = after + timedelta(days=1)
        assert list(between(parse(text), after, until, UTC)) == oracles.scan(
            text, after, until, UTC
        )

    @strategies.examples(40)
    @given(strategies.cron_texts(six=True), strategies.moments)
    def it_has_no_match_strictly_between_by_seconds(self, text, after):
        until = after + timedelta(minutes=8)
        assert list(between(parse(text), after, until, UTC)) == oracles.scan(
            text, after, until, UTC
        )

    @strategies.examples(60)
    @given(strategies.cron_texts(), strategies.moments)
    def it_has_no_matching_day_strictly_between(self, text, after):
        # For what runs seldom: each day between the runs, by the oracle's own calendar.
        _, _, _, days, months, weekdays = oracles.six_fields(text)
        found = next_run(parse(text), after, UTC)
        assume(found - after < timedelta(days=3000))
        day = after.date() + timedelta(days=1)
        while day < found.date():
            assert not oracles.day_runs(days, months, weekdays, day)
            day += timedelta(days=1)

    @given(strategies.cron_texts(), strategies.moments)
    def it_leads_there_and_back_again(self, text, moment):
        expression = parse(text)
        later = next_run(expression, moment, UTC)
        earlier = previous_run(expression, moment, UTC)
        assert previous_run(expression, later, UTC) in (earlier, moment)
        assert next_run(expression, earlier, UTC) in (later, moment)

    @given(strategies.cron_texts(), strategies.moments, st.timedeltas(timedelta(0)))
    def it_is_monotone(self, text, moment, delta):
        later = moment + delta % timedelta(days=900)
        expression = parse(text)
        assert next_run(expression, moment, UTC) <= next_run(expression, later, UTC)
        assert previous_run(expression, moment, UTC) <= previous_run(expression, later, UTC)

    @given(strategies.cron_texts(), strategies.moments)
    def it_iterates_as_chained_questions_would(self, text, moment):
        expression = parse(text)
        for run in itertools.islice(occurrences(expression, moment, UTC), 5):
            assert run == next_run(expression, moment, UTC)
            moment = run

    @given(
        strategies.cron_texts(),
        st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"]),
        st.datetimes(datetime(2023, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    )
    def it_does_so_in_zones_whose_clocks_are_changed(self, text, name, moment):
        expression, where = parse(text), zone(name)
        for run in itertools.islice(occurrences(expression, moment, where), 5):
            assert run == next_run(expression, moment, where)
            moment = run

    @given(
        strategies.cron_texts(),
        strategies.odd_zones(),
        st.datetimes(datetime(2024, 4, 20), datetime(2024, 5, 25), timezones=st.just(UTC)),
    )
    def it_does_so_in_odd_zones(self, text, where, moment):
        expression = parse(text)
        for run in itertools.islice(occurrences(expression, moment, where), 5):
            assert run == next_run(expression, moment, where)
            moment = run


class DescribeTheOtherOracle:
    """croniter agrees, but for what is listed with its reason."""

    @pytest.fixture(autouse=True)
    def _recent(self):
        pytest.importorskip("croniter")
        if int(importlib.metadata.version("croniter").split(".")[0]) < 7:
            pytest.skip("older releases of croniter differ in more ways")

    @pytest.mark.parametrize("known", oracles.KNOWN_DIFFERENCES, ids=lambda known: known.what)
    def it_still_differs_where_it_is_known_to(self, known):
        assert known.reason
        where = UTC if known.zone == "UTC" else zone(known.zone)
        after = datetime.fromisoformat(known.after).replace(tzinfo=where)

        def walls(runs):
            if runs == "refused":
                return runs
            return ", ".join(shown(run.astimezone(where)) for run in runs)

        try:
            expression = parse(known.text)
        except InvalidSchedule:
            ours = "refused"
        else:
            count = len(known.ours.split(","))
            ours = walls(itertools.islice(occurrences(expression, after, where), count))
        count = len(known.theirs.split(","))
        assert ours == known.ours
        assert walls(oracles.croniter_runs(known.text, after, count)) == known.theirs

    @strategies.examples(150)
    @given(
        strategies.cron_texts(six=False, extensions=False),
        strategies.moments.filter(lambda moment: 1971 < moment.year < 2100),
    )
    def it_agrees_in_all_else(self, text, after):
        assume(not oracles.differs(text))
        theirs = oracles.croniter_runs(text, after, 3)
        assume(theirs != "refused")  # rarer than its search goes
        assert list(itertools.islice(occurrences(parse(text), after, UTC), 3)) == theirs


def it_works_with_any_zone_that_keeps_pep_495():
    spring = ChangingZone(60, (datetime(2024, 3, 31, 1), 120))
    assert next_run(parse("30 2 * * *"), at("2024-03-31 00:00"), spring) == at("2024-03-31 01:00")
