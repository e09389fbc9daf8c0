"""What is in the queue: assertions, and what they show where they fail.

``assert_enqueued()``, ``assert_not_enqueued()`` and ``enqueued()`` of a session see the tasks that
*wait*: those that are due, those that are to run later, and those that are to be tried again. What
runs or has ended is not in the queue; ``runs()`` tells what was run. ``capture()`` sees what a
block of the test has enqueued, and nothing else, whatever has become of it since.

**A call fits** if the function would receive exactly the given ``args`` and ``kwargs``: whether by
position, by name or as its default is the same. ``unittest.mock.ANY`` stands for any value. Without
both, any call fits. ``at=`` is when the task is due: an instant, or a timedelta *after its call*.
``within=`` is how far from that it may be; without ``at``, how far from now. ``count=`` is how many
fit; else one is enough.

**A failure** is a ``QueueAssertionError``, an ``AssertionError``. It shows what was expected, and
the queue as it is, with times on the wall clock of the session's zone. Questions that make no sense
are errors, lest a test passes for a slip: a function that is no task function, arguments that it
could not be called with.

``explain()`` is the session's state as text: its clock, what waits, the schedules with their next
runs, what is planned to go wrong, and the last runs.
"""

from __future__ import annotations

import re
from datetime import timedelta
from unittest.mock import ANY

import pytest

import autocron
from autocron import testing
from autocron.core.errors import AutocronError, InvalidTask
from autocron.testing import QueueAssertionError
from spec.benches import NOW
from spec.tables import table
from spec.zones import at


@pytest.fixture(params=["memory", "sqlite"])
def session(app, request):
    with testing.session(now=NOW, tz="+01:00", app=app, engine=request.param) as session:
        yield session


@pytest.fixture
def send(app):
    @app.delay
    def send(number, to="ada", *, copy=False): ...

    return send


@pytest.fixture
def other(app):
    @app.delay
    def other(): ...

    return other


class DescribeEnqueued:
    def it_is_what_waits_in_order(self, session, send, other):
        first, second = send.options(hours=1)(1, copy=True), send(2)
        other()
        assert [entry.task_id for entry in session.enqueued(send)] == [first.id, second.id]
        assert len(session.enqueued()) == 3
        entry = session.enqueued(send)[0]
        assert (entry.args, entry.kwargs, entry.attempt) == ((1,), {"copy": True}, 0)
        assert entry.enqueued_at == at("2024-03-01 11:00")
        assert entry.run_at == at("2024-03-01 12:00")
        assert entry.name == name_of(send)
        assert entry.call == f"{name_of(send)}(1, copy=True)"

    def it_does_not_see_what_runs_or_has_ended(self, session, app, send):
        seen = []

        @app.delay
        def look():
            seen.append(session.enqueued())

        look()
        send(1).cancel()
        session.run_pending()
        assert (seen, session.enqueued()) == ([[]], [])

    def it_sees_a_task_that_is_to_be_tried_again(self, session, app):
        @app.delay(retries=1, backoff=60)
        def fail():
            raise ValueError

        fail()
        session.run_pending(raise_errors=False)
        (entry,) = session.enqueued(fail)
        assert (entry.attempt, entry.run_at) == (1, at("2024-03-01 11:01"))

    def it_tells_an_occurrence_from_a_call(self, session, app, send):
        @app.cron("0 13 * * *")
        def hourly(): ...

        session.advance(hours=1)
        session.run_pending(tasks=send)
        (entry,) = session.enqueued()
        assert entry.schedule == f"{name_of(hourly)} 0 13 * * *"

    def it_takes_a_function_decorated_or_plain_or_a_name(self, session, send):
        send(1)
        for task in (send, send.function, name_of(send)):
            assert len(session.enqueued(task)) == 1


def name_of(function):
    return f"{__name__}:{getattr(function, 'function', function).__qualname__}"


