"""Results: a call in place, and the TaskResult.

**Where autocron is not started, or is locked**, the call runs at once, here (*in place*), and the
TaskResult is ready when it comes back. Arguments and result take the same way through text. What
the function raises is in the result, ``SystemExit`` too; ``KeyboardInterrupt`` passes. A later time
is ignored, and that is logged once for each function. A result that can not be stored, or takes
more than 64 Mi characters as text, is a failure of the task; so it is in a worker.

**A TaskResult** tells ``status`` (waiting, running, succeeded, failed, cancelled; expired),
``is_ready`` (true for a failed task too), ``is_waiting`` (true until it is ready, so also while the
task runs), ``has_error``, ``error_message`` (``"ValueError: text"``), ``traceback`` and ``result``.
``wait(timeout)`` tells whether it is ready in time, ``get(timeout)`` and ``await`` wait for what
the function returned, and ``cancel()`` takes the call back. The time to wait is a number of seconds
or a timedelta; less than 0 is 0, as what is left of a time that is over, and None is for ever.

**In an event loop** ``await result`` leaves the loop to others: no thread is made for it, and all
that are awaited together are looked at 2,000 times a second at most. A coroutine function that is
called in place runs to its end before the call returns, in a loop of its own, also where the
caller's loop is running.
"""

from __future__ import annotations

import asyncio
import copy
import re
from datetime import timedelta

import pytest

import autocron
from autocron import testing
from autocron.awaiting import pause_between
from autocron.core.errors import InvalidTask, ResultNotReady, TaskFailed, WaitTimeout
from autocron.core.text_format import MAX_LENGTH
from autocron.result import TaskResult
from spec.benches import work
from spec.tables import table
from spec.zones import at


@pytest.fixture
def send(app):
    @app.delay
    def send(address, message="hello"):
        return len(address + message)

    return send


class DescribeACallInPlace:
    def it_is_ready_when_it_comes_back(self, send):
        result = send("ab", message="c")
        assert (result.status, result.is_ready, result.is_waiting) == ("succeeded", True, False)
        assert (result.has_error, result.error_message, result.traceback) == (False, "", "")
        assert (result.result, result.get(), result.cancel()) == (3, 3, False)

    def it_has_an_exception_in_its_result(self, app):
        @app.delay
        def fail():
            raise ValueError("text")

        result = fail()
        assert (result.status, result.is_ready, result.has_error) == ("failed", True, True)
        assert result.error_message == "ValueError: text"
        assert result.traceback.endswith("ValueError: text\n")
        assert "autocron" not in result.traceback.replace("spec/calls_spec", "")
        with pytest.raises(TaskFailed, match="ValueError: text"):
            _ = result.result

    @table("""
    raised            | message
    SystemExit(3)     | SystemExit: 3
    SystemExit()      | SystemExit
    GeneratorExit()   | GeneratorExit
    KeyError('k')     | KeyError: 'k'
    """)
    def it_keeps_whatever_ends_a_function(self, app, raised, message):
        @app.delay
        def fail():
            raise eval(raised)

        assert fail().error_message == message

    def it_lets_keyboard_interrupt_pass(self, app):
        @app.delay
        def fail():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()

    def it_ignores_a_later_time_and_logs_that_once(self, app, caplog):
        @app.delay(hours=1)
        def later():
            return 1

        @app.delay
        def another():
            return 2

        for _ in range(3):
            assert later().result == 1
        another.options(schedule=at("2099-01-01 00:00"))()
        said = [message.partition(" was called for a later time")[0] for message in caplog.messages]
        assert [name.rpartition(".")[2] for name in said] == ["later", "another"]
        assert "is not running: it runs now, in place" in caplog.text

    def it_takes_arguments_and_result_through_text(self, app):
        given = [[1, (2, 3)]]

        @app.delay
        def change(argument):
            argument[0].append(4)
            return argument

        result = change(given)
        assert given == [[1, (2, 3)]]
        assert result.result == [[1, (2, 3), 4]]

    def it_fails_if_the_result_can_not_be_stored(self, app):
        @app.delay
        def give_object():
            return object()

        assert give_object().error_message.startswith("NotStorable: ")

    def it_fails_if_the_result_is_larger_than_what_is_kept(self, app):
        @app.delay
        def give_much():
            return "x" * MAX_LENGTH

        told = "NotStorable: the result takes 67,108,866 characters as text, and at most 67,108,864"
        assert give_much().error_message.startswith(told)

    def it_runs_a_call_inside_a_task_at_once_too(self, app, send):
        @app.delay
        def outer():
            return send("ab").result

        assert outer().result == 7

    def it_runs_a_coroutine_function(self, app):
        @app.delay
        async def answer():
            return 42

        assert answer().result == 42

    def it_runs_a_coroutine_function_also_for_a_caller_in_an_event_loop(self, app):
        """As a handler of an async framework is, when the lock is on."""
        loops = []

        @app.delay
        async def answer(number):
            await asyncio.sleep(0)
            loops.append(asyncio.get_running_loop())
            return number, autocron.current_task().name

        async def handle():
            result = answer(42)
            assert result.is_ready
            return asyncio.get_running_loop(), await result

        loop, (number, name) = asyncio.run(handle())
        assert (number, name.rpartition(".")[2]) == (42, "answer")
        assert loop not in loops

    def it_has_in_its_result_what_a_coroutine_function_raised_for_such_a_caller(self, app):
        @app.delay
        async def fail():
            raise ValueError("text")

        async def handle():
            return fail().error_message

        assert asyncio.run(handle()) == "ValueError: text"

    def it_has_no_database_to_look_into(self, app, send):
        with pytest.raises(autocron.StartError, match=r"call autocron.start\(…\) first"):
            app.get_result(send("a").id)

    def it_stays_in_place_when_what_was_never_started_is_stopped(self, app, send):
        app.stop()
        assert send("ab").result == 7

    def it_gives_each_call_an_id(self, send):
        ids = {send("a").id for _ in range(10)}
        assert len(ids) == 10
        assert all(len(task_id) < 64 for task_id in ids)


