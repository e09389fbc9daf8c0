"""The life of a task.

A task is one call of a task function. It is in one of five states: it is **waiting** until a
worker claims it, then **running**, and it ends as **succeeded**, **failed** or **cancelled**.
Whether a waiting task is due is a question about time, and whether it is *held* one about others:
neither is a state.

What can happen is an event, and one table says which event fits which state, and what the task
becomes::

    waiting    Claimed -> running, Cancelled -> cancelled, Released -> waiting
    running    Succeeded -> succeeded, Failed -> failed, AttemptFailed -> waiting,
               WorkerLost -> waiting, HandedBack -> waiting, Cancelled -> cancelled,
               CancelAsked -> running, Progressed -> running
    succeeded  nothing
    failed     Retried -> waiting
    cancelled  Retried -> waiting

An event that does not fit is refused: the error names the event, the task, its state and what does
fit, and the task is unchanged. A task is a frozen value; whatever happens makes a new one, its
revision one higher, so that a store can tell a stale value from the present one.

What each event does besides, and nothing more:

Claimed
    The worker's name and the begin are noted, and one more attempt counted. The claim comes before
    the run, so that a crash costs an attempt. What an earlier attempt told of its progress is
    forgotten.
Succeeded, Failed
    The end and the result or the failure are noted; a former failure is forgotten on success. If
    it was a death that ended it, that is counted.
AttemptFailed
    The failure is noted and counted, and the task put off until its next attempt; that delay is
    elapsed time. The attempt goes into the history.
WorkerLost
    The attempt stays counted, since the function may have run in part or whole; so it was known. A
    death is counted if it is charged. The attempt goes into the history, which keeps the latest 20.
    It was due, and is due at once, also if the clock was set back meanwhile.
HandedBack
    As if it had never been claimed: the attempt is not counted. It may be put off, by a delay of
    elapsed time.
Cancelled
    The end is noted, and why, if there is a reason.
CancelAsked
    Noted is when that was asked for first, and whether the task is to be cut short.
Progressed
    Noted is how far the task is.
Released
    What it was held for has ended: noted is what came of that. A delay begins only now; an instant
    before which it is not to run stays. Where there is neither, it is due from now on, by elapsed
    time.
Retried
    It is due at once, and starts anew: its deaths and failures are forgotten, and so is when it
    would have expired. The last failure stays readable until it ends again.
"""

from __future__ import annotations

import dataclasses
import typing
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocron.core.errors import AutocronError, IllegalTransition
from autocron.core.events import (
    AttemptFailed,
    CancelAsked,
    Cancelled,
    Claimed,
    Event,
    Failed,
    HandedBack,
    Progressed,
    Released,
    Retried,
    Succeeded,
    WorkerLost,
)
from autocron.core.machine import MAX_HISTORY, TRANSITIONS, apply
from autocron.core.policy import Policy
from autocron.core.rate import Rate
from autocron.core.task import (
    Failure,
    Message,
    PastAttempt,
    Task,
    TaskState,
    has_no_time,
    new_task,
    one_more,
)
from spec.tables import rows, table

NOW = datetime(2024, 2, 29, 12, 0, tzinfo=timezone.utc)
LATER = NOW + timedelta(seconds=90)
MUCH_LATER = LATER + timedelta(hours=1)
FAILURE = Failure("ValueError", "text", "Traceback…")
PAST = PastAttempt(1, NOW - timedelta(hours=1), NOW, "OSError: former")

STATES, BY_EVENT = rows("""
event         | waiting   | running   | succeeded | failed  | cancelled
Claimed       | running   |           |           |         |
Succeeded     |           | succeeded |           |         |
Failed        |           | failed    |           |         |
AttemptFailed |           | waiting   |           |         |
WorkerLost    |           | waiting   |           |         |
HandedBack    |           | waiting   |           |         |
Cancelled     | cancelled | cancelled |           |         |
CancelAsked   |           | running   |           |         |
Progressed    |           | running   |           |         |
Released      | waiting   |           |           |         |
Retried       |           |           |           | waiting | waiting
""")
# The same by state: its name, and what each event leads to.
NAMES, *LINES = ([*column] for column in zip(STATES, *BY_EVENT))
EVENTS = [
    Claimed("worker-2", LATER),
    Succeeded('"value"', LATER),
    Failed(FAILURE, LATER),
    AttemptFailed(FAILURE, LATER, MUCH_LATER),
    WorkerLost(charged=True, at=LATER),
    HandedBack(),
    Cancelled(LATER),
    CancelAsked(LATER),
    Progressed("[1,2,'']"),
    Released("given", LATER),
    Retried(LATER),
]
CELLS = [
    pytest.param(TaskState(line[0]), event, word, id=f"{line[0]}-{name}")
    for line in LINES
    for name, event, word in zip(NAMES[1:], EVENTS, line[1:])
]
FITTING = [cell for cell in CELLS if cell.values[2]]
EMPTY = [cell for cell in CELLS if not cell.values[2]]