class DescribeAssertEnqueued:
    @table("""
    call                     | args        | kwargs           | fits
    send(1)                  | None        | None             | yes
    send(1)                  | (1,)        | None             | yes
    send(1)                  | None        | {'number': 1}    | yes
    send(number=1)           | (1,)        | None             | yes
    send(1, to='ada')        | (1,)        | None             | yes
    send(1)                  | (1, 'ada')  | {'copy': False}  | yes
    send(1)                  | (ANY,)      | None             | yes
    send(1, 'bob')           | (1, ANY)    | None             | yes
    send(1)                  | (2,)        | None             | no
    send(1, 'bob')           | (1,)        | None             | no
    send(1, copy=True)       | (1,)        | None             | no
    send((1, 2))             | ([1, 2],)   | None             | no
    """)
    def it_goes_by_what_the_function_receives(self, session, send, call, args, kwargs, fits):
        known = {"send": send, "ANY": ANY}
        eval(call, known)
        given = {"args": eval(args, known), "kwargs": eval(kwargs, known)}
        if fits == "yes":
            assert len(session.assert_enqueued(send, **given)) == 1
            with pytest.raises(QueueAssertionError):
                session.assert_not_enqueued(send, **given)
        else:
            session.assert_not_enqueued(send, **given)
            with pytest.raises(QueueAssertionError):
                session.assert_enqueued(send, **given)

    @table("""
    at                       | within | fits
    2024-03-01 13:00         | None   | yes
    2024-03-01T12:00:00Z     | None   | yes
    1:00                     | None   | yes
    2024-03-01 13:00:01      | None   | no
    2024-03-01 13:01         | 59.9   | no
    2024-03-01 13:01         | 60     | yes
    2024-03-01 12:59         | 60     | yes
    0:59                     | 60     | yes
    0:00                     | None   | no
    None                     | 3600   | yes
    None                     | 3599   | no
    """)
    def it_goes_by_the_due_time(self, session, send, at, within, fits):
        send.options(hours=1)(1)
        moment = None if at == "None" else at
        if re.fullmatch(r"\d:\d\d", at):
            moment = timedelta(hours=int(at[0]), minutes=int(at[2:]))
        tolerance = None if within == "None" else float(within)
        try:
            session.assert_enqueued(send, at=moment, within=tolerance)
        except QueueAssertionError:
            assert fits == "no"
        else:
            assert fits == "yes"

    def it_takes_a_timedelta_from_the_call_and_within_from_now(self, session, send):
        send.options(minutes=10)(1)
        session.advance(minutes=9)
        session.assert_enqueued(send, at=timedelta(minutes=10))
        session.assert_enqueued(send, within=timedelta(minutes=1))
        session.assert_not_enqueued(send, within=timedelta(seconds=59))

    def it_counts_exactly_if_told_to(self, session, send, other):
        send(1)
        send(2)
        other()
        session.assert_enqueued(send)
        session.assert_enqueued(send, count=2)
        session.assert_enqueued(send, args=(2,), count=1)
        session.assert_enqueued(send, args=(3,), count=0)
        for count in (0, 1, 3):
            with pytest.raises(QueueAssertionError, match="found 2:"):
                session.assert_enqueued(send, count=count)

    def it_gives_what_fits(self, session, send):
        result = send(1)
        (entry,) = session.assert_enqueued(send, args=(1,))
        assert entry.task_id == result.id

    def it_does_not_see_what_has_been_run(self, session, send):
        send(1)
        session.run_pending()
        session.assert_not_enqueued(send)
        with pytest.raises(QueueAssertionError):
            session.assert_enqueued(send)

    def it_can_say_that_nothing_at_all_waits(self, session, send, other):
        session.assert_not_enqueued()
        other()
        session.assert_not_enqueued(send)
        with pytest.raises(QueueAssertionError, match="any task"):
            session.assert_not_enqueued()


