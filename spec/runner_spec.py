"""Testing an application: ``run_pending()``.

It runs all that is due, here and now, through the steps of the same engine as a worker: in the
order in which a worker would; with arguments and results as they come back from the store; also
what those tasks call in turn, if that is due; also the cron occurrences that are due. It does not
move the clock, so what is delayed is not run before its time. It returns a report with one entry
for each attempt. ``spec/sessions_spec.py`` says where the calls go meanwhile.

**A failure is raised**, so that no test passes over it: the exception itself, at once, with a note
that names the task, also in the log. That holds for each attempt, also if the task will be tried
again. What was to come after it stays waiting. With ``raise_errors=False`` it goes on, and the
errors are in the report. A task that calls ``sys.exit()`` ends no test: that is raised as
``TaskFailed``. ``KeyboardInterrupt`` is no task's to keep: it passes, and the task is waiting
again.

**``tasks=``** runs only tasks of one function, or of some; the others stay waiting, whatever their
priority. **``until=``** lets time pass until then, as ``spec/travel_spec.py`` says.

**Tasks that enqueue each other for ever** would never end, since no time passes. After ``limit``
runs ``RunawayTasks`` names the one that ran most.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import traceback

import pytest

import autocron
from autocron import testing
from autocron.core.errors import AutocronError, StoreError, TaskTimeout
from autocron.shell.sqlite import SQLiteStore
from autocron.testing import Report, RunawayTasks
from autocron.testing.contract import STORE_CHECKS
from autocron.testing.only import OnlyStore
from spec.benches import NOW
from spec.zones import at


@pytest.fixture
def fail(app):
    @app.delay
    def fail(text="no"):
        raise ValueError(text)

    return fail


class DescribeRunPending:
    def it_runs_what_was_called_in_order(self, session, note, ran):
        results = [note(number) for number in range(3)]
        assert (ran, [result.status for result in results]) == ([], ["waiting"] * 3)
        session.run_pending()
        assert (ran, [result.result for result in results]) == ([0, 1, 2], [0, 1, 2])

    def it_goes_by_due_time_then_age(self, session, note, ran):
        note.options(minutes=2)("second")
        note.options(minutes=1)("first")
        session.advance(minutes=3)
        note("third")
        note.options(minutes=5)("not yet")
        session.run_pending()
        assert ran == ["first", "second", "third"]

    def it_runs_nothing_before_its_time(self, session, note, ran):
        note.options(seconds=30)("delayed")
        note.options(schedule=at("2024-03-01 12:01"))("planned")
        session.advance(seconds=29)
        assert session.run_pending() == Report()
        session.advance(seconds=1)
        session.run_pending()
        assert ran == ["delayed"]
        session.advance(seconds=30)
        session.run_pending()
        assert ran == ["delayed", "planned"]

    def it_runs_what_tasks_call_in_turn_if_it_is_due(self, session, app, note, ran):
        @app.delay
        def fan_out(count):
            for number in range(count):
                note(number)
            note.options(hours=1)("later")

        fan_out(3)
        assert len(session.run_pending().runs) == 4
        assert ran == [0, 1, 2]

    def it_runs_cron_occurrences_that_are_due(self, session, app, note, ran):
        @app.cron("30 2 * * *")
        def clean():
            note("from cron")

        assert session.run_pending() == Report()
        session.advance(days=1)
        report = session.run_pending()
        assert (report.count(clean), report.count(note), ran) == (1, 1, ["from cron"])
        assert report.runs[0].scheduled_at == at("2024-03-02 02:30")

    def it_does_not_move_the_clock(self, session, note):
        note()
        session.run_pending()
        assert session.clock.now() == at(NOW)

    def it_hands_over_arguments_and_results_by_way_of_the_store(self, session, app):
        given, seen = {"to": [1]}, []

        @app.delay
        def change(argument):
            argument["to"].append(2)
            seen.append(argument)
            return argument

        result = change(given)
        given["to"].append("too late")
        (run,) = session.run_pending().runs
        assert given == {"to": [1, "too late"]}
        assert seen == [{"to": [1, 2]}] == [result.result]
        assert seen[0] is not result.result is not run.result
        assert (run.args, run.result) == (({"to": [1]},), {"to": [1, 2]})

    def it_fails_a_task_whose_result_can_not_be_stored(self, session, app):
        @app.delay
        def give_object():
            return object()

        result = give_object()
        with pytest.raises(autocron.NotStorable):
            session.run_pending()
        assert result.has_error

    def it_runs_coroutine_functions(self, session, app):
        @app.delay
        async def answer():
            await asyncio.sleep(0)
            return 42

        result = answer()
        session.run_pending()
        assert result.result == 42

    def it_is_not_to_be_called_by_a_task(self, session, app):
        @app.delay
        def nested():
            session.run_pending()

        nested()
        with pytest.raises(AutocronError, match=r"called by a task that run_pending\(\) runs"):
            session.run_pending()
        assert session.run_pending() == Report()

    def it_hands_back_what_nothing_knows_any_more(self, session, app, note):
        result = note()
        app.forget(result._task.name)
        for _ in range(12):
            assert session.run_pending() == Report()
            assert result.status == "waiting"
            session.advance(seconds=5)
        with pytest.raises(autocron.TaskFailed, match=r"no task function .*note is known in this"):
            session.run_pending()

    def it_tells_of_a_store_that_fails_and_runs_nothing_twice(self, session, app, ran):
        store = session.backend.operations.store

        @app.delay
        def break_store():
            ran.append(1)
            session.backend.operations.store = Broken(store)

        result = break_store()
        with pytest.raises(StoreError, match="the disk is full"):
            session.run_pending()
        assert result.status == "running"
        session.backend.operations.store = store
        assert len(session.run_pending().runs) == 1
        assert (ran, result.status) == ([1], "succeeded")


class Broken:
    """The store, on a disk that has just become full."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, operation):
        return getattr(self._store, operation)

    def swap(self, before, after):
        raise StoreError("the disk is full")


