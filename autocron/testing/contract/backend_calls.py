"""What a backend promises of calls: stored, run in order, kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Callable, Dict, List, Tuple

from autocron.core.outcome import Outcome, Returned
from autocron.core.task import Failure, Task, TaskState
from autocron.testing.contract.bench import (
    BackendCheck,
    Bench,
    a_message,
    payloads_run,
    raises,
    stored_task,
)
from autocron.testing.contract.tools import expect, ids, in_threads


def check_a_call_is_stored_and_waits(make_bench: Callable[[], Bench]) -> None:
    """What ``enqueue`` gives back is what ``get`` finds: a waiting task of its own id."""
    bench = make_bench()
    message = a_message('["ü", {}]', priority=7, unique="U", lock="L")
    task = bench.backend.enqueue(message)
    expect(stored_task(bench, task), task, "the stored task")
    expect(task.state, TaskState.WAITING, "its state")
    expect((task.name, task.payload), (message.name, message.payload), "what was called")
    expect((task.priority, task.unique, task.lock), (7, "U", "L"), "its options")
    expect((task.attempt, task.deaths), (0, 0), "what has happened to it")
    expect(0 < len(task.id) < 64, True, "an id of 1 to 63 characters")
    others = [bench.backend.enqueue(a_message()).id for _ in range(20)]
    expect(len({task.id, *others}), 21, "the number of different ids")
    bench.backend.close()


def check_an_unknown_id_is_no_error(make_bench: Callable[[], Bench]) -> None:
    """Of an unknown id nothing is known, and nothing can be done to it."""
    bench = make_bench()
    expect(bench.backend.get("nobody"), None, "get")
    expect(bench.backend.cancel("nobody"), False, "cancel")
    expect(bench.backend.retry("nobody"), False, "retry")
    bench.backend.close()


def check_a_value_is_kept(make_bench: Callable[[], Bench]) -> None:
    """The text of a result comes back as it was, with the attempt that gave it."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message())
    during: List[Task] = []

    def run(running: Task) -> Outcome:
        during.append(stored_task(bench, running))
        return Returned('{"ü": ["\\u0000"]}')

    bench.work(run)
    expect([(t.id, t.state) for t in during], [(task.id, TaskState.RUNNING)], "while it runs")
    done = stored_task(bench, task)
    expect((done.state, done.result), (TaskState.SUCCEEDED, '{"ü": ["\\u0000"]}'), "afterwards")
    expect((done.attempt, done.failure), (1, None), "its attempts and failure")
    bench.backend.close()


def check_a_failure_is_kept(make_bench: Callable[[], Bench]) -> None:
    """Type, message and traceback come back as they were; the next task is run all the same."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message())
    bench.work(raises)
    done = stored_task(bench, task)
    failure = Failure("ValueError", "no 'ü'\nhere", "Traceback…\n  line")
    expect((done.state, done.failure), (TaskState.FAILED, failure), "the failed task")
    expect(done.result, None, "its result")
    bench.backend.enqueue(a_message("next"))
    expect(payloads_run(bench), ["next"], "what is run then")
    bench.backend.close()


def check_a_call_inside_a_task_is_stored(make_bench: Callable[[], Bench]) -> None:
    """A task may call others; they are run too."""
    bench = make_bench()
    bench.backend.enqueue(a_message("outer"))
    order: List[str] = []

    def run(task: Task) -> Outcome:
        order.append(task.payload)
        if task.payload == "outer":
            bench.backend.enqueue(a_message("inner"))
        return Returned("null")

    bench.work(run)
    expect(order, ["outer", "inner"], "what was run")
    bench.backend.close()


def check_higher_priority_runs_first(make_bench: Callable[[], Bench]) -> None:
    """Among the due tasks the highest priority goes first, then the earliest due."""
    bench = make_bench()
    now = bench.now()
    for payload, priority, seconds in (
        ("low", -100, -30),
        ("second", 0, -10),
        ("first", 0, -20),
        ("high", 100, 0),
        ("not yet", 100, 3600),
    ):
        run_at = now + timedelta(seconds=seconds)
        bench.backend.enqueue(a_message(payload, priority=priority, run_at=run_at))
    expect(payloads_run(bench), ["high", "first", "second", "low"], "the order")
    bench.backend.close()


def check_a_later_task_waits_for_its_time(make_bench: Callable[[], Bench]) -> None:
    """A task is run from its ``run_at`` on, or when its delay has elapsed, and no moment before."""
    bench = make_bench()
    run_at = bench.now() + timedelta(seconds=60)
    for message in (
        a_message("instant", run_at=run_at),
        a_message("delay", run_at=None, delay_seconds=60.0),
    ):
        expect(bench.backend.enqueue(message).run_at, run_at, "its run_at")
    bench.advance(59.0)
    expect(payloads_run(bench), [], "before their time")
    bench.advance(1.0)
    expect(payloads_run(bench), ["instant", "delay"], "at their time")
    bench.backend.close()


def check_unique_gives_back_the_waiting_one(make_bench: Callable[[], Bench]) -> None:
    """While a task with the key waits, a call gives that one back; once it runs, a new one."""
    bench = make_bench()
    first = bench.backend.enqueue(a_message("first", unique="U"))
    expect(bench.backend.enqueue(a_message("second", unique="U")), first, "the second call")
    other = bench.backend.enqueue(a_message("other", unique="V"))
    expect(other.id == first.id, False, "another key gives the same task")
    again: List[Task] = []

    def run(task: Task) -> Outcome:
        if task.payload == "first":
            again.append(bench.backend.enqueue(a_message("third", unique="U")))
        return Returned("null")

    bench.work(run)
    expect([task.payload for task in again], ["third"], "a call while the first one runs")
    fourth = bench.backend.enqueue(a_message("fourth", unique="U"))
    expect(fourth.payload, "fourth", "a call after all have ended")
    bench.backend.close()


def check_one_of_many_unique_calls_is_stored(make_bench: Callable[[], Bench]) -> None:
    """Eight threads that call at once with one key get one and the same task."""
    bench = make_bench()
    message = a_message(unique="U")
    given = in_threads(8, lambda number: bench.backend.enqueue(message).id)
    expect(len(set(given)), 1, "the number of different ids")
    expect(ids(bench.backend.list()), given[:1], "what is stored")
    bench.backend.close()


def check_a_lock_is_held_by_one_running_task(make_bench: Callable[[], Bench]) -> None:
    """While a task with a lock runs, another worker leaves those with the same lock alone."""
    bench = make_bench()
    for payload in ("a1", "a2"):
        bench.backend.enqueue(a_message(payload, lock="A"))
    bench.backend.enqueue(a_message("b", lock="B"))
    meanwhile: Dict[str, List[str]] = {}

    def run(task: Task) -> Outcome:
        meanwhile[task.payload] = payloads_run(bench, "worker-2")
        return Returned("null")

    bench.work(run)
    first, last = ("a1", "a2") if "a1" in meanwhile else ("a2", "a1")
    expect(meanwhile, {first: ["b"], last: []}, "what ran during which")
    bench.backend.close()


CALL_CHECKS: Tuple[BackendCheck, ...] = (
    check_a_call_is_stored_and_waits,
    check_an_unknown_id_is_no_error,
    check_a_value_is_kept,
    check_a_failure_is_kept,
    check_a_call_inside_a_task_is_stored,
    check_higher_priority_runs_first,
    check_a_later_task_waits_for_its_time,
    check_unique_gives_back_the_waiting_one,
    check_one_of_many_unique_calls_is_stored,
    check_a_lock_is_held_by_one_running_task,
)