class DescribeAFailure:
    def it_shows_what_was_expected_and_the_queue(self, session, send, other):
        send(42, copy=True)
        other.options(hours=1)()
        with pytest.raises(AssertionError) as caught:
            session.assert_enqueued(send, args=(43,))
        assert str(caught.value).splitlines() == [
            "expected one waiting, found 0:",
            f"    {name_of(send)}(43)",
            "in the queue at 2024-03-01 12:00:00+01:00, waiting:",
            f"    {name_of(send)}(42, copy=True)  [task-1, at 2024-03-01 12:00:00+01:00, due]",
            f"    {name_of(other)}()  [task-2, at 2024-03-01 13:00:00+01:00, in 1:00:00]",
        ]

    def it_shows_times_and_counts(self, session, send):
        with pytest.raises(QueueAssertionError) as caught:
            session.assert_enqueued(send, at="2024-03-01 13:00", within=60, count=2)
        assert str(caught.value).splitlines() == [
            "expected 2 waiting, found 0:",
            f"    {name_of(send)}(…)  at 2024-03-01 13:00:00+01:00, give or take 0:01:00",
            "in the queue at 2024-03-01 12:00:00+01:00, waiting:",
            "    (nothing)",
        ]
        with pytest.raises(QueueAssertionError, match=r"\(…\)  1:00:00 after the call\n"):
            session.assert_enqueued(send, at=timedelta(hours=1))

    def it_shows_what_was_not_expected(self, session, send):
        send(1)
        with pytest.raises(QueueAssertionError) as caught:
            session.assert_not_enqueued(send, args=(1,))
        assert str(caught.value).splitlines()[:2] == [
            "expected none waiting, found 1:",
            f"    {name_of(send)}(1)",
        ]

    def it_tells_which_have_been_begun_and_which_are_occurrences(self, session, app):
        @app.cron("0 13 * * *")
        def hourly(): ...

        @app.delay(retries=1, backoff=60)
        def fail():
            raise ValueError

        fail()
        session.run_pending(raise_errors=False)
        session.advance(hours=1)
        session.run_pending(tasks=[])
        with pytest.raises(QueueAssertionError) as caught:
            session.assert_not_enqueued()
        assert re.search(r"fail\(\)  \[task-1, at .* 12:01.*, due, begun once\]", str(caught.value))
        assert re.search(r"hourly\(\)  \[.*, due, of a schedule\]", str(caught.value))


