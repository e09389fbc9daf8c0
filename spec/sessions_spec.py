"""Sessions: where the calls of an application go in a test.

Importing ``autocron.testing`` says "this is a test". From then on the calls of the default App go
to a *session*: a database in memory, and a clock. ``autocron.start()`` starts nothing, says so in
one log line, and returns False; it only takes over the application's zone and serializer.
``stop()`` does nothing. So ``run_pending()`` needs no set-up. Since functions run in this process,
they may be decorated anywhere, also inside a test.

**``session()``** begins a session of its own, empty, whose clock the test moves, and leaves nothing
behind: the calls go where they went before, and what was decorated inside a function meanwhile is
forgotten. All schedules of the App are known in it and owe nothing at its beginning. It is a period
of service, so ``at_start`` functions are due. ``reset()`` renews the session of the process.

**A TaskResult** is as everywhere, and stays readable when its session is over. But nobody runs a
task while the caller waits, so ``wait()`` on one that is not ready raises ``WaitTimeout`` at once,
and says what to do.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from datetime import timedelta

import pytest

import autocron
from autocron import testing
from autocron.app import App
from autocron.core.errors import AutocronError
from autocron.shell.mode import WORKER_VARIABLE
from autocron.testing import Report
from spec.tables import table
from spec.zones import at

NOW = "2024-03-01 12:00"


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
def note(app, ran):
    @app.delay
    def note(what=None):
        ran.append(what)
        return what

    return note


class DescribeATaskResult:
    def it_tells_at_once_that_waiting_is_in_vain(self, session, note):
        result = note()
        with pytest.raises(autocron.WaitTimeout, match=r"is waiting.*call .*run_pending\(\) first"):
            result.wait()
        with pytest.raises(autocron.WaitTimeout):
            asyncio.run(_awaited(result))
        session.run_pending()
        assert result.wait(0) is asyncio.run(_awaited(result)) is None

    def it_can_be_found_by_its_id(self, session, app, note):
        result = note("x")
        assert app.get_result(result.id).status == "waiting"
        session.run_pending()
        assert app.get_result(result.id).result == "x"
        with pytest.raises(autocron.TaskNotFound, match="nobody"):
            app.get_result("nobody")

    def it_takes_a_call_back(self, session, note, ran):
        result = note()
        assert (result.cancel(), result.cancel()) == (True, False)
        session.run_pending()
        assert (ran, result.status) == ([], "cancelled")
        with pytest.raises(autocron.TaskCancelled):
            _ = result.result

    def it_expires_after_its_time(self, session, note):
        result, unseen = note("x"), note("y")
        session.run_pending()
        assert result.result == "x"
        session.advance(minutes=31)
        session.run_pending()
        assert result.result == "x"  # once seen it stays
        assert (unseen.status, unseen.is_ready) == ("expired", True)
        with pytest.raises(autocron.ResultExpired, match="result-ttl"):
            _ = unseen.result


async def _awaited(result):
    return await result


class DescribeASession:
    def it_is_empty_and_apart(self, app, note, ran):
        with testing.session(now=NOW, app=app) as outer:
            note("outer")
            with testing.session(now=NOW, app=app) as inner:
                note("inner")
                inner.run_pending()
            assert ran == ["inner"]
            outer.run_pending()
        assert ran == ["inner", "outer"]

    def it_leaves_the_app_as_it_was(self, app, note, ran):
        with testing.session(now=NOW, tz="+05:30", app=app):
            assert (app.is_active, app.zone_name) == (True, "+05:30")
        assert (app.is_active, app.default_zone, app.rehearsal) == (False, None, None)
        assert note("in place").result == "in place"

    def it_leaves_the_app_as_it_was_also_after_an_error(self, app):
        with pytest.raises(ZeroDivisionError), testing.session(app=app):
            _ = 1 / 0
        assert not app.is_active

    def it_keeps_results_readable_when_it_is_over(self, app, note, ran):
        with testing.session(now=NOW, app=app) as session:
            done = note("x")
            session.run_pending()
            undone = note("y")
        assert (done.result, undone.status, undone.cancel()) == ("x", "waiting", False)

    def it_runs_nothing_before_it_has_begun_or_when_it_is_over(self, app):
        session = testing.session(now=NOW, app=app)
        with pytest.raises(AutocronError, match="has not begun, or is over"):
            session.run_pending()
        with session:
            assert session.run_pending() == Report()
        with pytest.raises(AutocronError, match="has not begun, or is over"):
            session.run_pending()

    def it_forgets_what_was_decorated_inside_a_test_but_no_module(self, app, note):
        module_level = _of_a_module()
        with testing.session(now=NOW, app=app) as session:

            @app.cron("* * * * *")
            def nested(): ...

            app.delay(module_level)
            before = [name.rpartition(".")[2] for name in session.functions()]
        after = [known.name.rpartition(".")[2] for known in app.registry.all()]
        assert sorted(before) == ["nested", "note", "spec_module:function"]
        assert after == ["note", "spec_module:function"]
        assert app.schedules == {}

    def it_knows_all_schedules_and_owes_nothing_at_its_beginning(self, app):
        @app.cron("0 12 * * *", tz="UTC")
        def noon(): ...

        with testing.session(now=NOW, app=app) as session:
            assert session.run_pending().count(noon) == 0
            session.advance(days=1)
            assert session.run_pending().count(noon) == 1

    def it_is_a_period_of_service(self, app):
        @app.cron(at_start=True)
        def warm_up(): ...

        for _ in range(2):
            with testing.session(now=NOW, app=app) as session:
                assert session.run_pending().count(warm_up) == 1
                assert session.run_pending().count(warm_up) == 0

    @table("""
    now              | tz     | instant
    2024-03-01 12:00 | +01:00 | 2024-03-01 11:00
    2024-03-01T12:00:00+00:00 | +01:00 | 2024-03-01 12:00
    """)
    def it_begins_at_a_time_of_its_zone(self, app, now, tz, instant):
        assert testing.session(now=now, tz=tz, app=app).clock.now() == at(instant)

    def it_takes_a_clock_that_the_test_made(self, app):
        clock = testing.ManualClock(NOW)
        with testing.session(clock=clock, app=app) as session:
            clock.advance(minutes=5)
            assert session.clock is clock
            assert session.advance(timedelta(minutes=5)) == at("2024-03-01 12:10")
        with pytest.raises(AutocronError, match="one clock, give one"):
            testing.session(now=NOW, clock=clock, app=app)

    def it_can_not_move_the_systems_clock(self, app):
        refused = pytest.raises(AutocronError, match=r"system's clock.*session\(now=")
        with testing.session(app=app) as session, refused:
            session.advance(seconds=1)

    def it_gives_module_level_run_pending_to_the_session_begun_last(self, app, note, ran):
        with testing.session(now=NOW, app=app) as session:
            assert testing.current() is session
            note(1)
            assert testing.run_pending().succeeded == 1
        assert testing.current() is not session


def _of_a_module():
    def function(): ...

    function.__qualname__, function.__module__ = "function", "spec_module"
    return function


class DescribeTheStartOfAnApplication:
    def it_starts_nothing_and_says_so(self, session, app, caplog, tmp_path):
        with caplog.at_level(logging.INFO, logger="autocron"):
            assert app.start(tmp_path / "project.db") is False
        assert len(caplog.messages) == 1
        assert "project.db') starts nothing in a test" in caplog.text
        assert list(tmp_path.iterdir()) == []
        app.stop()
        assert app.is_active

    def it_takes_over_the_zone_of_the_application(self, app):
        @app.cron("30 2 * * *")
        def clean(): ...

        with testing.session(now="2024-03-01 00:00+00:00", app=app) as session:
            app.start("project.db", tz="+02:00")
            session.advance(minutes=29)
            assert session.run_pending().count(clean) == 0
            session.advance(minutes=1)
            assert session.run_pending().count(clean) == 1
        assert app.default_zone == "+02:00"  # start() is called once, whatever session it is in

    def it_keeps_a_zone_that_the_session_was_given(self, app):
        with testing.session(now=NOW, tz="UTC", app=app):
            app.start("project.db", tz="+02:00")
            assert app.zone_name == "UTC"
        assert app.default_zone == "+02:00"

    def it_takes_over_the_serializer(self, session, app, note):
        app.start("project.db", serializer="pickle")
        result = note(1j)
        session.run_pending()
        assert result.result == 1j

    def it_refuses_a_zone_that_is_not_known(self, session, app):
        with pytest.raises(autocron.InvalidSchedule, match="Mars"):
            app.start("project.db", tz="Mars/Olympus_Mons")

    def it_may_be_followed_by_decorations_anywhere(self, session, app, ran):
        app.start("project.db")

        @app.delay
        def nested():
            ran.append(1)

        nested()
        session.run_pending()
        assert ran == [1]


class DescribeTheDefaultApp:
    """With no set-up at all."""

    @pytest.fixture(autouse=True)
    def _fresh(self):
        testing.reset()
        yield
        testing.reset()

    def it_is_in_test_mode(self, caplog):
        with caplog.at_level(logging.INFO, logger="autocron"):
            assert autocron.start("project.db") is False
        assert "starts nothing in a test" in caplog.text

    def it_runs_what_was_called(self, ran):
        @autocron.delay
        def note(what):
            ran.append(what)

        result = note("x")
        assert (result.status, ran) == ("waiting", [])
        report = testing.run_pending()
        assert (report.succeeded, result.status, ran) == (1, "succeeded", ["x"])

    def it_begins_anew_after_a_reset(self, ran):
        @autocron.delay
        def note(what):
            ran.append(what)

        result = note("x")
        testing.reset()
        assert testing.run_pending() == Report()
        assert (result.status, ran) == ("waiting", [])

    def it_is_not_reset_inside_a_session(self):
        with testing.session(now=NOW), pytest.raises(AutocronError, match="leave that first"):
            testing.reset()

    def it_takes_part_in_a_session(self, ran):
        @autocron.delay(minutes=1)
        def note(what):
            ran.append(what)

        with testing.session(now=NOW) as session:
            note("x")
            session.advance(minutes=1)
            session.run_pending()
        assert ran == ["x"]


class DescribeImportingIt:
    """It is for tests, and comes first; in the wrong place, or too late, it says so."""

    def it_is_refused_in_a_worker_where_calls_would_be_lost(self, monkeypatch):
        monkeypatch.setenv(WORKER_VARIABLE, "worker-1")
        before = testing.current()
        with pytest.raises(autocron.StartError, match=r"imported in a worker.*in tests only"):
            importlib.reload(testing)
        assert testing.current() is before

    def it_stops_an_application_that_was_started_before_and_warns(self, caplog):
        assert autocron.default_app.is_active
        importlib.reload(testing)
        assert "was imported after autocron.start(): the workers are stopped" in caplog.text
        assert testing.run_pending() == Report()
