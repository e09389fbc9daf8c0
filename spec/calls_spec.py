"""Calling a delayed function: ``@delay`` and its options.

A function decorated with ``@delay`` keeps its name, docstring, signature and type. To call it means
the same everywhere, inside a task too: a task is stored, and a ``TaskResult`` comes back at once.
The plain function is ``send.function``. What can not be called like this, or not be stored, is
refused by the call, as a plain call would refuse it.

**When it runs** is said by ``weeks``, ``days``, ``hours``, ``minutes`` and ``seconds``, numbers
that are added up: not before so much time has elapsed. Or by ``schedule``: not before that instant,
given as a datetime, or as a callable that gives one at each call; without a zone it is meant in
that of the application. ``send.options(…)`` changes them for one call; a time given there replaces
the one before.
"""

from __future__ import annotations

import functools
import inspect
from datetime import datetime, timedelta, timezone

import pytest

from autocron import testing
from autocron.app import App
from autocron.core.errors import InvalidTask, NotStorable
from autocron.core.text_format import MAX_LENGTH
from autocron.options import DelayOptions
from autocron.registry import TaskFunction
from autocron.result import TaskResult
from spec.benches import NOW
from spec.zones import at


@pytest.fixture
def session(app):
    with testing.session(now=NOW, tz="+02:00", app=app) as session:
        session.clock.set(NOW + "+00:00")
        yield session


@pytest.fixture
def send(app):
    @app.delay
    def send(address: str, message: str = "hello") -> int:
        """Send a message."""
        return len(address + message)

    return send


def run_at(result):
    return result._task.run_at


class DescribeADecoratedFunction:
    def it_keeps_what_it_is(self, send):
        assert (send.__name__, send.__doc__) == ("send", "Send a message.")
        assert str(inspect.signature(send)) == "(address: 'str', message: 'str' = 'hello') -> 'int'"
        assert send.__module__ == __name__
        assert send.function("ab", message="c") == 3
        assert inspect.signature(send.options(seconds=1)) == inspect.signature(send)

    def it_returns_a_task_result_started_or_not(self, app, send):
        assert isinstance(send("a"), TaskResult)
        with testing.session(app=app):
            assert isinstance(send("a"), TaskResult)

    def it_may_be_decorated_bare_or_with_options(self, app, session):
        @app.delay()
        def plain(): ...

        @app.delay(minutes=1)
        def later(): ...

        assert run_at(plain()) == at(NOW)
        assert run_at(later()) == at(NOW) + timedelta(minutes=1)

    @pytest.mark.parametrize(
        ("args", "kwargs", "says"),
        [
            ((), {}, r"send\(\) missing a required argument: 'address'"),
            (("a", "b", "c"), {}, r"send\(\) too many positional arguments"),
            (("a",), {"subject": "x"}, r"send\(\) got an unexpected keyword argument 'subject'"),
        ],
    )
    def it_refuses_arguments_that_do_not_fit_at_the_call(self, app, send, args, kwargs, says):
        with pytest.raises(TypeError, match=says):
            send(*args, **kwargs)
        with testing.session(app=app) as session:
            with pytest.raises(TypeError, match=says):
                send(*args, **kwargs)
            assert session.run_pending().runs == ()

    @pytest.mark.parametrize(
        "call", [lambda send: send("x" * MAX_LENGTH), lambda send: send.map(["", "x" * MAX_LENGTH])]
    )
    def it_refuses_arguments_that_are_larger_than_what_is_kept(self, app, send, call):
        told = r"the arguments take 67,108,8\d\d characters as text, and at most 67,108,864"
        with testing.session(app=app) as session:
            send("")
            with pytest.raises(NotStorable, match=told):
                call(send)
            assert len(session.run_pending().runs) == 1

    def it_refuses_what_can_not_be_stored_by_name_at_the_call(self, app, send):
        with pytest.raises(NotStorable, match="message"):
            send("a", object())
        with testing.session(app=app), pytest.raises(NotStorable, match="message"):
            send("a", message=object())


def _none(): ...
def _some(a, b=1): ...
def _before(a, b, /, c, d=1): ...
def _any(a, *args, **kwargs): ...
def _named(a, *, b): ...
def _named_with_default(a, b=1, *, c=2): ...
async def _coroutine(a, b=1): ...


