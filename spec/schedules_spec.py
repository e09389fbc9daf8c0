"""Declaring a schedule: ``@cron`` and its options.

A function decorated with ``@cron`` stays the plain function that it is, when it is called.
Decorators may be stacked, each is a schedule of its own; and ``@cron`` may stand above ``@delay``,
for a function that is also called.

The schedule is a text, or keywords: ``minutes``, ``hours``, ``days``, ``months``, ``days_of_week``
(``dow`` for short) and ``seconds``; what the text means, and the keywords, stands in
``spec/cron_expressions_spec.py``. Not both. ``at_start=True`` also runs the function once when the
application starts, and needs no schedule.

Options are checked where they are written: ``missed`` (``"once"``, ``"skip"``, ``"all"``),
``overlap`` (``"skip"``, ``"wait"``, ``"allow"``), ``grace`` (seconds, or a timedelta), ``at_start``
(True or False), ``tz``. What is valid but looks like a slip is a ``ScheduleWarning`` that names
what was probably meant, at the line of the decorator.

The zone is that of ``tz=``, else of ``start(tz=…)``, else Django's TIME_ZONE, else the system's.
"""

from __future__ import annotations

import inspect
import sys
import types
import warnings
from datetime import timedelta, timezone

import pytest

from autocron import testing
from autocron.core.errors import InvalidSchedule, InvalidTask, ScheduleWarning
from autocron.registry import main_module_name
from spec.benches import NOW
from spec.tables import table
from spec.zones import at


def only(app):
    (options,) = app.schedules.values()
    return options


class DescribeADecoratedFunction:
    def it_stays_the_plain_function(self, app):
        def clean(what: str = "all") -> str:
            """Clean up."""
            return what

        assert app.cron("30 2 * * *")(clean) is clean
        assert inspect.unwrap(clean) is clean
        with testing.session(app=app) as session:
            assert clean("this") == "this"
            assert session.run_pending().runs == ()

    def it_may_have_several_schedules(self, app):
        @app.cron("0 9 * * *", tz="UTC")
        @app.cron("0 17 * * *", tz="UTC")
        def report(): ...

        with testing.session(now="2024-03-01 00:00", tz="UTC", app=app) as session:
            ran_at = []
            for _ in range(24):
                session.advance(hours=1)
                ran_at += [f"{run.scheduled_at:%H}" for run in session.run_pending().runs]
        assert ran_at == ["09", "17"]

    def it_may_be_delayed_as_well(self, app):
        ran = []

        @app.cron("0 9 * * *", tz="UTC")
        @app.delay
        def report(what="by cron"):
            ran.append(what)

        with testing.session(now="2024-03-01 08:00", tz="UTC", app=app) as session:
            result = report("by hand")
            session.run_pending()
            assert result.is_ready
            session.advance(hours=1)
            assert session.run_pending().count(report) == 1
        assert ran == ["by hand", "by cron"]

    @pytest.mark.parametrize("thing", [len, lambda: None, "clean"])
    def it_is_a_function_that_a_worker_can_find(self, app, thing):
        with pytest.raises(InvalidTask, match="@cron"):
            app.cron("30 2 * * *")(thing)


class DescribeTheSchedule:
    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ({"crontab": "30 2 * * *"}, "30 2 * * *"),
            ({"crontab": " 30  2 * * * "}, "30 2 * * *"),
            ({"crontab": "@daily"}, "@daily"),
            ({"minutes": 30, "hours": 2}, "30 2 * * *"),
            ({"minutes": [0, 30], "hours": "9-17", "dow": "mon-fri"}, "0,30 9-17 * * mon-fri"),
            ({"minutes": 0, "hours": 0, "days": "L", "months": (1, 7)}, "0 0 L 1,7 *"),
            ({"minutes": 0, "hours": 0, "days_of_week": "sun"}, "0 0 * * sun"),
            ({"seconds": 0, "minutes": 0}, "0 0 * * * *"),
            ({"seconds": "*/10"}, "*/10 * * * * *"),
            ({"at_start": True}, None),
            ({"crontab": "30 2 * * *", "at_start": True}, "30 2 * * *"),
        ],
    )
    def it_is_a_text_or_keywords(self, app, given, text):
        @app.cron(**given)
        def clean(): ...

        assert (only(app).text, only(app).at_start) == (text, given.get("at_start", False))

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({}, "cron needs a schedule: a text such as"),
            ({"minute": 3}, "'minute' is no option of cron; did you mean minutes="),
            ({"day": 3}, "'day' is no option of cron; did you mean days="),
            ({"at_start": False}, "cron needs a schedule"),
            ({"at_start": 1}, "cron needs a schedule"),
            ({"crontab": "30 2 * * *", "hours": 2}, r"a cron text \('30 2 \* \* \*'\) and hours"),
            ({"hours": 2, "dow": 1, "days_of_week": 1}, "dow and days_of_week are the same field"),
            ({"crontab": "99 * * * *"}, "99"),
            ({"minutes": 99}, "99"),
            ({"crontab": "0 0 31 2 *"}, "never|no date|31"),
            ({"crontab": print}, "@cron takes a schedule: write @cron"),
            ({"crontab": 5}, "5"),
        ],
    )
    def it_is_refused_where_it_is_written(self, app, given, says):
        with pytest.raises(InvalidSchedule, match=says):
            app.cron(**given)
        assert app.schedules == {}

    def it_warns_of_a_slip_at_the_line_of_the_decorator(self, app):
        with pytest.warns(ScheduleWarning, match=r"0 2 \* \* \*") as caught:

            @app.cron("* 2 * * *")
            def clean(): ...

        assert [warning.filename for warning in caught] == [__file__]
        assert only(app).text == "* 2 * * *"

    def it_can_be_an_error_for_who_wants_that(self, app):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ScheduleWarning):
                app.cron("* 2 * * *")