def a_task(state, **fields):
    """A task in this state that has every field filled, so that an event could spoil any."""
    filled = Task(
        id="t-1",
        name="shop.mail:send",
        payload="[[],{}]",
        enqueued_at=NOW,
        run_at=NOW,
        state=state,
        revision=6,
        elapsed=True,
        expires_at=MUCH_LATER,
        queue="mail",
        priority=3,
        unique="U",
        unique_until_at=MUCH_LATER,
        lock="L",
        limit=2,
        rate_key="R",
        policy=Policy(retries=5, backoff_seconds=60.0, rate=Rate(10, 60.0)),
        schedule="S",
        occurrence_at=NOW,
        group="G",
        after="A" if state is TaskState.WAITING else None,
        given="given before",
        feeds=True,
        attempt=2,
        failures=1,
        deaths=1,
        worker="worker-1" if state is TaskState.RUNNING else None,
        unknown_since_at=NOW,
        started_at=NOW,
        finished_at=NOW if state.is_final else None,
        result="1" if state is TaskState.SUCCEEDED else None,
        failure=Failure("OSError", "former"),
        progress="[0,2,'']",
        cancel_asked_at=NOW,
        is_cut_short=True,
        history=(PAST,),
    )
    return dataclasses.replace(filled, **fields)


def changes(before, after):
    """The fields that differ, as a dictionary; the state and the revision are told elsewhere."""
    return {
        field.name: getattr(after, field.name)
        for field in dataclasses.fields(Task)
        if getattr(after, field.name) != getattr(before, field.name)
        and field.name not in ("state", "revision")
    }


class DescribeTheTable:
    def it_is_the_one_in_this_specification(self):
        written = {
            TaskState(line[0]): {
                type(event): TaskState(word) for event, word in zip(EVENTS, line[1:]) if word
            }
            for line in LINES
        }
        assert {state: dict(row) for state, row in TRANSITIONS.items()} == written

    def it_has_every_state_and_every_event(self):
        assert [TaskState(line[0]) for line in LINES] == list(TaskState)
        assert [type(event) for event in EVENTS] == list(typing.get_args(Event))
        assert [type(event).__name__ for event in EVENTS] == NAMES[1:]
        assert len(CELLS) == 55

    def it_can_not_be_changed(self):
        with pytest.raises(TypeError):
            TRANSITIONS[TaskState.SUCCEEDED] = {}
        with pytest.raises(TypeError):
            TRANSITIONS[TaskState.SUCCEEDED][Retried] = TaskState.WAITING

    @table("""
    state     | final
    waiting   | no
    running   | no
    succeeded | yes
    failed    | yes
    cancelled | yes
    """)
    def it_ends_in_three_states(self, state, final):
        assert TaskState(state).is_final is (final == "yes")


