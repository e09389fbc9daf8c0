r"""Cron expressions.

The standard is Debian's cron, crontab(5), the descendant of Vixie cron. Where it is silent the
choice is made here.

Fields
    ``minute hour day-of-month month day-of-week``, or six with the second first, divided by blanks
    and tabs and nothing else. Blanks around the text are ignored. Seconds and minutes are 0-59,
    hours 0-23, days 1-31, months 1-12, weekdays 0-7, where 0 and 7 both are Sunday.

Lists, ranges, steps
    A field is a list of members, divided by commas. A member is ``*``, a number, a name, or a
    range ``first-last``; ``5-5`` is 5. A step after ``*`` or a range takes every n-th number, from
    the first one. After a single number it goes on to the field's maximum: ``5/15`` is
    ``5-59/15``, and in the weekday field ``1/2`` is ``1-7/2``, so Sunday belongs to it. A step that
    leaves the field leaves the first number: ``*/60`` is 0.

Names
    ``jan`` to ``dec`` and ``sun`` to ``sat``, ASCII letters in any case, wherever a number may
    stand (crontab(5) allows them alone; ranges of names are universal by now).

The two day fields
    If either *starts* with ``*``, so also ``*/2`` and ``*,1``, both must match, else one is enough.
    ``1,*``, ``1-31`` and ``0-6`` do not start with one. (crontab(5) words it so since the
    behaviour of the code was found out; see crontab.guru/cron-bug.html.)

Aliases
    ``@hourly @daily @midnight @weekly @monthly @yearly @annually``, in any case. ``@reboot`` has no
    next run.

Extensions, in any case
    Day of the month: ``L`` is the last day, ``LW`` the last day from Monday to Friday, ``15W`` the
    day from Monday to Friday that is nearest to the 15th and in the same month; a month without
    that day has none. Day of the week: ``mon#2`` is the second Monday, ``5L`` or ``friL`` the last
    Friday. They stand in lists; steps and ranges of them are refused.

Fixed-time and wildcard schedules
    A schedule is *fixed-time* if neither the minute nor the hour field starts with ``*``. The
    seconds have no say: ``*/10 30 2 * * *`` is fixed-time. ``0-23`` is fixed-time too, as in
    Debian.

Refusals
    Everything else is refused where it is written, with an :class:`InvalidSchedule` that names
    field, offending piece, column (from 1), what was expected, and the whole text; very long pieces
    are cut. Reversed ranges are refused with the two that were meant. So is what can never fire,
    such as ``0 0 31 2 *``; but ``0 0 31 2 1`` can, since one matching day field is enough there.

Text and equality
    ``str()`` gives the text back with single blanks, and ``parse()`` of that is equal. Two
    expressions are equal if their texts are, the blanks aside.

Keyword form
    ``from_fields(seconds, minutes, hours, days, months, days_of_week)``, each a number, the text of
    one field, or an iterable of both; what is left out is ``*``. The order of a list is kept if
    it holds text; sets and mere numbers are sorted, so that equal values give equal text.
"""

# A row of a table stays on one line.
# ruff: noqa: E501

from __future__ import annotations

import calendar
import copy
import dataclasses
import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.core.cron import CronExpression, from_fields, parse
from autocron.core.errors import AutocronError, InvalidSchedule
from spec import strategies
from spec.tables import table


def values(expression):
    return {
        "second": expression.second.values,
        "minute": expression.minute.values,
        "hour": expression.hour.values,
        "day-of-month": expression.day_of_month.values,
        "month": expression.month.values,
        "day-of-week": expression.day_of_week.values,
    }


