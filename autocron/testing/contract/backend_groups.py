"""What a backend promises of calls that belong together: groups, chains, and all or nothing."""

from __future__ import annotations

from typing import Any, Callable, List, Sequence, Tuple

from autocron.core.given import load_given
from autocron.core.outcome import Outcome, Returned
from autocron.core.task import MAX_ID_LENGTH, Task
from autocron.core.values import Alike
from autocron.ports import Hand
from autocron.testing.contract.bench import (
    BackendCheck,
    Bench,
    a_message,
    payloads_run,
    raises,
    stored_task,
)
from autocron.testing.contract.tools import expect, ids


def _states(bench: Bench, tasks: Sequence[Task]) -> List[str]:
    return [stored_task(bench, task).state.value for task in tasks]


def _given(bench: Bench, task: Task) -> Any:
    text = stored_task(bench, task).given
    return None if text is None else load_given(text, lambda result: result)


def _fails_if_bad(task: Task, hand: Hand) -> Outcome:
    if task.payload.startswith("bad"):
        return raises(task, hand)
    return Returned(f"of {task.payload}")


def check_many_calls_are_stored_as_one(make_bench: Callable[[], Bench]) -> None:
    """``enqueue_all`` stores every call, in order, under one group, by which they are listed."""
    bench = make_bench()
    other = bench.backend.enqueue(a_message("other"))
    tasks, then = bench.backend.enqueue_all([a_message(str(number)) for number in range(5)])
    expect([task.payload for task in tasks], list("01234"), "the tasks")
    expect(then, [], "those that are held")
    group = tasks[0].group
    expect({task.group for task in tasks}, {group}, "their groups")
    expect(group is not None and 0 < len(group) <= MAX_ID_LENGTH, True, f"a group id is {group!r}")
    expect(bench.backend.list(group=group), tasks, "the group as it is listed")
    expect(ids(bench.backend.list()), [other.id, *ids(tasks)], "all that is stored")
    expect(payloads_run(bench), ["other", *"01234"], "what is run")
    bench.backend.close()


def check_many_calls_may_bring_their_ids(make_bench: Callable[[], Bench]) -> None:
    """Calls, what follows them, and their group have the ids that were given away before."""
    bench = make_bench()
    messages = [a_message("1", id="one"), a_message("2", id="two")]
    tasks, then = bench.backend.enqueue_all(messages, [a_message("3", id="three")], group="G")
    expect((ids(tasks), ids(then)), (["one", "two"], ["three"]), "their ids")
    expect([task.group for task in tasks], ["G", "G"], "their group")
    expect(ids(bench.backend.list(group="G")), ["one", "two"], "the group as it is listed")
    bench.backend.close()


def check_calls_that_are_alike_are_stored_as_others(make_bench: Callable[[], Bench]) -> None:
    """Calls that differ in their payloads only are stored as any others, also with a unique key."""
    bench = make_bench()
    alike = Alike(a_message("", priority=7, delay_seconds=60.0), payload=list("01234"))
    tasks, (last,) = bench.backend.enqueue_all(alike, [a_message("last")])
    expect(len({*ids(tasks)}), 5, "how many ids they have")
    expect([task.payload for task in tasks], list("01234"), "the tasks")
    expect(bench.backend.list(), [*tasks, last], "what is stored")
    expect({(task.priority, task.elapsed, task.feeds) for task in tasks}, {(7, True, True)}, "each")
    expect((tasks[0].group, last.after), (tasks[4].group, tasks[0].group), "their group")
    expect(payloads_run(bench), [], "what is run at first")
    bench.advance(60.0)
    expect(payloads_run(bench), [*"01234", "last"], "what is run then")
    twins, _ = bench.backend.enqueue_all(Alike(a_message("", unique="key"), payload=["a", "b"]))
    expect([task.payload for task in twins], ["a", "a"], "those with a unique key")
    own = Alike(a_message(""), id=["one", "two"], payload=["1", "2"])
    expect(ids(bench.backend.enqueue_all(own)[0]), ["one", "two"], "those that bring their ids")
    bench.backend.close()


def check_of_many_calls_all_or_none_are_stored(make_bench: Callable[[], Bench]) -> None:
    """If one of the calls can not be stored, none is."""
    bench = make_bench()
    broken: Any = a_message("broken", priority=object())
    try:
        bench.backend.enqueue_all([a_message("1"), a_message("2"), broken], [a_message("3")])
    except Exception:
        pass
    else:
        raise AssertionError("a priority that is no number was stored")
    expect(bench.backend.list(), [], "what is stored")
    bench.backend.enqueue(a_message("next"))
    expect(payloads_run(bench), ["next"], "what is run then")
    bench.backend.close()


def check_unique_holds_among_many_calls(make_bench: Callable[[], Bench]) -> None:
    """A call whose key is taken, be it by one of the same calls, gives the task that takes it."""
    bench = make_bench()
    first = bench.backend.enqueue(a_message("first", unique="U"))
    tasks, _ = bench.backend.enqueue_all(
        [a_message("a", unique="U"), a_message("b", unique="V"), a_message("c", unique="V")]
    )
    expect([task.payload for task in tasks], ["first", "b", "b"], "the tasks")
    expect(ids(bench.backend.list()), [first.id, tasks[1].id], "what is stored")
    bench.backend.close()


