"""A schedule in words, and slips.

``describe(expression)`` says in English when a schedule runs. It goes by what the fields mean, not
by how they are spelled: ``0-59`` reads like ``*``. Common shapes have an idiom, all else is
said field by field. Whatever it says is complete: two schedules that are described alike run
at the same wall times. (What it does not say is how clock changes are met; that is in
``daylight_saving_spec.py``.) ``from A to B`` includes both ends.

``warnings_for(expression)`` names the slips that a valid schedule looks like, each with what was
probably meant. There are few, so that they are read:

- a full minute field under picked hours: ``* 2 * * *`` runs 60 times from 02:00 on, ``0 2 * * *``
  once; likewise seconds under picked minutes. Under a range of hours it is taken as meant;
- a step that leaves its field: ``*/60`` is 0;
- a step from ``*`` that does not divide the field: ``*/45`` is followed by a step of 15. Days are
  left out, since months differ in length anyway;
- two day fields that are joined otherwise than one might think;
- days that some months lack: ``0 0 31 * *`` runs in seven months of the year.
"""

# A row of a table stays on one line.
# ruff: noqa: E501

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given

from autocron.core.cron import from_fields, parse
from autocron.core.explain import describe, warnings_for
from spec import strategies
from spec.tables import table


class DescribeTimes:
    @table("""
    text                    | words
    * * * * *               | every minute
    */15 * * * *            | every 15 minutes
    0-59/2 * * * *          | every 2 minutes
    */30 * * * *            | every 30 minutes
    5/15 * * * *            | every 15 minutes from 00:05 to 23:50
    0 * * * *               | every hour on the hour
    @hourly                 | every hour on the hour
    1 * * * *               | every hour at 1 minute past
    30 * * * *              | every hour at 30 minutes past
    0 */2 * * *             | every 2 hours
    30 */2 * * *            | every 2 hours from 00:30 to 22:30
    0 1/2 * * *             | every 2 hours from 01:00 to 23:00
    30 8-18/2 * * *         | every 2 hours from 08:30 to 18:30
    0 9-17 * * *            | every hour from 09:00 to 17:00
    0 9-11 * * *            | every hour from 09:00 to 11:00
    * 2 * * *               | every minute from 02:00 to 02:59
    * 9-17 * * *            | every minute from 09:00 to 17:59
    */15 9-17 * * *         | every 15 minutes from 09:00 to 17:45
    10-20 2 * * *           | every minute from 02:10 to 02:20
    */20 2 * * *            | every 20 minutes from 02:00 to 02:40
    10-40/10 2 * * *        | every 10 minutes from 02:10 to 02:40
    30 2 * * *              | at 02:30 every day
    0 9,17 * * *            | at 09:00 and 17:00 every day
    */30 9 * * *            | at 09:00 and 09:30 every day
    0,30 9,12,17 * * *      | at 09:00, 09:30, 12:00, 12:30, 17:00 and 17:30 every day
    0 1,2,5 * * *           | at 01:00, 02:00 and 05:00 every day
    */45 * * * *            | at minutes 0 and 45 of every hour
    3,17,40 * * * *         | at minutes 3, 17 and 40 of every hour
    3,17,40 2,5,7 * * *     | at minutes 3, 17 and 40 of hours 2, 5 and 7 every day
    0-9,30 1-3,7 * * *      | at minutes 0 to 9 and 30 of hours 1 to 3 and 7 every day
    * 2,14 * * *            | every minute of hours 2 and 14
    7 0,1,2,3,5,8,13 * * *  | at minute 7 of hours 0 to 3, 5, 8 and 13 every day
    * * * * * *             | every second
    */10 * * * * *          | every 10 seconds
    5/10 * * * * *          | at seconds 5, 15, 25, 35, 45 and 55 of every minute
    30 * * * * *            | at second 30 of every minute
    0 */5 * * * *           | every 5 minutes
    0 30 2 * * *            | at 02:30 every day
    15 30 2 * * *           | at 02:30:15 every day
    0,30 30 2 * * *         | at 02:30:00 and 02:30:30 every day
    5,15 30 2-4 * * *       | at 02:30:05, 02:30:15, 03:30:05, 03:30:15, 04:30:05 and 04:30:15 every day
    * 30 2 * * *            | every second of minute 30 of hour 2
    */10 * 9-17 * * *       | every 10 seconds of every minute of hours 9 to 17
    5,20 */15 9-17 * * *    | at seconds 5 and 20 of minutes 0, 15, 30 and 45 of hours 9 to 17 every day
    5,20 */15 * * * *       | at seconds 5 and 20 of minutes 0, 15, 30 and 45 of every hour
    """)
    def it_says_when_in_the_day(self, text, words):
        assert describe(parse(text)) == words