class DescribeFields:
    @table("""
    text             | field        | numbers
    5 * * * *        | minute       | 5
    05 * * * *       | minute       | 5
    000007 * * * *   | minute       | 7
    1,5,3 * * * *    | minute       | 1 3 5
    1-3,2-4 * * * *  | minute       | 1 2 3 4
    5-5 * * * *      | minute       | 5
    5-5/3 * * * *    | minute       | 5
    */20 * * * *     | minute       | 0 20 40
    */45 * * * *     | minute       | 0 45
    */60 * * * *     | minute       | 0
    10-40/15 * * * * | minute       | 10 25 40
    10-40/99 * * * * | minute       | 10
    5/15 * * * *     | minute       | 5 20 35 50
    59/1 * * * *     | minute       | 59
    0 23 * * *       | hour         | 23
    0 */7 * * *      | hour         | 0 7 14 21
    0 0 1,*/10 * *   | day-of-month | 1 11 21 31
    0 0 28/2 * *     | day-of-month | 28 30
    0 0 * jan,DEC *  | month        | 1 12
    0 0 * Nov-dec *  | month        | 11 12
    0 0 * feb/5 *    | month        | 2 7 12
    0 0 * * 7        | day-of-week  | 0
    0 0 * * 0        | day-of-week  | 0
    0 0 * * SUN      | day-of-week  | 0
    0 0 * * fri-7    | day-of-week  | 0 5 6
    0 0 * * sun-tue  | day-of-week  | 0 1 2
    0 0 * * 0-7      | day-of-week  | 0 1 2 3 4 5 6
    0 0 * * */2      | day-of-week  | 0 2 4 6
    0 0 * * 1/2      | day-of-week  | 0 1 3 5
    0 0 * * 1-6/2    | day-of-week  | 1 3 5
    30 0 0 * * *     | second       | 30
    0 0 * * *        | second       | 0
    """)
    def it_reads_numbers_names_ranges_lists_and_steps(self, text, field, numbers):
        assert values(parse(text))[field] == tuple(map(int, numbers.split()))

    @pytest.mark.parametrize("step", ["60", "100", "9" * 30, "1" + "0" * 10_000])
    def it_takes_an_oversized_step_however_long_as_the_first_value(self, step):
        assert parse(f"*/{step} * * * *").minute.values == (0,)

    def it_keeps_a_step_of_up_to_two_digits_and_takes_a_longer_one_as_100(self):
        steps = [parse(f"*/{step} * * * *").minute.parts[0].step for step in (60, 99, 100, 365)]
        assert steps == [60, 99, 100, 100]

    @table("""
    text                 | same
    '  0  2 * * * '      | 0 2 * * *
    '\\t0\\t2 *\\t * *\\t' | 0 2 * * *
    """)
    def it_divides_fields_by_blanks_and_tabs(self, text, same):
        assert parse(text) == parse(same)
        assert str(parse(text)) == same

    @table("""
    alias     | meaning
    @hourly   | 0 * * * *
    @daily    | 0 0 * * *
    @midnight | 0 0 * * *
    @weekly   | 0 0 * * 0
    @Monthly  | 0 0 1 * *
    @YEARLY   | 0 0 1 1 *
    @annually | 0 0 1 1 *
    """)
    def it_knows_the_aliases_in_any_case(self, alias, meaning):
        assert values(parse(alias)) == values(parse(meaning))
        assert str(parse(f" {alias} ")) == alias
        assert parse(alias).is_fixed_time == parse(meaning).is_fixed_time

    def it_has_six_fields_with_the_seconds_first(self):
        assert parse("*/10 0 2 * * *").has_seconds
        assert not parse("0 2 * * *").has_seconds
        assert not parse("@daily").has_seconds


class DescribeFixedTimeSchedules:
    @table("""
    text           | fixed
    30 2 * * *     | yes
    0,30 0-23 * *  *  | yes
    0-59 0 * * *   | yes
    5/15 2 * * *   | yes
    2,* 1 * * *    | yes
    * 2 * * *      | no
    */15 2 * * *   | no
    0 * * * *      | no
    0 */2 * * *    | no
    0 *,2 * * *    | no
    */10 30 2 * * * | yes
    * 30 2 * * *   | yes
    0 */5 2 * * *  | no
    0 0 * * * *    | no
    """)
    def it_is_fixed_if_neither_minute_nor_hour_starts_with_a_star(self, text, fixed):
        assert parse(text).is_fixed_time == (fixed == "yes")


def days_of(text, year_and_month):
    """Return the days of a month on which an expression runs."""
    year, month = map(int, year_and_month.split("-"))
    first, length = calendar.monthrange(year, month)
    bits = parse(text).month_days[length - 28][first]
    return " ".join(str(day) for day in range(1, 32) if bits >> day & 1)


