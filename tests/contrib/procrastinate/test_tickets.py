"""Tickets: each waiting task has one that can come, or somebody who will issue it.

Each test is about a way in which one could be lost, or keep others from coming.
"""

from __future__ import annotations

import threading
from datetime import timedelta

import psycopg
import pytest

from autocron.contrib.procrastinate.backend import ProcrastinateBackend, postgres_store
from autocron.core.errors import StoreError
from autocron.core.events import Claimed
from autocron.core.machine import apply
from autocron.core.outcome import Outcome, Returned, Unknown
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.task import ALL_QUEUES, Message, TaskState
from autocron.engine import Engine
from autocron.operations import Operations
from autocron.shell.chance import new_id
from autocron.zones import load_zone
from tests.contrib.procrastinate import inline_worker
from tests.contrib.procrastinate.inline_worker import InlineWorker


class Place:
    """A database, a backend on it, and workers, all by the server's own clock."""

    def __init__(self, url):
        self.url = url
        self.store = postgres_store(url)
        self.clock = self.store.clock
        operations = Operations(self.store, self.clock, new_id=new_id)
        self.backend = ProcrastinateBackend(self.store, operations)
        self.backend.open()
        self.ran = []

    def call(self, payload="[[],{}]", seconds=0.0, **options):
        message = Message("shop.mail:send", payload, delay_seconds=seconds, **options)
        return self.backend.enqueue(message)

    def engine(self, invoke=None, worker="worker-1", store=None):
        return Engine(
            store or self.store,
            self.clock,
            zones=load_zone,
            new_id=new_id,
            invoker=Invoker(invoke or self._run),
            worker=worker,
        )

    def _run(self, task, hand):
        self.ran.append(task.payload)
        return Returned("null")

    def work(self, invoke=None, worker="worker-1", queues=None):
        """Use every ticket that can be used now; return what was run."""
        before = len(self.ran)
        InlineWorker(self.store, self.engine(invoke, worker), queues).run(wait=False)
        return self.ran[before:]

    def rows(self, sql, *values):
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(sql, values).fetchall()

    def execute(self, sql):
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)

    def tickets(self):
        """The payloads of the tasks whose tickets wait, and can bring somebody."""
        return [
            payload
            for (payload,) in self.rows(
                "SELECT payload FROM autocron_tasks AS task JOIN procrastinate_jobs AS job "
                "ON job.id = task.ticket WHERE job.status = 'todo' AND task.state = 'waiting' "
                "ORDER BY seq"
            )
        ]


class Invoker:
    def __init__(self, invoke):
        self.invoke = invoke


@pytest.fixture
def place(make_url):
    place = Place(make_url())
    yield place
    place.backend.close()


def test_a_call_and_its_ticket_are_stored_together_or_not_at_all(place):
    def fail():
        with place.store.transaction():
            place.call("undone")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert place.rows("SELECT count(*) FROM procrastinate_jobs") == [(0,)]
    assert place.backend.list() == []
    place.call("kept")
    assert place.tickets() == ["kept"]


def test_used_tickets_leave_nothing_behind(place):
    for number in range(5):
        place.call(str(number))
    assert place.work() == ["0", "1", "2", "3", "4"]
    assert place.rows("SELECT count(*) FROM procrastinate_jobs") == [(0,)]


def test_a_ticket_brings_to_what_is_most_urgent_and_its_own_task_gets_another(place):
    overdue_at = place.clock.now() - timedelta(hours=1)
    place.call("later")
    place.backend.enqueue(Message("shop.mail:send", "overdue", run_at=overdue_at))
    during = []

    def run(task, hand):
        during.append((task.payload, place.tickets()))
        return Returned("null")

    place.work(run)
    # The ticket of "later" came first, to "overdue"; while that runs, "later" has its next.
    assert during[0] == ("overdue", ["later"])
    assert [payload for payload, _ in during] == ["overdue", "later"]


def test_a_later_task_with_a_lock_keeps_no_earlier_one_waiting(place):
    place.call("in an hour", 3600.0, lock="L")
    place.call("now", lock="L")
    assert place.work() == ["now"]
    assert place.tickets() == ["in an hour"]