class DescribeTheTasksThatAreAskedFor:
    @pytest.fixture
    def other(self, app, ran):
        @app.delay
        def other(what=None):
            ran.append(f"other {what}")

        return other

    def it_runs_only_them_and_lets_the_others_wait(self, session, note, other, ran):
        waiting = other(1)
        note(2)
        other(3)
        note(4)
        assert session.run_pending(tasks=note).count(note) == 2
        assert (ran, waiting.status) == ([2, 4], "waiting")
        session.run_pending()
        assert ran == [2, 4, "other 1", "other 3"]

    def it_takes_a_name_and_several(self, session, app, note, other, ran):
        @app.delay
        def third():
            ran.append("third")

        for function in (note, other, third):
            function()
        session.run_pending(tasks=note.__module__ + ":" + note.__qualname__)
        assert ran == [None]
        session.run_pending(tasks=[third, other.function])
        assert ran == [None, "other None", "third"]
        session.run_pending(tasks=())
        assert testing.run_pending(tasks=[note, other]) == Report()

    def it_runs_what_they_call_only_if_that_is_asked_for_too(self, session, app, note, ran):
        @app.delay
        def fan_out():
            note("in turn")

        fan_out()
        session.run_pending(tasks=fan_out)
        assert ran == []
        session.assert_enqueued(note)

    def it_leaves_occurrences_of_others_waiting(self, session, app, note, ran):
        @app.cron("0 13 * * *")
        def hourly():
            ran.append("cron")

        note.options(hours=2)("later")
        session.run_pending(until="2024-03-01 14:00", tasks=note)
        assert (ran, session.now()) == (["later"], at("2024-03-01 14:00"))
        assert session.run_pending().count(hourly) == 1

    def it_holds_after_the_death_of_a_worker(self, session, note, other, ran):
        other(1)
        session.crash_next(note)
        note(2)
        session.run_pending(tasks=note)
        assert ran == [2]

    def it_follows_the_clock_where_it_was_set_meanwhile(self, session, note, ran):
        session.run_pending()
        note.options(hours=1)("elapsed time")
        session.clock.set("2024-03-01 14:00")
        session.run_pending(tasks=[note])
        assert ran == []
        session.travel(hours=1)
        assert ran == ["elapsed time"]


class DescribeTheStoreOfSomeTasks:
    """What may be claimed is a view of the store; it keeps the contract of a store."""

    @pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__[6:])
    def it_keeps_the_promise_that(self, check):
        made = []

        def make():
            made.append(SQLiteStore(":memory:"))
            return OnlyStore(made[-1], None)

        try:
            check(make)
        finally:
            for store in made:
                store.close()


