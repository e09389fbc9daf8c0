"""Cancelling a task: before it runs, or while it does; and what a task may know of itself.

``result.cancel()`` takes a waiting task back at once. A running task can not be taken back, so it
is *asked*: it sees ``current_task().is_cancelled``, at once, and may end. What it returns then
counts as always: it had done its work. Whatever else it does, it is cancelled and not tried again:
if it raises, if its worker dies, or if it is handed back. ``cancel(kill=True)`` also lets the
worker end it (``spec`` says what is stored; how a process is ended is shown in
``tests/processes``). What has ended can not be cancelled: False.

Inside a task ``autocron.current_task()`` knows its id, name, attempt, queue and times, and takes
its **progress**, which ``TaskResult.progress`` shows at once; what is told within a tenth of a
second is stored together, and nothing of what was told last is lost. Outside of tasks it is None.
"""

from __future__ import annotations

import logging
import sys
from datetime import timedelta

import pytest

import autocron
from autocron import testing
from autocron.app import App
from autocron.core.errors import InvalidTask, NoCurrentTask, TaskCancelled
from autocron.core.events import CancelAsked, Cancelled, Claimed, HandedBack
from autocron.core.machine import apply
from autocron.core.outcome import (
    Discarded,
    Raised,
    RetryAsked,
    Returned,
    Unknown,
    after_attempt,
    after_hand_back,
    after_loss,
)
from autocron.core.progress import Progress, dump_progress, load_progress
from autocron.core.task import Failure, Message, TaskState, new_task
from spec.benches import Bench, FailingStore, work
from spec.zones import at

NOW = "2026-03-01 12:00"
FAILURE = Failure("ValueError", "no")


@pytest.fixture
def app():
    return App()


@pytest.fixture
def session(app):
    with testing.session(now=NOW, tz="UTC", app=app) as session:
        yield session


def asked():
    now = at(NOW)
    running = apply(new_task(Message("m:f", "[[],{}]"), "1", now), Claimed("w", now))
    return apply(running, CancelAsked(now)), now


class DescribeAWaitingTask:
    def it_is_cancelled_at_once(self, app, session):
        @app.delay
        def send(): ...

        result = send.options(minutes=5)()
        assert result.cancel() is True
        assert (result.status, result.is_ready, result.has_error) == ("cancelled", True, False)
        assert result.error_message == ""
        with pytest.raises(TaskCancelled, match=f"task {result.id} .* was cancelled"):
            _ = result.result
        assert result.cancel() is False
        session.travel(hours=1)
        assert session.runs(send) == []

    def it_can_not_be_cancelled_any_more_when_it_has_ended(self, app, session):
        @app.delay
        def send(): ...

        result = send()
        session.run_pending()
        assert result.cancel(kill=True) is False
        assert result.status == "succeeded"