class DescribeTheTwoDayFields:
    # March 2024 begins with a Friday; its Mondays are 4, 11, 18 and 25.
    @table("""
    text             | days
    0 0 13 * 1       | 4 11 13 18 25
    0 0 * * 1        | 4 11 18 25
    0 0 13 * *       | 13
    0 0 */2 * 1      | 11 25
    0 0 */2 * mon#2  | 11
    0 0 *,13 * 1     | 4 11 18 25
    0 0 1-2 * */3    | 2
    0 0 11-13 * *,1  | 11 12 13
    """)
    def it_asks_both_if_one_starts_with_a_star_and_either_else(self, text, days):
        assert days_of(text, "2024-03") == days

    @table("""
    text
    0 0 1,* * 1
    0 0 1-31 * 1
    0 0 1/1 * 1
    0 0 13 * 0-6
    0 0 13 * 1-7
    0 0 13 * 1,*
    """)
    def it_runs_every_day_if_a_full_field_does_not_start_with_a_star(self, text):
        assert days_of(text, "2024-03") == " ".join(map(str, range(1, 32)))


class DescribeExtensions:
    # 2024: March 31 is a Sunday, June 1 a Saturday and June 30 a Sunday, February has 29 days.
    @table("""
    text            | month   | days
    0 0 L * *       | 2024-02 | 29
    0 0 L * *       | 2023-02 | 28
    0 0 l * *       | 2024-04 | 30
    0 0 1,L * *     | 2024-03 | 1 31
    0 0 LW * *      | 2024-03 | 29
    0 0 lw * *      | 2024-08 | 30
    0 0 LW * *      | 2024-02 | 29
    0 0 1,LW * *    | 2024-03 | 1 29
    0 0 2W * *      | 2024-03 | 1
    0 0 15W * *     | 2024-03 | 15
    0 0 15W * *     | 2024-06 | 14
    0 0 16w * *     | 2024-06 | 17
    0 0 1W * *      | 2024-06 | 3
    0 0 30W * *     | 2024-06 | 28
    0 0 31W * *     | 2024-03 | 29
    0 0 31W * *     | 2024-06 |
    0 0 1W,15W * *  | 2024-06 | 3 14
    0 0 15W,30W * * | 2024-02 | 15
    0 0 29W,30W * * | 2024-02 | 29
    0 0 * * mon#1   | 2024-03 | 4
    0 0 * * 1#2     | 2024-03 | 11
    0 0 * * 5#5     | 2024-03 | 29
    0 0 * * mon#5   | 2024-03 |
    0 0 * * 7#1     | 2024-03 | 3
    0 0 * * SUN#01  | 2024-03 | 3
    0 0 * * 5L      | 2024-03 | 29
    0 0 * * 0L      | 2024-03 | 31
    0 0 * * 7l      | 2024-03 | 31
    0 0 * * friL    | 2024-02 | 23
    0 0 * * thuL    | 2024-02 | 29
    0 0 * * 4,5L    | 2024-03 | 7 14 21 28 29
    0 0 L * 5L      | 2024-03 | 29 31
    """)
    def it_finds_last_nearest_and_nth_days(self, text, month, days):
        assert days_of(text, month) == days

    def it_has_a_table_of_days_for_each_length_and_first_weekday_of_a_month(self):
        table = parse("0 0 L * *").month_days
        assert [len(row) for row in table] == [7, 7, 7, 7]
        assert [set(row) for row in table] == [{1 << day} for day in (28, 29, 30, 31)]

    def it_tells_whether_a_field_has_them(self):
        last, others = parse("0 0 L * *").day_of_month, parse("0 0 LW * *").day_of_month
        assert (last.last_day, last.last_working_day) == (True, False)
        assert (others.last_day, others.last_working_day) == (False, True)


ABBREVIATED = {
    "<five>": "5 fields (minute hour day-of-month month day-of-week), or 6 with seconds first",
    "<aliases>": "@hourly @daily @midnight @weekly @monthly @yearly @annually",
}