class DescribeTheOptions:
    @pytest.mark.parametrize(
        ("option", "given", "says"),
        [
            ("missed", "twice", "missed: 'twice' is not one of once, skip, all"),
            ("missed", True, "missed: True is not one of"),
            ("overlap", "queue", "overlap: 'queue' is not one of skip, wait, allow"),
            ("overlap", None, "overlap: None is not one of"),
            ("grace", -1, "grace: -1 is not a number of seconds from 0 upwards"),
            ("grace", True, "grace: True is not a number"),
            ("grace", "short", "grace: 'short' is not a number"),
            ("grace", float("nan"), "grace: nan is not a number"),
            ("grace", 1e300, r"grace: 1e\+300 is not a number"),
            ("grace", timedelta(seconds=-1), "grace: -1.0 is not a number"),
            ("at_start", 1, "at_start: 1 is not True or False"),
            ("at_start", None, "at_start: None is not True or False"),
            ("tz", 5, "tz: 5 is int; expected the name of an IANA zone"),
            ("tz", "Mars/Olympus_Mons", "tz: .*'Mars/Olympus_Mons'"),
        ],
    )
    def it_refuses_what_it_does_not_know(self, app, option, given, says):
        with pytest.raises(InvalidSchedule, match=says):
            app.cron("30 2 * * *", **{option: given})
        assert app.schedules == {}

    @pytest.mark.parametrize(
        ("grace", "seconds"), [(0, 0.0), (90, 90.0), (0.5, 0.5), (timedelta(minutes=5), 300.0)]
    )
    def it_takes_the_grace_as_seconds_or_timedelta(self, app, grace, seconds):
        @app.cron("30 2 * * *", grace=grace)
        def clean(): ...

        assert only(app).grace_seconds == seconds

    def it_has_defaults(self, app):
        @app.cron("30 2 * * *")
        def clean(): ...

        options = only(app)
        assert (options.missed, options.overlap) == ("once", "skip")
        assert (options.grace_seconds, options.at_start, options.zone) == (60.0, False, None)

    def it_makes_up_what_runs_only_at_the_start_never_but_is_no_error(self, app):
        @app.cron(at_start=True)
        def warm_up(): ...

        schedule = only(app).schedule("UTC", at(NOW))
        assert (schedule.text, schedule.missed, schedule.at_start) == (None, "once", True)


class DescribeTheZone:
    def the_zone_of(self, app, **options):
        @app.cron("30 2 * * *", **options)
        def clean(): ...

        return only(app).schedule(app.zone_name, at(NOW)).zone

    def it_is_that_of_the_schedule_first(self, app):
        app.default_zone = "-03:00"
        assert self.the_zone_of(app, tz="+05:30") == "+05:30"

    def it_may_be_given_as_tzinfo(self, app):
        assert self.the_zone_of(app, tz=timezone(timedelta(hours=-3))) == "-03:00"

    def it_is_that_of_the_application_next(self, app):
        app.default_zone = "-03:00"
        assert self.the_zone_of(app) == "-03:00"

    @table("""
    configured | zone
    yes        | +09:00
    no         | local
    """)
    def it_is_that_of_django_next_if_that_is_configured(self, app, monkeypatch, configured, zone):
        settings = types.SimpleNamespace(configured=configured == "yes", TIME_ZONE="+09:00")
        conf = types.SimpleNamespace(settings=settings)
        monkeypatch.setitem(sys.modules, "django.conf", conf)
        assert self.the_zone_of(app) == zone
        assert (app.zone.utcoffset(at(NOW)) == timedelta(hours=9)) == (configured == "yes")

    def it_is_that_of_the_system_last(self, app, monkeypatch):
        monkeypatch.delitem(sys.modules, "django.conf", raising=False)
        assert self.the_zone_of(app) == "local"


class DescribeTheNameOfATask:
    """Under ``"module:qualname"`` it is stored, and found by workers."""

    def it_is_module_and_qualified_name(self, app):
        app.cron("30 2 * * *")(a_function)
        assert only(app).name == f"{__name__}:a_function"
        assert only(app).key == f"{__name__}:a_function 30 2 * * *"

    @pytest.mark.parametrize(
        ("main", "name"),
        [
            (
                {"__spec__": types.SimpleNamespace(name="shop.run"), "__file__": "/x/r.py"},
                "shop.run",
            ),
            ({"__spec__": None, "__file__": "/srv/shop.py"}, "shop"),
            ({"__file__": "/srv/shop.py"}, "shop"),
            ({}, "__main__"),
            # From standard input.
            ({"__file__": "<stdin>"}, "<stdin>"),
        ],
    )
    def it_is_the_same_however_a_main_script_is_started(self, app, monkeypatch, main, name):
        module = types.ModuleType("__main__")
        vars(module).update(main)
        monkeypatch.setitem(sys.modules, "__main__", module)
        # There once something has imported multiprocessing.
        monkeypatch.delitem(sys.modules, "__mp_main__", raising=False)
        assert main_module_name() == name

        def function(): ...

        function.__module__, function.__qualname__ = "__main__", "function"
        app.delay(function)
        assert [known.name for known in app.registry.all()] == [f"{name}:function"]
        if main.get("__file__", "<stdin>") != "<stdin>":
            app.check_reachable()
        else:
            with pytest.raises(InvalidTask, match="was defined at a prompt, where no worker"):
                app.check_reachable()


def a_function(): ...