class DescribeAnEvent:
    @pytest.mark.parametrize(("state", "event", "word"), FITTING)
    def it_leads_to_the_state_in_the_table(self, state, event, word):
        before = a_task(state)
        kept = dataclasses.replace(before)
        after = apply(before, event)
        assert after.state is TaskState(word)
        assert after.revision == before.revision + 1
        assert before == kept

    @pytest.mark.parametrize(("state", "event", "word"), EMPTY)
    def it_is_refused_where_the_table_is_empty(self, state, event, word):
        task = a_task(state)
        kept = dataclasses.replace(task)
        with pytest.raises(IllegalTransition) as refused:
            apply(task, event)
        fitting = ", ".join(n for n, w in zip(NAMES[1:], _line(state)) if w) or "nothing"
        assert str(refused.value) == (
            f"{type(event).__name__} can not happen to task t-1 (shop.mail:send), which is "
            f"{state.value}: {fitting} can"
        )
        assert isinstance(refused.value, AutocronError)
        assert task == kept

    @given(st.lists(st.sampled_from(EVENTS), max_size=30))
    def it_keeps_what_the_state_says_whatever_happened_before(self, events):
        task = new_task(Message("shop.mail:send", "[[],{}]"), "t-1", NOW)
        happened = 0
        for event in events:
            try:
                task = apply(task, event)
            except IllegalTransition:
                continue
            happened += 1
            assert (task.worker is not None) == (task.state is TaskState.RUNNING)
            assert (task.finished_at is not None) == task.state.is_final
            assert (task.result is not None) == (task.state is TaskState.SUCCEEDED)
            assert task.failure is None or task.state is not TaskState.SUCCEEDED
            assert task.attempt >= (task.state is TaskState.RUNNING)
        assert task.revision == happened

    def it_is_a_frozen_value(self):
        for event in EVENTS:
            name = dataclasses.fields(event)[0].name
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(event, name, None)


def _line(state):
    return next(line[1:] for line in LINES if line[0] == state.value)


class DescribeClaimed:
    def it_notes_the_worker_and_counts_an_attempt(self):
        before = a_task(TaskState.WAITING)
        after = apply(before, Claimed("worker-2", LATER))
        assert changes(before, after) == {
            "worker": "worker-2",
            "started_at": LATER,
            "attempt": 3,
            "progress": None,
        }


class DescribeSucceeded:
    def it_keeps_the_result_and_forgets_former_failures(self):
        before = a_task(TaskState.RUNNING)
        after = apply(before, Succeeded('"value"', LATER))
        assert changes(before, after) == {
            "worker": None,
            "finished_at": LATER,
            "result": '"value"',
            "failure": None,
            "unknown_since_at": None,
        }


class DescribeFailed:
    def it_keeps_the_failure(self):
        before = a_task(TaskState.RUNNING)
        after = apply(before, Failed(FAILURE, LATER))
        assert changes(before, after) == {
            "worker": None,
            "finished_at": LATER,
            "failure": FAILURE,
            "failures": 2,
        }

    def it_counts_the_death_that_ended_it(self):
        before = a_task(TaskState.RUNNING)
        assert apply(before, Failed(FAILURE, LATER, charged=True)).deaths == 2


class DescribeAttemptFailed:
    def it_keeps_the_failure_and_puts_the_task_off(self):
        before = a_task(TaskState.RUNNING, elapsed=False)
        after = apply(before, AttemptFailed(FAILURE, LATER, MUCH_LATER))
        assert changes(before, after) == {
            "worker": None,
            "run_at": MUCH_LATER,
            "elapsed": True,
            "failure": FAILURE,
            "failures": 2,
            "unknown_since_at": None,
            "history": (PAST, PastAttempt(2, NOW, LATER, "ValueError: text")),
        }


class DescribeWorkerLost:
    def it_keeps_the_attempt(self):
        before = a_task(TaskState.RUNNING)
        after = apply(before, WorkerLost(charged=False, at=LATER))
        assert changes(before, after) == {
            "worker": None,
            "unknown_since_at": None,
            "history": (PAST, PastAttempt(2, NOW, LATER, "its worker was lost")),
        }

    def it_is_due_though_the_clock_was_set_back_meanwhile(self):
        before = a_task(TaskState.RUNNING, run_at=MUCH_LATER)
        assert apply(before, WorkerLost(charged=False, at=LATER)).run_at == LATER

    def it_counts_the_death_if_charged(self):
        before = a_task(TaskState.RUNNING)
        after = apply(before, WorkerLost(charged=True, at=LATER))
        assert after.deaths == 2

    def it_keeps_the_latest_attempts_only(self):
        task = a_task(TaskState.WAITING, history=(), attempt=0)
        for _ in range(MAX_HISTORY + 5):
            task = apply(apply(task, Claimed("w", LATER)), WorkerLost(charged=False, at=LATER))
        assert [past.number for past in task.history] == list(range(6, MAX_HISTORY + 6))