class DescribeRefusals:
    @table("""
    text               | field        | at | says
    99 * * * *         | minute       | 1  | '99' is outside 0-59
    60 * * * * *       | second       | 1  | '60' is outside 0-59
    * 24 * * *         | hour         | 3  | '24' is outside 0-23
    0 1,2,99 * * *     | hour         | 7  | '99' is outside 0-23
    0 0 0 * *          | day-of-month | 5  | '0' is outside 1-31
    0 0 1-32 * *       | day-of-month | 7  | '32' is outside 1-31
    0 0 99W * *        | day-of-month | 5  | '99' is outside 1-31
    0 0 1 13 *         | month        | 7  | '13' is outside 1-12
    0 0 * * 8          | day-of-week  | 9  | '8' is outside 0-7
    0 0 * * 8L         | day-of-week  | 9  | '8' is outside 0-7
    *5 * * * *         | minute       | 1  | '*5' is no value of this field; expected 0-59
    ** * * * *         | minute       | 1  | '**' is no value of this field; expected 0-59
    5-* * * * *        | minute       | 3  | '*' is no value of this field; expected 0-59
    1-2-3 * * * *      | minute       | 1  | '1-2-3' is no range; expected first-last within 0-59
    1- * * * *         | minute       | 1  | '1-' is no range; expected first-last within 0-59
    -1 * * * *         | minute       | 1  | '-1' is no range; expected first-last within 0-59
    +1 * * * *         | minute       | 1  | '+1' is no value of this field; expected 0-59
    1.5 * * * *        | minute       | 1  | '1.5' is no value of this field; expected 0-59
    */2/3 * * * *      | minute       | 3  | '2/3' is no step; expected a whole number from 1, as in */5
    */ * * * *         | minute       | 3  | '*/' is no step; expected a whole number from 1, as in */5
    */x * * * *        | minute       | 3  | 'x' is no step; expected a whole number from 1, as in */5
    */0 * * * *        | minute       | 3  | '0' is no step; expected a whole number from 1
    1-5/00 * * * *     | minute       | 5  | '00' is no step; expected a whole number from 1
    /5 * * * *         | minute       | 1  | '/5' is no value of this field; expected 0-59
    1,,2 * * * *       | minute       | 1  | '1,,2' has an empty place in its list; expected 0-59
    1, * * * *         | minute       | 1  | '1,' has an empty place in its list; expected 0-59
    , * * * *          | minute       | 1  | ',' has an empty place in its list; expected 0-59
    ? * * * *          | minute       | 1  | '?' is not known to cron; write *
    0 0 ? * 1          | day-of-month | 5  | '?' is not known to cron; write *
    H * * * *          | minute       | 1  | 'H' is not known to cron; write a number of your choice in 0-59
    0 h(0-3) * * *     | hour         | 3  | 'h(0' is not known to cron; write a number of your choice in 0-23
    0 0 * * monday     | day-of-week  | 9  | 'monday' is no name of cron; write mon
    0 0 * * Thurs      | day-of-week  | 9  | 'Thurs' is no name of cron; write thu
    0 0 * january *    | month        | 7  | 'january' is no name of cron; write jan
    0 0 * jan-march *  | month        | 11 | 'march' is no name of cron; write mar
    0 0 * mon *        | month        | 7  | 'mon' belongs in the field day-of-week; expected 1-12 or jan-dec
    0 0 jan * *        | day-of-month | 5  | 'jan' belongs in the field month; expected 1-31
    0 0 * foo *        | month        | 7  | 'foo' is no value of this field; expected 1-12 or jan-dec
    0 0 * * L          | day-of-week  | 9  | 'L' needs a weekday; write 5L for the last Friday of the month
    0 0 L-3 * *        | day-of-month | 5  | 'L' is no value of this field; expected 1-31
    0 0 1-5W * *       | day-of-month | 7  | '5W' is no value of this field; expected 1-31
    0 0 W * *          | day-of-month | 5  | 'W' is no value of this field; expected 1-31
    0 0 L/2 * *        | day-of-month | 5  | 'L' is no value of this field; expected 1-31
    0 L * * *          | hour         | 3  | 'L' is no value of this field; expected 0-23
    0 0 * * mon#0      | day-of-week  | 13 | '0' is no place in a month; expected 1-5, as in mon#2
    0 0 * * mon#6      | day-of-week  | 13 | '6' is no place in a month; expected 1-5, as in mon#2
    0 0 * * mon#x      | day-of-week  | 13 | 'x' is no place in a month; expected 1-5, as in mon#2
    0 0 * * mon#       | day-of-week  | 13 | 'mon#' is no place in a month; expected 1-5, as in mon#2
    0 0 * * mon#1#2    | day-of-week  | 13 | '1#2' is no place in a month; expected 1-5, as in mon#2
    0 0 * * 1-2#3      | day-of-week  | 9  | '1-2' is no value of this field; expected 0-7 or sun-sat
    0 0 * * #3         | day-of-week  | 9  | '#3' is no value of this field; expected 0-7 or sun-sat
    0 2 * *            | day-of-week  | 8  | '' is missing; expected <five>
    0                  | hour         | 2  | '' is missing; expected <five>
    1 2 3 4 5 6 7      | expression   | 13 | '7' is field 7 of 7; expected <five>; leave a year out: '1 2 3 4 5 6'
    0 2 * * * run it now | expression   | 15 | 'it' is field 7 of 8; expected <five>
    ''                 | expression   | 1  | '' is empty; expected <five>
    ' \\t '            | expression   | 1  | '' is empty; expected <five>
    @reboot            | expression   | 1  | '@reboot' has no next run; at_start=True is the way
    @Reboot            | expression   | 1  | '@Reboot' has no next run; at_start=True is the way
    ' @dayly'          | expression   | 2  | '@dayly' is no alias of cron; expected one of <aliases>
    @dayly 5           | expression   | 1  | '@dayly' is no alias of cron; expected one of <aliases>
    @every 5m          | expression   | 1  | '@every' is no alias of cron; every 5 minutes is '*/5 * * * *', every 2 hours '0 */2 * * *', and every 10 seconds '*/10 * * * * *'
    @EVERY             | expression   | 1  | '@EVERY' is no alias of cron; every 5 minutes is '*/5 * * * *', every 2 hours '0 */2 * * *', and every 10 seconds '*/10 * * * * *'
    @daily 5           | expression   | 8  | '5' is too much; @daily stands alone
    '0 2 * * *\\n'     | day-of-week  | 10 | '\\n' separates nothing; expected blanks or tabs only
    '0\\xa02 * * *'    | minute       | 2  | '\\xa0' separates nothing; expected blanks or tabs only
    '0 2 * * *\\x0b'   | day-of-week  | 10 | '\\x0b' separates nothing; expected blanks or tabs only
    '\\n0 2 * * *'     | minute       | 1  | '\\n' separates nothing; expected blanks or tabs only
    '0 0 2 * * \\u0661' | day-of-week  | 11 | '\u0661' is no character of cron
    '0 2 * * \\u017fun' | day-of-week  | 9  | '\u017f' is no character of cron
    '1 2 3 4 5 6 \\n'  | expression   | 13 | '\\n' separates nothing; expected blanks or tabs only
    '0 2 * * \\x00'    | day-of-week  | 9  | '\\x00' is no character of cron
    ' \\n'             | minute       | 2  | '\\n' separates nothing; expected blanks or tabs only
    0 0 * * mon2       | day-of-week  | 9  | 'mon2' is no value of this field; expected 0-7 or sun-sat
    0 0 * * monty      | day-of-week  | 9  | 'monty' is no name of cron; write mon
    1,*/x * * * *      | minute       | 5  | 'x' is no step; expected a whole number from 1, as in */5
    X * * * *          | minute       | 1  | 'X' is no value of this field; expected 0-59
    '1 2 3 4 5 \\xe9 7' | expression   | 11 | '\xe9' is no character of cron
    0,! * * * *        | minute       | 3  | '!' is no value of this field; expected 0-59
    0,~ * * * *        | minute       | 3  | '~' is no value of this field; expected 0-59
    0 0 * foobar *     | month        | 7  | 'foobar' is no value of this field; expected 1-12 or jan-dec
    0 0 * monday *     | month        | 7  | 'monday' belongs in the field day-of-week; expected 1-12 or jan-dec
    0 0 january * *    | day-of-month | 5  | 'january' belongs in the field month; expected 1-31
    0 0 5L * *         | day-of-month | 5  | '5L' is no value of this field; expected 1-31
    0 0 * * 5-L        | day-of-week  | 11 | 'L' needs a weekday; write 5L for the last Friday of the month
    0 0 * * foo#2      | day-of-week  | 9  | 'foo' is no value of this field; expected 0-7 or sun-sat
    """)
    def it_names_field_piece_column_and_expectation(self, text, field, at, says):
        for short, long in ABBREVIATED.items():
            says = says.replace(short, long)
        with pytest.raises(InvalidSchedule) as refusal:
            parse(text)
        assert str(refusal.value) == f"{field}: {says} (column {at}) in {text!r}"
        assert (refusal.value.field, refusal.value.column) == (field, int(at))
        assert refusal.value.text == text

    def it_reads_like_this(self):
        with pytest.raises(InvalidSchedule) as refusal:
            parse("99 * * * *")
        assert str(refusal.value) == "minute: '99' is outside 0-59 (column 1) in '99 * * * *'"

    @table("""
    text              | write
    0 0 * * fri-sun   | fri-7
    0 0 * * 6-0       | 6-7
    0 0 * * 7-2       | 0-2
    0 0 * * sat-mon   | sat-7,mon
    0 0 * * 5-2       | 5-7,1-2
    0 0 * * fri-tue   | fri-7,mon-tue
    0 0 * * fri-mon/2 | 5,0
    0 22-6 * * *      | 22-23,0-6
    0 23-6 * * *      | 23,0-6
    0 22-0 * * *      | 22-23,0
    0 22-6/2 * * *    | 22,0,2,4,6
    0 0 25-5/3 * *    | 25,28,31,3
    0 0 * nov-feb/2 * | 11,1
    50-10 * * * *     | 50-59,0-10
    0 0 25-5 * *      | 25-31,1-5
    0 0 * nov-feb *   | nov-dec,jan-feb
    0 0 * 11-2 *      | 11-12,1-2
    0 0 * 12-jan *    | 12,jan
    """)
    def it_refuses_reversed_ranges_and_writes_what_was_meant(self, text, write):
        with pytest.raises(InvalidSchedule, match="runs backwards; write ") as refusal:
            parse(text)
        assert f"write {write} (column" in str(refusal.value)
        field = next(piece for piece in text.split() if "-" in piece)
        assert parse(text.replace(field, write))

    @pytest.mark.parametrize("digits", [3, 20, 5000, 100_000])
    def it_refuses_numbers_however_long_with_a_short_message(self, digits):
        with pytest.raises(InvalidSchedule, match="is outside 0-59") as refusal:
            parse("9" * digits + " * * * *")
        assert len(str(refusal.value)) < 400

    @pytest.mark.parametrize("digits", [40, 41, 192, 193])
    def it_shows_40_characters_of_a_piece_and_200_of_the_text(self, digits):
        text = "9" * digits + " * * * *"
        piece = "9" * digits if digits <= 40 else "9" * 40 + "..."
        whole = text if len(text) <= 200 else text[:200] + "..."
        with pytest.raises(InvalidSchedule) as refusal:
            parse(text)
        assert str(refusal.value) == f"minute: {piece!r} is outside 0-59 (column 1) in {whole!r}"
        assert refusal.value.text == text

    @pytest.mark.parametrize("text", [None, 5, b"0 2 * * *", ["0 2 * * *"], 1.5, True, {}])
    def it_refuses_what_is_no_text(self, text):
        with pytest.raises(InvalidSchedule, match="expected text such as '0 2") as refusal:
            parse(text)
        assert (refusal.value.field, refusal.value.text) == ("expression", "")

    def it_refuses_with_an_error_of_autocron_that_is_a_value_error(self):
        assert issubclass(InvalidSchedule, AutocronError)
        assert issubclass(InvalidSchedule, ValueError)

    @given(st.text(alphabet="0123456789*/-,#LWHlw?@ \tsunmonja\n\u0661", max_size=20))
    def it_refuses_or_accepts_any_text_and_does_nothing_else(self, text):
        if strategies.is_valid(text):
            assert parse(str(parse(text))) == parse(text)
            return
        with pytest.raises(InvalidSchedule) as refusal:
            parse(text)
        assert refusal.value.field is not None
        assert 1 <= refusal.value.column <= len(text) + 1