def test_what_waits_for_a_lock_has_no_ticket_until_the_lock_is_free(place):
    for payload in ("first", "second", "third"):
        place.call(payload, lock="L")
    seen = []

    def run(task, hand):
        assert place.work(worker="worker-2") == []
        seen.append((task.payload, place.tickets()))
        return Returned("null")

    place.work(run)
    # They came in vain, and are not asked again and again while the lock is held.
    assert seen == [("first", []), ("second", []), ("third", [])]


@pytest.mark.parametrize("how", ["reclaimed", "cancelled"])
def test_a_lock_is_passed_on_whatever_becomes_of_who_had_it(place, how):
    holder = place.call("holder", lock="L", priority=1)
    place.store.swap(holder, _running(place, holder))
    heir = place.call("heir", lock="L", priority=1)
    place.call("other", lock="L")
    assert place.work() == []
    assert place.tickets() == []
    if how == "cancelled":
        # Of two that wait, one is called when the lock is free; it may not want to come any more.
        place.backend.reclaim("worker-9", charged=False)
        place.backend.cancel(holder.id)
        place.backend.cancel(heir.id)
        assert place.work() == ["other"]
    else:
        place.backend.reclaim("worker-9", charged=False)
        assert place.work() == ["holder", "heir", "other"]


def _running(place, task):
    return apply(task, Claimed("worker-9", place.clock.now()))


@pytest.mark.parametrize("queue", ["mail", ALL_QUEUES])
def test_a_paused_queue_is_not_asked_again_and_gets_its_tickets_when_it_is_resumed(place, queue):
    place.store.put_paused(queue, True)
    place.call("one", queue="mail")
    place.call("two", queue="mail")
    assert place.work() == []
    assert place.tickets() == []
    place.store.put_paused(queue, False)
    assert place.tickets() == ["one", "two"]
    assert place.work() == ["one", "two"]


def test_a_rate_that_is_used_up_has_tickets_come_when_it_is_free(place):
    policy = Policy(rate=Rate(1, 3600.0))
    place.call("first", rate_key="R", policy=policy)
    place.call("second", rate_key="R", policy=policy)
    assert place.work() == ["first"]
    assert place.tickets() == ["second"]
    due = place.rows("SELECT scheduled_at - now() FROM procrastinate_jobs")[0][0]
    assert timedelta(minutes=50) < due <= timedelta(hours=1)


def test_a_ticket_that_comes_before_its_task_is_due_comes_again_then(place):
    place.call("later", 3600.0)
    # As where a host, or the server after a failover, has another idea of the time.
    place.rows("UPDATE procrastinate_jobs SET scheduled_at = NULL RETURNING id")
    assert place.work() == []
    assert place.tickets() == ["later"]
    assert place.rows("SELECT scheduled_at > now() FROM procrastinate_jobs") == [(True,)]


def test_a_worker_for_some_queues_uses_the_tickets_of_those(place):
    place.call("mail", queue="mail")
    place.call("other")
    assert place.work(queues=["mail"]) == ["mail"]
    assert place.tickets() == ["other"]
    assert place.work() == ["other"]


def test_a_ticket_that_procrastinate_brings_twice_runs_nothing_twice(place):
    task = place.call("once")
    (ticket,) = place.rows("SELECT ticket FROM autocron_tasks")[0]
    worker = InlineWorker(place.store, place.engine())
    for _ in range(2):
        worker.use(ticket, task.id)
    assert place.ran == ["once"]


def test_no_task_name_is_known_to_procrastinate_so_none_can_be_unknown(place):
    place.call()
    assert place.rows("SELECT DISTINCT task_name FROM procrastinate_jobs") == [("autocron.ticket",)]


@pytest.mark.parametrize(
    "payload",
    [
        '[["\\u0000", "\x00"], {}]',
        "[[1e22, -0.0, 1.0], {}]",
        '[[NaN, Infinity], {"b": 1, "a": 2, "a": 3}]',
        "\ufdd0 begins as texts with a NUL are kept \ufdd01\x00",
        "[" * 2000 + "]" * 2000,
    ],
    ids=["NUL", "numbers", "no JSON", "escapes", "deep"],
)
def test_a_text_comes_back_to_the_last_character(place, payload):
    task = place.call(payload)
    assert place.backend.get(task.id).payload == payload
    place.work(lambda task, hand: Returned(task.payload))
    assert place.backend.get(task.id).result == payload


