"""The options of ``@delay`` and of ``task.options(…)``: what may be written, and what is refused.

An option means the same at the decorator and for one call, where it replaces the one before. What
can not be used is refused where it is written, and nothing is changed: values that make no sense,
options that contradict each other, and names that do not exist, with the nearest one that does.
None is "not given".
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.app import App
from autocron.core.errors import AutocronError, Discard, InvalidTask, Retry
from autocron.core.policy import PLAIN, Policy, dump_policy, load_policy
from autocron.core.rate import Rate, parse_rate
from autocron.options import OPTIONS, DelayOptions
from spec.tables import table


class DescribeAnOption:
    @pytest.mark.parametrize(
        ("given", "field", "value"),
        [
            ({"hours": 1, "minutes": 2.5}, "delay_seconds", 3750.0),
            ({"expires": 60}, "expires", 60.0),
            ({"expires": timedelta(hours=1)}, "expires", 3600.0),
            ({"expires": datetime(2030, 1, 1)}, "expires", datetime(2030, 1, 1)),
            ({"queue": "mail.fast-1"}, "queue", "mail.fast-1"),
            ({"priority": -100}, "priority", -100),
            ({"limit": 3}, "limit", 3),
            ({"limit": 3, "limit_key": "smtp"}, "limit_key", "smtp"),
            ({"limit": 3, "limit_key": 7}, "limit_key", "7"),
            ({"rate": "1/s", "rate_key": "smtp"}, "rate_key", "smtp"),
            ({"unique": True}, "unique", True),
            ({"unique": "args"}, "unique", "args"),
            ({"unique": True, "unique_while": "running"}, "unique_running", True),
            ({"unique": True, "unique_for": 60}, "unique_seconds", 60.0),
            ({"retries": 3}, "policy", Policy(retries=3)),
            (
                {"retries": 3, "backoff": timedelta(seconds=10)},
                "policy",
                Policy(retries=3, backoff_seconds=10.0),
            ),
            ({"retries": 3, "backoff": 10}, "policy", Policy(retries=3, backoff_seconds=10.0)),
            (
                {"retries": 3, "max_backoff": timedelta(minutes=1)},
                "policy",
                Policy(retries=3, backoff_cap_seconds=60.0),
            ),
            (
                {"retries": 1, "retry_on": OSError},
                "policy",
                Policy(retries=1, retry_on=("builtins:OSError",)),
            ),
            (
                {"retries": 1, "no_retry_on": (KeyError, AutocronError)},
                "policy",
                Policy(
                    retries=1,
                    no_retry_on=("builtins:KeyError", "autocron.core.errors:AutocronError"),
                ),
            ),
            ({"timeout": 1.5}, "policy", Policy(timeout_seconds=1.5)),
            ({"rate": "10/minute"}, "policy", Policy(rate=Rate(10, 60.0))),
            ({"queue": None, "retries": None, "seconds": None}, "policy", PLAIN),
        ],
    )
    def it_is_checked_and_kept(self, given, field, value):
        assert getattr(DelayOptions().changed(**given), field) == value

    def it_replaces_the_one_before(self):
        before = DelayOptions().changed(minutes=5, retries=3, backoff=10, queue="slow")
        after = before.changed(seconds=1, retries=2)
        assert (after.delay_seconds, after.queue) == (1.0, "slow")
        assert after.policy == Policy(retries=2, backoff_seconds=10.0)
        assert before.delay_seconds == 300.0

    def it_replaces_a_delay_by_an_instant_and_the_other_way_round(self):
        instant = datetime(2030, 1, 1)
        later = DelayOptions().changed(minutes=5).changed(schedule=instant)
        assert (later.delay_seconds, later.schedule) == (0.0, instant)
        sooner = later.changed(seconds=5)
        assert (sooner.delay_seconds, sooner.schedule) == (5.0, None)


class DescribeWhatIsRefused:
    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"retires": 3}, "'retires' is no option of delay; did you mean retries="),
            ({"retry": 3}, "'retry' is no option of delay; did you mean retries="),
            ({"minute": 3}, "'minute' is no option of delay; did you mean minutes="),
            ({"expire": 3}, "'expire' is no option of delay; did you mean expires="),
            ({"priorty": 3}, "'priorty' is no option of delay; did you mean priority="),
            ({"zzz": 3}, r"'zzz' is no option of delay \(there are: weeks, days"),
            ({"minutes": 1, "schedule": datetime.now}, "schedule= and minutes= both say when"),
            ({"seconds": -1}, "seconds: -1 is not a number from 0 upwards"),
            ({"seconds": 1e12}, "seconds: the delay is more than 100 years"),
            ({"schedule": "tomorrow"}, "schedule: 'tomorrow' is no datetime"),
            ({"expires": 0}, "expires: 0 is not a number of seconds above 0"),
            ({"expires": True}, "expires: True is not a number of seconds above 0"),
            (
                {"expires": "tomorrow"},
                "expires: 'tomorrow' is not a number of seconds above 0 and up to 100 years, nor "
                "such a timedelta, nor a datetime$",
            ),
            ({"expires": 60, "minutes": 2}, "expires: 60 seconds after the call is no later than"),
            (
                {"expires": 1, "seconds": 1},
                "expires: 1 second after the call .*, 1 second after it",
            ),
            ({"queue": ""}, "queue: '' is no name of a queue"),
            ({"queue": "*"}, r"queue: '\*' is no name of a queue"),
            ({"queue": "a" * 65}, "is no name of a queue"),
            ({"queue": 7}, "queue: 7 is no name of a queue"),
            ({"priority": 101}, "priority: 101 is not a whole number from -100 to 100"),
            ({"priority": 1.0}, "priority: 1.0 is not a whole number from -100 to 100"),
            ({"limit": 0}, "limit: 0 is not a whole number from 1 to"),
            ({"limit": True}, "limit: True is not a whole number"),
            ({"limit_key": "smtp"}, "limit_key= goes with limit=, which is not given"),
            ({"limit": 1, "limit_key": ""}, "limit_key: '' is no key"),
            ({"limit": 1, "limit_key": "k" * 201}, "is longer than 200"),
            ({"limit": 1, "limit_key": 1.5}, "limit_key: 1.5 is no key"),
            ({"rate": "often"}, "rate: 'often' is not a rate such as"),
            ({"rate_key": "smtp"}, "rate_key= goes with rate=, which is not given"),
            ({"unique": "all"}, "unique: 'all' is not True, False, \"args\", nor a callable"),
            ({"unique_while": "running"}, "unique_while= goes with unique="),
            (
                {"unique": True, "unique_while": "ever"},
                'unique_while: \'ever\' is neither "waiting" nor "running"$',
            ),
            ({"unique_for": 60}, "unique_for= goes with unique="),
            ({"unique": True, "unique_for": 0}, "unique_for: 0 is not a number of seconds above"),
            ({"retries": -1}, "retries: -1 is not a whole number from 0"),
            ({"retries": "3"}, "retries: '3' is not a whole number"),
            ({"backoff": 5}, "backoff= is about retries, and there are none: give retries= too"),
            (
                {"retries": 1, "backoff": -1},
                "backoff: -1 is neither a number of seconds from 0 to 100 years, nor such a "
                "timedelta, nor 'exponential'$",
            ),
            ({"retries": 1, "backoff": "linear"}, "backoff: 'linear' is neither a number of"),
            ({"retries": 1, "backoff": [1, 2]}, r"backoff: \[1, 2\] is neither a .* 'exponential'"),
            ({"retries": 1, "backoff": True}, "backoff: True is neither a number"),
            ({"retries": 1, "backoff": float("nan")}, "backoff: nan is neither a number"),
            ({"retries": 1, "backoff": timedelta(-1)}, r"backoff: datetime.* is neither a number"),
            ({"retries": 1, "backoff": 1e12}, "backoff: 1000000000000.0 is neither"),
            ({"retries": 1, "max_backoff": 0}, "max_backoff: 0 is not a number of seconds above"),
            ({"max_backoff": 5}, "max_backoff= is about retries"),
            (
                {"retries": 1, "backoff": 5, "max_backoff": 9},
                "max_backoff= is for exponential backoff; the backoff= is constant",
            ),
            ({"retry_on": OSError}, "retry_on= is about retries"),
            ({"no_retry_on": OSError}, "no_retry_on= is about retries"),
            (
                {"retries": 1, "retry_on": "OSError"},
                "retry_on: 'OSError' is no class of exceptions",
            ),
            ({"retries": 1, "retry_on": (int,)}, "retry_on: <class 'int'> is no class of exceptio"),
            (
                {"retries": 1, "retry_on": OSError, "no_retry_on": (OSError, KeyError)},
                "retry_on= and no_retry_on= both name builtins:OSError",
            ),
            ({"timeout": 0}, "timeout: 0 is not a number of seconds above 0"),
            ({"timeout": float("nan")}, "timeout: nan is not a number of seconds above 0"),
            ({"timeout": timedelta(days=-1)}, "is not a number of seconds above 0"),
        ],
    )
    def it_is_refused_where_it_is_written(self, given, says):
        app = App()
        with pytest.raises(InvalidTask, match=says):
            app.delay(**given)

        @app.delay
        def send(): ...

        with pytest.raises(InvalidTask, match=says):
            send.options(**given)
        assert send().status == "succeeded"

    def it_names_every_option_that_there_is(self):
        from autocron.delayed import TaskOptions

        assert set(OPTIONS) == set(TaskOptions.__annotations__)

    def it_may_say_no_to_what_the_decorator_said(self):
        options = DelayOptions().changed(retries=3, retry_on=OSError).changed(retries=0)
        assert options.policy.retries == 0


class DescribeARate:
    @table("""
    text              | count | seconds
    10/minute         | 10    | 60
    1/s               | 1     | 1
    5 / hour          | 5     | 3600
    100/2 hours       | 100   | 7200
    3 per 10 Minutes  | 3     | 600
    7/d               | 7     | 86400
    2/min             | 2     | 60
    10000/1day        | 10000 | 86400
    1/366 days        | 1     | 31622400
    """)
    def it_is_a_count_in_a_period(self, text, count, seconds):
        assert parse_rate(text) == Rate(int(count), float(seconds))

    @pytest.mark.parametrize(
        "text",
        ["", "10", "10/", "/minute", "0/minute", "-1/minute", "1.5/minute", "10/0 seconds",
         "10/fortnight", "10001/day", "1/367 days", "10/minute/2", "ten/minute", 10, None, b"1/s"],
    )  # fmt: skip
    def it_refuses_what_is_none(self, text):
        with pytest.raises(InvalidTask, match=r'is not a rate such as "10/minute" or'):
            parse_rate(text)

    def it_is_free_until_as_many_have_begun(self):
        begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
        starts = [begin + timedelta(seconds=second) for second in (9, 5, 0)]
        rate = Rate(3, 60.0)
        assert rate.free_at(starts[1:]) is None
        assert rate.free_at(starts) == begin + timedelta(seconds=60)


class DescribeAPolicy:
    @given(
        st.builds(
            Policy,
            retries=st.integers(0, 9),
            backoff_seconds=st.none() | st.floats(0, 99),
            backoff_cap_seconds=st.floats(1, 99),
            retry_on=st.none() | st.tuples(st.just("builtins:OSError")),
            no_retry_on=st.tuples() | st.tuples(st.just("shop:Gone"), st.just("shop:Sold")),
            timeout_seconds=st.none() | st.floats(0.1, 99),
            rate=st.none() | st.builds(Rate, st.integers(1, 9), st.floats(1, 99)),
        )
    )
    def it_travels_as_text_exactly(self, policy):
        text = dump_policy(policy)
        assert load_policy(text) == policy
        assert (text is None) == (policy == PLAIN)

    def it_is_no_text_if_it_asks_for_nothing(self):
        assert dump_policy(PLAIN) is None

    def it_leaves_out_what_a_newer_one_has_added(self):
        assert load_policy('{"colour": "red", "retries": 2}') == Policy(retries=2)

    @table("""
    retry_on            | no_retry_on    | kinds                       | retried
                        |                | builtins:KeyError           | yes
    builtins:OSError    |                | builtins:KeyError           | no
    builtins:OSError    |                | a:Mine builtins:OSError     | yes
                        | builtins:OSError | a:Mine builtins:OSError   | no
    builtins:OSError    | a:Mine         | a:Mine builtins:OSError     | no
    builtins:OSError    | a:Mine         | builtins:OSError            | yes
    """)
    def it_tells_what_is_worth_another_attempt(self, retry_on, no_retry_on, kinds, retried):
        policy = Policy(
            retry_on=tuple(retry_on.split()) or None, no_retry_on=tuple(no_retry_on.split())
        )
        assert policy.is_retried_on(kinds.split()) is (retried == "yes")


CENTURY = 100 * 366 * 86400.0


class DescribeRetryAndDiscard:
    @pytest.mark.parametrize(
        ("after", "seconds"),
        [(None, None), (5, 5.0), (timedelta(minutes=1), 60.0), (0, 0.0), (CENTURY, CENTURY)],
    )
    def it_says_after_how_many_seconds(self, after, seconds):
        assert Retry("busy", after=after).after_seconds == seconds
        assert str(Retry("busy", after=after)) == "busy"

    @pytest.mark.parametrize(
        "after", [-1, True, "soon", float("inf"), CENTURY + 1, timedelta(days=-1)]
    )
    def it_refuses_what_is_no_duration(self, after):
        with pytest.raises(InvalidTask, match=r"after: .* is not a number of seconds from 0"):
            Retry(after=after)

    def it_is_an_error_of_autocron_that_passes_through_the_task(self):
        assert issubclass(Retry, AutocronError)
        assert issubclass(Discard, AutocronError)
        assert str(Discard("gone")) == "gone"
        assert (str(Retry()), str(Discard())) == ("", "")