class DescribeWhatCanNeverFire:
    @table("""
    text               | field        | piece   | says
    0 0 31 2 *         | day-of-month | 31      | never comes in month 2
    0 0 30 2 *         | day-of-month | 30      | never comes in month 2
    0 0 30-31 feb *    | day-of-month | 30-31   | never comes in month feb
    0 0 31 4,6 *       | day-of-month | 31      | never comes in months 4,6
    0 0 31W 2,4 *      | day-of-month | 31W     | never comes in months 2,4
    0 0 30W 2 *        | day-of-month | 30W     | never comes in month 2
    0 0 31 2 *,1       | day-of-month | 31      | never comes in month 2
    0 0 */14 * mon#2   | day-of-week  | mon#2   | never falls on day-of-month */14
    0 0 15W * */7      | day-of-week  | */7     | never falls on day-of-month 15W
    0 0 LW * */7       | day-of-week  | */7     | never falls on day-of-month LW
    """)
    def it_is_refused(self, text, field, piece, says):
        with pytest.raises(InvalidSchedule) as refusal:
            parse(text)
        hint = "; the last day of a month is L" if field == "day-of-month" else ""
        column = text.index(f" {piece}") + 2
        assert str(refusal.value) == (
            f"{field}: {piece!r} {says}, so it would never run{hint} (column {column}) in {text!r}"
        )
        assert refusal.value.field == field

    def it_is_not_refused_where_the_other_day_field_is_full_and_no_star(self):
        # The full list does not start with *, so one of the two is enough.
        assert parse("0 0 31 2 0-7/1,*")

    @table("""
    text
    0 0 31 2 1
    0 0 29 2 *
    0 0 29 2 */6
    0 0 31 2,3 *
    0 0 29W 2 *
    0 0 L 2 *
    0 0 * 2 mon#5
    0 0 31 2 mon#2
    0 0 */30 2 mon#1
    """)
    def it_is_not_refused_if_it_fires_however_seldom(self, text):
        assert str(parse(text)) == text


