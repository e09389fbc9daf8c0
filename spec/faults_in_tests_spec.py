"""Faults that a test plans: a run that fails, and a worker that dies in the middle of a task.

``fail_next(task, error)`` lets the next attempt of a task function raise the error, in place of
running the function. ``crash_next(task)`` lets the worker die of the next attempt: before the
function has run, or with ``after=True`` when it has done all it does, while nobody knows it yet.
What follows is what follows in production, through the same engine: a failure is stored, or
tried again as ``retries=`` says; a dead worker's task waits again, its death is charged, and the
third one is the last. So a test can prove that a task bears to be run twice.

**What a test has planned is no surprise**, so ``run_pending()`` and ``travel()`` do not raise it.
It is in the report, in ``runs()``, in the TaskResult and in the log.

Plans are used in the order in which they were made, each once, or ``times=`` times. **A plan of
which nothing has come** when the session ends is an error, ``UnusedPlan``, since a test that has
not seen its fault proves nothing. It does not hide an error of the test itself.
"""

from __future__ import annotations

import pytest

import autocron
from autocron import testing
from autocron.core.errors import AutocronError
from autocron.core.outcome import MAX_DEATHS
from autocron.testing import PlannedCrash, UnusedPlan
from spec.benches import NOW
from spec.zones import at


@pytest.fixture(params=["memory", "plain", "sqlite"])
def session(app, request):
    with testing.session(now=NOW, tz="UTC", app=app, engine=request.param) as session:
        yield session


@pytest.fixture
def send(app, ran):
    @app.delay
    def send(what="x"):
        ran.append(what)
        return what

    return send


class DescribeFailNext:
    def it_raises_in_place_of_the_function_once(self, session, send, ran):
        error = ConnectionError("no route")
        session.fail_next(send, error)
        first, second = send(1), send(2)
        report = session.run_pending()
        assert (report.failed, report.succeeded, report.crashed) == (1, 1, 0)
        assert report.runs[0].error is error
        assert (ran, first.error_message) == ([2], "ConnectionError: no route")
        assert "ConnectionError: no route" in first.traceback
        assert second.result == 2

    def it_takes_a_class_too_and_a_number_of_times(self, session, send, ran):
        session.fail_next(send, TimeoutError, times=2)
        results = [send(number) for number in range(3)]
        session.run_pending()
        assert [result.error_message for result in results] == ["TimeoutError"] * 2 + [""]
        assert ran == [2]

    def it_is_followed_by_the_retries_of_the_task(self, session, app, ran):
        @app.delay(retries=2, backoff=60)
        def unsteady():
            ran.append(session.now())
            return "sent"

        session.fail_next(unsteady, ConnectionError("1"))
        session.fail_next(unsteady, TimeoutError("2"))
        result = unsteady()
        report = session.travel(minutes=5)
        assert [(run.attempt, str(run.error)) for run in report.runs] == [
            (1, "1"),
            (2, "2"),
            (3, "None"),
        ]
        assert (ran, result.result) == ([at("2024-03-01 12:02")], "sent")

    def it_is_not_raised_but_logged(self, session, send, caplog):
        session.fail_next(send, ValueError("planned"))
        send()
        session.run_pending()
        assert "ValueError: planned: raised by task task-1" in caplog.text

    def it_does_not_keep_a_surprise_from_being_raised(self, session, app):
        @app.delay
        def broken():
            raise KeyError("surprise")

        session.fail_next(broken, ValueError("planned"))
        broken()
        broken()
        with pytest.raises(KeyError, match="surprise"):
            session.run_pending()

    def it_also_fails_cron_functions(self, session, app):
        @app.cron("0 13 * * *")
        def hourly(): ...

        session.fail_next(hourly, ValueError("no"))
        assert session.travel(hours=1).failed == 1

    @pytest.mark.parametrize("error", ["no", None, 5, int, KeyboardInterrupt, SystemExit(1)])
    def it_refuses_what_is_no_error_of_a_task(self, session, send, error):
        with pytest.raises(AutocronError, match="is no exception; expected one such as"):
            session.fail_next(send, error)


