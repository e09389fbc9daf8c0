"""Time in a test: three verbs, and what falls due on the way.

A session that was given a time (``now=`` or ``clock=``) has a clock that only the test moves. There
are three ways, and they are not the same:

* ``advance()`` moves the clock and runs nothing. What has fallen due meanwhile is found late by the
  next ``run_pending()``.
* ``travel()`` lets the time pass *while the application works*: what falls due on the way runs at
  its own instant, in order, as in production; so nothing is late, and nothing is missed. It begins
  with what is due now, and ends standing at its target, with all done that is due by then.
  ``run_pending(until=)`` is the same.
* ``jump()`` moves the clock as if *the machine had been off*. The next ``run_pending()`` or
  ``travel()`` is the start after that: missed occurrences are made up as their schedules say,
  ``at_start`` functions are due again, and what is waiting is still there.

Time is moved from one event in the store to the next, never because all seems idle. It never goes
back: that is refused, and the message names the way to set a wall clock. A session on the system's
clock can not be moved, and says so.

A time is an aware datetime, a naive one that is meant in the session's zone, or either as ISO 8601
text. A duration is a timedelta, or numbers of ``weeks``, ``days``, ``hours``, ``minutes`` and
``seconds``. A day is 24 hours, whatever the clocks of a zone do.

**Where a task raises**, time stands at that instant, and another ``travel()`` goes on from there.
The limit of runs holds for each instant, so that a task that enqueues itself for later is none that
would go on for ever.

**A task may let time pass itself**: ``session.advance()`` in its place of a sleep makes it last as
long. A task that really sleeps, for a second or more, is told with a ``SleepWarning``, and in the
log, before it does.
"""

from __future__ import annotations

import asyncio
import re
import time
from datetime import datetime, timedelta, timezone

import pytest

from autocron import testing
from autocron.core.errors import AutocronError
from autocron.testing import Report, SleepWarning
from spec.benches import NOW
from spec.tables import table
from spec.zones import at, zone


@pytest.fixture(params=["memory", "plain", "sqlite"])
def session(app, request):
    with testing.session(now=NOW, tz="UTC", app=app, engine=request.param) as session:
        yield session


@pytest.fixture
def ran():
    """When, and with what, ``note`` was run."""
    return []


@pytest.fixture
def note(app, ran):
    @app.delay
    def note(what=None):
        ran.append((f"{app.now():%d %H:%M:%S}", what))

    return note