class DescribeTextAndEquality:
    @given(strategies.cron_texts(), st.sampled_from([" ", "  ", "\t", " \t "]))
    def it_gives_back_the_text_with_single_blanks(self, text, blank):
        expression = parse(blank + blank.join(text.split(" ")) + blank)
        assert str(expression) == text
        assert expression == parse(text)
        assert hash(expression) == hash(parse(text))
        assert parse(str(expression)) == expression

    def it_tells_texts_apart_even_where_they_mean_the_same(self):
        assert parse("0 0 * * mon") != parse("0 0 * * 1")
        assert parse("@daily") != parse("0 0 * * *")
        assert parse("0 0 * * *") != "0 0 * * *"

    def it_is_frozen_copied_and_pickled(self):
        expression = parse("*/5 9-17 L * mon#2")
        with pytest.raises(dataclasses.FrozenInstanceError):
            expression.text = "* * * * *"
        assert copy.deepcopy(expression) == expression
        restored = pickle.loads(pickle.dumps(expression))
        assert values(restored) == values(expression)
        assert restored.month_days == expression.month_days
        assert pickle.loads(pickle.dumps(parse("* * * * *"))).day_of_week.is_full

    def it_shows_itself_by_its_text(self):
        assert repr(parse(" 0  2 * * *")) == "CronExpression('0 2 * * *')"
        assert isinstance(parse("0 2 * * *"), CronExpression)

    def it_accepts_a_kind_of_str(self):
        class Text(str):
            pass

        assert type(str(parse(Text("0 2 * * *")))) is str


