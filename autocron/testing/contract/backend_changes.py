"""What a backend promises of changes: cancel, retry, loss, purge."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Callable, List, Tuple

from autocron.core.outcome import Outcome, Returned, Unknown
from autocron.core.policy import Policy
from autocron.core.task import Task, TaskState
from autocron.ports import Hand
from autocron.testing.contract.bench import (
    BackendCheck,
    Bench,
    a_message,
    death,
    payloads_run,
    raises,
    returns_null,
    stored_task,
)
from autocron.testing.contract.tools import expect, ids


def check_a_waiting_task_is_cancelled_once(make_bench: Callable[[], Bench]) -> None:
    """A cancelled task is not run; a second ``cancel`` has nothing to do."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message())
    expect(bench.backend.cancel(task.id), True, "the first cancel")
    expect(stored_task(bench, task).state, TaskState.CANCELLED, "its state")
    expect(bench.backend.cancel(task.id), False, "the second cancel")
    expect(payloads_run(bench), [], "what is run")
    bench.backend.close()


def check_what_has_ended_is_not_cancelled(make_bench: Callable[[], Bench]) -> None:
    """``cancel`` is False for a task that has run, and changes nothing."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message())
    bench.work(lambda running, hand: Returned("1"))
    expect(bench.backend.cancel(task.id), False, "cancel")
    expect(bench.backend.cancel(task.id, kill=True), False, "cancel, with kill")
    expect(stored_task(bench, task).result, "1", "its result")
    bench.backend.close()


def check_a_running_task_is_asked_to_end(make_bench: Callable[[], Bench]) -> None:
    """A running task hears that it is to be cancelled; what returns all the same has succeeded."""
    bench = make_bench()
    heeds = bench.backend.enqueue(a_message("heeds", policy=Policy(retries=5)))
    does_not = bench.backend.enqueue(a_message("does not"))
    heard: List[bool] = []

    def run(running: Task, hand: Hand) -> Outcome:
        heard.append(hand.is_cancel_asked())
        heard.append(bench.backend.cancel(running.id))
        heard.append(hand.is_cancel_asked())
        return Returned("1") if running.payload == "does not" else raises(running, hand)

    bench.work(run)
    expect(heard, [False, True, True] * 2, "asked before, cancel, asked after")
    done = stored_task(bench, heeds)
    expect((done.state, bool(done.failure)), (TaskState.CANCELLED, True), "the one that heeds it")
    done = stored_task(bench, does_not)
    expect((done.state, done.result), (TaskState.SUCCEEDED, "1"), "the one that does not")
    bench.backend.close()


def check_a_kill_is_noted(make_bench: Callable[[], Bench]) -> None:
    """``cancel(kill=True)`` of a running task says so; once it is reclaimed, it is cancelled."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message())
    death(bench)
    expect(bench.backend.cancel(task.id), True, "cancel")
    expect(stored_task(bench, task).is_cut_short, False, "whether it is to be ended")
    expect(bench.backend.cancel(task.id, kill=True), True, "cancel, with kill")
    expect(stored_task(bench, task).is_cut_short, True, "whether it is to be ended then")
    bench.backend.reclaim("worker-1", charged=False)
    expect(stored_task(bench, task).state, TaskState.CANCELLED, "when its worker was ended")
    expect(payloads_run(bench), [], "what is run")
    bench.backend.close()


def check_a_timeout_is_a_failure(make_bench: Callable[[], Bench]) -> None:
    """A task whose worker was ended since it took too long has failed, and is retried as such."""
    bench = make_bench()
    policy = Policy(retries=1, backoff_seconds=5.0, timeout_seconds=2.0)
    task = bench.backend.enqueue(a_message(policy=policy))
    death(bench)
    taken = bench.backend.reclaim("worker-1", charged=True, timed_out=True)
    expect(taken, [stored_task(bench, task)], "what became of it")
    expect((taken[0].state, taken[0].failures, taken[0].deaths), (TaskState.WAITING, 1, 0), "then")
    bench.advance(5.0)
    death(bench)
    bench.backend.reclaim("worker-1", charged=True, timed_out=True)
    done = stored_task(bench, task)
    told = done.failure.error_message if done.failure else ""
    expect(done.state, TaskState.FAILED, "after its last attempt")
    expect("TaskTimeout" in told and "2 seconds" in told, True, f"what is told in {told!r}")
    bench.backend.close()