class DescribeDays:
    @table("""
    text             | words
    */15 9-17 * * 1-5 | every 15 minutes from 09:00 to 17:45, Monday to Friday
    0 9 * * 1-5      | at 09:00, Monday to Friday
    0 9 * * 1-6      | at 09:00, Monday to Saturday
    0 9 * * fri-7    | at 09:00, Friday to Sunday
    0 9 * * 0-2      | at 09:00, Sunday to Tuesday
    0 9 * * 6,7      | at 09:00 on Saturdays and Sundays
    0 9 * * mon      | at 09:00 on Mondays
    0 9 * * 1,2      | at 09:00 on Mondays and Tuesdays
    0 9 * * 1,3,5    | at 09:00 on Mondays, Wednesdays and Fridays
    0 9 * * 0,1,6    | at 09:00 on Sundays, Mondays and Saturdays
    0 * * * 0,3      | every hour on the hour, on Sundays and Wednesdays
    0 9 * jan mon    | at 09:00 on Mondays, in January
    0 9 * 3-9 1-5    | at 09:00, Monday to Friday, from March to September
    0 0 * jan *      | at 00:00 every day in January
    0 0 * 1,7,8,9 *  | at 00:00 every day in January, July, August and September
    0 0 * 3-5 *      | at 00:00 every day in March, April and May
    0 0 * 3-6 *      | at 00:00 every day from March to June
    */5 * * 3-9 *    | every 5 minutes, every day from March to September
    0 0 1 * *        | at 00:00 on the 1st of every month
    0 0 1,15 * *     | at 00:00 on the 1st and the 15th of every month
    0 0 2,3,22 * *   | at 00:00 on the 2nd, the 3rd and the 22nd of every month
    0 0 11,12,13 * * | at 00:00 on the 11th to the 13th of every month
    0 0 1,11,21 * *  | at 00:00 on the 1st, the 11th and the 21st of every month
    0 0 12,21,31 * * | at 00:00 on the 12th, the 21st and the 31st of every month
    0 0 1-7 * *      | at 00:00 on the 1st to the 7th of every month
    0 0 */3 * *      | at 00:00 on every 3rd day from the 1st to the 31st of every month
    0 0 1 1 *        | at 00:00 on the 1st of January
    0 0 1 */3 *      | at 00:00 on the 1st of January, April, July and October
    0 0 1 1-6 *      | at 00:00 on the 1st of every month from January to June
    0 * 1 * *        | every hour on the hour, on the 1st of every month
    0 0 L * *        | at 00:00 on the last day of every month
    0 0 1,L 2 *      | at 00:00 on the 1st and the last day of February
    0 0 LW * *       | at 00:00 on the last working day (Monday to Friday) of every month
    0 0 15W * *      | at 00:00 on the working day (Monday to Friday) nearest to the 15th of every month
    0 0 * * mon#2    | at 00:00 on the second Monday of every month
    0 0 * * 5L       | at 00:00 on the last Friday of every month
    0 0 * 3 7#1,5L   | at 00:00 on the first Sunday and the last Friday of March
    0 0 * * mon,5L   | at 00:00 on every Monday and the last Friday of every month
    0 0 13 * 5       | at 00:00 on the 13th of every month and also on every Friday
    0 0 13 1 5       | at 00:00 on the 13th of January and also on every Friday of January
    0 0 L * 5L       | at 00:00 on the last day of every month and also on the last Friday of every month
    0 0 */10 * 1     | at 00:00 on every 10th day from the 1st to the 31st of every month, but only if that is a Monday
    0 0 1-3 * */2,1  | at 00:00 on the 1st to the 3rd of every month, but only if that is a Sunday, a Monday, a Tuesday, a Thursday or a Saturday
    0 0 */2 * mon#2  | at 00:00 on every 2nd day from the 1st to the 31st of every month, but only if that is the second Monday of the month
    0 0 1-31 * 1     | at 00:00 every day
    0 0 13 * 0-6     | at 00:00 every day
    0 0 1-31 * *     | at 00:00 every day
    @daily           | at 00:00 every day
    @weekly          | at 00:00 on Sundays
    @monthly         | at 00:00 on the 1st of every month
    @yearly          | at 00:00 on the 1st of January
    """)
    def it_says_on_which_days(self, text, words):
        assert describe(parse(text)) == words


