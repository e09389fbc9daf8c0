"""Sessions: where the calls of an application go in a test.

Importing ``autocron.testing`` says "this is a test". From then on the calls of the default App go
to a *session*: a database in memory, and a clock. ``autocron.start()`` starts nothing, says so in
one log line (a warning where neither pytest nor unittest is loaded, so that nothing seems to test),
and returns False; it only takes over the application's zone and serializer, and refuses what it
would refuse in production.
``stop()`` does nothing. So ``run_pending()`` needs no set-up. Since functions run in this process,
they may be decorated anywhere, also inside a test.

**``session()``** begins a session of its own, empty, whose clock the test moves, and leaves nothing
behind: the calls go where they went before, and what was decorated inside a function meanwhile is
forgotten. All schedules of the App are known in it and owe nothing at its beginning. It is a period
of service, so ``at_start`` functions are due. ``reset()`` renews the session of the process.

**Each thread and each asyncio task has sessions of its own.** A session takes the calls from where
it was begun: from that thread or asyncio task and what copies its context, as asyncio tasks and
``asyncio.to_thread`` do. A plain thread that is started inside a session copies nothing; it takes
part in the session if that is the only one open in the process. If there are several, no call is
guessed to belong to one of them: it is an error that names the way,
``Thread(target=contextvars.copy_context().run, …)``. Whatever is in no session belongs to that of
the process. What a task calls belongs to the session that runs it. So tests that run at the same
time do not see each other's calls, clocks, zones, or functions decorated inside them.

**As a decorator** ``session()`` gives each call of a function, also an async one, a method or a
generator, a session of its own; ``current()`` returns it.

**The engine** keeps its tasks in SQLite in memory, or with ``engine="sqlite"`` in a file in a
temporary folder, as in production, or with ``engine="plain"`` in plain Python, which is faster.
With the URL of a PostgreSQL database it keeps them there, in a schema of the session's own. A test
goes the same way on each. The environment variable ``AUTOCRON_TEST_ENGINE`` chooses for
sessions that do not.

**``autocron.now()``** is the session's time inside a session; else it is the system's, read at each
call, so that freezegun and time-machine just work.

**A TaskResult** is as everywhere, and stays readable when its session is over. But nobody runs a
task while the caller waits, so ``get()`` and ``await`` on one that is not ready raise
``WaitTimeout`` at once, which says what to do, and ``wait(timeout)`` is False at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import logging
import os
import sys
import tempfile
import threading
from datetime import datetime, timedelta, timezone

import pytest
from freezegun import freeze_time

import autocron
from autocron import testing
from autocron.app import App
from autocron.core.errors import AutocronError
from autocron.shell.mode import WORKER_VARIABLE
from autocron.testing import Report
from spec.benches import NOW
from spec.tables import table
from spec.zones import at

try:
    import time_machine
except ImportError:  # there is none for the oldest Python
    time_machine = None


class DescribeATaskResult:
    def it_tells_at_once_that_waiting_is_in_vain(self, session, note):
        result = note()
        with pytest.raises(autocron.WaitTimeout, match=r"is waiting.*call .*run_pending\(\) first"):
            result.get()
        with pytest.raises(autocron.WaitTimeout, match="is waiting"):
            result.wait()
        assert (result.wait(60), result.wait(timeout=0)) == (False, False)
        with pytest.raises(autocron.WaitTimeout):
            asyncio.run(_awaited(result))
        session.run_pending()
        assert (result.wait(), result.wait(60)) == (True, True)
        assert result.get(0) is asyncio.run(_awaited(result)) is None

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

    def it_refuses_what_is_no_clock_and_no_app(self, app):
        with pytest.raises(AutocronError, match=r"clock: 5 is no clock; expected a testing.Manual"):
            testing.session(clock=5, app=app)
        with pytest.raises(AutocronError, match=r"app: 5 is no App; None is the default one"):
            testing.session(app=5)

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

    def it_is_used_once(self, app):
        session = testing.session(now=NOW, app=app)
        with session:
            pass
        with pytest.raises(AutocronError, match=r"used once.*make another one with"):
            session.begin()
        assert not app.is_active

    def it_knows_what_is_decorated_while_it_lasts_wherever_that_is(self, app):
        with testing.session(now=NOW, tz="UTC", app=app) as outer:
            with testing.session(now=NOW, app=app):
                function = _of_a_module()
                app.cron("0 13 * * *")(function)
            assert outer.travel(hours=1).count("spec_module:function") == 1

    def it_knows_what_was_decorated_in_the_session_around_it(self, app, ran):
        with testing.session(now=NOW, tz="UTC", app=app):

            @app.cron("0 13 * * *")
            def hourly():
                ran.append(1)

            with testing.session(now=NOW, app=app) as inner:
                inner.travel(hours=1)
        assert ran == [1]

    def it_has_the_zone_of_the_session_around_it(self, app):
        with testing.session(now=NOW, tz="+02:00", app=app):
            with testing.session(now="2024-03-01 12:00", app=app) as inner:
                assert (app.zone_name, inner.now()) == ("+02:00", at("2024-03-01 10:00"))
            with testing.session(tz="+03:00", app=app):
                assert app.zone_name == "+03:00"
            assert app.zone_name == "+02:00"

    def it_gives_what_its_tasks_call_to_itself(self, app, note, ran):
        @app.delay
        def fan_out():
            note("from the task")

        with testing.session(now=NOW, app=app) as outer:
            fan_out()
            with testing.session(now=NOW, app=app) as inner:
                outer.run_pending()
                inner.assert_not_enqueued()
        assert ran == ["from the task"]


class DescribeTheEngine:
    def it_is_a_file_in_a_temporary_folder_that_is_gone_with_the_session(self, app, note):
        with testing.session(now=NOW, app=app, engine="sqlite") as session:
            path = session.backend.store.path
            assert os.path.dirname(os.path.dirname(path)) == os.path.realpath(tempfile.gettempdir())
            result = note("x")
            session.run_pending()
            assert os.path.exists(path)
        assert not os.path.exists(os.path.dirname(path))
        assert result.result == "x"

    def it_is_left_by_an_error_without_a_trace_too(self, app):
        def test():
            with testing.session(app=app, engine="sqlite") as session:
                paths.append(session.backend.store.path)
                _ = 1 / 0

        paths = []
        with pytest.raises(ZeroDivisionError):
            test()
        assert not os.path.exists(os.path.dirname(paths[0]))

    def it_is_memory_if_nothing_is_said(self, app, monkeypatch):
        monkeypatch.delenv("AUTOCRON_TEST_ENGINE", raising=False)
        with testing.session(app=app) as session:
            assert session.backend.store.path == ":memory:"

    def it_may_be_chosen_by_the_environment_and_the_test_has_the_last_word(self, app, monkeypatch):
        monkeypatch.setenv("AUTOCRON_TEST_ENGINE", "sqlite")
        with testing.session(app=app) as session:
            assert session.backend.store.path != ":memory:"
        with testing.session(app=app, engine="memory") as session:
            assert session.backend.store.path == ":memory:"

    def it_is_one_of_those_that_there_are(self, app, monkeypatch):
        with pytest.raises(
            AutocronError, match=r"^engine: 'redis' is not one of memory, plain, sqlite"
        ):
            testing.session(app=app, engine="redis")
        monkeypatch.setenv("AUTOCRON_TEST_ENGINE", "redis")
        with pytest.raises(AutocronError, match=r"^AUTOCRON_TEST_ENGINE: 'redis' is not"):
            testing.session(app=app)


class DescribeSessionsAtTheSameTime:
    def it_keeps_threads_apart(self, app):
        """Each thread has a session, a clock, a zone, and a function of the same name."""
        both_are_in = threading.Barrier(2, timeout=30)
        seen = {}

        def test(name, tz, hours):
            with testing.session(now=NOW, tz=tz, app=app) as session:

                @app.delay
                def local(what):
                    seen.setdefault(name, []).append((what, app.zone_name, app.now()))

                both_are_in.wait()
                local(name)
                session.advance(hours=hours)
                both_are_in.wait()
                session.run_pending()
                both_are_in.wait()

        in_threads(lambda: test("a", "+01:00", 1), lambda: test("b", "+02:00", 5))
        assert seen == {
            "a": [("a", "+01:00", at("2024-03-01 12:00"))],
            "b": [("b", "+02:00", at("2024-03-01 15:00"))],
        }
        assert not app.is_active

    def it_keeps_asyncio_tasks_apart(self, app, note, ran):
        async def test(name):
            with testing.session(now=NOW, app=app) as session:
                note(name)
                await asyncio.sleep(0)
                assert session.run_pending().runs[0].args == (name,)
                await asyncio.sleep(0)
                assert session.run_pending() == Report()

        async def both():
            await asyncio.gather(test("a"), test("b"))

        asyncio.run(both())
        assert sorted(ran) == ["a", "b"]

    def it_takes_in_a_plain_thread_that_is_started_inside(self, app, note):
        with testing.session(now=NOW, app=app) as outer:
            in_threads(lambda: note("outer"))
            with testing.session(now=NOW, app=app) as inner:
                in_threads(lambda: note("inner"))
                inner.assert_enqueued(note, args=("inner",), count=1)
            outer.assert_enqueued(note, args=("outer",), count=1)
            assert len(outer.enqueued()) == 1

    def it_does_not_guess_between_several(self, app, note):
        errors = []

        def call():
            try:
                note()
            except AutocronError as error:
                errors.append(str(error))

        def test():
            with testing.session(now=NOW, app=app):
                both_are_in.wait()
                both_are_done.wait()

        both_are_in = threading.Barrier(3, timeout=30)
        both_are_done = threading.Barrier(3, timeout=30)
        threads = [threading.Thread(target=test) for _ in range(2)]
        for thread in threads:
            thread.start()
        both_are_in.wait()
        call()
        both_are_done.wait()
        for thread in threads:
            thread.join()
        assert len(errors) == 1
        assert errors[0].startswith("2 test sessions are open in this process, and this thread was")
        assert "contextvars.copy_context().run" in errors[0]

    def it_follows_a_copied_context_into_a_thread(self, app, note):
        with testing.session(now=NOW, app=app) as outer:
            context = contextvars.copy_context()
            with testing.session(now=NOW, app=app) as inner:
                in_threads(lambda: context.run(note))
                inner.assert_not_enqueued()
            outer.assert_enqueued(note, count=1)

    def it_may_end_in_another_context_than_it_began_in(self, app, note):
        session = testing.session(now=NOW, app=app)
        contextvars.copy_context().run(session.__enter__)
        note()
        session.assert_enqueued(note)
        contextvars.copy_context().run(session.__exit__)
        assert not app.is_active

    def it_runs_tasks_one_at_a_time(self, app):
        with testing.session(now=NOW, app=app) as session:

            @app.delay
            def run_elsewhere():
                in_threads(lambda: errors.append(raised(session.run_pending)))

            errors = []
            run_elsewhere()
            session.run_pending()
        assert "by another thread meanwhile" in errors[0]

    def it_leaves_alone_what_workers_serve(self, app, note, ran):
        """An application that was started before: its calls wait for its workers."""
        with testing.session(now=NOW, app=App()) as served:
            app.use(served.service)
            note("for the workers")
            with testing.session(now=NOW, app=app) as session:
                assert session.run_pending() == Report()
                note("for the test")
                session.run_pending()
            note("for the workers")
            assert ran == ["for the test"]
            assert len(served.backend.list()) == 2

    def it_keeps_apps_apart(self, app, note, ran):
        other = App()
        with testing.session(now=NOW, app=app) as session:
            with testing.session(now=NOW, app=other):
                note("mine")
            assert not other.is_active
            session.run_pending()
        assert ran == ["mine"]


def raised(function):
    try:
        function()
    except Exception as error:
        return str(error)
    return ""


def in_threads(*functions):
    """Run functions at the same time, each in a plain thread; raise what they raise."""
    errors = []

    def run(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


class DescribeASessionAsADecorator:
    def it_gives_each_call_a_session_of_its_own(self, app, note):
        @testing.session(now=NOW, tz="UTC", app=app)
        def test(number, *, twice=False):
            sessions.append(testing.current())
            note(number)
            return testing.run_pending().succeeded, testing.current().advance(hours=1)

        sessions = []
        assert test(1) == test(2, twice=True) == (1, at("2024-03-01 13:00"))
        assert sessions[0] is not sessions[1]
        assert (test.__name__, app.is_active) == ("test", False)

    def it_decorates_coroutine_functions(self, app, note):
        @testing.session(now=NOW, app=app)
        async def test(number):
            note(number)
            await asyncio.sleep(0)
            return testing.run_pending().runs[0].args

        assert asyncio.run(test(1)) == (1,)
        assert not app.is_active

    def it_decorates_methods_and_generators(self, app, note):
        class Test:
            @testing.session(now=NOW, app=app)
            def test(self, what):
                note(what)
                return testing.run_pending().runs[0].args

        @testing.session(now=NOW, app=app)
        def fixture(what):
            note(what)
            yield testing.current()
            assert testing.run_pending().runs[0].args == (what,)

        assert Test().test("x") == ("x",)
        (session,) = fixture("y")
        assert (len(session._runner.runs), app.is_active) == (1, False)

    def it_leaves_the_app_alone_after_an_error(self, app):
        @testing.session(now=NOW, app=app)
        def test():
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            test()
        assert not app.is_active

    def it_refuses_what_it_can_not_decorate(self, app):
        async def fixture():
            yield

        for given in (type("Test", (), {}), fixture, 5):
            with pytest.raises(AutocronError, match=r"decorates functions and .*SessionMixin"):
                testing.session(app=app)(given)
        with pytest.raises(AutocronError, match="can not be made again"):
            testing.current()(len)


class DescribeATestThatRunsALoop:
    def it_may_run_coroutine_functions_from_inside(self, session, app):
        @app.delay
        async def answer(fails):
            await asyncio.sleep(0)
            if fails:
                raise ValueError("no")
            return (42, app.now())

        async def test():
            result = answer(False)
            session.run_pending()
            assert result.result == (42, at(NOW))
            answer(True)
            with pytest.raises(ValueError, match="no"):
                session.run_pending()

        asyncio.run(test())


class DescribeNow:
    def it_is_the_time_of_the_session(self, session, app):
        session.advance(hours=1)
        assert app.now() == at("2024-03-01 13:00")
        assert app.now().tzinfo is timezone.utc

    def it_is_that_of_the_innermost_session(self):
        with testing.session(now=NOW, tz="UTC"):
            with testing.session(now="2030-01-01", tz="UTC"):
                assert autocron.now() == at("2030-01-01 00:00")
            assert autocron.now() == at(NOW)

    def it_is_that_of_the_run_inside_a_task(self, session, app, ran):
        @app.delay(minutes=5)
        def note():
            ran.append(app.now())

        note()
        session.travel(hours=1)
        assert ran == [at("2024-03-01 12:05")]

    @pytest.mark.parametrize("is_in_a_session", [True, False])
    def it_is_the_systems_else_which_freezegun_moves(self, is_in_a_session):
        app = autocron.default_app if is_in_a_session else App()
        with freeze_time("2004-02-29 12:00") as clock:
            assert app.now() == at("2004-02-29 12:00")
            clock.tick(timedelta(hours=1))
            assert app.now() == at("2004-02-29 13:00")
        assert app.now() > at("2024-01-01 00:00")

    @pytest.mark.parametrize("is_in_a_session", [True, False])
    def it_is_the_systems_else_which_time_machine_moves(self, is_in_a_session):
        if time_machine is None:
            pytest.skip("time-machine is not installed")
        app = autocron.default_app if is_in_a_session else App()
        with time_machine.travel(at("2004-02-29 12:00"), tick=False) as clock:
            assert app.now() == at("2004-02-29 12:00")
            clock.shift(timedelta(hours=1))
            assert app.now() == at("2004-02-29 13:00")
        assert app.now() > at("2024-01-01 00:00")

    def it_is_no_business_of_freezegun_in_a_session_with_a_clock(self, session, app):
        with freeze_time("2004-02-29 12:00"):
            assert app.now() == at(NOW)
            assert datetime.now(timezone.utc) == at("2004-02-29 12:00")


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

    @pytest.mark.parametrize("loaded", ["", "pytest", "unittest"])
    def it_warns_where_nothing_seems_to_test(self, session, app, caplog, monkeypatch, loaded):
        for name in {"pytest", "unittest"} - {loaded}:
            monkeypatch.delitem(sys.modules, name)
        app.start("project.db")
        assert [record.levelname for record in caplog.records] == ([] if loaded else ["WARNING"])

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

    def it_refuses_an_option_that_it_does_not_have(self, session, app):
        with pytest.raises(
            autocron.StartError, match="'worker' is no option of start; did you mean wo"
        ):
            app.start("project.db", worker=2)

    @pytest.mark.skipif(sys.platform == "win32", reason="start() looks at none of these there")
    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"workers": -1}, "workers: -1 is not a whole number from 0"),
            ({"serializer": "yaml"}, "serializer: 'yaml' is not one of json, pickle"),
            ({"durability": "some"}, "durability: 'some' is not one of full, normal"),
            ({"stop_grace": -1}, "stop.grace: -1 is not"),
            ({"max_memory_mb": "much"}, "max.memory.mb: 'much' is not"),
            ({"max_tasks_per_worker": 1.5}, "max.tasks.per.worker: 1.5 is not"),
        ],
    )
    def it_refuses_an_option_that_nothing_could_be_started_with(self, session, app, given, says):
        with pytest.raises(autocron.StartError, match=says):
            app.start("project.db", tz="+02:00", **given)
        assert (app.serializer, app.default_zone) == ("json", None)
        good = {"workers": {"default": 2, "mail,bulk": 1}, "durability": "normal", "stop_grace": 9}
        assert app.start("project.db", **good) is False

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