def check_failed_and_cancelled_tasks_can_be_retried(make_bench: Callable[[], Bench]) -> None:
    """``retry`` makes them wait and run again; it is False for all others."""
    bench = make_bench()
    failed = bench.backend.enqueue(a_message("failed"))
    bench.work(raises)
    cancelled = bench.backend.enqueue(a_message("cancelled"))
    expect(bench.backend.cancel(cancelled.id), True, "cancel")
    for task in (failed, cancelled):
        expect(bench.backend.retry(task.id), True, "retry")
        expect(bench.backend.retry(task.id), False, "retry of one that waits")
    expect(sorted(payloads_run(bench)), ["cancelled", "failed"], "what is run")
    done = stored_task(bench, failed)
    expect((done.state, done.attempt), (TaskState.SUCCEEDED, 2), "the one that had failed")
    expect(done.failure, None, "its failure")
    expect(bench.backend.retry(failed.id), False, "retry of one that succeeded")
    bench.backend.close()


def check_a_lost_task_runs_again(make_bench: Callable[[], Bench]) -> None:
    """A task whose worker died waits again once it is reclaimed, and is run."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message("poor"))
    death(bench)
    expect(stored_task(bench, task).state, TaskState.RUNNING, "before it is reclaimed")
    expect(bench.backend.reclaim("another", charged=True), [], "of another worker")
    taken = bench.backend.reclaim("worker-1", charged=False)
    expect(taken, [stored_task(bench, task)], "what became of it")
    expect((taken[0].state, taken[0].deaths), (TaskState.WAITING, 0), "its state and deaths")
    expect(bench.backend.reclaim("worker-1", charged=False), [], "a second time")
    expect(payloads_run(bench), ["poor"], "what is run")
    bench.backend.close()


def check_the_third_charged_death_is_the_last(make_bench: Callable[[], Bench]) -> None:
    """A task that has killed three workers fails; losses that are not charged do not count."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message())
    for charged in (True, False, True, False, True):
        expect(stored_task(bench, task).state, TaskState.WAITING, "before the worker dies")
        death(bench)
        bench.backend.reclaim("worker-1", charged=charged)
    done = stored_task(bench, task)
    expect(done.state, TaskState.FAILED, "after three deaths")
    told = done.failure.error_message if done.failure else ""
    expect("died 3 times" in told, True, f"'died 3 times' is in {told!r}")
    expect(done.deaths, 3, "the deaths in its record")
    expect(payloads_run(bench), [], "what is run then")
    bench.backend.close()


def check_a_finish_after_the_loss_changes_nothing(make_bench: Callable[[], Bench]) -> None:
    """A worker that was thought dead cannot finish what was taken from it."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message())
    results = iter(["too late", "second"])

    def run(running: Task, hand: Hand) -> Outcome:
        result = next(results)
        if result == "too late":
            bench.backend.reclaim("worker-1", charged=False)
        return Returned(result)

    bench.work(run)
    done = stored_task(bench, task)
    expect((done.result, done.attempt), ("second", 2), "its result and attempts")
    bench.backend.close()


def check_an_unknown_function_is_waited_for(make_bench: Callable[[], Bench]) -> None:
    """A task that workers do not know is not charged, and fails only after a minute of it."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message())
    begun_at = bench.now()
    while stored_task(bench, task).state is TaskState.WAITING:
        expect(stored_task(bench, task).attempt, 0, "its attempts")
        bench.work(lambda running, hand: Unknown("no such function"))
        bench.advance(1.0)
        if bench.now() - begun_at > timedelta(seconds=100):
            raise AssertionError("the task still waits after 100 seconds")
    done = stored_task(bench, task)
    expect((done.state, bool(done.failure)), (TaskState.FAILED, True), "in the end")
    waited_seconds = (bench.now() - begun_at).total_seconds()
    expect(waited_seconds >= 60.0, True, f"{waited_seconds} seconds are at least 60")
    bench.backend.close()


