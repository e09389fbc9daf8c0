"""What a backend promises of calls: stored, run in order, kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Callable, Dict, List, Optional, Tuple

from autocron.core.outcome import Outcome, Returned
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.task import Failure, Task, TaskState
from autocron.ports import Hand
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


def check_a_call_may_bring_the_id_of_its_task(make_bench: Callable[[], Bench]) -> None:
    """Where the id was given away before, the task has that one."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message(id="given-away"))
    expect((task.id, stored_task(bench, task)), ("given-away", task), "the task")
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

    def run(running: Task, hand: Hand) -> Outcome:
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

    def run(task: Task, hand: Hand) -> Outcome:
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

    def run(task: Task, hand: Hand) -> Outcome:
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

    def run(task: Task, hand: Hand) -> Outcome:
        meanwhile[task.payload] = payloads_run(bench, "worker-2")
        return Returned("null")

    bench.work(run)
    first, last = ("a1", "a2") if "a1" in meanwhile else ("a2", "a1")
    expect(meanwhile, {first: ["b"], last: []}, "what ran during which")
    bench.backend.close()


def check_a_limit_is_held_by_as_many_running_tasks(make_bench: Callable[[], Bench]) -> None:
    """With ``limit``, that many tasks with one lock run at once, and no more."""
    bench = make_bench()
    for payload in ("1", "2", "3"):
        bench.backend.enqueue(a_message(payload, lock="A", limit=2))
    at_once: List[int] = []

    def run(task: Task, hand: Hand) -> Outcome:
        at_once.append(len(bench.backend.list(state=TaskState.RUNNING)))
        if len(at_once) < 9:
            bench.work(run, f"worker-{len(at_once) + 1}")
        return Returned("null")

    bench.work(run)
    expect((len(at_once), max(at_once)), (3, 2), "how many ran, and how many at once")
    bench.backend.close()


def check_a_rate_is_kept(make_bench: Callable[[], Bench]) -> None:
    """In no period of a rate more tasks with its key begin than it allows; the others wait."""
    bench = make_bench()
    policy = Policy(rate=Rate(2, 60.0))
    for number in range(5):
        bench.backend.enqueue(a_message(str(number), rate_key="R", policy=policy))
    bench.backend.enqueue(a_message("other"))
    expect(payloads_run(bench), ["0", "1", "other"], "at once")
    bench.advance(59.0)
    expect(payloads_run(bench), [], "before the period is over")
    bench.advance(1.0)
    expect(payloads_run(bench), ["2", "3"], "when it is over")
    bench.advance(60.0)
    expect(payloads_run(bench), ["4"], "after one more")
    bench.backend.close()


def check_an_expired_task_never_begins(make_bench: Callable[[], Bench]) -> None:
    """A task is run before it expires, and neither at that instant nor later."""
    bench = make_bench()
    for payload, seconds in (("at", 60.0), ("after", 60.000001)):
        bench.backend.enqueue(a_message(payload, expires_seconds=seconds))
        bench.backend.enqueue(
            a_message(f"{payload} too", expires_at=bench.now() + timedelta(seconds=seconds))
        )
    bench.advance(60.0)
    expect(payloads_run(bench), ["after", "after too"], "what is run at that instant")
    bench.backend.close()


def check_unique_may_last_while_it_runs_or_for_a_period(make_bench: Callable[[], Bench]) -> None:
    """A key may be taken by a running task, too, or for a period, whatever becomes of the task."""
    bench = make_bench()
    first = bench.backend.enqueue(a_message("first", unique="U", unique_running=True))
    during: List[str] = []

    def run(task: Task, hand: Hand) -> Outcome:
        again = a_message("again", unique="U", unique_running=True)
        during.append(bench.backend.enqueue(again).id)
        return Returned("null")

    bench.work(run)
    expect(during, [first.id], "a call while it runs")
    message = a_message("for a minute", unique="U", unique_seconds=60.0)
    second = bench.backend.enqueue(message)
    expect(payloads_run(bench), ["for a minute"], "what is run")
    bench.advance(59.0)
    expect(bench.backend.enqueue(message).id, second.id, "a call within the period")
    bench.advance(1.0)
    expect(bench.backend.enqueue(message).id == second.id, False, "the same one after the period")
    bench.backend.close()


def check_progress_is_kept(make_bench: Callable[[], Bench]) -> None:
    """What a running function tells of its progress is known at once; a new attempt begins anew."""
    bench = make_bench()
    task = bench.backend.enqueue(a_message(policy=Policy(retries=1, backoff_seconds=1.0)))
    known: List[Optional[str]] = []

    def run(running: Task, hand: Hand) -> Outcome:
        known.append(stored_task(bench, running).progress)
        hand.tell_progress('{"ü": 1}')
        known.append(stored_task(bench, running).progress)
        return raises(running, hand)

    bench.work(run)
    bench.advance(1.0)
    bench.work(run)
    expect(known, [None, '{"ü": 1}', None, '{"ü": 1}'], "before and after, in each attempt")
    done = stored_task(bench, task)
    expect((done.state, done.progress), (TaskState.FAILED, '{"ü": 1}'), "in the end")
    expect([past.number for past in done.history], [1], "the attempts that did not end it")
    bench.backend.close()


CALL_CHECKS: Tuple[BackendCheck, ...] = (
    check_a_call_is_stored_and_waits,
    check_a_call_may_bring_the_id_of_its_task,
    check_an_unknown_id_is_no_error,
    check_a_value_is_kept,
    check_a_failure_is_kept,
    check_a_call_inside_a_task_is_stored,
    check_higher_priority_runs_first,
    check_a_later_task_waits_for_its_time,
    check_unique_gives_back_the_waiting_one,
    check_one_of_many_unique_calls_is_stored,
    check_a_lock_is_held_by_one_running_task,
    check_a_limit_is_held_by_as_many_running_tasks,
    check_a_rate_is_kept,
    check_an_expired_task_never_begins,
    check_unique_may_last_while_it_runs_or_for_a_period,
    check_progress_is_kept,
)
