"""Explores the engine: plays random applications under random faults, and looks at every step.

``python -m spec.explorer 17`` plays the history of seed 17 again, and shows it.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from autocron.app import App
from autocron.core.task import Message, TaskState
from autocron.testing.faults import Faults
from autocron.testing.machine import TROUBLE_PAUSE
from autocron.testing.scenario import Reader
from autocron.testing.simulator import Simulation, read_scenario

START = datetime(2024, 3, 1, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
FAULTY = 35 * MINUTE
CALM = 20 * MINUTE
PATIENCE = 10 * MINUTE
# From this seed on the application has functions that are limited, unique, held and so on.
FEATURES = 10_000


class Broken(AssertionError):
    """An invariant does not hold; the message tells the seed, and how to play it again."""


def an_app():
    """An App with a schedule of each policy, and calls that are tried again."""
    app = App()

    @app.cron("* * * * *", tz="UTC")
    def each_minute(): ...

    @app.cron("*/3 * * * *", tz="UTC", overlap="wait", missed="once")
    def in_turn(): ...

    @app.cron("*/10 * * * *", tz="UTC", overlap="allow", missed="all", at_start=True)
    def all_of_them(): ...

    @app.delay(retries=2, backoff=20)
    def mail(number): ...

    app.mail = mail
    return app


def add_features(app):
    """Add functions that are limited, held and so on; return what draws calls of them.

    Only to the seeds from :data:`FEATURES` on, so that the others go on playing what they played.
    """

    @app.delay(limit=2, timeout=20, retries=1, backoff=5)
    def limited(): ...

    @app.delay(rate="3/minute", retries=1, backoff=1)
    def rated(): ...

    @app.delay(unique=True, unique_while="running", queue="single")
    def single(): ...

    @app.delay(expires=120, priority=-5)
    def hasty(): ...

    @app.delay(retries=1, backoff=10)
    def first(): ...

    @app.delay
    def second(given): ...

    @app.delay(seconds=5)
    def third(given): ...

    return (
        limited,
        limited,
        rated,
        rated,
        single,
        single,
        hasty,
        first.then(second).then(third),
        lambda: first.starmap([()] * 3, then=second.then(third)),
        lambda: limited.starmap([()] * 4),
    )


def a_scenario(seed, app):
    """Draw a history whose faults end some time before its end."""
    chance = random.Random(f"explorer {seed}")

    # Drawn apart, so that the seeds that once found something still play the same history.
    later = random.Random(f"explorer, power {seed}")
    latest = random.Random(f"explorer, races {seed}")

    def sometimes(share, value, otherwise, chance=chance):
        return value() if chance.random() < share else otherwise

    def instant(until=FAULTY):
        return START + timedelta(seconds=round(chance.uniform(0, until.total_seconds()), 3))

    def period(longest):
        begin = instant()
        return begin, min(begin + longest * chance.random() + MINUTE / 60, START + FAULTY)

    reader = Reader(app, "UTC")
    return read_scenario(
        reader,
        start=START,
        days=None,
        end=START + FAULTY + CALM,
        workers=chance.choice([1, 1, 2, 3]),
        seed=seed,
        durations=lambda draw, task: draw.choice([0, 0.5, 4, 12, 30]),
        failures=chance.choice([0, 0.3]),
        outages=sometimes(0.4, lambda: [period(15 * MINUTE)], []),
        crashes=sometimes(0.5, lambda: chance.choice([5, 60]), None),
        clock_jumps=sometimes(
            0.3, lambda: [(instant(), chance.choice([-14400, -600, -5, 5, 900, 14400]))], []
        ),
        enqueue=[(instant(), app.mail, (number,)) for number in range(chance.randrange(12))],
        faults=Faults(
            hangs=0.5,
            stalls=sometimes(0.3, lambda: chance.choice([4, 20]), 0),
            supervisor_crashes=sometimes(0.3, lambda: chance.choice([4, 30]), 0),
            lost_commits=sometimes(0.5, lambda: chance.choice([0.01, 0.1]), 0),
            full_disk=sometimes(0.2, lambda: [period(5 * MINUTE)], []),
            power_cuts=sometimes(0.3, lambda: later.choice([5, 20]), 0, later),
            second_supervisors=sometimes(0.3, lambda: later.choice([5, 30]), 0, later),
            restarts=sometimes(0.3, lambda: latest.choice([5, 30]), 0, latest),
            races=sometimes(0.3, lambda: 0.3, 0, latest),
            until=START + FAULTY,
        ),
        call=False,
    )


def told(*tasks):
    """Show tasks in one line each."""
    return "; ".join(
        "nothing"
        if task is None
        else f"{task.id} {task.name.rpartition('.')[2]} {task.state.value} by {task.worker},"
        f" attempt {task.attempt}, due {task.run_at:%H:%M:%S.%f}, occurrence {task.occurrence_at},"
        f" began {task.started_at}, lock {task.lock}"
        for task in tasks
    )


class Explorer:
    """Plays one history, and looks after every step whether the invariants hold.

    Arguments:
        seed: Decides everything.
        store: The store, as for ``simulate()``.
    """

    def __init__(self, seed, store="plain"):
        self.seed = seed
        app = an_app()
        # Before the scenario is read, which is of what the application has then.
        callables = add_features(app) if seed >= FEATURES else ()
        scenario = self._with_features(a_scenario(seed, app), callables)
        self.simulation = Simulation(self._with_locks(scenario), store)
        self.machine = self.simulation.machine
        self.store = self.simulation.store
        self.open = set()
        self.ended = {}
        self.occurrences = {}
        self.looked_at = 0
        self.taken_back = 0
        self.losses = {}
        self.charged = {}
        self.failures = {}
        self.invoked = set()
        self._watch_invocations()
        self.power_cuts = 0
        self.starts = {}
        self.steps = 0

    def _with_features(self, scenario, callables):
        chance = random.Random(f"features {self.seed}")
        count = chance.randrange(5, 30) if callables else 0
        calls = [(START + FAULTY * chance.random(), chance.choice(callables)) for _ in range(count)]
        return replace(scenario, calls=sorted([*scenario.calls, *calls], key=lambda call: call[0]))

    def _watch_invocations(self):
        """Let no worker run the function of an attempt again, whatever becomes of its outcome."""
        deciding = self.machine._deciding
        invoke = deciding.invoke

        def watched(task, hand):
            attempt = (task.id, task.attempt, task.worker)
            assert attempt not in self.invoked, f"it is run again: {told(task)}"
            self.invoked.add(attempt)
            return invoke(task, hand)

        deciding.invoke = watched

    def _with_locks(self, scenario):
        """Add calls with locks, unique keys and priorities, of a function that nobody knows."""
        chance = random.Random(f"locks {self.seed}")
        calls = [
            (START + FAULTY * chance.random(), self._locked_call(chance))
            for _ in range(chance.randrange(12))
        ]
        crowd = random.Random(f"crowd {self.seed}")
        if crowd.random() < 0.3:
            calls += [
                (START + FAULTY * crowd.random(), self._locked_call(crowd)) for _ in range(60)
            ]
        return replace(scenario, calls=sorted([*scenario.calls, *calls], key=lambda call: call[0]))

    def _locked_call(self, chance):
        message = Message(
            "spec.explorer:locked",
            "[[],{}]",
            lock=chance.choice(["a", "b"]),
            unique=chance.choice([None, "u"]),
            priority=chance.choice([-5, 0, 5]),
            delay_seconds=chance.choice([0.0, 0.0, 90.0]),
        )
        return lambda: self.simulation.backend.enqueue(message)

    def play(self):
        """Play to the end.

        Raises:
            Broken: An invariant does not hold.
        """
        try:
            while self.machine.step():
                self.steps += 1
                self._look()
            self._look_at_the_end()
            return self.simulation.timeline()
        except Exception as error:
            raise Broken(
                f"seed {self.seed}, step {self.steps}, {self.machine.clock.true_at:%H:%M:%S.%f}: "
                f"{error}\nplay it again with: python -m spec.explorer {self.seed}"
            ) from error
        finally:
            self.simulation.close()

    # -- the invariants -----------------------------------------------------------------------

    def _look(self):
        self._look_at_what_is_new()
        self._look_at_what_was_taken_back()
        self._look_at_power_cuts()
        self._look_whether_someone_looks()
        now = self.machine.clock.now()
        running = self.store.find(state=TaskState.RUNNING)
        workers = [task.worker for task in running]
        assert len(set(workers)) == len(workers), f"one worker holds two tasks: {told(*running)}"
        for task in running:
            beside = sum(task.lock == other.lock for other in running)
            assert task.lock is None or beside <= task.limit, f"too many run: {told(*running)}"
            assert task.after is None, f"it is held, and runs: {told(task)}"
            assert task.expires_at is None or task.started_at < task.expires_at, (
                f"it had expired: {told(task)}"
            )
            unfinished = '"failed": ""' in (task.given or "")
            assert not unfinished, f"its group has not ended: {task.given}"
            self._look_at_rate(task)
            began = task.started_at
            assert task.run_at <= began, f"it runs before its time: {told(task)}"
            # Once it has fired it is due, however the clock is set then.
            was_early = task.occurrence_at is not None and began < task.occurrence_at
            assert not was_early or self._clock_was_set(), f"it runs before its time: {told(task)}"
        if self.machine.keeper is not None and not self.machine.has_trouble:
            alive = {worker.name for worker in self.machine.workers}
            assert set(workers) <= alive, f"held by a worker that is gone: {told(*running)}"
        held = {worker.name: worker.engine.in_hand for worker in self.machine.workers}
        for worker in self.machine.workers:
            task = held[worker.name]
            if task is not None and not worker.is_stalled:
                stored = self.store.get(task.id)
                assert stored == task, (
                    f"{worker.name} runs {told(task)}, but stored is {told(stored)}"
                )
        for task_id in list(self.open):
            task = self.store.get(task_id)
            assert task is not None, f"{task_id} was accepted, and is lost"
            self._look_at_attempts(task)
            if task.state.is_final:
                self.open.remove(task_id)
                self.ended[task_id] = task
        assert now.utcoffset() == timedelta(0)

    def _look_at_what_is_new(self):
        for task_id in self.machine.accepted[:]:
            self.machine.accepted.remove(task_id)
            assert self.store.get(task_id) is not None, f"{task_id} was accepted, and is lost"
        while self.looked_at < self.machine.drawn_ids:
            self.looked_at += 1
            task = self.store.get(f"task-{self.looked_at}")
            if task is None:
                continue  # its transaction was undone, and nobody was told that it is stored
            self.open.add(task.id)
            self._look_at_unique(task)
            if task.occurrence_at is None:
                continue
            key = (task.schedule, task.occurrence_at)
            other = self.occurrences.setdefault(key, task.id)
            stepped_back = any(what == "clock" for _, what, _ in self.machine.recorder.marks)
            assert other == task.id or stepped_back, f"{key} ran as {other} and {task.id}"
            if task.name.endswith("each_minute"):
                active = [
                    one.id
                    for state in (TaskState.WAITING, TaskState.RUNNING)
                    for one in self.store.find(state=state, schedule=task.schedule)
                ]
                assert len(active) <= 1, f"overlap='skip', but active are {active}"

    def _look_at_what_was_taken_back(self):
        taken_back = self.machine.recorder.taken_back
        for task, charged in taken_back[self.taken_back :]:
            self.losses[task.id] = self.losses.get(task.id, 0) + 1
            self.charged[task.id] = self.charged.get(task.id, 0) + charged
            assert charged or task.state is TaskState.WAITING, (
                f"an innocent has failed: {told(task)}"
            )
        self.taken_back = len(taken_back)

    def _look_at_rate(self, task):
        starts = self.starts.setdefault(task.rate_key, {})
        if task.rate_key is None or (task.id, task.attempt) in starts:
            return
        starts[task.id, task.attempt] = task.started_at
        # A set clock moves what is noted, and a power cut takes the note of a start with the claim.
        if any(what in ("clock", "power cut") for _, what, _ in self.machine.recorder.marks):
            return
        rate, ordered = task.policy.rate, sorted(starts.values())
        for begin, later in zip(ordered, ordered[rate.count :]):
            assert (later - begin).total_seconds() >= rate.seconds, f"too often: {ordered}"

    def _look_at_unique(self, task):
        if task.unique is None or not task.name.endswith("single"):
            return
        taken = [
            one
            for state in (TaskState.WAITING, TaskState.RUNNING)
            for one in self.store.find(state=state, name=task.name)
        ]
        assert len(taken) == 1, f"it is unique, and there are: {told(*taken)}"

    def _look_at_power_cuts(self):
        """What had ended may not have come to the disk; it runs again, and is not lost."""
        cuts = [lost for _, what, lost in self.machine.recorder.marks if what == "power cut"]
        if len(cuts) == self.power_cuts:
            return
        self.power_cuts = len(cuts)
        for task_id, ended in list(self.ended.items()):
            task = self.store.get(task_id)
            if task is not None and task != ended:
                assert cuts[-1], f"has ended, and changed: {told(task)}"
                del self.ended[task_id]
                self.open.add(task_id)

    def _look_whether_someone_looks(self):
        """Where a worker is idle nothing is left lying: it was woken, or has planned to look."""
        faults = self.machine.scenario.faults
        marks = {what for _, what, _ in self.machine.recorder.marks}
        if faults.lost_commits or "clock" in marks:
            return  # A process that dies before it wakes another one leaves that to the slow poll.
        idle = [worker for worker in self.machine.workers if worker.task is None]
        task = self.store.claimable(self.machine.clock.now())
        if task is not None and idle:
            true_at = self.machine.clock.true_at
            trouble = self.machine._faulty is not None
            soon = true_at + TROUBLE_PAUSE if trouble else true_at
            looks = [worker for worker in idle if worker.due_at is not None]
            assert any(worker.due_at <= soon for worker in looks), f"nobody looks: {told(task)}"

    def _look_at_attempts(self, task):
        charged = self.charged.get(task.id, 0)
        assert task.deaths == charged, f"{task.deaths} deaths, {charged} charged: {told(task)}"
        died = task.failure is not None and task.failure.type == "WorkerDied"
        is_worth_it = not died and task.expires_at is None
        if task.state is TaskState.FAILED and is_worth_it:
            assert task.failures == task.policy.retries + 1, f"gave up too soon: {told(task)}"
        allowed = task.policy.retries + task.state.is_final
        assert task.failures <= allowed, f"too many failures: {told(task)}"
        if task.state is TaskState.WAITING and task.failures > self.failures.get(task.id, 0):
            due_at = self.machine.clock.now() + timedelta(seconds=task.policy.backoff_seconds)
            # Whoever has seen a clock that was set has moved it along, in the same step.
            is_set = any(what == "clock" for _, what, _ in self.machine.recorder.marks)
            assert is_set or task.run_at == due_at, f"it is tried again too soon: {told(task)}"
        self.failures[task.id] = task.failures
        most = 1 + task.failures + self.losses.get(task.id, 0)
        assert task.attempt <= most, f"more attempts than reasons for them: {told(task)}"

    def _clock_was_set(self):
        return any(what == "clock" for _, what, _ in self.machine.recorder.marks)

    def _look_at_the_end(self):
        for task_id, task in self.ended.items():
            assert self.store.get(task_id) in (task, None), f"has ended, and changed: {told(task)}"
        now = self.machine.clock.now()
        for task_id in self.open:
            task = self.store.get(task_id)
            if task.rate_key is not None and self._clock_was_set():
                # A start that lies in the future, since nobody saw the clock being set back, is
                # waited for.
                continue
            began = task.started_at if task.state is TaskState.RUNNING else task.run_at
            assert began > now - PATIENCE, f"long after the last fault: {told(task)}"
        assert self.machine.keeper is not None, "nobody has started a supervisor again"
        staying = [worker for worker in self.machine.workers if not worker.is_leaving]
        assert len(staying) == self.machine.scenario.workers, "workers are missing"
        if not self._clock_was_set():
            for one in self.simulation.timeline().missed():
                # What a fault has cost may be made up by nobody; but with missed="all" it is.
                is_stored = (one.schedule, one.at) in self.occurrences
                is_dispensable = not one.name.endswith("all_of_them")
                is_excused = is_stored or (is_dispensable and one.at < START + FAULTY + MINUTE)
                assert is_excused, f"missed for no reason: {one}"


if __name__ == "__main__":
    print(Explorer(int(sys.argv[1])).play().to_text())