class DescribeCrashNext:
    def it_runs_the_task_again_after_a_death_before_it(self, session, send, ran):
        session.crash_next(send)
        result = send("x")
        report = session.run_pending()
        crashed, again = report.runs
        assert (crashed.attempt, crashed.crashed, crashed.succeeded) == (1, True, False)
        assert isinstance(crashed.error, PlannedCrash)
        assert crashed.retry_at == at("2024-03-01 12:00")
        assert (again.attempt, again.result, ran) == (2, "x", ["x"])
        assert (report.crashed, report.failed, report.succeeded) == (1, 1, 1)
        assert result.result == "x"

    def it_runs_it_twice_after_a_death_behind_it(self, session, send, ran):
        session.crash_next(send, after=True)
        result = send("x")
        session.run_pending()
        assert (ran, result.result) == (["x", "x"], "x")

    def it_makes_no_difference_to_a_death_whether_the_function_raised(self, session, app, ran):
        @app.delay
        def unsteady():
            ran.append(1)
            if len(ran) == 1:
                raise ValueError("nobody hears of it")

        session.crash_next(unsteady, after=True)
        unsteady()
        assert [run.succeeded for run in session.run_pending().runs] == [False, True]

    def it_is_the_last_at_the_third_death(self, session, send, ran):
        assert MAX_DEATHS == 3
        session.crash_next(send, times=3)
        result = send("x")
        report = session.run_pending()
        assert (report.crashed, ran, result.has_error) == (3, [], True)
        assert report.runs[-1].retry_at is None
        assert "its worker died 3 times while it ran this task" in result.error_message

    def it_leaves_what_else_waits_alone(self, session, app, send, ran):
        @app.cron("0 13 * * *")
        def hourly():
            send("cron")

        send.options(hours=2)("later")
        send("dies")
        session.crash_next(send)
        session.travel(hours=2)
        assert ran == ["dies", "cron", "later"]

    def it_keeps_what_the_task_had_enqueued(self, session, app, send, ran):
        @app.delay
        def fan_out():
            send("from the task")

        session.crash_next(fan_out, after=True)
        fan_out()
        session.run_pending()
        assert ran == ["from the task"] * 2

    def it_holds_the_lock_of_a_waiting_overlap_no_longer_than_it_lives(self, session, app, ran):
        @app.cron("0 * * * *", overlap="wait")
        def hourly():
            ran.append(session.now())

        session.crash_next(hourly)
        session.travel(hours=2)
        assert ran == [at("2024-03-01 13:00"), at("2024-03-01 14:00")]

    def it_mixes_with_failures_in_the_order_of_the_plans(self, session, app):
        @app.delay(retries=1, backoff=1)
        def unsteady(): ...

        session.crash_next(unsteady)
        session.fail_next(unsteady, ValueError("no"))
        unsteady()
        session.travel(minutes=1)
        assert [type(run.error).__name__ for run in session.runs()] == [
            "PlannedCrash",
            "ValueError",
            "NoneType",
        ]

    @pytest.mark.parametrize("times", [0, -1, 1.5, "2", True])
    def it_refuses_what_is_no_number_of_times(self, session, send, times):
        for plan in (
            lambda: session.crash_next(send, times=times),
            lambda: session.fail_next(send, ValueError, times=times),
        ):
            with pytest.raises(AutocronError, match="is not a whole number from 1 upwards"):
                plan()


class DescribeAPlanOfWhichNothingCame:
    def it_fails_the_test_when_the_session_ends(self, app, send):
        says = (
            r"crash_next\(.*send, after=True\), fail_next\(.*send, ValueError\('no'\)\): planned, "
            r"but the session has ended without such a run \(it ran nothing\)"
        )
        session = testing.session(now=NOW, app=app)
        session.__enter__()
        session.crash_next(send, after=True)
        session.fail_next(send, ValueError("no"))
        with pytest.raises(UnusedPlan, match=says):
            session.__exit__()
        assert not app.is_active
        assert issubclass(UnusedPlan, AssertionError)

    def it_counts_one_by_one(self, app, send):
        session = testing.session(now=NOW, app=app)
        session.__enter__()
        session.crash_next(send, times=2)
        send().cancel()
        send()
        session.fail_next(send, ValueError)
        session.run_pending()
        assert [run.crashed for run in session.runs()] == [True, True, False]
        session.crash_next(send)
        with pytest.raises(UnusedPlan, match=r"^crash_next\(.*send\): .*it ran .*send\)"):
            session.__exit__()

    def it_does_not_hide_an_error_of_the_test(self, app, send):
        def test():
            with testing.session(now=NOW, app=app) as session:
                session.crash_next(send)
                _ = 1 / 0

        with pytest.raises(ZeroDivisionError):
            test()

    def it_is_no_error_when_all_were_used(self, app, send):
        with testing.session(now=NOW, app=app) as session:
            session.crash_next(send)
            send()
            assert len(session.planned()) == 1
            session.run_pending()
            assert session.planned() == []

    def it_can_be_looked_for_at_any_time(self, session, send):
        session.fail_next(send, ValueError)
        with pytest.raises(UnusedPlan):
            session.check_plans()
        send()
        session.run_pending()
        session.check_plans()


def it_stays_a_result_like_any_other(session, send):
    session.fail_next(send, ValueError("no"))
    result = send()
    session.run_pending()
    with pytest.raises(autocron.TaskFailed, match="ValueError: no"):
        _ = result.result