TIMES = ("*", "0", "1", "30", "*/15", "5/15", "*/45", "10-20", "10-40/10", "0,30", "3,17,40")
HOURS = ("*", "0", "2", "*/2", "1/2", "9-17", "2,14", "8-18/2", "2,5,7", "0-3,5,8,13", "*/12")
DAYS = ("*", "1", "1,15", "*/2", "*/10", "1-7", "31", "L", "LW", "15W", "1,L", "1-31", "29/1")
WEEKDAYS = (
    "*",
    "1",
    "1-5",
    "fri-7",
    "*/2",
    "0,6",
    "mon#2",
    "5L",
    "mon,5L",
    "0-6",
    "0/3",
    "1#1,2#1",
)


class DescribeLaws:
    def it_describes_alike_only_what_runs_at_the_same_times(self):
        meanings = {}
        for seconds, minutes, hours in itertools.product(("0", "5", *TIMES), TIMES, HOURS):
            expression = parse(f"{seconds} {minutes} {hours} * * *")
            fields = (expression.second, expression.minute, expression.hour)
            meaning = tuple(field.values for field in fields)
            assert meanings.setdefault(describe(expression), meaning) == meaning

    def it_describes_alike_only_what_runs_on_the_same_days(self):
        meanings = {}
        months = ("*", "1", "2", "1,7", "3-9", "2-4", "1-3,12")
        for day, month, weekday in itertools.product(DAYS, months, WEEKDAYS):
            if not strategies.is_valid(f"0 0 {day} {month} {weekday}"):
                continue
            expression = parse(f"0 0 {day} {month} {weekday}")
            used = set(expression.month.values)
            lengths = (28, 29) * (2 in used) + (30,) * bool(used & {4, 6, 9, 11})
            lengths += (31,) * bool(used - {2, 4, 6, 9, 11})
            meaning = (expression.month.values, [expression.month_days[n - 28] for n in lengths])
            assert meanings.setdefault(describe(expression), meaning) == meaning

    @given(strategies.cron_texts(six=False, extensions=False))
    def it_can_be_read_back(self, text):
        expression = parse(text)
        minute, hour, *_ = text.split()
        words = describe(parse(f"{minute} {hour} * * *"))
        expected = {
            (hour, minute) for hour in expression.hour.values for minute in expression.minute.values
        }
        assert times_of(words) == expected
        assert describe(expression).startswith(re.sub(" every day$", "", words))

    @given(strategies.cron_texts())
    def it_has_words_for_every_expression(self, text):
        words = describe(parse(text))
        assert words.isascii()
        assert words == " ".join(words.split())
        assert words.startswith(("every ", "at "))
        assert all(isinstance(slip, str) for slip in warnings_for(parse(text)))


def times_of(words):
    """Return the (hour, minute) pairs of a description without days: the words read as English."""
    every_day = [(hour, minute) for hour in range(24) for minute in range(60)]
    span = re.search(r" from (\d\d):(\d\d) to (\d\d):(\d\d)", words)
    if span:
        numbers = [int(number) for number in span.groups()]
        every_day = [time for time in every_day if tuple(numbers[:2]) <= time <= tuple(numbers[2:])]
    if words.startswith("every hour at"):
        return {(hour, int(words.split()[3])) for hour in range(24)}
    step = re.match(r"every (?:(\d+) )?(minute|hour)s?( on the hour)?($| from)", words)
    if step:
        length = int(step.group(1) or 1) * (60 if step.group(2) == "hour" else 1)
        return set(every_day[::length])
    if re.match(r"at \d\d:", words):
        return {(int(hour), int(minute)) for hour, minute in re.findall(r"(\d\d):(\d\d)", words)}
    numbers = r"s? ((?:\d+(?:, | and | to )?)+)"
    minutes = listed(re.search("minute" + numbers, words), 60)
    hours = listed(re.search("hour" + numbers, words), 24)
    return set(itertools.product(hours, minutes))


def listed(found, size):
    if found is None:
        return range(size)
    numbers = []
    for piece in re.split(", | and ", found.group(1)):
        first, _, last = piece.partition(" to ")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