def check_a_chain_runs_one_after_the_other(make_bench: Callable[[], Bench]) -> None:
    """Each task of a chain begins once the one before it has succeeded, and is given its result."""
    bench = make_bench()
    tasks, then = bench.backend.enqueue_all(
        [a_message("1")], [a_message("2", priority=9), a_message("3", priority=99)], group=False
    )
    expect(tasks[0].group, None, "the group of the first")
    order: List[str] = []

    def run(task: Task, hand: Hand) -> Outcome:
        order.append(task.payload)
        expect(payloads_run(bench, "worker-2"), [], f"what can be run during {task.payload}")
        return _fails_if_bad(task, hand)

    bench.work(run)
    expect(order, ["1", "2", "3"], "the order")
    expect([_given(bench, task) for task in (*tasks, *then)], [None, "of 1", "of 2"], "the inputs")
    bench.backend.close()


def check_a_broken_chain_is_cancelled_and_revived(make_bench: Callable[[], Bench]) -> None:
    """If a task fails, or is cancelled, all after it are cancelled; they wait again if it does."""
    bench = make_bench()
    tasks, then = bench.backend.enqueue_all(
        [a_message("bad")], [a_message("2"), a_message("3")], group=False
    )
    bench.work(_fails_if_bad)
    expect(_states(bench, [*tasks, *then]), ["failed", "cancelled", "cancelled"], "when it failed")
    expect(bench.backend.retry(then[1].id), False, "retry of one whose turn can not come")
    expect(bench.backend.retry(tasks[0].id), True, "retry of the first")
    expect(_states(bench, [*tasks, *then]), ["waiting"] * 3, "then")
    expect(bench.backend.cancel(tasks[0].id), True, "cancel of the first")
    expect(_states(bench, [*tasks, *then]), ["cancelled"] * 3, "when it was cancelled")
    expect(bench.backend.retry(tasks[0].id), True, "retry once more")
    expect(payloads_run(bench), ["bad", "2", "3"], "what is run in the end")
    bench.backend.close()


def check_what_follows_a_group_waits_for_all_of_it(make_bench: Callable[[], Bench]) -> None:
    """It begins when all have ended, whatever became of them, and is given all that came of it."""
    bench = make_bench()
    tasks, (last,) = bench.backend.enqueue_all(
        [a_message("1"), a_message("bad"), a_message("gone"), a_message("2")],
        [a_message("last", priority=9)],
    )
    bench.backend.cancel(tasks[2].id)
    order: List[str] = []

    def run(task: Task, hand: Hand) -> Outcome:
        order.append(task.payload)
        return _fails_if_bad(task, hand)

    bench.work(run)
    expect(order, ["1", "bad", "2", "last"], "the order")
    given = _given(bench, last)
    expect((given[0], given[3]), ("of 1", "of 2"), "what came of those that succeeded")
    kinds = [type(part).__name__ for part in given[1:3]]
    expect(kinds, ["TaskFailed", "TaskCancelled"], "what came of the others")
    bench.backend.close()


def check_what_follows_nothing_begins_at_once(make_bench: Callable[[], Bench]) -> None:
    """A group of no tasks has ended."""
    bench = make_bench()
    tasks, (last,) = bench.backend.enqueue_all([], [a_message("last")])
    expect((tasks, _given(bench, last)), ([], []), "the group, and what came of it")
    expect(payloads_run(bench), ["last"], "what is run")
    bench.backend.close()


def check_a_group_is_kept_while_one_of_it_is_needed(make_bench: Callable[[], Bench]) -> None:
    """No result of a group is purged while a task of it waits or runs."""
    bench = make_bench()
    tasks, _ = bench.backend.enqueue_all([a_message("1"), a_message("2", delay_seconds=9000.0)])
    expect(payloads_run(bench), ["1"], "what is run at first")
    bench.advance(8999.0)
    expect(bench.backend.purge(), 0, "while one waits")
    bench.advance(1.0)
    expect(payloads_run(bench), ["2"], "what is run then")
    expect(bench.backend.purge(), 1, "when all have ended")
    expect(_states(bench, tasks[1:]), ["succeeded"], "what is left")
    bench.backend.close()


GROUP_CHECKS: Tuple[BackendCheck, ...] = (
    check_many_calls_are_stored_as_one,
    check_many_calls_may_bring_their_ids,
    check_calls_that_are_alike_are_stored_as_others,
    check_of_many_calls_all_or_none_are_stored,
    check_unique_holds_among_many_calls,
    check_a_chain_runs_one_after_the_other,
    check_a_broken_chain_is_cancelled_and_revived,
    check_what_follows_a_group_waits_for_all_of_it,
    check_what_follows_nothing_begins_at_once,
    check_a_group_is_kept_while_one_of_it_is_needed,
)