class DescribeHandedBack:
    def it_is_as_if_it_had_never_been_claimed(self):
        before = a_task(TaskState.WAITING, unknown_since_at=None)
        running = apply(before, Claimed("worker-2", LATER))
        after = apply(running, HandedBack())
        # When it was begun last is all that is left of it; and progress is of one attempt.
        assert changes(before, after) == {"started_at": LATER, "progress": None}

    def it_may_be_put_off(self):
        before = a_task(TaskState.RUNNING, unknown_since_at=None)
        after = apply(before, HandedBack(run_at=LATER, unknown_since_at=NOW))
        assert changes(before, after) == {
            "worker": None,
            "attempt": 1,
            "run_at": LATER,
            "unknown_since_at": NOW,
        }

    def it_is_put_off_by_elapsed_time_and_else_left_as_it_is(self):
        before = a_task(TaskState.RUNNING, elapsed=False)
        assert apply(before, HandedBack(run_at=LATER)).elapsed is True
        assert apply(before, HandedBack()).elapsed is False


class DescribeCancelled:
    def it_notes_the_end(self):
        before = a_task(TaskState.WAITING)
        assert changes(before, apply(before, Cancelled(LATER))) == {"finished_at": LATER}

    def it_says_why_if_there_is_a_reason(self):
        before = a_task(TaskState.RUNNING)
        after = apply(before, Cancelled(LATER, FAILURE))
        assert changes(before, after) == {
            "worker": None,
            "finished_at": LATER,
            "failure": FAILURE,
        }


class DescribeCancelAsked:
    def it_notes_when_that_was_first(self):
        before = a_task(TaskState.RUNNING, cancel_asked_at=None, is_cut_short=False)
        once = apply(before, CancelAsked(NOW))
        assert changes(before, once) == {"cancel_asked_at": NOW}
        again = apply(once, CancelAsked(LATER, is_cut_short=True))
        assert changes(before, again) == {"cancel_asked_at": NOW, "is_cut_short": True}
        assert changes(again, apply(again, CancelAsked(LATER))) == {}


class DescribeProgressed:
    def it_notes_how_far_the_task_is(self):
        before = a_task(TaskState.RUNNING)
        assert changes(before, apply(before, Progressed("[1,2,'']"))) == {"progress": "[1,2,'']"}


class DescribeReleased:
    def it_is_due_at_once(self):
        before = a_task(TaskState.WAITING, elapsed=False)
        after = apply(before, Released("given", LATER))
        assert changes(before, after) == {
            "after": None,
            "given": "given",
            "run_at": LATER,
            "elapsed": True,
        }

    def it_is_not_due_before_its_instant(self):
        before = a_task(TaskState.WAITING, elapsed=False, run_at=MUCH_LATER)
        after = apply(before, Released("given", LATER))
        assert (after.run_at, after.elapsed) == (MUCH_LATER, False)

    def it_is_due_at_its_instant_by_elapsed_time(self):
        before = a_task(TaskState.WAITING, elapsed=False, run_at=LATER)
        after = apply(before, Released("given", LATER))
        assert (after.run_at, after.elapsed) == (LATER, True)

    def it_begins_its_delay(self):
        before = a_task(TaskState.WAITING, run_at=NOW + timedelta(seconds=5))
        after = apply(before, Released("given", LATER))
        assert after.run_at == LATER + timedelta(seconds=5)

    def it_begins_no_delay_that_time_has_no_room_for(self):
        """No call asks for one, but such a row can be written."""
        first, last = (each.replace(tzinfo=timezone.utc) for each in (datetime.min, datetime.max))
        endless = a_task(TaskState.WAITING, enqueued_at=first, run_at=last)
        assert apply(endless, Released("given", LATER)).run_at == last
        backwards = a_task(TaskState.WAITING, enqueued_at=last, run_at=first)
        assert apply(backwards, Released("given", LATER)).run_at == LATER


class DescribeRetried:
    def it_has_no_delay_that_a_release_could_begin(self):
        before = a_task(TaskState.CANCELLED, after="first")
        assert not apply(before, Retried(LATER)).elapsed

    @pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.CANCELLED])
    def it_starts_anew_and_at_once(self, state):
        before = a_task(state, elapsed=False)
        after = apply(before, Retried(LATER))
        assert changes(before, after) == {
            "run_at": LATER,
            "elapsed": True,
            "expires_at": None,
            "finished_at": None,
            "failures": 0,
            "deaths": 0,
            "unknown_since_at": None,
            "progress": None,
            "cancel_asked_at": None,
            "is_cut_short": False,
            "history": (PAST, PastAttempt(2, NOW, NOW, "OSError: former")),
        }

    def it_knows_that_the_last_attempt_was_cancelled(self):
        before = a_task(TaskState.CANCELLED, failure=None)
        assert apply(before, Retried(LATER)).history[-1].error_message == "it was cancelled"

    @pytest.mark.parametrize("known", ["no attempt", "an attempt that is there"])
    def it_has_nothing_to_add_to_the_history(self, known):
        attempt = 0 if known == "no attempt" else PAST.number
        before = a_task(TaskState.CANCELLED, attempt=attempt)
        assert apply(before, Retried(LATER)).history == (PAST,)

    def it_adds_the_first_attempt(self):
        before = a_task(TaskState.FAILED, history=())
        assert [past.number for past in apply(before, Retried(LATER)).history] == [2]


