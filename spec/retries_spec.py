"""Retries: when a failed attempt is made again.

A task has ``retries`` (none by default): so many attempts are made again after a failure, the last
failure is the task's. Until then it *waits*, its latest failure readable. The delay before the
next attempt is its ``backoff``: a constant number of seconds, or ``"exponential"``, the default:
*full jitter* below a bound that begins at 5 seconds, doubles with each failure, and ends at an hour
(Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). A backoff is elapsed
time: when the wall clock is set, it moves along.

Not every failure is worth another attempt: ``retry_on`` names the exceptions that are, and
``no_retry_on`` those that are not; a class stands for those derived from it. A task says itself
what is to be done by raising ``autocron.Retry``, which asks for another attempt, after as long as
it says, while there are retries left; or ``autocron.Discard``, which ends it as cancelled. What
would be tried again only when the task has expired has failed.

An attempt that takes longer than ``timeout`` is told to end by ``TaskTimeout``, raised inside it: a
failure as any other, and so it is if its worker had to be ended for it.

Failures are what the function does. The death of a worker is no failure, and is counted for itself;
what is handed back is charged nothing. Who asks for a failed task to be run again (``retry``) gives
it all its retries anew. In place there is nobody to try again later: the first failure is final.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron import testing
from autocron.app import App
from autocron.core.errors import InvalidTask, Retry
from autocron.core.events import (
    AttemptFailed,
    Cancelled,
    Claimed,
    Failed,
    HandedBack,
    Retried,
    WorkerLost,
)
from autocron.core.machine import apply
from autocron.core.outcome import (
    Discarded,
    Raised,
    RetryAsked,
    Returned,
    after_attempt,
    after_timeout,
    kinds_of,
)
from autocron.core.policy import Policy
from autocron.core.retry import retry_delay_seconds
from autocron.core.task import Failure, Message, Task, TaskState, new_task
from autocron.engine import Engine
from autocron.shell.invoke import FunctionInvoker
from autocron.shell.sqlite import SQLiteStore
from autocron.testing import ManualClock
from autocron.zones import load_zone
from spec.tables import table

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
BOOM = Raised(Failure("ValueError", "boom"))


def running(retries: int, backoff_seconds: object = 60.0, **more: object) -> Task:
    policy = Policy(retries=retries, backoff_seconds=backoff_seconds, **more)  # type: ignore[arg-type]
    message = Message("m:f", "[[],{}]", policy=policy)
    return apply(new_task(message, "1", NOW), Claimed("w", NOW))


class DescribeDelay:
    @table("""
    failures | backoff_seconds | drawn | seconds
    1        | 60.0            | 0.9   | 60.0
    7        | 60.0            | 0.0   | 60.0
    1        | 0.0             | 0.5   | 0.0
    1        | None            | 0.0   | 0.0
    1        | None            | 0.5   | 2.5
    2        | None            | 0.5   | 5.0
    3        | None            | 0.5   | 10.0
    10       | None            | 0.5   | 1280.0
    11       | None            | 0.5   | 1800.0
    10000    | None            | 0.5   | 1800.0
    """)
    def it_is_constant_or_drawn_below_a_doubling_bound(
        self, failures: str, backoff_seconds: str, drawn: str, seconds: str
    ) -> None:
        backoff = None if backoff_seconds == "None" else float(backoff_seconds)
        assert retry_delay_seconds(int(failures), backoff, float(drawn)) == float(seconds)

    @given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
    def it_is_never_negative_nor_longer_than_an_hour(self, failures: int, drawn: float) -> None:
        assert 0 <= retry_delay_seconds(failures, None, drawn) <= 3600


class DescribeFailedAttempt:
    @table("""
    failures | cap    | drawn | seconds
    0        | 3600.0 | 0.5   | 2.5
    2        | 3600.0 | 0.5   | 10.0
    2        | 8.0    | 0.25  | 2.0
    """)
    def it_waits_longer_with_each_failure_up_to_the_cap(
        self, failures: str, cap: str, drawn: str, seconds: str
    ) -> None:
        task = running(9, None, backoff_cap_seconds=float(cap))
        task = replace(task, failures=int(failures))
        event = after_attempt(task, BOOM, NOW, float(drawn))
        assert event == AttemptFailed(BOOM.failure, NOW, NOW + timedelta(seconds=float(seconds)))
        # Without a drawn number it is as early as it can be.
        assert after_attempt(task, BOOM, NOW) == AttemptFailed(BOOM.failure, NOW, NOW)

    def it_is_final_without_retries(self) -> None:
        assert after_attempt(running(0), BOOM, NOW) == Failed(BOOM.failure, NOW)

    def it_is_made_again_after_the_backoff(self) -> None:
        event = after_attempt(running(1), BOOM, NOW)
        assert event == AttemptFailed(BOOM.failure, NOW, NOW + timedelta(seconds=60))

    def it_waits_with_its_latest_failure_to_be_read(self) -> None:
        task = apply(running(1), after_attempt(running(1), BOOM, NOW))
        assert task.state is TaskState.WAITING
        assert task.failure == BOOM.failure
        assert (task.failures, task.attempt, task.worker, task.elapsed) == (1, 1, None, True)

    @given(st.integers(0, 20))
    def it_is_made_as_often_as_retries_say_and_once_more(self, retries: int) -> None:
        task = new_task(Message("m:f", "[[],{}]", policy=Policy(retries=retries)), "1", NOW)
        attempts = 0
        while not task.state.is_final:
            task = apply(task, Claimed("w", NOW))
            task = apply(task, after_attempt(task, BOOM, NOW, 0.5))
            attempts += 1
        assert attempts == retries + 1 == task.failures
        assert task.state is TaskState.FAILED

    def it_leaves_no_trace_once_the_task_has_succeeded(self) -> None:
        task = apply(running(1), after_attempt(running(1), BOOM, NOW))
        task = apply(task, Claimed("w", NOW))
        task = apply(task, after_attempt(task, Returned("1"), NOW))
        assert (task.state, task.failure, task.attempt) == (TaskState.SUCCEEDED, None, 2)

    def it_is_not_counted_where_a_worker_died_or_handed_back(self) -> None:
        lost = apply(running(1), WorkerLost(charged=True, at=NOW))
        back = apply(running(1), HandedBack())
        assert (lost.failures, back.failures) == (0, 0)

    def it_gets_all_its_retries_anew_when_somebody_asks(self) -> None:
        failed = apply(running(0), after_attempt(running(0), BOOM, NOW))
        assert apply(failed, Retried(NOW)).failures == 0


class DescribeWhatIsWorthAnotherAttempt:
    @table("""
    retry_on         | no_retry_on       | retried
                     |                   | yes
    builtins:OSError |                   | yes
    builtins:KeyError |                  | no
                     | builtins:OSError  | no
    """)
    def it_is_told_by_the_exception(self, retry_on: str, no_retry_on: str, retried: str) -> None:
        task = running(
            1, retry_on=tuple(retry_on.split()) or None, no_retry_on=tuple(no_retry_on.split())
        )
        event = after_attempt(task, Raised(BOOM.failure, kinds_of(ConnectionError)), NOW)
        assert isinstance(event, AttemptFailed) is (retried == "yes")
        assert (event == Failed(BOOM.failure, NOW)) is (retried == "no")

    def it_names_an_exception_and_all_its_bases(self) -> None:
        assert kinds_of(ConnectionError) == (
            "builtins:ConnectionError",
            "builtins:OSError",
            "builtins:Exception",
            "builtins:BaseException",
        )

    def it_is_asked_for_by_the_task(self) -> None:
        later = after_attempt(running(1), RetryAsked(BOOM.failure, 5.0), NOW)
        assert later == AttemptFailed(BOOM.failure, NOW, NOW + timedelta(seconds=5))
        by_backoff = after_attempt(running(1), RetryAsked(BOOM.failure), NOW)
        assert by_backoff == AttemptFailed(BOOM.failure, NOW, NOW + timedelta(seconds=60))
        # Whatever retry_on says; but not beyond the number of retries.
        asked = after_attempt(running(1, retry_on=()), RetryAsked(BOOM.failure), NOW)
        assert asked == by_backoff
        assert after_attempt(running(0), RetryAsked(BOOM.failure), NOW) == Failed(BOOM.failure, NOW)

    def it_is_none_if_the_task_is_discarded(self) -> None:
        assert after_attempt(running(5), Discarded(BOOM.failure), NOW) == Cancelled(
            NOW, BOOM.failure
        )

    def it_is_a_failure_if_it_took_too_long(self) -> None:
        task = running(1, timeout_seconds=2.5)
        event = after_timeout(task, NOW)
        assert isinstance(event, AttemptFailed)
        assert event.failure.error_message == (
            "TaskTimeout: it did not end within 2.5 seconds, nor when it was told to, so its "
            "worker was ended"
        )
        one = after_timeout(running(1, timeout_seconds=1.0), NOW)
        assert one.failure.error_message.startswith("TaskTimeout: it did not end within 1 second, ")
        kind = "autocron.core.errors:TaskTimeout"
        given_up = after_timeout(running(1, timeout_seconds=2.5, no_retry_on=(kind,)), NOW)
        assert given_up == Failed(event.failure, NOW)

    def it_has_a_longest_delay(self) -> None:
        event = after_attempt(running(9, None, backoff_cap_seconds=2.0), BOOM, NOW, 0.5)
        assert event == AttemptFailed(BOOM.failure, NOW, NOW + timedelta(seconds=1))


class DescribeARetryOfATask:
    def it_asks_for_itself_by_raising(self) -> None:
        app = App()
        tries: List[int] = []

        @app.delay(retries=2, retry_on=KeyError)
        def poll() -> int:
            tries.append(len(tries))
            if len(tries) < 3:
                raise Retry("not there yet", after=30)
            return len(tries)

        with testing.session(now="2026-01-01", app=app) as session:
            result = poll()
            assert session.run_pending().failed == 1  # and nothing is raised here: it was asked for
            session.travel(minutes=1)
            assert result.result == 3
            assert [run.retry_at for run in session.runs(poll)][:2] == [
                NOW + timedelta(seconds=30),
                NOW + timedelta(seconds=60),
            ]

    def it_has_failed_when_all_are_used(self) -> None:
        app = App()

        @app.delay(retries=1)
        def poll() -> None:
            raise Retry("not there yet", after=0)

        with testing.session(now="2026-01-01", app=app) as session:
            result = poll()
            session.run_pending()
            assert (result.status, result.error_message) == ("failed", "Retry: not there yet")


class DescribeEngine:
    def it_retries_each_time_at_its_own_time(self) -> None:
        app, clock = App(), ManualClock("2026-01-01")
        at: List[float] = []

        @app.delay(retries=2, backoff=60)
        def flaky() -> str:
            at.append(clock.monotonic())
            if len(at) < 3:
                raise ValueError(f"failure {len(at)}")
            return "done"

        store = SQLiteStore(":memory:")
        name = app.registry.all()[0].name
        engine = Engine(
            store,
            clock,
            zones=load_zone,
            new_id=lambda: "1",
            invoker=FunctionInvoker(lambda name: app.registry.get(name) or name, lambda: app.codec),
        )
        engine.enqueue(Message(name, "[[],{}]", policy=Policy(retries=2, backoff_seconds=60.0)))
        for _ in range(200):
            engine.tick()
            clock.advance(seconds=1 if engine.in_hand is None else 0)
        task = store.get("1")
        store.close()
        assert task is not None
        assert (task.state, task.result, task.attempt) == (TaskState.SUCCEEDED, '"done"', 3)
        assert len(at) == 3
        assert all(60 <= later - earlier <= 61 for earlier, later in zip(at, at[1:]))


class DescribeOptions:
    def it_takes_them_at_the_decorator_and_at_one_call(self) -> None:
        app = App()

        @app.delay(retries=3, backoff=timedelta(minutes=1))
        def send() -> None: ...

        assert send.options(retries=0) is not send

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"retries": -1}, "retries: -1 is not a whole number"),
            ({"retries": 1.5}, "retries: 1.5 is not a whole number"),
            ({"retries": True}, "retries: True is not a whole number"),
            ({"backoff": "fast"}, "'fast' is neither a number of seconds .* nor 'exponential'"),
            ({"backoff": -1}, "backoff: -1 is neither a number of seconds from 0"),
            ({"backoff": 1e12}, "backoff: 1000000000000.0 is neither"),
        ],
    )
    def it_refuses_what_is_no_number(self, options: dict, told: str) -> None:
        with pytest.raises(InvalidTask, match=told):
            App().delay(**options)

    def it_ends_with_the_first_failure_in_place(self) -> None:
        app = App()

        @app.delay(retries=3)
        def fail() -> None:
            raise ValueError("boom")

        result = fail()
        assert result.has_error
        assert result.error_message == "ValueError: boom"