class DescribeTravel:
    def it_runs_everything_at_its_own_instant_in_order(self, session, app, note, ran):
        @app.cron("30 * * * *")
        def half_past():
            note("cron")

        note.options(hours=1)("an hour")
        note.options(schedule=at("2024-03-01 12:45"))("planned")
        note("now")
        report = session.travel(hours=2)
        assert ran == [
            ("01 12:00:00", "now"),
            ("01 12:30:00", "cron"),
            ("01 12:45:00", "planned"),
            ("01 13:00:00", "an hour"),
            ("01 13:30:00", "cron"),
        ]
        assert (report.succeeded, report.count(half_past)) == (7, 2)
        assert all(run.started_at == run.scheduled_at for run in report.runs)

    def it_stands_at_its_target_with_all_done_that_is_due_by_then(self, session, note, ran):
        note.options(minutes=5)("on the minute")
        note.options(minutes=5, seconds=1)("too late")
        session.travel(minutes=5)
        assert session.now() == at("2024-03-01 12:05")
        assert ran == [("01 12:05:00", "on the minute")]
        assert session.travel(timedelta(0)) == Report()

    @pytest.mark.parametrize(
        "to",
        [
            "2024-03-01 14:00",
            datetime(2024, 3, 1, 14, 0),
            datetime(2024, 3, 1, 14, 0, tzinfo=timezone.utc),
            "2024-03-01T15:00:00+01:00",
        ],
    )
    def it_goes_to_an_instant(self, session, to):
        session.travel(to=to)
        assert session.now() == at("2024-03-01 14:00")

    def it_means_a_naive_time_in_the_zone_of_the_session(self, app):
        with testing.session(now="2024-03-01 12:00", tz="+02:00", app=app) as session:
            session.travel(to="2024-03-01 12:30")
            assert session.now() == at("2024-03-01 10:30")

    def it_adds_up_what_it_is_given(self, session):
        session.travel(timedelta(hours=1), weeks=1, days=1, hours=1, minutes=1, seconds=1.5)
        assert session.now() == at("2024-03-09 14:01:01.500000")

    def it_runs_what_tasks_enqueue_on_the_way(self, session, app, ran, note):
        @app.delay(minutes=10)
        def poll():
            note("poll")
            poll()

        poll()
        session.travel(hours=1)
        assert [when for when, _ in ran] == [f"01 12:{m}0:00" for m in range(1, 6)] + [
            "01 13:00:00"
        ]

    def it_makes_up_nothing_since_nothing_is_missed(self, session, app):
        @app.cron("0 2 * * *", missed="once")
        def once(): ...

        @app.cron("0 2 * * *", missed="skip")
        def skip(): ...

        report = session.travel(days=5)
        assert (report.count(once), report.count(skip)) == (5, 5)

    def it_is_what_until_does(self, session, note, ran):
        note.options(minutes=5)()
        note.options(minutes=15)()
        assert session.run_pending(until=timedelta(minutes=10)).succeeded == 1
        assert session.run_pending(until="2024-03-01 12:20").succeeded == 1
        assert [when for when, _ in ran] == ["01 12:05:00", "01 12:15:00"]
        assert session.now() == at("2024-03-01 12:20")

    def it_is_there_for_the_active_session(self, session, note):
        note.options(minutes=5)()
        assert testing.run_pending(until=timedelta(minutes=5)).succeeded == 1
        assert session.now() == session.app.now() == at("2024-03-01 12:05")

    def it_follows_the_wall_clock_over_a_clock_change(self, app):
        zone("Europe/Berlin")

        @app.cron("30 2 * * *", tz="Europe/Berlin")
        def nightly(): ...

        with testing.session(now="2026-03-28 00:00", tz="Europe/Berlin", app=app) as session:
            session.travel(to="2026-03-30 12:00")
            assert [str(run.scheduled_for) for run in session.runs(nightly)] == [
                "2026-03-28 02:30:00+01:00",
                "2026-03-29 03:00:00+02:00",
                "2026-03-30 02:30:00+02:00",
            ]

    def it_does_with_each_instant_as_a_worker_by_priority_and_age(self, session, app, ran, note):
        note.options(minutes=1)("first")
        note.options(minutes=1)("second")
        session.travel(minutes=1)
        assert [what for _, what in ran] == ["first", "second"]


class DescribeAnErrorOnTheWay:
    @pytest.fixture
    def fail(self, app):
        @app.delay
        def fail():
            raise ValueError("no")

        return fail

    def it_stops_time_there_and_another_travel_goes_on(self, session, fail, note, ran):
        fail.options(minutes=10)()
        note.options(minutes=20)("after")
        with pytest.raises(ValueError, match="no"):
            session.travel(hours=1)
        assert (session.now(), ran) == (at("2024-03-01 12:10"), [])
        session.travel(to="2024-03-01 13:00")
        assert ran == [("01 12:20:00", "after")]

    def it_is_only_reported_if_that_is_asked_for(self, session, fail, note, ran):
        fail.options(minutes=10)()
        note.options(minutes=20)("after")
        report = session.travel(hours=1, raise_errors=False)
        assert (report.failed, report.succeeded) == (1, 1)

    def it_is_followed_by_its_retries_each_at_its_time(self, session, app):
        @app.delay(retries=2, backoff=60)
        def unsteady():
            raise ConnectionError("down")

        result = unsteady()
        report = session.travel(hours=1, raise_errors=False)
        assert [f"{run.started_at:%H:%M}" for run in report.runs] == ["12:00", "12:01", "12:02"]
        first, _, last = report.runs
        assert (first.retry_at, last.retry_at) == (at("2024-03-01 12:01"), None)
        assert (result.status, report.failed) == ("failed", 3)

    def it_is_a_runaway_only_within_one_instant(self, session, app, note):
        @app.delay(seconds=1)
        def poll():
            poll()

        poll()
        assert session.travel(seconds=30, limit=2).count(poll) == 30
        for _ in range(3):
            note()
        with pytest.raises(testing.RunawayTasks):
            session.travel(seconds=1, limit=2)