class DescribeTheReport:
    def it_has_an_entry_for_each_attempt(self, session, note, fail):
        first = note.options(seconds=10)("x")
        second = fail("why")
        session.advance(seconds=15)
        report = session.run_pending(raise_errors=False)
        failed, succeeded = report.runs
        assert (succeeded.task_id, succeeded.attempt, succeeded.args) == (first.id, 1, ("x",))
        assert (succeeded.result, succeeded.error, succeeded.succeeded) == ("x", None, True)
        assert (failed.task_id, failed.kwargs, failed.result) == (second.id, {}, None)
        assert (type(failed.error), failed.error.args, failed.succeeded) == (
            ValueError,
            ("why",),
            False,
        )
        assert [run.name.rpartition(".")[2] for run in report.runs] == ["fail", "note"]
        assert succeeded.scheduled_at == at("2024-03-01 12:00:10")
        assert succeeded.started_at == succeeded.finished_at == at("2024-03-01 12:00:15")

    def it_counts(self, session, note, fail):
        note(1)
        note(what=2)
        fail()
        report = session.run_pending(raise_errors=False)
        assert (report.succeeded, report.failed) == (2, 1)
        assert (report.count(note), report.count(fail)) == (2, 1)
        assert report.count(note.function) == report.count(report.runs[0].name) == 2
        assert report.runs[1].kwargs == {"what": 2}

    def it_counts_only_task_functions(self):
        with pytest.raises(autocron.InvalidTask):
            Report().count(len)

    def it_is_a_frozen_value(self, session, note):
        note()
        report = session.run_pending()
        for part, name in ((report, "runs"), (report.runs[0], "result")):
            with pytest.raises(AttributeError):
                setattr(part, name, None)


class DescribeAFailure:
    def it_raises_the_exception_itself_and_stores_it(self, session, app):
        error = KeyError("the very same")

        @app.delay
        def fail():
            raise error

        result = fail()
        with pytest.raises(KeyError) as caught:
            session.run_pending()
        assert caught.value is error
        assert result.error_message == "KeyError: 'the very same'"

    def it_names_the_task_in_a_note_and_in_the_log(self, session, fail, caplog):
        result = fail("no")
        with pytest.raises(ValueError, match="no") as caught:
            session.run_pending()
        (note,) = caught.value.__notes__
        assert note.startswith(f"raised by task {result.id} (")
        assert note.endswith("fail), attempt 1, in run_pending()")
        assert caplog.messages == [f"ValueError: no: {note}"]
        if sys.version_info >= (3, 11):
            shown = "".join(traceback.format_exception(caught.value))
            assert note in shown

    def it_shows_where_in_the_function_it_came_from(self, session, fail):
        fail()
        with pytest.raises(ValueError, match="no") as caught:
            session.run_pending()
        assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"

    def it_leaves_what_comes_after_it_waiting(self, session, note, fail, ran):
        note(1)
        fail()
        waiting = note(2)
        with pytest.raises(ValueError, match="no"):
            session.run_pending()
        assert (ran, waiting.status) == ([1], "waiting")
        session.run_pending()
        assert ran == [1, 2]

    def it_is_in_the_report_if_that_is_asked_for(self, session, note, fail, ran):
        failed, fine = fail("no"), note(1)
        report = session.run_pending(raise_errors=False)
        assert [str(run.error) for run in report.runs] == ["no", "None"]
        assert (failed.has_error, fine.result, ran) == (True, 1, [1])
        with pytest.raises(autocron.TaskFailed, match="ValueError: no"):
            _ = failed.result

    def it_is_that_of_each_attempt_also_if_the_task_is_tried_again(self, session, app, ran):
        @app.delay(retries=2, backoff=60)
        def unsteady():
            ran.append(1)
            if len(ran) < 3:
                raise ConnectionError(f"attempt {len(ran)}")
            return "sent"

        result = unsteady()
        with pytest.raises(ConnectionError, match="attempt 1") as caught:
            session.run_pending()
        assert "attempt 1, in run_pending()" in caught.value.__notes__[0]
        assert (result.status, session.run_pending()) == ("waiting", Report())
        session.advance(minutes=1)
        (run,) = session.run_pending(raise_errors=False).runs
        assert (run.attempt, str(run.error)) == (2, "attempt 2")
        assert run.scheduled_at == run.started_at == run.finished_at == at("2024-03-01 12:01")
        session.advance(minutes=1)
        (run,) = session.run_pending().runs
        assert (run.attempt, run.succeeded, result.result) == (3, True, "sent")

    def it_does_not_end_the_test_when_a_task_exits(self, session, app):
        @app.delay
        def leave():
            sys.exit(3)

        result = leave()
        with pytest.raises(autocron.TaskFailed, match="SystemExit: 3; raised by task"):
            session.run_pending()
        assert result.error_message == "SystemExit: 3"

    def it_lets_keyboard_interrupt_pass_and_the_task_wait_again(self, session, app, ran):
        @app.delay
        def interrupt():
            ran.append(1)
            if len(ran) == 1:
                raise KeyboardInterrupt

        result = interrupt()
        with pytest.raises(KeyboardInterrupt):
            session.run_pending(raise_errors=False)
        assert result.status == "waiting"
        assert [run.attempt for run in session.run_pending().runs] == [1]

    def it_may_refuse_to_carry_a_note(self, session, app):
        class Sealed(Exception):
            def __setattr__(self, name, value):
                raise TypeError("sealed")

        @app.delay
        def fail():
            raise Sealed("as it is")

        fail()
        with pytest.raises(Sealed, match="as it is"):
            session.run_pending()