class DescribeATaskResult:
    def it_is_waiting_until_it_is_ready_also_while_the_task_runs(self, app, session):
        seen = []

        @app.delay
        def look():
            seen.append((result.status, result.is_waiting, result.is_ready))

        result = look()
        seen.append((result.status, result.is_waiting, result.is_ready))
        assert repr(result) == f"<TaskResult {result.id} waiting>"
        session.run_pending()
        seen.append((result.status, result.is_waiting, result.is_ready))
        assert seen == [
            ("waiting", True, False),
            ("running", True, False),
            ("succeeded", False, True),
        ]

    def it_is_ready_for_a_failed_task_too_with_the_same_message_as_in_place(self, app):
        @app.delay
        def fail():
            raise ValueError("text")

        in_place = fail()
        with testing.session(app=app) as session:
            stored = fail()
            session.run_pending(raise_errors=False)
        for result in (in_place, stored):
            assert (result.is_ready, result.has_error) == (True, True)
            assert result.error_message == "ValueError: text"
        assert in_place.traceback == stored.traceback

    def it_raises_before_its_time_and_after_a_failure(self, app, session):
        @app.delay
        def fail():
            raise ValueError("text")

        result = fail()
        assert (result.has_error, result.error_message, result.traceback) == (False, "", "")
        with pytest.raises(ResultNotReady, match=r"is waiting; look at is_ready or wait\("):
            _ = result.result
        session.run_pending(raise_errors=False)
        with pytest.raises(TaskFailed) as caught:
            _ = result.result
        assert caught.value.error_message == "ValueError: text"
        assert "Traceback" in caught.value.traceback
        assert str(caught.value) == f"ValueError: text\n\n{caught.value.traceback}"

    def it_has_no_traceback_where_no_function_raised(self, session, send):
        result = send("a")
        session.crash_next(send, times=3)
        session.run_pending(raise_errors=False)
        with pytest.raises(TaskFailed) as caught:
            _ = result.result
        assert result.error_message.startswith("WorkerDied: its worker died 3 times")
        assert (str(caught.value), caught.value.traceback) == (result.error_message, "")

    def it_lets_a_failed_task_wait_again(self, session, send):
        result = send("a")
        session.fail_next(send, OSError("no route"))
        session.run_pending(raise_errors=False)
        assert (result.status, result.retry(), result.status) == ("failed", True, "waiting")
        assert result.retry() is False
        session.run_pending()
        assert (result.status, result.retry()) == ("succeeded", False)
        (past,) = session.backend.get(result.id).history
        assert (past.number, past.error_message) == (1, "OSError: no route")

    def it_lets_a_cancelled_task_wait_again(self, session, send):
        result = send("a")
        assert (result.cancel(), result.retry(), result.status) == (True, True, "waiting")
        session.run_pending()
        assert result.status == "succeeded"

    def it_is_not_tried_again_in_place_nor_when_its_session_is_over(self, app):
        @app.delay
        def fail():
            raise ValueError

        assert fail().retry() is False
        with testing.session(app=app) as session:
            result = fail()
            session.run_pending(raise_errors=False)
        assert (result.status, result.retry()) == ("failed", False)

    def it_may_be_ignored(self, session, send):
        send("a")
        assert session.run_pending().succeeded == 1

    def it_is_found_by_nothing_but_its_id(self, app, session, send):
        result = send("a")
        assert app.get_result(result.id).id == result.id
        with pytest.raises(
            autocron.TaskNotFound, match="no task '' is stored: there never was one"
        ):
            app.get_result("")
        for thing, hint in ((5, ""), (None, ""), (result, ": give its .id")):
            says = f"^get_result: {thing!r} is no id; expected the text of one{hint}$"
            with pytest.raises(autocron.TaskNotFound, match=says):
                app.get_result(thing)


class DescribeACopy:
    def it_is_the_result_itself_which_stands_for_the_task(self, session, send):
        result = send("a")
        assert copy.deepcopy({"result": [result]}) == {"result": [result]}


