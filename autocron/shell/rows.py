"""How the values of core become rows of the SQLite store, and rows values again, exactly."""

from __future__ import annotations

import json
from dataclasses import MISSING, astuple
from dataclasses import fields as dataclass_fields
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar

from autocron.core.errors import StoreError
from autocron.core.policy import PLAIN, dump_policy, load_policy
from autocron.core.schedule import Schedule
from autocron.core.task import MAX_PRIORITY, Failure, PastAttempt, Task, TaskState

Value = TypeVar("Value")
Row = Tuple[Any, ...]
Fields = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Later than this no datetime is; a shift stops here.
MAX_INSTANT = 253_402_300_799_999_999
MIN_INSTANT = -62_135_596_800_000_000

# The columns of a task in the order of its row: those of its fields, one each, then those of its
# failure, and its lane, by which it is found; see `autocron.shell.queries`.
_FIELD_COLUMNS = {
    "id": "id",
    "name": "name",
    "payload": "payload",
    "enqueued_at": "enqueued_at",
    "run_at": "run_at",
    "state": "state",
    "revision": "revision",
    "elapsed": "elapsed",
    "expires_at": "expires_at",
    "queue": "queue",
    "priority": "priority",
    "unique": "unique_key",
    "unique_until_at": "unique_until_at",
    "lock": "lock_key",
    "limit": "lock_limit",
    "rate_key": "rate_key",
    "policy": "policy",
    "schedule": "schedule",
    "occurrence_at": "occurrence_at",
    "group": "group_id",
    "after": "after_id",
    "given": "given",
    "feeds": "feeds",
    "attempt": "attempt",
    "failures": "failures",
    "deaths": "deaths",
    "worker": "worker",
    "unknown_since_at": "unknown_since_at",
    "started_at": "started_at",
    "finished_at": "finished_at",
    "result": "result",
    "progress": "progress",
    "cancel_asked_at": "cancel_asked_at",
    "is_cut_short": "is_cut_short",
    "history": "history",
}
_FAILURE_COLUMNS = ("failure_type", "failure_message", "failure_traceback")
TASK_COLUMNS = (*_FIELD_COLUMNS.values(), *_FAILURE_COLUMNS)
LANE = "lane"

SCHEDULE_COLUMNS = (
    "key",
    "name",
    "text",
    "zone",
    "missed",
    "overlap",
    "grace_seconds",
    "at_start",
    "watermark_at",
    "service",
    "is_enabled",
    "is_dynamic",
    "jitter_seconds",
    "payload",
    "queue",
    "priority",
    "policy",
)

_STATES: Dict[str, TaskState] = {state.value: state for state in TaskState}
_STATE_TEXTS: Dict[TaskState, str] = {state: state.value for state in TaskState}


def microseconds(at: datetime) -> int:
    """Tell an aware instant as microseconds since 1970 in UTC, exactly."""
    since = at - _EPOCH
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def instant(stored: int) -> datetime:
    """Tell the aware UTC instant of a number of microseconds since 1970, exactly."""
    return _EPOCH + timedelta(microseconds=stored)


def added(task: Task) -> Tuple[Tuple[str, ...], List[Any]]:
    """Return the columns of a new task that are not as in every task, and their values."""
    return _differences(_DEFAULTS, task.__dict__)


def changed(before: Task, after: Task) -> Tuple[Tuple[str, ...], List[Any]]:
    """Return the columns in which two tasks differ, and their values in the second one."""
    return _differences(before.__dict__, after.__dict__)


def _differences(before: Fields, after: Fields) -> Tuple[Tuple[str, ...], List[Any]]:
    columns: List[str] = []
    values: List[Any] = []
    is_moved = False
    for name, value in after.items():
        # What has not changed is the very same, and most of it has not.
        if value is before[name]:
            continue
        if name == "failure":
            columns += _FAILURE_COLUMNS
            values += (None, None, None) if value is None else astuple(value)
            continue
        is_moved = is_moved or name == "queue" or name == "priority"
        store = _STORED_AS.get(name)
        columns.append(_FIELD_COLUMNS[name])
        values.append(value if store is None or value is None else store(value))
    if is_moved:
        columns.append(LANE)
        values.append(lane(after["priority"], after["queue"]))
    return tuple(columns), values