class DescribeARunningTask:
    def it_sees_that_somebody_has_asked(self, app, session):
        seen = []

        @app.delay(retries=5)
        def watch():
            task = autocron.current_task()
            seen.append(task.is_cancelled)
            assert result.cancel() is True
            assert result.status == "running"
            seen.append(task.is_cancelled)
            raise ValueError("stopped")

        result = watch()
        session.run_pending(raise_errors=False)
        assert (seen, result.status) == ([False, True], "cancelled")
        assert result.error_message == "ValueError: stopped"

    def it_may_not_look_and_is_cancelled_all_the_same(self, app, session):
        @app.delay(retries=5)
        def work():
            result.cancel()
            raise ValueError("stopped")

        result = work()
        session.run_pending(raise_errors=False)
        assert result.status == "cancelled"

    def it_has_succeeded_if_it_returns(self, app, session):
        @app.delay
        def work():
            result.cancel()
            return "done"

        result = work()
        session.run_pending()
        assert result.result == "done"

    @pytest.mark.parametrize(
        "outcome", [Raised(FAILURE), RetryAsked(FAILURE, 5.0), Discarded(FAILURE)]
    )
    def it_is_cancelled_whatever_it_raises(self, outcome):
        task, now = asked()
        assert after_attempt(task, outcome, now) == Cancelled(now, FAILURE)

    def it_is_cancelled_if_no_worker_knows_it(self):
        task, now = asked()
        assert after_attempt(task, Unknown("no"), now) == Cancelled(now)

    def it_is_cancelled_if_its_worker_dies_or_has_to_leave(self):
        task, now = asked()
        why = Failure("TaskCancelled", "it was cancelled while it ran")
        for charged in (False, True):
            assert after_loss(task, charged, now) == Cancelled(now, why)
        assert after_hand_back(task, now) == Cancelled(now, why)

    def it_is_handed_back_as_ever_if_nobody_has_asked(self):
        task, now = asked()
        assert after_hand_back(apply_not_asked(task), now) == HandedBack()

    def it_ends_when_its_worker_has_to_leave(self, bench):
        @bench.app.delay
        def long(): ...

        task = bench.call(long)
        bench.engine("leaving").tick()
        bench.engine().cancel(task.id)
        bench.clock.advance(seconds=5)
        (ended,) = bench.engine().hand_back("leaving")
        assert (ended.state, ended.finished_at) == (TaskState.CANCELLED, bench.clock.now())

    def it_ends_when_its_worker_lets_it_go(self, bench):
        @bench.app.delay
        def long(): ...

        task = bench.call(long)
        engine = bench.engine()
        engine.tick()
        bench.engine().cancel(task.id)
        assert engine.hand.is_cancel_asked()
        bench.clock.advance(seconds=5)
        engine.let_go()
        ended = bench.task(task)
        assert (ended.state, ended.finished_at) == (TaskState.CANCELLED, bench.clock.now())

    def it_is_noted_whether_it_is_to_be_cut_short(self, bench):
        @bench.app.delay
        def long(): ...

        task = bench.call(long)
        engine = bench.engine()
        engine.tick()
        before = bench.wakes.supervisor
        assert bench.engine().cancel(task.id) is True
        assert (bench.task(task).is_cut_short, bench.wakes.supervisor) == (False, before)
        assert bench.engine().cancel(task.id, kill=True) is True
        assert (bench.task(task).is_cut_short, bench.wakes.supervisor) == (True, before + 1)
        # The worker that did not look has its outcome counted.
        assert work(engine)[0].state is TaskState.SUCCEEDED

    def it_is_anothers_by_now(self, bench):
        @bench.app.delay
        def long():
            bench.engine().reclaim("slow", charged=False)
            other = bench.engine("other")
            other.tick()
            seen.append(slow.hand.is_cancel_asked())
            slow.hand.tell_progress('[1, null, ""]')
            bench.engine().cancel(task.id)
            seen.append(slow.hand.is_cancel_asked())

        seen = []
        task = bench.call(long)
        slow = bench.engine("slow")
        slow.tick()
        assert slow.tick().finished is None
        stored = bench.task(task)
        assert (seen, stored.worker, stored.progress) == ([False, False], "other", None)

    def it_may_be_gone_altogether(self, bench):
        @bench.app.delay
        def long():
            if not seen:
                seen.append("once")
                bench.engine().reclaim("slow", charged=False)
                work(bench.engine("other"))
                bench.clock.advance(days=365)
                bench.engine().purge()
                slow.hand.tell_progress('[1, null, ""]')
                seen.extend([bench.store.get(task.id), slow.hand.is_cancel_asked()])

        seen = []
        task = bench.call(long)
        slow = bench.engine("slow")
        slow.tick()
        assert slow.tick().finished is None
        assert seen == ["once", None, False]


def apply_not_asked(task):
    from dataclasses import replace

    return replace(task, cancel_asked_at=None)


class DescribeDiscard:
    def it_ends_the_task_without_a_failure(self, app, session):
        @app.delay(retries=5)
        def remind():
            raise autocron.Discard("the customer is gone")

        result = remind()
        report = session.run_pending()
        assert [run.attempt for run in report.runs] == [1]
        assert (result.status, result.has_error) == ("cancelled", False)
        assert result.error_message == "Discard: the customer is gone"


def _own_id():
    return autocron.current_task(None).id