def _generator():
    yield 1


async def _async_generator():
    yield 1


@functools.wraps(_some)
def _wrapper(*args, **kwargs): ...


class DescribeItsParameters:
    """They are as ``inspect`` tells them, which most calls do without."""

    @pytest.mark.parametrize(
        "function",
        [_none, _some, _before, _any, _named, _named_with_default, _coroutine, _wrapper],
        ids=lambda function: function.__name__,
    )
    def it_is_called_as_they_say(self, function):
        known = TaskFunction("spec:function", function)
        positional = [
            name
            for name, one in inspect.signature(function).parameters.items()
            if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        ]
        assert known.parameters == tuple(positional)
        for count in range(6):
            for kwargs in ({}, {"b": 1}):
                assert _fits(lambda: known.check_call((0,) * count, kwargs)) == _fits(
                    lambda: inspect.signature(function).bind(*(0,) * count, **kwargs)
                )


def _fits(call):
    try:
        call()
    except TypeError:
        return False
    return True


class DescribeWhatCanBeDecorated:
    @pytest.mark.parametrize(
        ("thing", "says"),
        [
            (lambda: None, "can not take a lambda .* write it as a function with def"),
            (len, "takes a function, and was given <built-in function len>"),
            (int, "takes a function, and was given <class 'int'>"),
            (5, "takes a function, and was given 5"),
            (staticmethod(len), "put @delay below @staticmethod"),
            (classmethod(len), "takes a function, and was given <classmethod"),
        ],
    )
    def it_refuses_what_is_no_function_with_a_name(self, app, thing, says):
        with pytest.raises(InvalidTask, match=says):
            app.delay(thing)

    @pytest.mark.parametrize("first", ["self", "cls"])
    def it_refuses_a_method(self, app, first):
        space = {}
        exec(f"class Shop:\n    def close({first}): ...", space)
        with pytest.raises(InvalidTask, match=rf"method Shop.close .*{first}.* can not be stored"):
            app.delay(space["Shop"].close)

    @pytest.mark.parametrize("function", [_generator, _async_generator])
    def it_refuses_a_generator_function_whose_body_no_call_would_run(self, app, function):
        name = function.__name__
        for decorator, decorate in (("@delay", app.delay), ("@cron", app.cron("0 2 * * *"))):
            says = rf"{decorator} can not take the generator function {name} .* a plain function"
            with pytest.raises(InvalidTask, match=says):
                decorate(function)
        assert (app.registry.all(), app.schedules) == ([], {})

    def it_takes_a_function_that_uses_generators(self, app):
        @app.delay
        def pages():
            return [page + 1 for page in _generator()]

        assert pages().result == [2]

    def it_takes_a_static_method(self, app):
        class Shop:
            @staticmethod
            @app.delay
            def close():
                return "closed"

        assert Shop.close().result == Shop().close().result == "closed"

    def it_refuses_a_name_that_is_too_long_to_store(self, app):
        def function(): ...

        function.__qualname__ = "f" * 129
        with pytest.raises(InvalidTask, match=r"at most 128 can be stored: give .* a sho"):
            app.delay(function)

    def it_refuses_a_nested_function_once_workers_have_to_find_it(self, app):
        def nested(): ...

        app.delay(nested)  # in place it is as good as any
        says = "nested .* defined inside a function.*move it to the top level"
        with pytest.raises(InvalidTask, match=says):
            app.check_reachable()
        with testing.session(app=App()) as session:
            app.use(session.service)  # as in an application that was started
            with pytest.raises(InvalidTask, match=says):
                app.delay(nested)

    def it_accepts_functions_of_a_module(self, app):
        app.delay(_of_this_module)
        app.check_reachable()
        assert app.registry.modules() == [__name__]

    def it_takes_the_latest_of_a_name_as_def_does(self, app):
        def function():
            return "old"

        first = app.delay(function)

        def function():
            return "new"

        app.delay(function)
        with testing.session(app=app) as session:
            result = first()
            session.run_pending()
            assert result.result == "new"


def _of_this_module(): ...


