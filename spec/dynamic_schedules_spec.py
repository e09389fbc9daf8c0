"""Schedules that are made at run time, and what each run of a schedule may be asked for.

``autocron.schedule(task, "0 9 * * *", name=…, args=…)`` makes a schedule and keeps it in the
database, for what the users of an application want to have done regularly. Its name tells it from
others: the same name again replaces it, and it goes on where it was unless text or zone have
changed. ``unschedule(name)`` takes it out; what it has enqueued still runs. ``schedules()`` lists
all that are kept. They are served as those in the code are, by the same rules, and no start of the
application forgets them.

``@cron`` and ``schedule`` take, for each run, ``timeout``, ``retries``, ``backoff``, ``queue`` and
``priority``; ``jitter`` seconds, by less than which each run begins later than its occurrence,
always by the same, so that intervals stay even and what is due at one minute does not all begin at
once; and ``enabled``: False keeps it from firing, and once it is enabled again nothing is made up.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from autocron import testing
from autocron.app import App
from autocron.core.errors import InvalidSchedule, InvalidTask, NotStorable, StartError
from autocron.core.policy import Policy
from spec.zones import at

NOW = "2026-03-01 12:00"


@pytest.fixture
def app():
    return App()


@pytest.fixture
def session(app):
    with testing.session(now=NOW, tz="UTC", app=app) as session:
        yield session


@pytest.fixture
def ran():
    return []


@pytest.fixture
def report(app, ran):
    @app.delay(retries=2, queue="reports")
    def report(customer, *, kind="short"):
        ran.append((customer, kind))

    return report


class DescribeSchedule:
    def it_runs_a_function_with_its_arguments_at_its_times(self, app, session, report, ran):
        name = app.schedule(report, "0 * * * *", name="ada's", args=[1], kwargs={"kind": "long"})
        assert name == "ada's"
        session.travel(hours=2)
        assert ran == [(1, "long")] * 2
        (run, _) = session.runs(report)
        assert run.scheduled_at == at("2026-03-01 13:00")

    def it_takes_the_options_of_the_function_where_nothing_else_is_said(self, app, session, report):
        app.schedule(report, "0 * * * *", name="one", args=[1])
        app.schedule(
            report,
            "0 * * * *",
            name="two",
            args=[1],
            retries=0,
            queue="slow",
            priority=5,
            timeout=9,
        )
        one, two = session.backend.schedules()
        assert (one.queue, one.priority, one.policy) == ("reports", 0, Policy(retries=2))
        assert (two.queue, two.priority, two.policy) == ("slow", 5, Policy(timeout_seconds=9.0))

    def it_is_replaced_by_another_of_its_name(self, app, session, report, ran):
        app.schedule(report, "0 * * * *", name="ada's", args=[1])
        app.schedule(report, "30 * * * *", name="ada's", args=[2])
        session.travel(hours=1)
        assert ran == [(2, "short")]
        assert len(app.list_schedules()) == 1

    def it_goes_on_where_it_was_if_only_the_rest_changes(self, app, session, report, ran):
        app.schedule(report, "0 13 * * *", name="ada's", args=[1])
        session.jump(hours=2)  # a missed occurrence, to be made up
        app.schedule(report, "0 13 * * *", name="ada's", args=[2])
        session.run_pending()
        assert ran == [(2, "short")]

    def it_begins_now_if_the_text_or_the_zone_changes(self, app, session, report, ran):
        app.schedule(report, "0 13 * * *", name="ada's", args=[1])
        session.jump(hours=2)
        app.schedule(report, "0 13 * * *", name="ada's", args=[1], tz="Europe/Berlin")
        session.run_pending()
        assert ran == []

    def it_has_a_name_of_its_own_if_none_is_given(self, app, session, report):
        names = {app.schedule(report, "0 * * * *", args=[customer]) for customer in (1, 2, 2)}
        assert len(names) == 2
        assert all(name.startswith(f"{__name__}:") for name in names)

    def it_is_not_forgotten_when_the_code_is_declared(self, app, session, report):
        app.schedule(report, "0 * * * *", name="ada's", args=[1])
        session.backend.declare([], complete_for=[__name__])
        assert [one.name for one in app.list_schedules()] == ["ada's"]

    def it_takes_a_cron_function_too(self, app, session):
        ran = []

        @app.cron("0 2 * * *")
        def nightly():
            ran.append(app.now())

        app.schedule(nightly, "0 13 * * *", name="early")
        session.travel(hours=2)
        assert ran == [at("2026-03-01 13:00")]

    @pytest.mark.parametrize(
        ("given", "error", "says"),
        [
            ({"crontab": "0 25 * * *"}, InvalidSchedule, "hour"),
            ({"crontab": "0 0 31 2 *"}, InvalidSchedule, "never"),
            ({"name": ""}, InvalidSchedule, "name: '' is no name for a schedule"),
            ({"name": "x" * 201}, InvalidSchedule, "is no name for a schedule"),
            ({"name": 5}, InvalidSchedule, "name: 5 is no name"),
            ({"args": [1, 2]}, TypeError, "too many positional arguments"),
            ({"args": [object()]}, NotStorable, "customer"),
            ({"args": 7}, InvalidSchedule, r"args: 7 is no list or tuple; for one argument: \[7\]"),
            ({"args": "7"}, InvalidSchedule, r"args: '7' is no list or tuple; for one .*: \['7'\]"),
            ({"kwargs": "a"}, InvalidSchedule, "kwargs: 'a' is no dictionary of names and values"),
            ({"tz": "Mars/Base"}, InvalidSchedule, "Mars/Base"),
            ({"missed": "never"}, InvalidSchedule, "missed: 'never' is not one of"),
            ({"jitter": -1}, InvalidSchedule, "jitter: -1 is not a number of seconds"),
            ({"enabled": 1}, InvalidSchedule, "enabled: 1 is not True or False"),
            ({"retries": -1}, InvalidSchedule, "retries: -1 is not a whole number"),
            (
                {"retry": 1},
                InvalidSchedule,
                "'retry' is no option of schedule; did you mean retries=",
            ),
            ({"limit": 1}, InvalidSchedule, r"'limit' is no option of schedule \(there are: na"),
            (
                {"mised": "all"},
                InvalidSchedule,
                "'mised' is no option of schedule; did you mean mi",
            ),
        ],
    )
    def it_refuses_what_can_not_be_used(self, app, session, report, given, error, says):
        with pytest.raises(error, match=says):
            app.schedule(report, **{"crontab": "0 * * * *", "name": "n", "args": [1], **given})
        assert app.list_schedules() == []

    def it_refuses_a_function_that_is_no_task(self, app, session):
        def plain(): ...

        with pytest.raises(InvalidTask, match="is no task function: decorate it with @"):
            app.schedule(plain, "0 * * * *")
        for thing in (print, 5, "shop:report", lambda: None):
            says = re.escape(f"schedule(): {thing!r} is no task function; expected a function that")
            with pytest.raises(InvalidTask, match=f"^{says} is decorated with @delay or @cron$"):
                app.schedule(thing, "0 * * * *")

    def it_refuses_the_name_of_a_schedule_in_the_code(self, app, session, report):
        @app.cron("0 2 * * *")
        def nightly(): ...

        name = f"{__name__}:{nightly.__qualname__} 0 2 * * *"
        for change in (
            lambda: app.schedule(report, "0 * * * *", name=name, args=[1]),
            lambda: app.unschedule(name),
        ):
            with pytest.raises(InvalidSchedule) as refusal:
                change()
            assert str(refusal.value) == (
                f"the schedule {name!r} stands in the code, at {name.split()[0]}; change it there, "
                "or give this one another name"
            )

    def it_needs_a_database(self, app, report):
        for ask in (
            lambda: app.schedule(report, "0 * * * *", args=[1]),
            lambda: app.unschedule("x"),
            app.list_schedules,
        ):
            with pytest.raises(StartError, match=r"call autocron\.start\(…\) first"):
                ask()


class DescribeUnschedule:
    def it_takes_the_schedule_out(self, app, session, report, ran):
        app.schedule(report, "0 * * * *", name="ada's", args=[1])
        session.travel(hours=1)
        assert app.unschedule("ada's") is True
        assert app.unschedule("ada's") is False
        with pytest.raises(InvalidSchedule, match="unschedule: 5 is no name of a schedule; expec"):
            app.unschedule(5)
        session.travel(hours=2)
        assert len(ran) == 1

    def it_takes_out_no_other_one(self, app, session, report, ran):
        for name in ("ada's", "bob's"):
            app.schedule(report, "0 * * * *", name=name, args=[name])
        assert app.unschedule("bob's") is True
        session.travel(hours=1)
        assert ran == [("ada's", "short")]

    def it_leaves_what_is_enqueued(self, app, session, report, ran):
        app.schedule(report, "0 * * * *", name="ada's", args=[1], jitter=3000)
        session.travel(hours=1)
        app.unschedule("ada's")
        session.travel(hours=1)
        assert ran == [(1, "short")]


class DescribeTheList:
    def it_has_all_of_them_the_next_one_first(self, app, session, report):
        @app.cron("30 12 * * *")
        def nightly(): ...

        @app.cron(at_start=True)
        def early(): ...

        app.schedule(report, "0 12 * * *", name="ada's", args=[1], tz="Europe/Berlin")
        app.schedule(report, "1 12 * * *", name="off", args=[1], enabled=False)
        first, second, *others = app.list_schedules()
        assert (first.crontab, first.is_dynamic, first.tz) == ("30 12 * * *", False, "UTC")
        assert (second.name, second.is_dynamic, second.is_enabled) == ("ada's", True, True)
        assert second.task == f"{__name__}:{report.__qualname__}"
        assert str(second.next_at) == "2026-03-02 12:00:00+01:00"
        assert sorted((one.crontab or "", one.next_at) for one in others) == [
            ("", None),
            ("1 12 * * *", None),
        ]

    def it_says_what_can_not_be_served_here(self, app, session, report):
        app.schedule(report, "0 * * * *", name="ada's", args=[1])
        (stored,) = session.backend.schedules()
        session.backend.put_schedule(replace(stored, zone="Mars/Base"))
        (info,) = app.list_schedules()
        assert info.next_at is None
        assert "Mars/Base" in info.problem


class DescribeEnabled:
    def it_does_not_fire_and_nothing_is_made_up(self, app, session, report, ran):
        app.schedule(report, "0 * * * *", name="ada's", args=[1], missed="all", enabled=False)
        session.travel(hours=3)
        app.schedule(report, "0 * * * *", name="ada's", args=[1], missed="all", enabled=True)
        session.run_pending()
        assert ran == []
        session.travel(hours=1)
        assert len(ran) == 1

    def it_stays_as_it_is_unless_it_is_said(self, app, session, report):
        """An application makes its schedules at each start; what was disabled stays so."""
        app.schedule(report, "0 * * * *", name="ada's", args=[1])
        (stored,) = session.backend.schedules()
        assert stored.is_enabled
        session.backend.put_schedule(replace(stored, is_enabled=False))
        app.schedule(report, "30 * * * *", name="ada's", args=[2])
        (stored,) = session.backend.schedules()
        assert (stored.text, stored.is_enabled) == ("30 * * * *", False)
        app.schedule(report, "30 * * * *", name="ada's", args=[2], enabled=True)
        (stored,) = session.backend.schedules()
        assert stored.is_enabled

    def it_is_as_given_where_the_whole_schedule_is_given(self, app, session, report):
        app.schedule(report, "0 * * * *", name="ada's", args=[1], enabled=False)
        (stored,) = session.backend.schedules()
        session.backend.operations.put_schedule(replace(stored, is_enabled=True))
        (stored,) = session.backend.schedules()
        assert stored.is_enabled

    def it_keeps_what_is_to_run_at_the_start_from_running(self, app, session):
        ran = []

        @app.cron(at_start=True, enabled=False)
        def early():
            ran.append(1)

        @app.cron("0 * * * *", enabled=False)
        def hourly():
            ran.append(2)

        session.travel(hours=1)
        session.jump(hours=1)
        session.run_pending()
        assert ran == []


class DescribeJitter:
    def it_begins_each_run_later_always_by_the_same(self, app, session):
        begun = []

        @app.cron("0 * * * *", jitter=timedelta(minutes=10))
        def hourly():
            begun.append(app.now())

        session.travel(hours=3, minutes=30)
        first, *others = begun
        delay = first - at("2026-03-01 13:00")
        assert timedelta(0) < delay < timedelta(minutes=10)
        assert others == [first + timedelta(hours=1), first + timedelta(hours=2)]
        assert session.runs(hourly)[0].scheduled_at == at("2026-03-01 13:00")

    def it_spreads_schedules_over_all_of_it(self, app, session, report):
        for customer in range(50):
            app.schedule(report, "0 * * * *", name=f"c{customer}", args=[customer], jitter=60)
        delays = [schedule.delay_seconds for schedule in session.backend.schedules()]
        assert all(0 <= delay < 60 for delay in delays)
        assert len({round(delay) for delay in delays}) > 20
        assert min(delays) < 10
        assert max(delays) > 50

    def it_is_none_if_not_asked_for(self, app, session, report):
        app.schedule(report, "0 * * * *", args=[1])
        assert session.backend.schedules()[0].delay_seconds == 0.0


class DescribeTheRunsOfACronFunction:
    def it_has_retries_a_timeout_a_queue_and_a_priority(self, app, session):
        tries = []

        @app.cron("0 * * * *", retries=1, backoff=30, timeout=5, queue="slow", priority=-5)
        def hourly():
            tries.append(app.now())
            raise ValueError

        session.travel(hours=1, seconds=30, raise_errors=False)
        assert [str(when.time()) for when in tries] == ["13:00:00", "13:00:30"]
        (task,) = session.backend.list()
        assert (task.queue, task.priority) == ("slow", -5)
        assert task.policy == Policy(retries=1, backoff_seconds=30.0, timeout_seconds=5.0)

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"timeout": 0}, "timeout: 0 is not a number of seconds above 0"),
            ({"backoff": 5}, "backoff= is about retries"),
            ({"queue": "a b"}, "queue: 'a b' is no name of a queue"),
            ({"priority": 1000}, "priority: 1000 is not a whole number"),
            ({"jitter": "5"}, "jitter: '5' is not a number of seconds"),
            ({"enabled": None}, "enabled: None is not True or False"),
            ({"at_strt": True}, "'at_strt' is no option of cron; did you mean at_start="),
        ],
    )
    def it_refuses_what_can_not_be_used(self, app, given, says):
        with pytest.raises(InvalidSchedule, match=says):
            app.cron("0 * * * *", **given)