class DescribeKeywords:
    @pytest.mark.parametrize(
        ("keywords", "text"),
        [
            ({}, "* * * * *"),
            ({"minutes": 0, "hours": 2}, "0 2 * * *"),
            ({"hours": 2}, "* 2 * * *"),
            ({"minutes": [30, 0], "hours": 9}, "0,30 9 * * *"),
            ({"minutes": {45, 15, 30, 0}}, "0,15,30,45 * * * *"),
            ({"minutes": range(0, 60, 20)}, "0,20,40 * * * *"),
            ({"minutes": (5, 5, 10)}, "5,10 * * * *"),
            ({"minutes": "*/15", "hours": "9-17"}, "*/15 9-17 * * *"),
            ({"minutes": 0, "hours": 0, "days": "L"}, "0 0 L * *"),
            ({"minutes": 0, "hours": 0, "days": [15, "L"]}, "0 0 15,L * *"),
            ({"minutes": 0, "hours": 0, "days_of_week": ["mon", "wed-fri"]}, "0 0 * * mon,wed-fri"),
            ({"minutes": 0, "hours": 0, "days_of_week": {"wed", "mon", 7}}, "0 0 * * 7,mon,wed"),
            ({"minutes": 0, "hours": 0, "months": ("jan", 7)}, "0 0 * jan,7 *"),
            ({"seconds": 0}, "0 * * * * *"),
            ({"seconds": [0, 30], "minutes": 5}, "0,30 5 * * * *"),
            ({"minutes": None, "hours": None}, "* * * * *"),
        ],
    )
    def it_means_what_its_text_means(self, keywords, text):
        expression = from_fields(**keywords)
        assert str(expression) == text
        assert expression == parse(text)
        assert values(expression) == values(parse(text))
        assert expression.is_fixed_time == parse(text).is_fixed_time

    def it_takes_what_can_be_iterated_over_but_once(self):
        assert str(from_fields(minutes=(number for number in (5, 5, 10)))) == "5,10 * * * *"

    @pytest.mark.parametrize(
        ("keywords", "says"),
        [
            ({"hours": 24}, "hours: 24 is outside 0-23; expected 0-23"),
            ({"hours": -1}, "hours: -1 is outside 0-23"),
            ({"days": 0}, "days: 0 is outside 1-31"),
            ({"minutes": [0, 60]}, "minutes: 60 is outside 0-59"),
            (
                {"minutes": 10**5000},
                "minutes: a very long number is outside 0-59",
            ),  # no str() of it
            ({"hours": "24"}, "hours: '24' is outside 0-23"),
            (
                {"hours": 10**20 - 1},
                "hours: 99999999999999999999 is outside 0-23; expected 0-23: a number, the text of "
                "a field, or a list of them",
            ),
            ({"hours": 10**20}, "hours: a very long number is outside 0-23"),
            ({"hours": True}, "hours: True (bool) is neither a number nor text; expected 0-23"),
            ({"hours": 9.0}, "hours: 9.0 (float) is neither a number nor text"),
            ({"hours": [9, 9.5]}, "hours: 9.5 (float) is neither a number nor text"),
            ({"hours": [9, None]}, "hours: a value of type NoneType is neither"),
            ({"hours": object()}, "hours: a value of type object is neither"),
            ({"hours": b"9"}, "hours: a value of type bytes is neither"),
            ({"hours": {9: 1}}, "hours: a value of type dict is neither"),
            ({"hours": [[9]]}, "hours: a value of type list is neither"),
            ({"hours": []}, "hours: is an empty list; expected 0-23"),
            ({"hours": ""}, "hours: '' is no text of one field"),
            ({"hours": "9 10"}, "hours: '9 10' is no text of one field"),
            ({"hours": "9\n"}, "hours: '9\\n' is no text of one field"),
            ({"hours": ["9", " 10"]}, "hours: ' 10' is no text of one field"),
            ({"hours": "22-6"}, "hours: '22-6' runs backwards; write 22-23,0-6"),
            ({"days_of_week": "fri-sun"}, "days_of_week: 'fri-sun' runs backwards; write fri-7"),
            ({"days_of_week": "monday"}, "days_of_week: 'monday' is no name of cron; write mon"),
            ({"months": "mon"}, "expected 1-12 or jan-dec"),
            ({"seconds": 60}, "seconds: 60 is outside 0-59"),
            ({"minutes": itertools.count()}, "minutes: has more than 1000 members"),
            ({"minutes": range(1001)}, "minutes: has more than 1000 members"),
            ({"minutes": range(1000)}, "minutes: 60 is outside 0-59"),
            ({"days": 31, "months": 2}, "days: '31' never comes in month 2"),
            ({"days": "*/14", "days_of_week": "mon#2"}, "days_of_week: 'mon#2' never falls on"),
        ],
    )
    def it_is_refused_by_the_name_of_the_keyword(self, keywords, says):
        with pytest.raises(InvalidSchedule) as refusal:
            from_fields(**keywords)
        assert says in str(refusal.value)
        assert refusal.value.field in keywords
        assert refusal.value.column is None

    def it_gives_the_canonical_text_with_a_refusal_where_there_is_one(self):
        with pytest.raises(InvalidSchedule) as refusal:
            from_fields(days=31, months=2)
        assert refusal.value.text == "* * 31 2 *"
        with pytest.raises(InvalidSchedule) as refusal:
            from_fields(minutes=0, hours="22-6")
        assert refusal.value.text == "0 22-6 * * *"

    @given(strategies.cron_texts())
    def it_takes_the_fields_of_any_text(self, text):
        pieces = text.split(" ")
        names = ["seconds", "minutes", "hours", "days", "months", "days_of_week"]
        keywords = dict(zip(names[6 - len(pieces) :], pieces))
        assert from_fields(**keywords) == parse(text)