class DescribeANewTask:
    def it_waits_and_is_due_at_once(self):
        task = new_task(Message("shop.mail:send", "[[1],{}]"), "t-1", NOW)
        assert task == Task("t-1", "shop.mail:send", "[[1],{}]", enqueued_at=NOW, run_at=NOW)
        assert task.state is TaskState.WAITING
        assert (task.revision, task.attempt, task.deaths) == (0, 0, 0)

    def it_has_what_the_message_asks_for(self):
        message = Message(
            "shop.jobs:clean",
            "[[],{}]",
            run_at=LATER,
            expires_at=MUCH_LATER,
            queue="mail",
            priority=-7,
            unique="U",
            lock="L",
            limit=3,
            rate_key="R",
            policy=Policy(retries=5, backoff_seconds=60.0),
            schedule="S",
        )
        task = new_task(message, "t-1", NOW, occurrence_at=NOW, group="G", after="A", feeds=True)
        assert (task.enqueued_at, task.run_at, task.elapsed) == (NOW, LATER, False)
        assert (task.priority, task.unique, task.lock) == (-7, "U", "L")
        assert (task.expires_at, task.unique_until_at, task.queue) == (MUCH_LATER, None, "mail")
        assert (task.limit, task.rate_key, task.policy) == (3, "R", message.policy)
        assert (task.group, task.after, task.feeds) == ("G", "A", True)
        assert (task.schedule, task.occurrence_at) == ("S", NOW)

    def it_is_due_when_its_delay_has_elapsed(self):
        task = new_task(Message("a:b", "[[],{}]", delay_seconds=90.0), "t-1", NOW)
        assert (task.run_at, task.elapsed) == (LATER, True)

    def it_counts_durations_from_the_call(self):
        message = Message("a:b", "[[],{}]", expires_seconds=90.0, unique_seconds=3690.0)
        task = new_task(message, "t-1", NOW)
        assert (task.expires_at, task.unique_until_at) == (LATER, MUCH_LATER)

    def it_may_be_made_like_an_earlier_one_of_the_same_message(self):
        message = Message("a:b", "[[1],{}]", queue="mail", priority=3, lock="L", schedule="S")
        first = new_task(message, "t-1", NOW, NOW)
        again = one_more(first, "t-2", LATER, MUCH_LATER)
        assert again == new_task(message, "t-2", LATER, MUCH_LATER)
        assert first == new_task(message, "t-1", NOW, NOW)

    @pytest.mark.parametrize(
        ("given", "is_alike"),
        [
            ({"priority": 1, "unique": "U", "unique_running": True, "policy": Policy(1)}, True),
            ({"run_at": NOW}, False),
            ({"delay_seconds": 0.5}, False),
            ({"expires_at": NOW}, False),
            ({"expires_seconds": 0.0}, False),
            ({"unique_seconds": 0.0}, False),
        ],
    )
    def it_is_like_an_earlier_one_unless_its_message_names_a_time(self, given, is_alike):
        assert has_no_time(Message("a:b", "[[],{}]", **given)) is is_alike

    def it_is_a_frozen_value(self):
        task = new_task(Message("a:b", "[[],{}]"), "t-1", NOW)
        with pytest.raises(dataclasses.FrozenInstanceError):
            task.state = TaskState.RUNNING


class DescribeAFailure:
    @table("""
    type       | message    | line
    ValueError | text       | ValueError: text
    KeyError   | 'a\\nb'    | 'KeyError: a\\nb'
    TimeoutError |          | TimeoutError
    """)
    def it_tells_type_and_message(self, type, message, line):
        assert Failure(type, message, "Traceback…").error_message == line
