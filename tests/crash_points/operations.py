"""All that is done to a store, one after the other: what is cut at each of its writes."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Callable, Optional, Tuple

from autocron.core.outcome import Outcome, Raised, Returned
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.task import Failure, Message, Task, TaskState
from autocron.engine import Engine
from autocron.ports import Hand
from autocron.shell.operating import DISCARD, Operator
from autocron.shell.ownership import RunFolder
from autocron.shell.sqlite import SQLiteStore
from autocron.testing import ManualClock
from autocron.testing.contract.tools import NOW, a_schedule
from autocron.zones import load_zone

Invoke = Callable[[Task, Hand], Outcome]
Operation = Callable[["Bench"], None]
_EACH_SECOND = a_schedule("second", text="* * * * * *", zone="UTC", overlap="allow")
# More than what purging leaves for the next tasks: 512 pages.
_LARGE = "x" * 2_000_000


class Bench:
    """A store, and the engines that work on it.

    Arguments:
        path: The database.
        number: Which of the operations it is; each has a minute and ids of its own.
    """

    def __init__(self, path: str, number: int) -> None:
        # What is written is the same; when it is synced is tests/power_loss's matter.
        self.store = SQLiteStore(path, durability="normal")
        self.clock = ManualClock(NOW + timedelta(minutes=number))
        self._ids = (f"{number}.{count}" for count in itertools.count())

    def engine(self, invoke: Optional[Invoke] = None, keeps_house: bool = False) -> Engine:
        """Return an engine whose tasks do what is given, or else return."""
        return Engine(
            self.store,
            self.clock,
            zones=load_zone,
            new_id=lambda: next(self._ids),
            invoker=_Does(invoke or _return),
            worker="w",
            keeps_house=keeps_house,
        )

    def enqueue(self, **options: Any) -> Task:
        """Call a task."""
        return self.engine().enqueue(_message(**options))


class _Does:
    def __init__(self, invoke: Invoke) -> None:
        self._invoke = invoke

    def invoke(self, task: Task, hand: Hand) -> Outcome:
        return self._invoke(task, hand)


def _message(payload: str = "[[],{}]", **options: Any) -> Message:
    return Message("shop.mail:send", payload, **options)


def _return(task: Task, hand: Hand) -> Outcome:
    return Returned("1")


def _fail(task: Task, hand: Hand) -> Outcome:
    return Raised(Failure("ValueError", "no", "Traceback"))


def _work(engine: Engine) -> None:
    """Run what is due until nothing is."""
    while True:
        tick = engine.tick()
        if tick.claimed is None and tick.finished is None:
            return


# -- the operations, in their order ---------------------------------------------------------------


def make_a_database(bench: Bench) -> None:
    bench.store.open()


def call(bench: Bench) -> None:
    bench.enqueue()


def call_what_is_unique(bench: Bench) -> None:
    for _ in range(2):
        bench.enqueue(unique="once", unique_seconds=3600.0)


def call_a_group(bench: Bench) -> None:
    bench.engine().enqueue_all([_message(), _message()], [_message()])


def call_a_chain(bench: Bench) -> None:
    bench.engine().enqueue_all([_message()], [_message(), _message()], group=False)


def run_all_of_them(bench: Bench) -> None:
    _work(bench.engine())


def fail_and_try_again(bench: Bench) -> None:
    bench.enqueue(policy=Policy(1, 0.5))
    _work(bench.engine(_fail))


def fail_for_good(bench: Bench) -> None:
    bench.engine().enqueue_all([_message()], [_message()], group=False)
    _work(bench.engine(_fail))


def try_once_more(bench: Bench) -> None:
    engine = bench.engine()
    for task in bench.store.find(state=TaskState.FAILED):
        engine.retry(task.id)
    _work(engine)


def run_at_a_limited_rate(bench: Bench) -> None:
    for rate in (Rate(5, 1.0), Rate(1, 1.0)):
        bench.enqueue(rate_key=f"rate {rate.count}", policy=Policy(rate=rate), lock="lock")
    _work(bench.engine())


def forget_rates(bench: Bench) -> None:
    bench.store.purge_starts(bench.clock.now())


def tell_of_progress(bench: Bench) -> None:
    def invoke(task: Task, hand: Hand) -> Outcome:
        hand.tell_progress('{"done": 1}')
        hand.tell_progress('{"done": 2}')
        hand.keep_progress(task, lambda: '{"done": 3}')
        return Returned("1")

    bench.enqueue()
    _work(bench.engine(invoke))


def cancel_what_waits(bench: Bench) -> None:
    first = bench.engine().enqueue_all([_message()], [_message()], group=False)[0][0]
    bench.engine().cancel(first.id)


def cancel_what_runs(bench: Bench) -> None:
    def invoke(task: Task, hand: Hand) -> Outcome:
        bench.engine().cancel(task.id, kill=True)
        return Raised(Failure("TaskCancelled", "", ""))

    bench.enqueue()
    _work(bench.engine(invoke))


def lose_workers(bench: Bench) -> None:
    bench.enqueue()
    for _ in range(3):
        bench.engine().tick()
        bench.engine().reclaim("w", charged=True)


def be_late(bench: Bench) -> None:
    bench.enqueue(policy=Policy(timeout_seconds=1.0))
    bench.engine().tick()
    bench.engine().reclaim("w", charged=False, timed_out=True)


def hand_back(bench: Bench) -> None:
    bench.enqueue()
    bench.engine().tick()
    bench.engine().hand_back("w")
    engine = bench.engine()
    engine.tick()
    engine.let_go()


def expire(bench: Bench) -> None:
    bench.enqueue(priority=-100, expires_seconds=0.5)
    bench.clock.advance(seconds=1)
    bench.engine().expire(bench.clock.now())


def declare_schedules(bench: Bench) -> None:
    engine = bench.engine()
    engine.declare([a_schedule("daily"), a_schedule("nightly")], ["shop.jobs"])
    engine.declare([a_schedule("daily", text="@daily")], ["shop.jobs"])


def change_schedules(bench: Bench) -> None:
    engine, made = bench.engine(), a_schedule("made", is_dynamic=True)
    engine.put_schedule(made)
    engine.put_schedule(replace(made, text="@hourly"))
    engine.remove_schedule("made")


def fire(bench: Bench) -> None:
    engine = bench.engine(keeps_house=True)
    engine.declare([replace(_EACH_SECOND, watermark_at=bench.clock.now())])
    _work(engine)
    bench.clock.advance(seconds=2)
    _work(engine)
    engine.declare([], ["shop.jobs"])


def fire_at_the_start(bench: Bench) -> None:
    engine, schedule = bench.engine(), a_schedule("start", text=None, at_start=True)
    engine.declare([schedule])
    engine.fire_at_start(schedule, "service", _message(schedule="start"), unless_active=False)


def pause_and_resume(bench: Bench) -> None:
    bench.store.put_paused("mail", True)
    bench.store.put_paused("mail", False)


def change_settings(bench: Bench) -> None:
    bench.store.put_settings({"workers": "3", "result_ttl": "1800"})
    bench.store.put_settings({"workers": None, "result_ttl": "1801"})


def follow_the_clock(bench: Bench) -> None:
    bench.engine().enqueue(_message(delay_seconds=1.0))
    bench.store.shift(0.5)


def discard(bench: Bench) -> None:
    task = bench.enqueue(policy=Policy())
    engine = bench.engine(_fail)
    _work(engine)
    operator = Operator(bench.store, RunFolder(bench.store.path), bench.clock)
    operator.named(DISCARD, [task.id])


def undo(bench: Bench) -> None:
    with suppress(KeyError), bench.store.transaction():
        bench.enqueue()
        raise KeyError


def purge(bench: Bench) -> None:
    bench.enqueue(payload=_LARGE)
    _work(bench.engine())
    bench.clock.advance(days=1)
    bench.engine().purge()


# Each with the number of its atomic changes: a call is one, a group of calls is one, and so is the
# end of a task together with the claim of the next.
OPERATIONS: Tuple[Tuple[Operation, int], ...] = (
    (make_a_database, 1),
    (call, 1),
    (call_what_is_unique, 1),
    (call_a_group, 1),
    (call_a_chain, 1),
    (run_all_of_them, 9),
    (fail_and_try_again, 3),
    (fail_for_good, 4),
    (try_once_more, 6),
    (run_at_a_limited_rate, 5),
    (forget_rates, 1),
    (tell_of_progress, 5),
    (cancel_what_waits, 2),
    (cancel_what_runs, 4),
    (lose_workers, 7),
    (be_late, 3),
    (hand_back, 5),
    (expire, 2),
    (declare_schedules, 2),
    (change_schedules, 3),
    (fire, 9),
    (fire_at_the_start, 2),
    (pause_and_resume, 2),
    (change_settings, 2),
    (follow_the_clock, 2),
    (discard, 6),
    (undo, 0),
    (purge, 5),
)


def migrate(bench: Bench) -> None:
    """Open a database that the first version has made."""
    bench.store.open()