class DescribeCurrentTask:
    def it_is_not_there_outside_of_tasks(self):
        with pytest.raises(NoCurrentTask, match=r"no task runs here.*write current_task\(None\)"):
            autocron.current_task()

    def it_is_a_default_there_if_one_is_given(self, session, app):
        assert autocron.current_task(None) is None
        assert autocron.current_task("nobody") == "nobody"
        result = app.delay(_own_id)()
        session.run_pending()
        assert result.result == result.id

    def it_knows_its_task(self, app, session):
        seen = {}

        @app.delay(retries=1, backoff=60, queue="mail")
        def send():
            task = autocron.current_task()
            seen[task.attempt] = task
            assert task.is_last_attempt is (task.attempt == 2)
            raise ValueError

        result = send.options(minutes=5)()
        session.travel(hours=1, raise_errors=False)
        first = seen[1]
        assert (first.id, first.name, first.queue) == (
            result.id,
            f"{__name__}:{send.__qualname__}",
            "mail",
        )
        assert (first.enqueued_at, first.scheduled_at) == (at(NOW), at(NOW) + timedelta(minutes=5))
        assert sorted(seen) == [1, 2]
        assert repr(first) == f"<CurrentTask {result.id} {first.name} attempt 1>"

    def it_is_there_in_place_too(self, app):
        @app.delay
        def send():
            task = autocron.current_task()
            task.progress(1, 2)
            return (task.id, task.is_cancelled)

        result = send()
        assert result.result == (result.id, False)
        assert autocron.current_task(None) is None

    def it_is_there_in_coroutines_and_in_what_they_call(self, app, session):
        @app.delay
        async def fetch():
            import asyncio

            async def inner():
                return autocron.current_task().id

            return await asyncio.gather(inner(), inner())

        result = fetch()
        session.run_pending()
        assert result.result == [result.id, result.id]

    def it_has_a_logger_whose_records_carry_the_task(self, app, session, caplog):
        @app.delay
        def send():
            autocron.current_task().logger.warning("sent to %s", "ada", extra={"more": 1})

        with caplog.at_level(logging.WARNING):
            result = send()
            session.run_pending()
        (record,) = [r for r in caplog.records if r.name.startswith("autocron.task.")]
        assert record.getMessage() == "sent to ada"
        assert (record.task_id, record.more) == (result.id, 1)
        assert record.task_name == f"{__name__}:{send.__qualname__}"


