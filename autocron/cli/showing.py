"""What ``--show ID`` tells of one task."""

from __future__ import annotations

import json
import pprint
from datetime import datetime
from typing import List, Optional

from autocron.cli.formatting import Screen, duration
from autocron.cli.pieces import (
    PICKLED,
    STYLES,
    lasting,
    local,
    progress_of,
    short,
    shown_call,
    shown_progress,
    shown_result,
    since,
)
from autocron.core import arguments
from autocron.core.errors import AutocronError
from autocron.core.policy import Policy
from autocron.core.task import Task, TaskState
from autocron.shell.admin import Admin

_PRETTY_WIDTH = 76


def show_task(screen: Screen, admin: Admin, task: Task, now: datetime) -> None:
    """Show all of one task.

    Arguments:
        screen: Where to show it.
        admin: The database, which knows the tasks to which it belongs.
        task: The task.
        now: The present instant.
    """
    screen.title(f"Task {task.id}")
    screen.say(f"  {_state(task, now)}", STYLES.get(task.state, ""))
    _fields(
        screen,
        [
            ("function", task.name),
            ("arguments", shown_call(task.payload) or "none"),
            ("given", _given(task)),
            ("queue", task.queue),
            ("priority", str(task.priority)),
            ("schedule", task.schedule or ""),
            ("occurrence", local(task.occurrence_at)),
            *_company(admin, task, now),
        ],
    )
    screen.title("Times (local)")
    _fields(
        screen,
        [
            ("called", _ago(task.enqueued_at, now)),
            ("due", _ago(task.run_at, now) if task.after is None else "when it is released"),
            ("began", _ago(task.started_at, now)),
            ("ended", _ago(task.finished_at, now) if task.state.is_final else ""),
            ("waited", since(task.run_at, task.started_at)),
            ("ran", since(task.started_at, task.finished_at)),
            ("expires", _ago(task.expires_at, now)),
            ("cancel asked", _ago(task.cancel_asked_at, now)),
        ],
    )
    policy = _policy(task.policy)
    if any(value for _, value in policy):
        screen.title("Policy")
        _fields(screen, policy)
    _show_attempts(screen, task, now)
    progress = progress_of(task)
    if progress is not None:
        screen.title("Progress")
        screen.say(f"  {shown_progress(progress)}")
    if task.failure is not None and task.state is not TaskState.SUCCEEDED:
        screen.title("Error")
        _text(screen, task.failure.traceback or task.failure.error_message)
    if task.result is not None:
        screen.title("Result")
        _text(screen, _pretty(task.result))


def _fields(screen: Screen, fields: List[tuple[str, str]]) -> None:
    rows = [[name, value] for name, value in fields if value]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        screen.say(f"  {name.ljust(width)}  {value}")


def _text(screen: Screen, text: str) -> None:
    for line in text.splitlines():
        screen.say(f"  {line}")


def _state(task: Task, now: datetime) -> str:
    state = task.state.value
    if task.state is TaskState.RUNNING:
        return f"{state} {lasting(task.started_at, now)}, attempt {task.attempt}"
    if task.state.is_final:
        return f"{state} {since(task.finished_at, now)} ago"
    if task.after is not None:
        return f"{state}, held for {task.after}"
    if task.run_at > now:
        return f"{state}, due in {since(now, task.run_at)}"
    return f"{state}, due {lasting(task.run_at, now)}"


def _company(admin: Admin, task: Task, now: datetime) -> List[tuple[str, str]]:
    """Tell of the tasks to which it belongs, and what is in its way."""
    store = admin.store
    group = ""
    if task.group is not None:
        members = store.find(group=task.group)
        ended = sum(1 for one in members if one.state.is_final)
        group = f"{task.group} ({ended} of {len(members)} ended)"
    fields = [
        ("worker", task.worker or ""),
        ("group", group),
        ("after", _other(store.get(task.after), task.after) if task.after else ""),
    ]
    if task.feeds:
        followers = store.find(after=task.group or task.id)
        fields += [("before", _other(one, one.id)) for one in followers]
    fields += [("unique", _unique(task, now)), ("rate key", task.rate_key or "")]
    if task.lock is not None:
        running = sum(1 for one in store.find(state=TaskState.RUNNING) if one.lock == task.lock)
        fields.append(("limit", f"{task.limit} at once of {task.lock} ({running} run now)"))
    if task.state is TaskState.WAITING:
        overview = admin.overview()
        why = "no worker takes tasks of its queue" if task.queue in overview.unserved else ""
        if any(one.is_paused and one.name == task.queue for one in overview.queues):
            why = "its queue is paused"
        fields.append(("held up", why))
    return fields


def _other(other: Optional[Task], task_id: str) -> str:
    if other is None:
        return task_id
    return f"{short(other.id)} {other.name} ({other.state.value})"


def _unique(task: Task, now: datetime) -> str:
    if task.unique is None:
        return ""
    until_at = task.unique_until_at
    return task.unique + (f" (for {since(now, until_at)} more)" if until_at else "")


def _given(task: Task) -> str:
    """Return what the task before it has handed on: its first argument."""
    if task.given is None:
        return ""
    try:
        given = json.loads(task.given)
        if "results" in given:
            return f"the results of {len(given['results'])} tasks"
        return shown_result("null" if given["result"] is None else given["result"])
    except (ValueError, TypeError, KeyError):
        return task.given


def _ago(at: Optional[datetime], now: datetime) -> str:
    if at is None:
        return ""
    how_long = f"in {since(now, at)}" if at > now else f"{since(at, now)} ago"
    return f"{local(at)} ({how_long})"


def _policy(policy: Policy) -> List[tuple[str, str]]:
    backoff = ""
    if policy.retries:
        backoff = f"exponential, up to {duration(policy.backoff_cap_seconds)}"
        if policy.backoff_seconds is not None:
            backoff = duration(policy.backoff_seconds)
    rate = policy.rate
    return [
        ("retries", str(policy.retries or "")),
        ("backoff", backoff),
        ("retry on", ", ".join(policy.retry_on or ())),
        ("no retry on", ", ".join(policy.no_retry_on)),
        ("timeout", "" if policy.timeout_seconds is None else duration(policy.timeout_seconds)),
        ("rate", "" if rate is None else f"{rate.count} in {duration(rate.seconds)}"),
    ]


def _show_attempts(screen: Screen, task: Task, now: datetime) -> None:
    rows = [
        [
            str(past.number),
            local(past.started_at),
            since(past.started_at, past.ended_at),
            past.error_message,
        ]
        for past in task.history
    ]
    # The latest one is in the history only if it did not end the task.
    is_new = task.state is TaskState.RUNNING or (
        task.state.is_final and (not task.history or task.history[-1].number != task.attempt)
    )
    if is_new and task.started_at is not None:
        end = task.finished_at if task.state.is_final else now
        failure = task.failure
        came = "runs" if task.state is TaskState.RUNNING else task.state.value
        if task.state.is_final and failure is not None:
            came = failure.error_message
        rows.append([str(task.attempt), local(task.started_at), since(task.started_at, end), came])
    if not rows:
        return
    screen.title("Attempts")
    screen.table(rows, ("no", "began", "took", "what came of it"))
    if task.deaths:
        screen.say(f"  {task.deaths} of its workers died")


def _pretty(text: str) -> str:
    shown = shown_result(text)
    if shown == PICKLED:
        return shown
    try:
        return pprint.pformat(arguments.load_result(text), width=_PRETTY_WIDTH)
    except AutocronError:
        return shown