class DescribeAQuestionThatMakesNoSense:
    def it_is_an_unknown_task(self, session, send):
        def plain(): ...

        for what, ask in (
            ("enqueued()", session.enqueued),
            ("assert_enqueued()", session.assert_enqueued),
            ("assert_not_enqueued()", session.assert_not_enqueued),
            ("runs()", session.runs),
            ("crash_next()", session.crash_next),
            ("fail_next()", lambda task: session.fail_next(task, ValueError)),
            ("tasks", lambda task: session.run_pending(tasks=task)),
        ):
            called = re.escape(what)
            says = rf"^{called}: '.*plain' is no task function of this.* such as .*send"
            with pytest.raises(InvalidTask, match=says):
                ask(plain)
            with pytest.raises(InvalidTask, match=rf"^{called}: 'shop:sent' is no task function"):
                ask("shop:sent")
            for thing in (lambda: None, print, 5):
                says = rf"^{called}: {re.escape(repr(thing))} is no task function; expected a "
                with pytest.raises(InvalidTask, match=says + "function that is decorated with @"):
                    ask(thing)

    def it_names_the_function_of_that_name(self, session, send, other):
        with pytest.raises(InvalidTask, match=f"such as {re.escape(name_of(send))}$"):
            session.enqueued(f"shop:{send.__qualname__}")

    @pytest.mark.parametrize("task", [5, ("send",)])
    def it_is_what_is_neither_function_nor_name(self, session, task):
        with pytest.raises(InvalidTask, match="is no task function; expected a function that is"):
            session.assert_enqueued(task)

    def it_says_so_where_there_is_no_task_function_at_all(self, session):
        with pytest.raises(InvalidTask, match="there are none yet"):
            session.enqueued("shop:send")

    def it_is_a_call_that_could_not_be_made(self, session, send):
        with pytest.raises(TypeError, match=r"send\(\) missing a required argument: 'number'"):
            session.assert_not_enqueued(send, args=())
        with pytest.raises(TypeError, match="unexpected keyword argument 'cc'"):
            session.assert_not_enqueued(send, args=(1,), kwargs={"cc": 1})
        for args in ("abc", b"abc", 5):
            says = re.escape(
                f"args: {args!r} is no list or tuple; for one argument: args=({args!r},)"
            )
            with pytest.raises(AutocronError, match=says):
                session.assert_not_enqueued(send, args=args)
        with pytest.raises(AutocronError, match="kwargs: 5 is no dictionary of names and values"):
            session.assert_enqueued(send, kwargs=5)

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"at": "soon"}, "at: 'soon' is no instant"),
            ({"within": "a bit"}, "within: 'a bit' is no duration"),
            ({"within": -1}, "within: -1 is no duration"),
            ({"within": True}, "within: True is no duration"),
            ({"count": "2"}, "count: '2' is not a whole number"),
            ({"count": True}, "count: True is not a whole number"),
            ({"count": -1}, "count: -1 is not a whole number"),
        ],
    )
    def it_is_a_malformed_option(self, session, send, given, says):
        send(1)
        with pytest.raises(AutocronError, match=says):
            session.assert_enqueued(send, **given)

    def it_is_options_without_a_task(self, session):
        with pytest.raises(AutocronError, match="need a task to belong to"):
            session.assert_not_enqueued(args=(1,))


class DescribeCapture:
    def it_sees_only_what_its_block_has_enqueued(self, session, send, other):
        send(1)
        with session.capture() as new:
            new.assert_not_enqueued()
            send(2)
            new.assert_enqueued(send, args=(2,), count=1)
        send(3)
        new.assert_enqueued(send, count=1)
        new.assert_not_enqueued(other)
        assert [entry.args for entry in new.enqueued()] == [(2,)]

    def it_makes_no_difference_that_they_have_been_run_since(self, session, app, send):
        @app.delay
        def fan_out():
            for number in range(3):
                send(number)

        with session.capture() as new:
            fan_out()
            session.run_pending()
        new.assert_enqueued(fan_out, count=1)
        new.assert_enqueued(send, count=3)
        session.travel(hours=1)
        new.assert_enqueued(send, count=3)

    def it_sees_occurrences_and_no_attempt_twice(self, session, app):
        @app.cron("0 13 * * *")
        def hourly(): ...

        @app.delay(retries=2, backoff=1)
        def fail():
            raise ValueError

        fail()
        with session.capture() as new:
            session.travel(hours=2, raise_errors=False)
        assert [entry.name for entry in new.enqueued()] == [name_of(hourly)]

    def it_shows_itself_where_it_fails(self, session, send):
        send(1)
        with session.capture() as new:
            send(2)
        with pytest.raises(QueueAssertionError) as caught:
            new.assert_enqueued(send, args=(1,))
        assert re.fullmatch(
            r"expected one enqueued by this block, found 0:\n    .*send\(1\)\n"
            r"in the queue at .*, enqueued by this block:\n    .*send\(2\)  \[task-2, .*\]",
            str(caught.value),
        )

    def it_has_nothing_before_its_block(self, session):
        with pytest.raises(AutocronError, match=r"with session.capture\(\) as new:"):
            session.capture().enqueued()

    def it_may_hold_several_and_one_inside_another(self, session, send):
        with session.capture() as outer:
            send(1)
            with session.capture() as inner:
                send(2)
        outer.assert_enqueued(send, count=2)
        inner.assert_enqueued(send, count=1)