class DescribeAdvance:
    def it_moves_the_clock_and_runs_nothing(self, session, note, ran):
        note.options(minutes=5)()
        assert session.advance(minutes=7) == session.now() == at("2024-03-01 12:07")
        assert ran == []
        session.run_pending()
        assert [when for when, _ in ran] == ["01 12:07:00"]

    def it_makes_occurrences_late_so_that_only_missed_ones_are_made_up(self, session, app):
        @app.cron("0 * * * *", missed="skip")
        def hourly(): ...

        session.advance(hours=3, minutes=30)
        assert session.run_pending() == Report()
        session.advance(minutes=30, seconds=30)
        assert session.run_pending().count(hourly) == 1


class DescribeJump:
    @table("""
    missed | made_up
    once   | 1
    skip   | 0
    all    | 3
    """)
    def it_is_as_if_the_machine_had_been_off(self, session, app, missed, made_up):
        @app.cron("30 2 * * *", missed=missed)
        def nightly(): ...

        assert session.jump(hours=72) == session.now() == at("2024-03-04 12:00")
        assert session.runs() == []
        assert session.run_pending().count(nightly) == int(made_up)

    def it_is_followed_by_a_start(self, session, app):
        @app.cron(at_start=True)
        def warm_up(): ...

        assert session.run_pending().count(warm_up) == 1
        session.travel(hours=1)
        session.advance(hours=1)
        assert session.run_pending().count(warm_up) == 0
        session.jump(to="2024-03-02 12:00")
        assert session.travel(minutes=1).count(warm_up) == 1
        assert len(session.runs(warm_up)) == 2

    def it_loses_no_task_and_lets_delays_go_on(self, session, note, ran):
        note.options(hours=1)("delayed")
        note("waiting")
        session.jump(hours=2)
        session.run_pending()
        assert ran == [("01 14:00:00", "waiting"), ("01 14:00:00", "delayed")]

    def it_is_none_for_a_task_to_call(self, session, app):
        @app.delay
        def leap():
            session.jump(hours=1)

        leap()
        with pytest.raises(AutocronError, match=r"jump\(\) was called by a task"):
            session.run_pending()


class DescribeTimeThatCanNotBeMoved:
    @pytest.mark.parametrize(
        "go_back",
        [
            lambda session: session.travel(hours=-1),
            lambda session: session.travel(to="2024-03-01 11:59"),
            lambda session: session.jump(timedelta(days=-1)),
            lambda session: session.jump(to=datetime(2024, 2, 29)),
            lambda session: session.advance(seconds=-1),
            lambda session: session.run_pending(until="2024-03-01 11:59"),
            lambda session: session.run_pending(until=timedelta(seconds=-1)),
        ],
    )
    def it_does_not_go_back_and_the_way_is_named(self, session, go_back, note):
        note()
        with pytest.raises(AutocronError, match=r"clock.*call .*set\(instant\)"):
            go_back(session)
        assert (session.now(), session.runs()) == (at(NOW), [])

    def it_needs_one_target(self, session):
        for move in (session.travel, session.jump):
            for given in ({}, {"to": "2024-03-02", "hours": 1}, {"by": timedelta(1), "to": NOW}):
                with pytest.raises(AutocronError, match="either an instant or how long"):
                    move(**given)
            with pytest.raises(AutocronError, match="to: 'tomorrow' is no instant"):
                move(to="tomorrow")

    @pytest.mark.parametrize(
        ("by", "units", "says"),
        [
            (
                (5,),
                {},
                "5 is no timedelta; expected one, or a number with its unit, such as hours=1",
            ),
            (("1h",), {}, "'1h' is no timedelta; expected one"),
            ((), {"fortnights": 1}, "'fortnights' is no unit of time; expected one of weeks, days"),
            ((), {"hours": "x"}, "hours='x' is no number of hours"),
            ((), {"hours": True}, "hours=True is no number of hours"),
            ((), {"hours": float("nan")}, "hours=nan is more than any time, or not a number"),
            ((), {"days": 1e12}, r"days=1000000000000.0 is more than any time, or not a number"),
        ],
    )
    def it_refuses_what_is_no_time_by_what_was_called(self, session, note, by, units, says):
        note()
        for name in ("travel", "jump", "advance"):
            with pytest.raises(AutocronError, match=rf"^{name}\(\): {says}"):
                getattr(session, name)(*by, **units)
        assert (session.now(), session.runs()) == (at(NOW), [])

    def it_is_not_the_systems_clock(self, app):
        with testing.session(app=app) as session:
            for move in (
                lambda: session.advance(hours=1),
                lambda: session.travel(hours=1),
                lambda: session.jump(hours=1),
                lambda: session.run_pending(until=timedelta(hours=1)),
            ):
                with pytest.raises(AutocronError, match=r"system's clock.*session\(now="):
                    move()