class DescribeSlips:
    @table("""
    text              | says
    * 2 * * *         | '* 2 * * *' runs every minute from 02:00 to 02:59; to run once write '0 2 * * *'
    0-59 2 * * *      | '0-59 2 * * *' runs every minute from 02:00 to 02:59; to run once write '0 2 * * *'
    */1 2 * * 1-5     | '*/1 2 * * 1-5' runs every minute from 02:00 to 02:59; to run once write '0 2 * * 1-5'
    * 2,14 * * *      | '* 2,14 * * *' runs every minute of hours 2 and 14; to run once in each hour write '0 2,14 * * *'
    30 * 2 * * *      | '30 * 2 * * *' runs at second 30 of every minute of hour 2; to run once write '30 0 2 * * *'
    * */2 * * *       | '* */2 * * *' runs every minute of hours 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 22; to run once in each hour write '0 */2 * * *'
    1,*/45 * * * *    | '*/45' in the minute field of '1,*/45 * * * *' is not even: it starts anew at 0, and the last step is 15 instead of 45
    * */6 * * *       | '* */6 * * *' runs every minute of hours 0, 6, 12 and 18; to run once in each hour write '0 */6 * * *'
    0 * 2 * * *       | '0 * 2 * * *' runs every minute from 02:00 to 02:59; to run once write '0 0 2 * * *'
    * * 2 * * *       | '* * 2 * * *' runs every second of every minute of hour 2; to run once write '0 0 2 * * *'
    * 30 2 * * *      | '* 30 2 * * *' runs every second of minute 30 of hour 2; to run once write '0 30 2 * * *'
    * */5 * * * *     | '* */5 * * * *' runs every second of minutes 0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50 and 55 of every hour; to run once in each minute write '0 */5 * * * *'
    */60 * * * *      | '*/60' in the minute field of '*/60 * * * *' is 0 alone, since the step leaves the field; write 0
    0 9/20 * * *      | '9/20' in the hour field of '0 9/20 * * *' is 9 alone, since the step leaves the field; write 9
    0 0 10-20/15 * *  | '10-20/15' in the day-of-month field of '0 0 10-20/15 * *' is 10 alone, since the step leaves the field; write 10
    */45 * * * *      | '*/45' in the minute field of '*/45 * * * *' is not even: it starts anew at 0, and the last step is 15 instead of 45
    0 */5 * * *       | '*/5' in the hour field of '0 */5 * * *' is not even: it starts anew at 0, and the last step is 4 instead of 5
    0 0 1 */5 *       | '*/5' in the month field of '0 0 1 */5 *' is not even: it starts anew at 1, and the last step is 2 instead of 5
    */7 0 0 * * *     | '*/7' in the second field of '*/7 0 0 * * *' is not even: it starts anew at 0, and the last step is 4 instead of 7
    0 0 13 * 5        | '0 0 13 * 5' runs when either day field matches: at 00:00 on the 13th of every month and also on every Friday; for one of them alone write '0 0 13 * *' or '0 0 * * 5'
    0 0 */2 * 1       | '0 0 */2 * 1' runs only when both day fields match, since one of them starts with *: at 00:00 on every 2nd day from the 1st to the 31st of every month, but only if that is a Monday
    0 0 1-31 * 1      | '0 0 1-31 * 1' runs every day, since one matching day field is enough and '1-31' always matches; for the other alone write '0 0 * * 1'
    0 0 13 * 0-6      | '0 0 13 * 0-6' runs every day, since one matching day field is enough and '0-6' always matches; for the other alone write '0 0 13 * *'
    0 0 31 * *        | '0 0 31 * *' has no run in February, April, June, September and November, where there is no 31st; for the last day of the month write L
    0 0 30W 1-3 *     | '0 0 30W 1-3 *' has no run in February, where there is no 30th; for the last day of the month write L
    0 0 29 2 *        | '0 0 29 2 *' runs in leap years alone; for the last day write L
    """)
    def it_warns(self, text, says):
        assert warnings_for(parse(text)) == (says,)

    @table("""
    text
    * * * * *
    0 2 * * *
    */15 9-17 * * 1-5
    * 9-17 * * *
    * 0-23 * * *
    0-30 2 * * *
    */15 2 * * *
    */20 * * * * *
    * * * * * *
    0 * * * * *
    0 */12 * * *
    0 0 */2 * *
    0 0 * * */2
    0 0 1,15 * *
    0 0 1,31 * *
    0 0 30,L * *
    0 0 31,LW * *
    0 0 31 1,3 *
    0 0 L * *
    0 0 L 2 *
    0 0 * * 5L
    0 0 * 2 *
    0 0 1-31 * *
    @hourly
    @weekly
    @yearly
    """)
    def it_keeps_quiet_about_what_is_meant(self, text):
        assert warnings_for(parse(text)) == ()

    def it_may_find_several(self):
        assert len(warnings_for(parse("*/60 */5 31 * 1"))) == 3
        assert len(warnings_for(parse("0 0 29 2 1"))) == 1

    def it_finds_the_slips_of_keywords_too(self):
        assert "write '0 2 * * *'" in warnings_for(from_fields(hours=2))[0]

    @pytest.mark.parametrize("text", ["@hourly", "@daily", "@weekly", "@monthly", "@yearly"])
    def it_finds_none_in_aliases(self, text):
        assert warnings_for(parse(text)) == ()