def lane(priority: int, queue: str) -> str:
    """Return the text by which tasks sort: by priority, the highest first, then by queue."""
    return f"{MAX_PRIORITY - priority:03d} {queue}"


def row_task(row: Sequence[Any]) -> Task:
    """Make the task of a row."""
    # Several times in the life of every task, and most of it is None: so all fields at once, as
    # they are, and then those that are kept in another form.
    task = object.__new__(Task)
    fields = task.__dict__
    fields.update(zip(_FIELD_COLUMNS, row))
    for name in _MAYBE_INSTANTS:
        if fields[name] is not None:
            fields[name] = instant(fields[name])
    fields["enqueued_at"] = instant(fields["enqueued_at"])
    fields["run_at"] = instant(fields["run_at"])
    fields["state"] = _STATES[fields["state"]]
    fields["elapsed"] = bool(fields["elapsed"])
    fields["policy"] = PLAIN if fields["policy"] is None else load_policy(fields["policy"])
    fields["feeds"] = bool(fields["feeds"])
    fields["is_cut_short"] = bool(fields["is_cut_short"])
    fields["history"] = () if fields["history"] is None else _text_history(fields["history"])
    kind, message, traceback = row[_FAILURE : _FAILURE + 3]
    fields["failure"] = None if kind is None else Failure(kind, message, traceback)
    return task


def _history_text(history: Sequence[PastAttempt]) -> Optional[str]:
    if not history:
        return None
    return json.dumps(
        [
            [
                past.number,
                microseconds(past.started_at),
                microseconds(past.ended_at),
                past.error_message,
            ]
            for past in history
        ]
    )


def _text_history(text: str) -> Tuple[PastAttempt, ...]:
    return tuple(
        PastAttempt(number, instant(started_at), instant(ended_at), error_message)
        for number, started_at, ended_at, error_message in json.loads(text)
    )


_FAILURE = len(_FIELD_COLUMNS)
_MAYBE_INSTANTS = tuple(
    name
    for name in _FIELD_COLUMNS
    if name.endswith("_at") and name not in ("enqueued_at", "run_at")
)
_STORED_AS: Mapping[str, Callable[[Any], Any]] = {
    "enqueued_at": microseconds,
    "run_at": microseconds,
    **dict.fromkeys(_MAYBE_INSTANTS, microseconds),
    "state": _STATE_TEXTS.__getitem__,
    "elapsed": int,
    "feeds": int,
    "is_cut_short": int,
    "policy": dump_policy,
    "history": _history_text,
}
# What a task has unless it is said; a field that has to be said differs from whatever is said.
_DEFAULTS: Fields = {
    each.name: object() if each.default is MISSING else each.default
    for each in dataclass_fields(Task)
}


def schedule_row(schedule: Schedule) -> Row:
    """Make the row of a schedule, in the order of :data:`SCHEDULE_COLUMNS`."""
    return (
        schedule.key,
        schedule.name,
        schedule.text,
        schedule.zone,
        schedule.missed,
        schedule.overlap,
        schedule.grace_seconds,
        int(schedule.at_start),
        microseconds(schedule.watermark_at),
        schedule.service,
        int(schedule.is_enabled),
        int(schedule.is_dynamic),
        schedule.jitter_seconds,
        schedule.payload,
        schedule.queue,
        schedule.priority,
        dump_policy(schedule.policy),
    )


def row_schedule(row: Sequence[Any]) -> Schedule:
    """Make the schedule of a row."""
    return Schedule(
        key=row[0],
        name=row[1],
        text=row[2],
        zone=row[3],
        missed=row[4],
        overlap=row[5],
        grace_seconds=row[6],
        at_start=bool(row[7]),
        watermark_at=instant(row[8]),
        service=row[9],
        is_enabled=bool(row[10]),
        is_dynamic=bool(row[11]),
        jitter_seconds=row[12],
        payload=row[13],
        queue=row[14],
        priority=row[15],
        policy=load_policy(row[16]),
    )


def readable(convert: Callable[[Sequence[Any]], Value], row: Sequence[Any], path: str) -> Value:
    """Make the value of a row, or say that the row is damaged."""
    try:
        return convert(row)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(
            f"can not read a row in {path}: it holds what autocron did not write ({error!r}); "
            f"restore a copy of the database, or delete the row {row[0]!r}"
        ) from error