class DescribeRuns:
    def it_is_every_attempt_of_the_session_in_order(self, session, send, other):
        send(1)
        session.run_pending()
        other()
        session.fail_next(send, ValueError("no"))
        send(2)
        session.run_pending(raise_errors=False)
        assert [run.name for run in session.runs()] == [
            name_of(send),
            name_of(other),
            name_of(send),
        ]
        assert [run.succeeded for run in session.runs(send)] == [True, False]

    def it_outlasts_the_results(self, session, send):
        result = send(1)
        session.travel(days=2)
        assert (result.status, len(session.runs(send))) == ("expired", 1)


class DescribeExplain:
    def it_shows_clock_queue_schedules_plans_and_runs(self, session, app, send):
        @app.cron("30 2 * * *", tz="UTC")
        def nightly(): ...

        @app.cron(at_start=True)
        def warm_up(): ...

        send(1)
        session.run_pending()
        send.options(hours=1)(2)
        session.fail_next(send, ValueError("no"))
        text = session.explain()
        assert text.splitlines() == [
            "clock: 2024-03-01 12:00:00+01:00  (the test moves it)",
            "waiting:",
            f"    {name_of(send)}(2)  [task-3, at 2024-03-01 13:00:00+01:00, in 1:00:00]",
            "schedules:",
            f"    {name_of(nightly)}  30 2 * * *  in UTC; next run 2024-03-02 02:30:00+00:00; "
            "missed='once', overlap='skip'",
            f"    {name_of(warm_up)}  at the start only",
            "planned to go wrong:",
            f"    fail_next({name_of(send)}, ValueError('no'))",
            "runs:",
            f"    2024-03-01 12:00:00+01:00  {name_of(send)}(1)  returned None",
            f"    2024-03-01 12:00:00+01:00  {name_of(warm_up)}()  returned None",
        ]
        session.travel(hours=1)

    def it_shows_how_runs_ended(self, session, app, send):
        @app.delay(retries=1, backoff=60)
        def fail():
            raise ValueError("no")

        seen = []

        @app.delay
        def look():
            seen.append(session.explain())

        fail()
        session.travel(minutes=2, raise_errors=False)
        session.crash_next(look)
        look()
        session.run_pending()
        assert "running:\n" in seen[0]
        assert "look  [task-2]" in seen[0]
        text = session.explain()
        assert "fail()  ValueError: no; again at 2024-03-01 12:01:00+01:00\n" in text
        assert "fail()  attempt 2, ValueError: no\n" in text
        assert "its worker died, as planned; again at" in text

    def it_shows_only_the_last_runs(self, session, send):
        for number in range(12):
            send(number)
        session.run_pending()
        text = session.explain()
        assert "runs, the last 10 of 12:" in text
        assert "send(1)" not in text
        assert text.count("returned None") == 10

    def it_shows_the_systems_clock_and_an_empty_session(self, app):
        with testing.session(app=app, tz="UTC") as session:
            text = session.explain()
        assert re.fullmatch(
            r"clock: .*\+00:00  \(the system's\)\nwaiting:\n    \(nothing\)\n"
            r"schedules:\n    \(nothing\)\nruns:\n    \(nothing\)",
            text,
        )


def it_asks_nothing_of_a_session_that_has_not_begun_or_is_over(app, send):
    session = testing.session(now=NOW, app=app)
    for ask in (
        session.enqueued,
        session.runs,
        session.explain,
        session.capture,
        session.assert_not_enqueued,
        lambda: session.crash_next(send),
        lambda: session.fail_next(send, ValueError),
        lambda: session.jump(hours=1),
    ):
        with pytest.raises(AutocronError, match="has not begun, or is over"):
            ask()


def it_asks_of_the_active_session_by_name(session, send):
    assert testing.current() is session
    assert autocron.testing.current() is session
