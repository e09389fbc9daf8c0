"""Recovery: what becomes of a task whose attempt did not end well, with no code from the user.

A task runs **at least once**. What follows from an attempt:

* It returned: the task has succeeded. It raised: the task has failed. Both are final; a failure is
  kept, and nothing is tried again unless somebody asks for it.
* Its worker died: it waits again and is run again. A death is **charged** only when a supervisor
  that lived saw it and had not caused it. The **third charged death** is the last: the task has
  failed, with three deaths in its record, so that one poison task can not kill workers for ever; it
  says what ended them. Deaths that nobody saw, as in a power cut, are never charged, so however
  many there are, no innocent task fails for them.
* It was **handed back**, because its worker had to leave: it waits again, and nothing is charged,
  neither a death nor an attempt.
* Its function was **unknown** to the worker: new code may be on its way. It is handed back for 5
  seconds, again and again, and fails only when workers have not known it for 60 seconds. Any other
  end of an attempt ends that count.
* The module of its function **could not be imported**: it is handed back for 5 seconds, too, and
  that for as long as it takes. The task is not at fault; whoever mends the module wants it to run.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.core.events import (
    AttemptFailed,
    CancelAsked,
    Cancelled,
    Claimed,
    Failed,
    HandedBack,
    Retried,
    Succeeded,
    WorkerLost,
)
from autocron.core.machine import apply
from autocron.core.outcome import (
    MAX_DEATHS,
    UNKNOWN_PATIENCE_SECONDS,
    UNKNOWN_PAUSE_SECONDS,
    Raised,
    Returned,
    Unknown,
    after_attempt,
    after_loss,
    after_timeout,
)
from autocron.core.policy import Policy
from autocron.core.task import Failure, Message, TaskState, new_task

NOW = datetime(2024, 2, 29, 12, 0, tzinfo=timezone.utc)
FAILURE = Failure("ValueError", "text", "Traceback…")


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def waiting():
    return new_task(Message("shop.mail:send", "[[],{}]"), "t-1", NOW)


def claim(task, seconds=0.0, worker="worker-1"):
    return apply(task, Claimed(worker, at(seconds)))


def lose(task, charged, seconds=0.0, how=""):
    return apply(task, after_loss(task, charged, at(seconds), how))


def unknown(task, seconds):
    return apply(task, after_attempt(task, Unknown("no module 'shop'"), at(seconds)))


class DescribeAnAttempt:
    def it_succeeds_with_what_was_returned(self):
        assert after_attempt(claim(waiting()), Returned("[1]"), at(2)) == Succeeded("[1]", at(2))

    def it_fails_with_what_was_raised(self):
        assert after_attempt(claim(waiting()), Raised(FAILURE), at(2)) == Failed(FAILURE, at(2))

    def it_is_final_however_often_it_was_tried(self):
        task = claim(lose(claim(lose(claim(waiting()), True)), False))
        failed = apply(task, after_attempt(task, Raised(FAILURE), at(3)))
        assert (failed.state, failed.attempt) == (TaskState.FAILED, 3)


class DescribeADeath:
    def it_is_followed_by_another_run(self):
        lost = lose(claim(waiting()), charged=True)
        assert (lost.state, lost.deaths, lost.attempt) == (TaskState.WAITING, 1, 1)
        assert lost.run_at == NOW

    def it_is_the_last_when_it_is_the_third_charged_one(self):
        assert MAX_DEATHS == 3
        task = waiting()
        for _ in range(2):
            task = lose(claim(task), charged=True)
            assert task.state is TaskState.WAITING
        dying = claim(task, 60, worker="worker-7")
        event = after_loss(dying, True, at(61))
        assert isinstance(event, Failed)
        assert event.at == at(61)
        assert event.failure.error_message == (
            "WorkerDied: its worker died 3 times while it ran this task, so it is not run again; "
            "the last worker was worker-7"
        )
        assert apply(dying, event).state is TaskState.FAILED

    def it_stands_in_the_record_the_last_one_too(self):
        task = waiting()
        for deaths in (1, 2, 3):
            task = lose(claim(task), charged=True)
            assert task.deaths == deaths

    def it_is_in_no_record_of_a_failure_of_another_kind(self):
        task = claim(lose(claim(waiting()), charged=True))
        failed = apply(task, after_attempt(task, Raised(FAILURE), at(3)))
        assert (failed.state, failed.deaths) == (TaskState.FAILED, 1)

    def it_leaves_word_of_what_ended_each_worker(self):
        """Where that is known: who has seen its process end knows it."""
        task = waiting()
        for how in ("was ended by SIGSEGV", "ended with exit code 3"):
            task = lose(claim(task), charged=True, how=how)
        told = [past.error_message for past in task.history]
        assert told == ["its worker was ended by SIGSEGV", "its worker ended with exit code 3"]
        failed = lose(claim(task, worker="w"), charged=True, how="was ended by SIGABRT")
        assert failed.failure.message.endswith("the last worker was w, which was ended by SIGABRT")

    def it_is_not_charged_after_a_power_cut(self):
        task = waiting()
        for cut in range(1, 101):
            task = lose(claim(task), charged=False)
            assert (task.state, task.deaths, task.attempt) == (TaskState.WAITING, 0, cut)

    def it_is_the_last_however_many_power_cuts_lie_between(self):
        task = waiting()
        for charged in (False, True, False, False, True, False):
            task = lose(claim(task), charged)
        assert (task.state, task.deaths) == (TaskState.WAITING, 2)
        assert lose(claim(task), charged=False).state is TaskState.WAITING
        assert lose(claim(task), charged=True).state is TaskState.FAILED

    @given(st.lists(st.booleans(), max_size=20))
    def it_fails_the_task_exactly_at_the_third_charge(self, charges):
        task = waiting()
        for number, charged in enumerate(charges, 1):
            task = lose(claim(task), charged)
            failed = sum(charges[:number]) == 3
            assert (task.state is TaskState.FAILED) == failed
            if failed:
                return

    def it_is_forgotten_when_somebody_asks_for_a_retry(self):
        task = waiting()
        for _ in range(3):
            task = lose(claim(task), charged=True)
        again = apply(task, Retried(at(100)))
        assert (again.state, again.deaths, again.run_at) == (TaskState.WAITING, 0, at(100))
        assert lose(claim(again), charged=True).state is TaskState.WAITING

    def it_is_told_as_an_event_that_says_whether_it_is_charged(self):
        running = claim(waiting())
        assert after_loss(running, True, NOW) == WorkerLost(charged=True, at=NOW)
        assert after_loss(running, False, NOW) == WorkerLost(charged=False, at=NOW)


class DescribeAHandBack:
    def it_charges_nothing_however_often(self):
        task = waiting()
        for _ in range(50):
            task = apply(claim(task), HandedBack())
            assert (task.state, task.attempt, task.deaths) == (TaskState.WAITING, 0, 0)
            assert (task.run_at, task.worker) == (NOW, None)

    def it_keeps_what_was_charged_before(self):
        task = apply(claim(lose(claim(waiting()), charged=True)), HandedBack())
        assert (task.attempt, task.deaths) == (1, 1)


class DescribeABrokenModule:
    def it_makes_the_task_wait_however_long_that_takes(self):
        task = waiting()
        for seconds in range(0, 1_000_000, 50_000):
            outcome = Unknown("can not be imported", is_broken=True)
            event = after_attempt(claim(task, seconds), outcome, at(seconds))
            assert event == HandedBack(run_at=at(seconds + UNKNOWN_PAUSE_SECONDS))
            task = apply(claim(task, seconds), event)
        assert (task.state, task.attempt, task.deaths) == (TaskState.WAITING, 0, 0)

    def it_ends_the_count_of_an_unknown_function(self):
        task = unknown(claim(waiting(), 0), 0)
        task = apply(claim(task, 30), after_attempt(claim(task, 30), Unknown("x", True), at(30)))
        assert unknown(claim(task, 70), 70).state is TaskState.WAITING

    def it_is_cancelled_if_somebody_asks(self):
        task = apply(claim(waiting()), CancelAsked(at(1)))
        assert after_attempt(task, Unknown("x", is_broken=True), at(2)) == Cancelled(at(2))


class DescribeAnUnknownFunction:
    def it_is_waited_for(self):
        event = after_attempt(claim(waiting()), Unknown("no module 'shop'"), at(7))
        assert event == HandedBack(run_at=at(7 + UNKNOWN_PAUSE_SECONDS), unknown_since_at=at(7))

    def it_fails_after_workers_have_not_known_it_for_a_minute(self):
        assert (UNKNOWN_PATIENCE_SECONDS, UNKNOWN_PAUSE_SECONDS) == (60.0, 5.0)
        task, seconds = waiting(), 100.0
        while task.state is TaskState.WAITING:
            assert seconds <= 160.0
            assert task.attempt == 0
            task = unknown(claim(task, seconds), seconds)
            seconds = (task.run_at - NOW).total_seconds()
        assert task.state is TaskState.FAILED
        assert task.finished_at == at(160)
        assert task.failure == Failure("UnknownTask", "no module 'shop'")

    @pytest.mark.parametrize(
        ("seconds", "state"), [(159.999999, TaskState.WAITING), (160.0, TaskState.FAILED)]
    )
    def it_counts_from_the_first_worker_that_did_not_know_it(self, seconds, state):
        task = unknown(claim(waiting(), 100), 100)
        task = unknown(claim(task, 130), 130)
        assert unknown(claim(task, seconds), seconds).state is state

    def it_is_run_once_a_worker_knows_it(self):
        task = claim(unknown(claim(waiting()), 0), 30)
        done = apply(task, after_attempt(task, Returned("null"), at(31)))
        assert (done.state, done.attempt, done.unknown_since_at) == (TaskState.SUCCEEDED, 1, None)

    def it_is_counted_anew_after_a_hand_back_for_another_reason(self):
        task = unknown(claim(waiting(), 0), 0)
        task = apply(claim(task, 10), HandedBack())
        assert unknown(claim(task, 70), 70).state is TaskState.WAITING

    def it_is_counted_anew_after_a_death_since_it_was_known_then(self):
        task = unknown(claim(waiting(), 0), 0)
        task = lose(claim(task, 10), charged=False)
        assert unknown(claim(task, 70), 70).state is TaskState.WAITING

    def it_is_counted_anew_after_a_retry(self):
        task = unknown(claim(unknown(claim(waiting(), 0), 0), 60), 60)
        assert task.state is TaskState.FAILED
        again = apply(task, Retried(at(100)))
        assert unknown(claim(again, 101), 101).state is TaskState.WAITING


class DescribeATimeoutThatEndedTheWorker:
    failure = Failure(
        "TaskTimeout",
        "it did not end within 90 seconds, nor when it was told to, so its worker was ended",
    )

    def running(self, **policy):
        message = Message(
            "shop.mail:send", "[[],{}]", policy=Policy(timeout_seconds=90.0, **policy)
        )
        return claim(new_task(message, "t-1", NOW))

    def it_is_tried_again_as_after_any_failure(self):
        for drawn, delay in ((0.5, 2.5), (0.0, 0.0)):
            event = after_timeout(self.running(retries=1), at(95), drawn)
            assert event == AttemptFailed(self.failure, at(95), at(95 + delay))
        assert after_timeout(self.running(retries=1), at(95)).run_at == at(95)

    def it_is_no_death(self, bench):
        @bench.app.delay
        def slow(): ...

        task = bench.call(slow, policy=Policy(timeout_seconds=90.0, retries=1))
        bench.engine("stuck").tick()
        (back,) = bench.engine().reclaim("stuck", charged=True, timed_out=True)
        assert (back.id, back.state, back.deaths, back.failures) == (
            task.id,
            TaskState.WAITING,
            0,
            1,
        )
        assert bench.task(task) == back
        assert back.run_at == bench.clock.now() + timedelta(seconds=2.5)
