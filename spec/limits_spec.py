"""What keeps a due task waiting, or from running at all: queues, limits, rates, expiry; and unique
calls.

**Priority and queues.** Due tasks run by priority, higher first, then by due time, then by age.
Each waits in a queue, ``"default"`` if nothing is said. A worker may be there for some queues
only. A queue can be paused, or all of them: what waits there waits on, what runs ends; cron
occurrences go on to be stored.

**limit** is how many tasks with the same ``limit_key`` may run at once: whatever is running
counts, whoever stored it. **rate** is how many with the same ``rate_key`` may begin in any period
of that length, wherever one lets it begin; an attempt counts, and so does one that was lost. Both
keys are the function if not given. What has to wait for them lets others pass.

**expires**: no attempt begins at that instant or later. What has not begun by then is cancelled;
what would be retried only then has failed.

**unique**: a call whose key is taken gives back the task that takes it, and enqueues nothing. A
key is taken while a task with it waits; with ``unique_while="running"`` also while it runs; with
``unique_for`` also so long after the call, whatever has become of it. That is judged where the
call is stored, and nowhere else: a retry, a hand-back or a recovery never fails on it.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocron import testing
from autocron.app import App
from autocron.core.errors import InvalidTask, TaskCancelled
from autocron.core.events import Failed
from autocron.core.outcome import Raised, after_attempt
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.task import ALL_QUEUES, Failure, Message, TaskState
from autocron.operations import PURGE_BATCH
from spec.benches import Bench, work
from spec.zones import at

NOW = "2026-03-01 12:00"
SECOND = timedelta(seconds=1)


@pytest.fixture
def app():
    return App()


@pytest.fixture
def session(app):
    with testing.session(now=NOW, tz="UTC", app=app) as session:
        yield session


@pytest.fixture
def ran():
    return []


@pytest.fixture
def note(bench, ran):
    @bench.app.delay
    def note(what=None):
        ran.append(what)

    return note


class DescribeQueues:
    def it_is_of_the_default_queue_if_nothing_is_said(self, app, session):
        @app.delay
        def send(): ...

        @app.delay(queue="mail")
        def mail(): ...

        for result, queue in ((send(), "default"), (mail(), "mail")):
            assert session.backend.get(result.id).queue == queue
        assert session.backend.get(mail.options(queue="bulk")().id).queue == "bulk"

    def it_is_run_by_workers_of_its_queue(self, bench, note, ran):
        bench.call(note, "mail", queue="mail")
        bench.call(note, "bulk", queue="bulk")
        bench.call(note, "plain")
        work(bench.engine("w1", queues=["mail", "default"]))
        assert ran == ["mail", "plain"]
        assert bench.engine("w2", queues=["other"]).tick().claimed is None
        work(bench.engine("w3"))
        assert ran == ["mail", "plain", "bulk"]

    def it_tells_a_worker_of_what_is_due_in_its_queues_only(self, bench, note):
        bench.call(note, delay_seconds=60, queue="mail")
        bench.call(note, delay_seconds=30, queue="bulk")
        now = bench.clock.now()
        assert bench.engine(queues=["mail"]).tick().next_at == now + timedelta(seconds=60)
        assert bench.engine().tick().next_at == now + timedelta(seconds=30)

    @given(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.integers(-2, 2), st.integers(0, 3)), max_size=12
        )
    )
    @settings(max_examples=50)
    def it_goes_by_priority_then_due_time_then_age_over_all_queues(self, calls):
        bench, ran = Bench(), []

        @bench.app.delay
        def note(number):
            ran.append(number)

        for number, (queue, priority, delay) in enumerate(calls):
            bench.call(note, number, queue=queue, priority=priority, delay_seconds=delay)
        bench.clock.advance(seconds=5)
        work(bench.engine())
        keyed = sorted((-p, d, number) for number, (_, p, d) in enumerate(calls))
        assert ran == [number for _, _, number in keyed]
        bench.store.close()


class DescribeAPausedQueue:
    def it_keeps_its_tasks_waiting_and_no_others(self, bench, note, ran):
        bench.store.put_paused("mail", True)
        bench.call(note, "mail", queue="mail")
        bench.call(note, "plain")
        work(bench.engine())
        assert ran == ["plain"]
        bench.store.put_paused("mail", False)
        work(bench.engine())
        assert ran == ["plain", "mail"]

    def it_may_be_all_of_them(self, bench, note, ran):
        bench.store.put_paused(ALL_QUEUES, True)
        bench.call(note, "mail", queue="mail")
        bench.call(note, "plain")
        assert bench.engine().tick().claimed is None
        assert bench.store.paused() == {ALL_QUEUES}
        bench.store.put_paused(ALL_QUEUES, False)
        work(bench.engine())
        assert ran == ["mail", "plain"]

    def it_lets_what_runs_end(self, bench, note, ran):
        task = bench.call(note, 1)
        bench.call(note, 2)
        engine = bench.engine()
        engine.tick()
        bench.store.put_paused("default", True)
        assert engine.tick().finished.id == task.id
        assert ran == [1]


class DescribeALimit:
    def it_is_how_many_run_at_once(self, bench, note, ran):
        for number in range(4):
            bench.call(note, number, lock="k", limit=2)
        bench.call(note, "other")
        engines = [bench.engine(f"worker-{number}") for number in range(4)]
        claimed = [engine.tick().claimed for engine in engines]
        # The third one gets what the limit is not about.
        assert [task.lock if task else None for task in claimed] == ["k", "k", None, None]
        assert claimed[2] is not None
        assert claimed[3] is None
        engines[0].tick()
        assert engines[3].tick().claimed is None  # the first one has taken the next itself
        for _ in range(4):
            for engine in engines:
                engine.tick()
        assert sorted(map(str, ran)) == ["0", "1", "2", "3", "other"]

    def it_is_counted_by_the_function_a_name_or_what_a_callable_says(self, app, session):
        @app.delay(limit=2)
        def plain(customer): ...

        @app.delay(limit=2, limit_key="smtp")
        def named(customer): ...

        @app.delay(limit=1, limit_key=lambda customer: f"customer {customer}")
        def asked(customer): ...

        locks = [session.backend.get(f(7).id).lock for f in (plain, named, asked)]
        assert locks == [f"{__name__}:{plain.__qualname__}", "smtp", "customer 7"]
        assert session.backend.get(named(1).id).limit == 2

    @pytest.mark.parametrize("option", ["limit", "rate", "unique"])
    def it_says_where_the_callable_fails_and_enqueues_nothing(self, app, session, option):
        def key_of(customer):
            raise LookupError(customer)

        given = {
            "limit": {"limit": 1, "limit_key": key_of},
            "rate": {"rate": "1/s", "rate_key": key_of},
            "unique": {"unique": key_of},
        }[option]

        @app.delay(**given)
        def send(customer): ...

        with pytest.raises(
            InvalidTask, match=r"key_of is given the .* raised LookupError: 7; noth"
        ):
            send(7)
        assert session.enqueued() == []

    def it_refuses_a_key_that_is_none(self, app, session):
        @app.delay(limit=1, limit_key=lambda customer: None)
        def send(customer): ...

        with pytest.raises(InvalidTask, match="limit_key: None is no key"):
            send(7)

    def it_is_never_exceeded_and_nothing_waits_for_ever(self, app):
        @app.delay(limit=2)
        def limited(): ...

        @app.delay
        def free(): ...

        def calls(random):
            return [
                (at("2026-03-01 00:00") + timedelta(seconds=random.uniform(0, 600)), f, ())
                for f in (limited, limited, limited, free)
                for _ in range(20)
            ]

        for seed in range(5):
            plan = testing.simulate(
                app, start="2026-03-01", days=1, tz="UTC", workers=5, seed=seed, enqueue=calls,
                durations=lambda random, task: random.uniform(1, 90), crashes=20.0,
            )  # fmt: skip
            runs = plan.runs(limited)
            for run in runs:
                beside = [
                    o
                    for o in runs
                    if o.started_at <= run.started_at < (o.finished_at or plan.end_at)
                ]
                assert len(beside) <= 2, f"seed {seed}"
            assert sum(run.outcome == "succeeded" for run in runs) == 60


class DescribeARate:
    def it_is_how_many_begin_in_any_period(self, app, session):
        at_times = []

        @app.delay(rate="3/minute")
        def call():
            at_times.append((app.now() - at(NOW)).total_seconds())

        call.starmap([()] * 8)
        session.run_pending()
        assert at_times == [0, 0, 0]
        session.travel(minutes=3)
        assert at_times == [0, 0, 0, 60, 60, 60, 120, 120]

    def it_is_a_sliding_window(self, app, session):
        at_times = []

        @app.delay(rate="2/minute")
        def call():
            at_times.append((app.now() - at(NOW)).total_seconds())

        call()
        session.run_pending()
        session.travel(seconds=50)
        call.starmap([()] * 3)
        session.travel(minutes=5)
        assert at_times == [0, 50, 60, 110]

    def it_lets_others_pass(self, app, session):
        @app.delay(rate="1/hour")
        def slow(): ...

        @app.delay
        def quick(): ...

        slow.starmap([()] * 3)
        result = quick()
        session.run_pending()
        assert result.status == "succeeded"
        assert len(session.runs(slow)) == 1

    def it_is_counted_by_its_key(self, app, session):
        @app.delay(rate="1/hour", rate_key=lambda customer: f"customer {customer}")
        def call(customer): ...

        @app.delay(rate="1/hour", rate_key="customer 1")
        def other(): ...

        call.map([1, 2, 1, 2])
        other()
        session.run_pending()
        assert [run.args for run in session.runs(call)] == [(1,), (2,)]
        assert session.runs(other) == []

    def it_tells_when_it_is_free_again(self, bench, note):
        policy = Policy(rate=Rate(1, 60.0))
        for _ in range(2):
            bench.call(note, rate_key="R", policy=policy)
        engine = bench.engine()
        engine.tick()
        tick = engine.tick()
        assert (tick.claimed, tick.next_at) == (None, bench.clock.now() + 60 * SECOND)

    def it_counts_attempts_that_failed_or_were_lost(self, app, session):
        @app.delay(rate="1/minute", retries=2, backoff=0)
        def call():
            raise ValueError

        call()
        session.crash_next(call)
        session.travel(minutes=5, raise_errors=False)
        begun = [(run.started_at - at(NOW)).total_seconds() for run in session.runs(call)]
        assert begun == [0, 60, 120, 180]

    @given(st.lists(st.floats(0, 300), min_size=1, max_size=25), st.integers(1, 4))
    @settings(max_examples=30)
    def it_is_never_exceeded_in_any_window(self, offsets, count):
        bench, begun = Bench(), []

        @bench.app.delay
        def call():
            begun.append(bench.clock.now())

        policy = Policy(rate=Rate(count, 60.0))
        begin = bench.clock.now()
        for offset in offsets:
            bench.call(call, rate_key="R", policy=policy, run_at=begin + offset * SECOND)
        engine = bench.engine(keeps_house=True)
        while len(begun) < len(offsets):
            tick = engine.tick()
            if tick.claimed is None and tick.finished is None:
                wait = (tick.next_at - bench.clock.now()).total_seconds()
                bench.clock.advance(seconds=max(wait, 0.001))
        begun.sort()
        for first, later in zip(begun, begun[count:]):
            assert later - first >= 60 * SECOND
        bench.store.close()


class DescribeExpiry:
    def it_is_cancelled_if_it_has_not_begun_by_then(self, app, session):
        @app.delay(expires=60)
        def send(): ...

        result = send()
        session.jump(seconds=60)
        session.run_pending()
        assert (result.status, session.runs(send)) == ("cancelled", [])
        assert session.backend.get(result.id).finished_at == session.now()
        with pytest.raises(
            TaskCancelled, match="TaskExpired: it had not begun at 2026-03-01 12:01"
        ):
            _ = result.result

    def it_runs_if_it_begins_before(self, app, session):
        @app.delay(expires=timedelta(minutes=1), seconds=59)
        def send():
            return "sent"

        result = send()
        session.travel(seconds=59)
        assert result.result == "sent"

    def it_is_an_instant_too_in_the_applications_zone(self, app):
        with testing.session(now="2026-03-01 12:00", tz="Europe/Berlin", app=app) as session:

            @app.delay
            def send(): ...

            result = send.options(expires=datetime(2026, 3, 1, 12, 30))()
            expected = datetime(2026, 3, 1, 11, 30, tzinfo=timezone.utc)
            assert session.backend.get(result.id).expires_at == expected

    def it_refuses_an_instant_before_it_is_due(self, app, session):
        @app.delay(schedule=datetime(2026, 3, 2))
        def send(): ...

        with pytest.raises(InvalidTask, match="no later than the task is due"):
            send.options(expires=datetime(2026, 3, 1))()

    def it_is_cancelled_at_its_instant_though_its_queue_is_paused(self, bench, note, ran):
        bench.store.put_paused("default", True)
        task = bench.call(note, expires_seconds=30.0)
        engine = bench.engine(keeps_house=True)
        assert engine.tick().next_at == bench.clock.now() + 30 * SECOND
        bench.clock.advance(seconds=30)
        engine.tick()
        assert (bench.task(task).state, ran) == (TaskState.CANCELLED, [])

    def it_is_seen_to_in_bounded_batches_and_goes_on_at_once(self, bench, note):
        expires_at = bench.clock.now() + timedelta(seconds=5)
        with bench.store.transaction():
            tasks = [bench.call(note, expires_at=expires_at) for _ in range(PURGE_BATCH + 1)]
        house = bench.engine(runs=False, keeps_house=True)
        assert house.tick().next_at == expires_at
        bench.clock.advance(seconds=5)
        left = []
        for _ in range(2):
            tick = house.tick()
            states = [bench.task(task).state for task in tasks]
            left.append((states.count(TaskState.WAITING), tick.next_at == bench.clock.now()))
        assert left == [(1, True), (0, False)]

    def it_fails_where_the_retry_would_come_too_late(self, bench, note):
        policy = Policy(retries=5, backoff_seconds=60.0)
        bench.call(note, expires_seconds=90.0, policy=policy)
        running = bench.engine().tick().claimed
        outcome = Raised(Failure("ValueError", "no"))
        now = bench.clock.now()
        assert after_attempt(running, outcome, now).run_at == now + 60 * SECOND
        late = now + 30 * SECOND
        assert after_attempt(running, outcome, late) == Failed(outcome.failure, late)

    def it_does_not_end_what_has_begun(self, app, session):
        @app.delay(expires=60)
        def send():
            session.clock.advance(minutes=5)
            return "sent"

        result = send()
        session.run_pending()
        assert result.result == "sent"


class DescribeUnique:
    @pytest.mark.parametrize(
        ("unique", "same"),
        [
            (True, "yyy"),
            ("args", "ynn"),
            (lambda customer, mail="x": customer, "yyn"),
            (lambda customer, mail="x": None, "nnn"),
            (False, "nnn"),
        ],
    )
    def it_gives_back_the_one_that_waits(self, app, session, unique, same):
        @app.delay(unique=unique)
        def send(customer, mail="x"): ...

        first = send(1)
        others = [send(1), send(1, mail="y"), send(2)]
        assert "".join("yn"[other.id != first.id] for other in others) == same

    def it_knows_the_same_arguments_however_they_are_written(self, app, session):
        @app.delay(unique="args")
        def send(customer, mail="x", *, copy=False): ...

        first = send(1)
        for other in (send(customer=1), send(1, "x"), send(mail="x", customer=1, copy=False)):
            assert other.id == first.id
        assert send(1, copy=True).id != first.id

    def it_is_of_one_function(self, app, session):
        @app.delay(unique=True)
        def send(): ...

        @app.delay(unique=True)
        def call(): ...

        assert send().id != call().id

    def it_is_free_again_when_the_task_runs(self, app, session):
        @app.delay(unique=True)
        def send():
            others.append(send.options(minutes=1)().id)

        others = []
        first = send()
        session.run_pending()
        assert others != [first.id]

    def it_may_be_taken_while_it_runs(self, app, session):
        @app.delay(unique=True, unique_while="running")
        def send():
            others.append(send().id)

        others = []
        first = send()
        session.run_pending()
        assert others == [first.id]
        assert send().id != first.id

    def it_may_be_taken_for_a_while_whatever_became_of_it(self, app, session):
        @app.delay(unique="args", unique_for=3600 * 2)
        def send(fails):
            if fails:
                raise ValueError

        first, failed = send(False), send(True)
        session.run_pending(raise_errors=False)
        session.travel(minutes=119)  # longer than results are kept
        assert (send(False).id, send(True).id) == (first.id, failed.id)
        assert send(False).status == "succeeded"
        session.travel(minutes=1)
        assert send(False).id != first.id

    def it_is_judged_only_where_the_call_is_stored(self, bench, note):
        first = bench.call(note, unique="U")
        engine = bench.engine("lost")
        engine.tick()
        second = bench.call(note, unique="U")
        assert second.id != first.id
        bench.engine().reclaim("lost", charged=False)
        assert bench.task(first).state is bench.task(second).state is TaskState.WAITING
        third = bench.call(note, unique="U")
        assert third.id == first.id

    def it_is_never_doubled_by_crashes(self, app):
        @app.delay(unique=True, unique_while="running", retries=3)
        def sync(): ...

        def calls(random):
            return [
                (at("2026-03-01 00:00") + timedelta(seconds=random.uniform(0, 3600)), sync, ())
                for _ in range(60)
            ]

        for seed in range(5):
            plan = testing.simulate(
                app, start="2026-03-01", days=1, tz="UTC", workers=3, seed=seed, enqueue=calls,
                durations=lambda random, task: random.uniform(1, 120), failures=0.2, crashes=20.0,
            )  # fmt: skip
            assert plan.overlaps() == [], f"seed {seed}"


def it_waits_for_nothing_else():
    plain = Message("m:f", "[[],{}]")
    assert (plain.queue, plain.lock, plain.rate_key, plain.unique) == ("default", None, None, None)