class DescribeWhenItRuns:
    @pytest.mark.parametrize(
        ("options", "after"),
        [
            ({"weeks": 1}, timedelta(weeks=1)),
            ({"days": 2, "hours": 3, "minutes": 4, "seconds": 5.5}, timedelta(2, 5.5, 0, 0, 4, 3)),
            ({"seconds": 0}, timedelta(0)),
            ({"seconds": None}, timedelta(0)),
            ({"minutes": 0.5}, timedelta(seconds=30)),
            ({"schedule": at("2024-03-01 13:00")}, timedelta(hours=1)),
            ({"schedule": datetime(2024, 3, 1, 15, 0)}, timedelta(hours=1)),
            ({"schedule": lambda: datetime(2024, 3, 1, 15, 0)}, timedelta(hours=1)),
            ({"schedule": at("2024-03-01 11:00")}, timedelta(hours=-1)),
        ],
    )
    def it_is_what_the_options_say_of_the_decorator_or_of_the_call(
        self, app, session, send, options, after
    ):
        assert run_at(send.options(**options)("a")) == at(NOW) + after
        decorated = app.delay(**options)(send.function)
        assert run_at(decorated("a")) == at(NOW) + after

    def it_is_now_if_nothing_is_said(self, session, send):
        assert run_at(send("a")) == at(NOW)
        assert DelayOptions().moment(timezone.utc) is None

    def it_is_changed_for_one_call_only(self, session, send):
        send.options(minutes=5)("a")
        assert run_at(send("a")) == at(NOW)

    def it_replaces_a_time_by_a_time(self, app, session, send):
        hourly = app.delay(hours=1)(send.function)
        assert run_at(hourly.options(seconds=1)("a")) == at(NOW) + timedelta(seconds=1)
        assert run_at(hourly.options(schedule=at(NOW))("a")) == at(NOW)
        assert run_at(hourly.options()("a")) == at(NOW) + timedelta(hours=1)

    def it_asks_a_callable_at_each_call(self, app, session, send):
        moments = iter([at("2024-03-01 13:00"), at("2024-03-01 14:00")])
        planned = app.delay(schedule=lambda: next(moments))(send.function)
        assert [run_at(planned("a")), run_at(planned("a"))] == [
            at("2024-03-01 13:00"),
            at("2024-03-01 14:00"),
        ]

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"second": 5}, "'second' is no option of delay; did you mean seconds="),
            ({"seconds": -1}, "seconds: -1 is not a number from 0 upwards"),
            ({"seconds": float("nan")}, "seconds: nan is not a number"),
            ({"seconds": float("inf")}, "seconds: inf is not a number"),
            ({"seconds": True}, "seconds: True is not a number"),
            ({"minutes": "5"}, "minutes: '5' is not a number"),
            ({"seconds": 10**400}, "more than 100 years"),
            ({"weeks": 10**6}, "more than 100 years"),
            ({"schedule": "2024-03-01"}, "'2024-03-01' is no datetime; expected an aware datetime"),
            ({"schedule": 5}, "schedule: 5 is no datetime"),
            ({"seconds": 5, "schedule": at(NOW)}, "seconds= both say when .*give one of them"),
        ],
    )
    def it_refuses_options_where_they_are_written(self, app, send, options, says):
        with pytest.raises(InvalidTask, match=says):
            app.delay(**options)
        with pytest.raises(InvalidTask, match=says):
            send.options(**options)

    def it_refuses_what_a_callable_gives_at_the_call(self, session, send):
        with pytest.raises(InvalidTask, match="schedule: None is no datetime"):
            send.options(schedule=lambda: None)("a")

    @pytest.mark.parametrize(
        "moment", [datetime.min, datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))]
    )
    def it_refuses_an_instant_out_of_the_range_of_times(self, session, send, moment):
        with pytest.raises(InvalidTask, match="out of the range of times"):
            send.options(schedule=moment)("a")

    @pytest.mark.parametrize("moment", [datetime.min, datetime.max])
    def it_refuses_one_in_the_systems_zone_too(self, app, send, moment):
        refused = pytest.raises(InvalidTask, match="out of the range of times")
        with testing.session(now=NOW, tz="local", app=app), refused:
            send.options(schedule=moment)("a")