class DescribeProgress:
    def it_is_seen_while_the_task_runs_and_afterwards(self, app, session):
        seen = []

        @app.delay
        def work():
            task = autocron.current_task()
            seen.append(result.progress)
            task.progress(1, 4, "reading")
            seen.append(result.progress)
            task.progress(2, 4)  # so soon that it is not stored by itself
            return "done"

        result = work()
        assert result.progress is None
        session.run_pending()
        assert seen == [None, Progress(1, 4, "reading")]
        assert result.progress == Progress(2, 4, "")

    def it_is_stored_with_the_end_also_where_the_claim_beside_that_fails(self, bench):
        @bench.app.delay
        def long():
            engine.hand.tell_progress(dump_progress(1, 2, ""))
            engine.hand.tell_progress(dump_progress(2, 2, ""))  # so soon that it waits for the end

        bench.call(long)
        store = FailingStore(bench.store)
        engine = bench.engine(store=store)
        engine.tick()
        store.failing = {"claimable"}
        assert engine.tick().finished.progress == dump_progress(2, 2, "")

    def it_is_stored_again_after_a_tenth_of_a_second(self, bench):
        @bench.app.delay
        def long():
            for done in range(4):
                engine.hand.tell_progress(dump_progress(done, None, ""))
                bench.clock.advance(seconds=0.06)
                seen.append(load_progress(bench.task(task).progress).done)

        seen = []
        task = bench.call(long)
        engine = bench.engine()
        assert work(engine)[0].progress == dump_progress(3, None, "")
        assert seen == [0, 0, 2, 2]

    def it_is_stored_later_by_whoever_is_told_when(self, bench):
        """A worker's timer is; so a task that tells often, and then waits, is seen as it is."""

        @bench.app.delay
        def long():
            told.append(engine.hand.tell_progress(dump_progress(1, None, "")))
            bench.clock.advance(seconds=0.06)
            told.append(engine.hand.tell_progress(dump_progress(2, None, "")))
            bench.clock.advance(seconds=0.04)
            running.append(bench.task(task))
            hands.append(engine.hand)
            engine.hand.keep_progress(running[0], lambda: None)
            told.append(load_progress(bench.task(task).progress).done)
            engine.hand.keep_progress(running[0], lambda: dump_progress(2, None, ""))
            told.append(load_progress(bench.task(task).progress).done)

        told, running, hands = [], [], []
        task = bench.call(long)
        engine = bench.engine()
        ended = work(engine)[0]
        assert told == [None, pytest.approx(0.04), 1, 2]
        assert (ended.state, ended.progress) == (TaskState.SUCCEEDED, dump_progress(2, None, ""))
        hands[0].keep_progress(running[0], lambda: dump_progress(9, None, ""))
        assert bench.task(task) == ended

    def it_begins_anew_with_each_attempt(self, app, session):
        @app.delay(retries=1, backoff=1)
        def work():
            if autocron.current_task().attempt == 1:
                autocron.current_task().progress(9, 10)
                raise ValueError
            return result.progress

        result = work()
        session.run_pending(raise_errors=False)
        assert result.progress == Progress(9, 10)
        session.travel(seconds=2)
        assert result.result is None

    def it_is_not_lost_where_somebody_asks_to_cancel(self, app, session):
        @app.delay
        def work():
            autocron.current_task().progress(1, 3)
            result.cancel()
            autocron.current_task().progress(2, 3)
            return autocron.current_task().is_cancelled

        result = work()
        session.run_pending()
        assert (result.progress, result.result) == (Progress(2, 3), True)

    def it_is_kept_although_the_task_never_looks_whether_it_is_cancelled(self, app, session):
        @app.delay
        def work():
            autocron.current_task().progress(1, 3)
            result.cancel()
            autocron.current_task().progress(2, 3)

        result = work()
        session.run_pending()
        assert result.progress == Progress(2, 3)

    def it_is_stored_at_once_although_somebody_has_asked_to_cancel(self, app, session):
        seen = []

        @app.delay
        def work():
            result.cancel()
            autocron.current_task().progress(1, 3)
            seen.append(result.progress)

        result = work()
        session.run_pending()
        assert seen == [Progress(1, 3)]

    @pytest.mark.parametrize(
        ("done", "total", "fraction"),
        [(1, 4, 0.25), (4, 4, 1.0), (5, 4, 1.0), (1, None, None), (0, 0, None), (0, 2, 0.0)],
    )
    def it_tells_the_part_that_is_done(self, done, total, fraction):
        assert Progress(done, total).fraction == fraction

    @pytest.mark.parametrize(
        ("done", "total", "note", "says"),
        [
            (-1, None, "", "done is -1, expected a number from 0"),
            ("1", None, "", "done is '1', expected a number"),
            (True, None, "", "done is True, expected a number"),
            (1, float("inf"), "", "total is inf, expected a number"),
            (10**400, None, "", "done is 1000000*, expected a number"),
            (1, 2, None, "note is None, expected a text"),
        ],
    )
    def it_refuses_what_is_none(self, done, total, note, says):
        with pytest.raises(InvalidTask, match=says):
            dump_progress(done, total, note)

    def it_takes_the_largest_number_that_there_is(self):
        most = sys.float_info.max
        assert load_progress(dump_progress(1, most, "")).fraction == 1 / most

    def it_keeps_a_note_of_500_characters(self):
        assert load_progress(dump_progress(1, 2, "x" * 501)).note == "x" * 500
        assert load_progress(None) is None

    @pytest.mark.parametrize(
        "text",
        ["", "1", "null", "[1, 2]", '["x", 2, ""]', '[1, "x", ""]', "[1, NaN, 3]", "[" * 99_999],
    )
    def it_is_none_that_somebody_else_has_written(self, text):
        assert load_progress(text) is None


class DescribeABench:
    def it_has_an_engine_whose_hand_is_empty(self):
        bench = Bench()
        engine = bench.engine()
        assert engine.hand is None
        bench.store.close()


def it_returns_a_value_for_a_cancelled_task_that_returned():
    task, now = asked()
    assert after_attempt(task, Returned("1"), now).result == "1"