class DescribeWaiting:
    """A worker runs the task while the caller sleeps; here each sleep moves the clock."""

    @pytest.fixture
    def waiting(self, bench, monkeypatch):
        """A stored call, and the pauses that its caller has slept; after the third it has run."""

        @bench.app.delay
        def answer():
            return 42

        class Source:
            clock = bench.clock
            get, cancel = bench.store.get, bench.engine().cancel
            load_result = staticmethod(bench.app.codec.load_result)

            def check_wait(self, task_id, what, status): ...

        slept = []

        def sleep(seconds):
            slept.append(seconds)
            bench.clock.advance(seconds=seconds)
            if len(slept) == 3:
                work(bench.engine())

        async def sleep_in_loop(seconds):
            sleep(seconds)

        monkeypatch.setattr("time.sleep", sleep)
        monkeypatch.setattr("asyncio.sleep", sleep_in_loop)
        return TaskResult(bench.call(answer), Source()), slept

    def it_looks_again_after_growing_pauses(self, waiting):
        result, slept = waiting
        assert result.get() == 42
        assert slept == pytest.approx([0.001, 0.0015, 0.00225])

    def it_does_not_block_the_event_loop(self, waiting):
        result, slept = waiting

        async def wait():
            return await result

        assert asyncio.run(wait()) == 42
        assert len(slept) == 3

    def it_looks_at_2000_awaited_results_a_second_whatever_their_number(self, bench, monkeypatch):
        awaited, looks, total_seconds = 500, 20, [0.0]
        clock = bench.clock

        async def sleep(seconds):
            slept.append(seconds)

        slept = []
        monkeypatch.setattr("asyncio.sleep", sleep)

        async def wait_for_all():
            for _ in range(looks):
                for _ in range(awaited):
                    await pause_between([0.05], clock)
                # As long as the one that was last to be given its turn.
                total_seconds[0] += max(slept[-awaited:])
                clock.advance(seconds=max(slept[-awaited:]))

        asyncio.run(wait_for_all())
        assert looks * awaited / total_seconds[0] == pytest.approx(2000, rel=0.05)
        # And so each of them has a turn of its own.
        assert len(set(slept[:awaited])) == pytest.approx(400, rel=0.05)

    def it_gives_up_when_the_time_is_over_and_the_task_goes_on(self, bench, waiting):
        result, slept = waiting
        with pytest.raises(WaitTimeout, match=r"not ready within 0.002 seconds; it goes on \(wait"):
            result.get(timeout=0.002)
        assert slept == [0.001, 0.001]
        with pytest.raises(TimeoutError):
            result.get(0)
        assert result.get() == 42

    def it_tells_whether_the_result_is_ready_in_time(self, waiting):
        result, slept = waiting
        assert result.wait(timeout=0.002) is False
        assert slept == [0.001, 0.001]
        assert (result.wait(0), result.is_ready, result.wait()) == (False, False, True)
        assert (result.result, result.wait(0)) == (42, True)

    @pytest.mark.parametrize(
        ("timeout", "shown"),
        [
            (0, "0 seconds"),
            (-1, "0 seconds"),
            (timedelta(days=-1), "0 seconds"),
            (0.001, "0.001 seconds"),
            (1, "1 second"),
            (timedelta(seconds=1.5), "1.5 seconds"),
            (1234567, "1234567 seconds"),
        ],
    )
    def it_waits_for_seconds_or_a_timedelta(self, bench, waiting, monkeypatch, timeout, shown):
        result, _ = waiting
        monkeypatch.setattr("time.sleep", lambda seconds: bench.clock.advance(days=15))
        with pytest.raises(WaitTimeout, match=f"was not ready within {shown}; it goes on"):
            result.get(timeout)
        assert result.wait(timeout) is False

    @pytest.mark.parametrize("timeout", [timedelta.max, float("inf"), 10**400])
    def it_may_wait_for_longer_than_anything_takes(self, waiting, timeout):
        result, _ = waiting
        assert result.wait(timeout) is True

    @pytest.mark.parametrize("timeout", ["5", True, float("nan"), [5]])
    def it_refuses_to_wait_for_what_is_no_duration_ready_or_not(self, waiting, timeout):
        result, _ = waiting
        says = re.escape(f"timeout: {timeout!r} is not a number of seconds, nor a timedelta; None")
        for _ in range(2):
            with pytest.raises(InvalidTask, match=says):
                result.get(timeout)
            with pytest.raises(InvalidTask, match=says):
                result.wait(timeout=timeout)
            assert result.get() == 42

    def it_tells_that_a_cancelled_one_is_ready(self, waiting):
        result, _ = waiting
        result.cancel()
        assert result.wait() is True

    def it_has_the_longest_pause_of_a_twentieth_of_a_second(self, bench, waiting):
        result, slept = waiting
        slept += [0.0] * 3  # nobody comes
        with pytest.raises(WaitTimeout):
            result.get(timeout=10)
        assert max(slept) == 0.05
        assert sum(slept) == pytest.approx(10)

    def it_takes_the_call_back(self, waiting):
        result, _ = waiting
        assert (result.cancel(), result.status, result.is_ready) == (True, "cancelled", True)
        with pytest.raises(autocron.TaskCancelled, match="was cancelled before it ran"):
            result.get()