class DescribeATimeout:
    """A test has one thread, so a task is not interrupted; it is told as soon as it can be."""

    def it_is_raised_where_the_task_lets_time_pass_beyond_it(self, app, session):
        @app.delay(timeout=1)
        def slow():
            session.advance(seconds=1)
            reached.append("in time")
            session.advance(seconds=0.001)
            reached.append("too late")

        reached = []
        result = slow()
        with pytest.raises(TaskTimeout, match=r"it did not end within 1 second\n"):
            session.run_pending()
        assert reached == ["in time"]
        assert result.error_message == "TaskTimeout: it did not end within 1 second"

    def it_is_raised_at_the_end_of_a_task_that_took_too_long(self, app, session):
        """So also where the task catches what it is told, as a worker would be ended then."""

        @app.delay(timeout=5, retries=1, backoff=60)
        async def slow():
            session.clock.advance(seconds=6)
            with contextlib.suppress(TaskTimeout):
                session.advance(seconds=1)
            return "done"

        result = slow()
        report = session.run_pending(raise_errors=False)
        assert (report.failed, result.status) == (1, "waiting")
        assert isinstance(report.runs[0].error, TaskTimeout)
        session.travel(minutes=2, raise_errors=False)
        assert (result.status, result.error_message[:12]) == ("failed", "TaskTimeout:")

    def it_is_of_each_task_alone(self, app, session):
        @app.delay(timeout=5)
        def quick():
            return "done"

        @app.delay
        def slow():
            session.advance(minutes=1)
            return "done"

        results = [quick(), slow(), quick()]
        session.run_pending()
        assert [result.result for result in results] == ["done"] * 3
        session.advance(minutes=1)


class DescribeRunawayTasks:
    def it_stops_at_the_limit_and_names_the_task(self, session, app, note):
        @app.delay
        def poll():
            poll()

        note()
        poll()
        with pytest.raises(RunawayTasks, match=r"after 50 runs.*most of them, 50, are .*poll\. If"):
            session.run_pending(limit=50)

    def it_holds_nothing_when_it_stops(self, session, app, note):
        results = [note(number) for number in range(4)]
        with pytest.raises(RunawayTasks, match="higher limit"):
            session.run_pending(limit=3)
        assert [result.status for result in results] == ["succeeded"] * 3 + ["waiting"]
        assert [run.attempt for run in session.run_pending().runs] == [1]

    def it_is_no_runaway_to_do_as_much_as_the_limit(self, session, note):
        for number in range(3):
            note(number)
        assert session.run_pending(limit=3).succeeded == 3

    def it_is_none_to_enqueue_itself_for_later(self, session, app):
        @app.delay(minutes=1)
        def poll():
            poll()

        poll()
        for _ in range(5):
            session.advance(minutes=1)
            assert session.run_pending().count(poll) == 1