class DescribeATaskThatTakesTime:
    def it_may_let_the_sessions_time_pass(self, session, app, note, ran):
        @app.delay
        def last():
            session.advance(minutes=5)

        note.options(minutes=1)()
        last()
        (run, _) = session.travel(minutes=10).runs
        assert run.finished_at - run.started_at == timedelta(minutes=5)
        assert [when for when, _ in ran] == ["01 12:05:00"]
        assert session.now() == at("2024-03-01 12:10")

    def it_is_told_before_it_sleeps_for_real(self, session, app, caplog):
        """Here warnings are errors, so it does not come to the sleep."""

        @app.delay
        def wait():
            time.sleep(0)
            time.sleep(30)

        wait()
        says = r"wait sleeps for 30 seconds with time.sleep\(\).*session.advance\(seconds=seconds\)"
        with pytest.raises(SleepWarning, match=says):
            session.run_pending()
        assert re.search(says, caplog.messages[0])
        assert session.now() == at(NOW)

    def it_is_told_in_a_coroutine_too(self, session, app):
        @app.delay
        async def wait():
            assert await asyncio.sleep(0, "rested") == "rested"
            await asyncio.sleep(30)

        wait()
        with pytest.raises(SleepWarning, match=r"for 30 seconds with asyncio.sleep\(\)"):
            session.run_pending()

    def it_may_have_its_sleep_replaced_by_the_sessions_time(self, session, app, monkeypatch):
        def let_pass(seconds):
            session.advance(seconds=seconds)

        monkeypatch.setattr(time, "sleep", let_pass)

        @app.delay
        def wait():
            time.sleep(30)

        wait()
        (run,) = session.run_pending().runs
        assert run.finished_at - run.started_at == timedelta(seconds=30)
        assert time.sleep is let_pass

    def it_is_told_nothing_on_the_systems_clock(self, app):
        sleep, seen = time.sleep, []

        @app.delay
        def look():
            seen.append(time.sleep)

        with testing.session(app=app) as session:
            look()
            session.run_pending()
        assert seen == [sleep]

    def it_leaves_no_trace_of_the_watch(self, session, note):
        before = (time.sleep, asyncio.sleep)
        note()
        session.run_pending()
        assert (time.sleep, asyncio.sleep) == before


def it_plays_the_story_of_an_application(app):
    """A retry after an outage, a night of a clock change, and three days off."""
    zone("Europe/Berlin")
    sent = []

    @app.delay(retries=3, backoff=60)
    def send_invoice(number):
        sent.append(number)

    @app.cron("30 2 * * *", tz="Europe/Berlin")
    def nightly(): ...

    with testing.session(now="2026-03-28 12:00", tz="Europe/Berlin", app=app) as s:
        send_invoice(42)
        s.assert_enqueued(send_invoice, args=(42,), count=1)
        s.fail_next(send_invoice, ConnectionError("smtp down"))
        assert s.run_pending().failed == 1
        s.travel(minutes=1)
        assert [run.attempt for run in s.runs(send_invoice)] == [1, 2]
        assert sent == [42]
        s.travel(to="2026-03-30 03:00")
        assert [str(run.scheduled_for) for run in s.runs(nightly)] == [
            "2026-03-29 03:00:00+02:00",  # 02:30 does not exist that night: right after the gap
            "2026-03-30 02:30:00+02:00",
        ]
        s.jump(hours=72)
        assert s.run_pending().count(nightly) == 1