def test_several_workers_run_each_task_once_and_keep_limits(place):
    for number in range(60):
        place.call(str(number), lock=["L", None, "M"][number % 3], limit=2)
    running, worst, ran = [], [], []
    guard = threading.Lock()

    def run(task, hand) -> Outcome:
        with guard:
            running.append(task.lock)
            worst.append(max(running.count("L"), running.count("M")))
            ran.append(task.payload)
        with guard:
            running.remove(task.lock)
        return Returned("null")

    # A process has one worker; here each has a store of its own, as if it were one.
    stores = [postgres_store(place.url) for _ in range(3)]
    workers = [
        InlineWorker(store, place.engine(run, f"worker-{number}", store))
        for number, store in enumerate(stores)
    ]
    threads = [
        threading.Thread(target=worker.run, kwargs={"wait": False}, daemon=True)
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    # One may have left while another held the lock of what was left.
    place.work(run)
    assert sorted(ran, key=int) == [str(number) for number in range(60)]
    assert max(worst) <= 2
    assert {task.state for task in place.backend.list()} == {TaskState.SUCCEEDED}
    for store in stores:
        store.close()


def test_the_members_of_a_group_that_end_at_once_release_what_follows_once(place):
    messages = [Message("shop.mail:send", str(number)) for number in range(8)]
    for _ in range(5):
        place.backend.enqueue_all(messages, [Message("shop.mail:send", "last")])
        ready = threading.Barrier(8)
        threads = [threading.Thread(target=_end_one, args=(place, ready)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert place.tickets().count("last") == 1
        assert "last" in place.work()


def _end_one(place, ready):
    engine = place.engine(lambda task, hand: (ready.wait(60), Returned("null"))[1])
    engine.tick()
    engine.tick(claim=False)


def test_an_outcome_that_can_not_be_stored_is_kept_until_it_can(place, monkeypatch):
    task = place.call()
    (ticket,) = place.rows("SELECT ticket FROM autocron_tasks")[0]
    monkeypatch.setattr(inline_worker, "PAUSE_SECONDS", 0.01)
    refusals = []

    def run(task, hand):
        place.ran.append(task.payload)
        place.execute("ALTER TABLE autocron_tasks RENAME TO hidden_tasks")
        return Returned("1")

    def warn(message, error):
        refusals.append(error)
        if len(refusals) == 3:
            place.execute("ALTER TABLE hidden_tasks RENAME TO autocron_tasks")

    monkeypatch.setattr(inline_worker.logger, "error", warn)
    InlineWorker(place.store, place.engine(run)).use(ticket, task.id)
    assert len(refusals) >= 3
    assert all(isinstance(error, StoreError) for error in refusals)
    assert place.ran == ["[[],{}]"]
    assert place.backend.get(task.id).result == "1"


def test_who_does_not_know_a_function_is_not_the_one_to_look_for_its_task_each_time(place):
    def late_seconds():
        return [
            float(seconds)
            for (seconds,) in place.rows(
                "SELECT extract(epoch FROM job.scheduled_at) - task.run_at / 1000000.0 "
                "FROM autocron_tasks AS task JOIN procrastinate_jobs AS job ON job.id = task.ticket"
            )
        ]

    for _ in range(8):
        place.call()
    place.work(lambda task, hand: Unknown("no such function"))
    late = late_seconds()
    # Workers look once a second, so each of them may be the next one.
    assert len({round(seconds, 3) for seconds in late}) > 2
    assert all(-0.001 <= seconds <= 1.001 for seconds in late)


def test_what_is_handed_back_at_once_comes_at_once(place):
    place.call()
    engine = place.engine(worker="lost")
    engine.tick()
    place.backend.reclaim("lost", charged=False)
    assert place.work() == ["[[],{}]"]