def check_lists_and_counts_agree(make_bench: Callable[[], Bench]) -> None:
    """``list`` selects by state and name, the oldest first; ``stats`` counts the same tasks."""
    bench = make_bench()
    backend, later_at = bench.backend, bench.now() + timedelta(days=1)
    expect(backend.list(), [], "the list at first")
    done = backend.enqueue(a_message("done"))
    bench.work(returns_null)
    waiting = backend.enqueue(replace(a_message("waiting", run_at=later_at), name="shop.jobs:x"))
    cancelled = backend.enqueue(a_message("cancelled"))
    backend.cancel(cancelled.id)
    expect(ids(backend.list()), [done.id, waiting.id, cancelled.id], "all")
    expect(ids(backend.list(limit=2)), [done.id, waiting.id], "with a limit")
    expect(ids(backend.list(state=TaskState.WAITING)), [waiting.id], "by state")
    expect(ids(backend.list(name="shop.jobs:x")), [waiting.id], "by name")
    counts = {state: len(backend.list(state=state)) for state in TaskState}
    expect(backend.stats().counts, counts, "the counts")
    expect(backend.stats().oldest_due_at, None, "the oldest due time, if nothing is due")
    due = backend.enqueue(a_message("due"))
    expect(backend.stats().oldest_due_at, due.run_at, "the oldest due time")
    backend.close()


def check_results_are_purged_in_time(make_bench: Callable[[], Bench]) -> None:
    """Results go half an hour after the end; failures stay for days, what waits stays."""
    bench = make_bench()
    done = bench.backend.enqueue(a_message())
    bench.work(returns_null)
    failed = bench.backend.enqueue(a_message())
    bench.work(raises)
    waiting = bench.backend.enqueue(a_message(run_at=bench.now() + timedelta(days=2)))
    bench.advance(1800.0)
    expect(bench.backend.purge(), 0, "half an hour later, to the second")
    bench.advance(1.0)
    expect(bench.backend.purge(), 1, "a second after that")
    expect(bench.backend.get(done.id), None, "the purged task")
    bench.advance(86400.0)
    expect(bench.backend.purge(), 0, "a day later")
    expect(ids(bench.backend.list()), [failed.id, waiting.id], "what is left")
    bench.backend.close()


def check_opening_and_closing_may_be_repeated(make_bench: Callable[[], Bench]) -> None:
    """``open`` and ``close`` may be called at any time, and the next use opens it again."""
    bench = make_bench()
    bench.backend.open()
    task = bench.backend.enqueue(a_message())
    bench.backend.open()
    expect(stored_task(bench, task), task, "after a second open")
    bench.backend.close()
    bench.backend.close()
    task = bench.backend.enqueue(a_message())
    expect(stored_task(bench, task), task, "a call after closing")
    bench.backend.close()


CHANGE_CHECKS: Tuple[BackendCheck, ...] = (
    check_a_waiting_task_is_cancelled_once,
    check_what_has_ended_is_not_cancelled,
    check_a_running_task_is_asked_to_end,
    check_a_kill_is_noted,
    check_a_timeout_is_a_failure,
    check_failed_and_cancelled_tasks_can_be_retried,
    check_a_lost_task_runs_again,
    check_the_third_charged_death_is_the_last,
    check_a_finish_after_the_loss_changes_nothing,
    check_an_unknown_function_is_waited_for,
    check_lists_and_counts_agree,
    check_results_are_purged_in_time,
    check_opening_and_closing_may_be_repeated,
)
