"""How the values of core become rows of the SQLite store, and rows values again, exactly."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from operator import itemgetter
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

from autocron.core.errors import LONGEST_SECONDS
from autocron.core.policy import PLAIN, Policy, dump_policy, load_policy
from autocron.core.schedule import MISSED_POLICIES, OVERLAP_POLICIES, Schedule
from autocron.core.task import (
    MAX_ID_LENGTH,
    MAX_PRIORITY,
    MIN_PRIORITY,
    Failure,
    PastAttempt,
    Task,
    TaskState,
)
from autocron.core.values import Alike, fields_of, made
from autocron.shell.damage import DamagedRow

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
    global _added_last
    fields = task.__dict__
    rest = _REST_OF(fields)
    known, columns, values = _added_last
    if rest == known:
        # As the task before, which to see takes half as long as to look at each field.
        at = microseconds(fields["enqueued_at"])
        run_at = fields["run_at"]
        due = at if run_at is fields["enqueued_at"] else microseconds(run_at)
        return columns, [fields["id"], fields["name"], fields["payload"], at, due, *values]
    columns, found = _differences(_DEFAULTS, fields)
    if columns[:_OWN] == TASK_COLUMNS[:_OWN]:
        _added_last = rest, columns, found[_OWN:]
    return columns, found


def added_at_once(
    tasks: Iterable[Task], most: int
) -> Iterator[Tuple[Tuple[str, ...], int, List[Any]]]:
    """Return the same for many tasks: columns, how many tasks have them, and all of their values.

    Arguments:
        tasks: The tasks, in their order.
        most: About how many values to return at once.
    """
    if isinstance(tasks, Alike):
        yield from _added_alike(tasks, most)
        return
    columns: Tuple[str, ...] = ()
    values: List[Any] = []
    rest: List[Any] = []
    last: Fields = _DEFAULTS
    for task in tasks:
        fields = task.__dict__
        if [name for name in fields if fields[name] is not last[name]] == _OF_A_CALL:
            # As the calls of one `map` are; the columns of a task begin with these.
            own = columns
        else:
            own, found = added(task)
            rest = found[len(_FIRST) :]
        if values and (own != columns or len(values) >= most):
            yield columns, len(values) // len(columns), values
            values = []
        columns, last = own, fields
        values += (task.id, task.name, task.payload, *rest)
    if values:
        yield columns, len(values) // len(columns), values


def _added_alike(tasks: Alike[Task], most: int) -> Iterator[Tuple[Tuple[str, ...], int, List[Any]]]:
    """Return the same for tasks that differ in texts that are stored as they are."""
    columns, values = added(tasks.like)
    width = len(columns)
    own = [(columns.index(_FIELD_COLUMNS[name]), each) for name, each in tasks.own.items()]
    at_once = max(most // width, 1)
    for start in range(0, len(tasks), at_once):
        count = min(at_once, len(tasks) - start)
        rows = values * count
        for place, each in own:
            rows[place::width] = each[start : start + count]
        yield columns, count, rows


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
            if value is None:
                values += (None, None, None)
            else:
                values += (value.type, value.message, value.traceback)
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
    """Make the task of a row.

    Raises:
        Exception: The row holds what :func:`added` and :func:`changed` do not write.
    """
    # Several times in the life of every task. Most rows are like others, but for the first few
    # columns, and those of which all has been checked are copied.
    rest = tuple(row[_OWN:_WIDTH])
    fields = _KNOWN.get(rest)
    if fields is None:
        fields = _checked(row)
        if _is_like_others(fields):
            if len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[rest] = fields.copy()
    else:
        fields = fields.copy()
    task_id, name, payload, enqueued_at, run_at = row[:_OWN]
    if tuple(map(type, row[:_OWN])) != _OWN_KINDS:
        _check_kinds(tuple(map(type, row)))
    if not 0 < len(task_id) <= MAX_ID_LENGTH:
        raise ValueError(f"the id has {len(task_id)} characters")
    fields["id"] = task_id
    fields["name"] = name
    fields["payload"] = payload
    fields["enqueued_at"] = at = instant(enqueued_at)
    fields["run_at"] = at if run_at == enqueued_at else instant(run_at)
    return made(Task, fields)


def _checked(row: Sequence[Any]) -> Dict[str, Any]:
    """Return the fields of a row, each of which has been looked at, but for its own."""
    # Of kinds and numbers there are few combinations, and each is checked once.
    kinds = tuple(map(type, row))
    if kinds not in _FAMILIAR_KINDS:
        _check_kinds(kinds)
    numbers = _NUMBERS_OF(row)
    if numbers not in _FAMILIAR_NUMBERS:
        _check_numbers(numbers)
    worker = row[_WORKER]
    # It becomes the name of a file.
    if worker is not None and not _WORKER_NAME.fullmatch(worker):
        raise ValueError(f"{worker!r:.80} is no name of a worker")
    fields = dict(zip(_FIELD_COLUMNS, row))
    for name in _MAYBE_INSTANTS:
        if fields[name] is not None:
            fields[name] = instant(fields[name])
    fields["state"] = _STATES[fields["state"]]
    fields["elapsed"] = bool(fields["elapsed"])
    fields["policy"] = PLAIN if fields["policy"] is None else _policy(fields["policy"])
    fields["feeds"] = bool(fields["feeds"])
    fields["is_cut_short"] = bool(fields["is_cut_short"])
    fields["history"] = () if fields["history"] is None else _text_history(fields["history"])
    fields["failure"] = None if row[_FAILURE] is None else _failure(*row[_FAILURE : _FAILURE + 3])
    return fields


def _is_like_others(fields: Fields) -> bool:
    """Tell whether the same may stand in many rows, and takes little."""
    return all(fields[name] is None for name in _OF_ONE_TASK)


def _failure(kind: str, message: Optional[str], traceback: Optional[str]) -> Failure:
    if message is None or traceback is None:
        raise ValueError("a failure has no message or no traceback")
    return Failure(kind, message, traceback)


def _check_kinds(kinds: Tuple[type, ...]) -> None:
    for column, kind in zip(TASK_COLUMNS, kinds):
        wanted = int if column in _NUMBERS else str
        if kind is not wanted and not (kind is type(None) and column not in _ALWAYS):
            raise ValueError(f"{column} is {kind.__name__}, not {wanted.__name__}")
    # Unless somebody makes them up.
    if len(_FAMILIAR_KINDS) < _MOST_FAMILIAR:
        _FAMILIAR_KINDS.add(kinds)


def _check_numbers(numbers: Tuple[int, ...]) -> None:
    *counts, priority = numbers
    if min(counts) < 0 or max(counts) > _MOST or not MIN_PRIORITY <= priority <= MAX_PRIORITY:
        raise ValueError(f"a number is out of bounds: {counts}, priority {priority}")
    if len(_FAMILIAR_NUMBERS) < _MOST_FAMILIAR:
        _FAMILIAR_NUMBERS.add(numbers)


@lru_cache(maxsize=1024)
def _policy(text: Optional[str]) -> Policy:
    """Return the policy of a text, if it is one that the options allow."""
    if text is not None and len(text) > _LONGEST_POLICY:
        raise ValueError(f"the policy has {len(text)} characters")
    if text is not None and type(json.loads(text)) is not dict:
        raise ValueError("the policy is no object of JSON")
    policy = load_policy(text)
    seconds = [policy.backoff_cap_seconds, policy.backoff_seconds, policy.timeout_seconds]
    count = policy.retries
    rate = policy.rate
    if rate is not None:
        seconds.append(rate.seconds)
        count = max(count, rate.count)
    names = [*(policy.retry_on or ()), *policy.no_retry_on]
    if (
        not all(each is None or _is_duration(each) for each in seconds)
        or type(count) is not int
        or not 0 <= count <= _MOST
        or not all(type(name) is str for name in names)
    ):
        raise ValueError(f"the policy {text!r:.200} is none")
    return policy


def _is_duration(seconds: object) -> bool:
    return (
        type(seconds) in (int, float) and 0 <= seconds <= LONGEST_SECONDS  # type: ignore[operator]
    )


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
        PastAttempt(int(number), instant(started_at), instant(ended_at), str(error_message))
        for number, started_at, ended_at, error_message in json.loads(text, parse_int=_whole)
    )


def _whole(digits: str) -> int:
    # Old Pythons read millions of them, in the square of the time.
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


_FAILURE = len(_FIELD_COLUMNS)
_COUNTS = ("revision", "limit", "attempt", "failures", "deaths", "elapsed", "feeds", "is_cut_short")
_MOST = 2**40
_MOST_DIGITS = 20
_LONGEST_POLICY = 20_000
_NUMBERS = frozenset(
    [name for name in TASK_COLUMNS if name.endswith("_at")]
    + [_FIELD_COLUMNS[name] for name in (*_COUNTS, "priority")]
)
_ALWAYS = frozenset(
    ["id", "name", "payload", "enqueued_at", "run_at", "state", "queue"]
    + [_FIELD_COLUMNS[name] for name in (*_COUNTS, "priority")]
)
# The hexadecimal digits of ours, and whatever else a driver of the engine may call itself.
_WORKER_NAME = re.compile(r"[A-Za-z0-9 _.:-]{0,64}")
_WORKER = TASK_COLUMNS.index("worker")
_NUMBERS_OF = itemgetter(
    *(TASK_COLUMNS.index(_FIELD_COLUMNS[name]) for name in (*_COUNTS, "priority"))
)
# The first columns, in which each task differs from all others, and what they hold.
_OWN = 5
_OF_A_CALL = ["id", "payload"]
_FIRST = ("id", "name", "payload")
_OWN_KINDS = (str, str, str, int, int)
_WIDTH = len(TASK_COLUMNS)
# The other columns of tasks that wait, and their fields; small, since a worker lives for long.
_KNOWN: Dict[Tuple[Any, ...], Dict[str, Any]] = {}
_MOST_KNOWN = 64
_OF_ONE_TASK = ("started_at", "finished_at", "unique", "after", "given", "occurrence_at")
_FAMILIAR_NUMBERS: Set[Tuple[int, ...]] = set()
_FAMILIAR_KINDS: Set[Tuple[type, ...]] = set()
_MOST_FAMILIAR = 4096
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
_DEFAULTS: Fields = fields_of(Task, missing=object())
# The other fields of a task; and those of the task that was added last, and what is stored of them.
_REST_OF = itemgetter(*[name for name in _DEFAULTS if name not in TASK_COLUMNS[:_OWN]])
_added_last: Tuple[Tuple[Any, ...], Tuple[str, ...], List[Any]] = ((), (), [])


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
    """Make the schedule of a row.

    Raises:
        Exception: The row holds what :func:`schedule_row` does not write.
    """
    texts = [value for place, value in enumerate(row) if SCHEDULE_COLUMNS[place] in _TEXTS]
    numbers = [row[7], row[8], row[10], row[11], row[15]]
    if (
        not all(type(text) is str for text in texts)
        or not (row[2] is None or type(row[2]) is str)
        or not all(type(number) is int for number in numbers)
        or not all(flag in (0, 1) for flag in (row[7], row[10], row[11]))
        or not (_is_duration(row[6]) and _is_duration(row[12]))
        or row[4] not in MISSED_POLICIES
        or row[5] not in OVERLAP_POLICIES
        or not MIN_PRIORITY <= row[15] <= MAX_PRIORITY
        # Else no change would ever be made of it: what is compared is the text.
        or dump_policy(_policy(row[16])) != row[16]
    ):
        raise ValueError("a column holds what is none of its values")
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
        policy=_policy(row[16]),
    )


_TEXTS = ("key", "name", "zone", "missed", "overlap", "service", "payload", "queue")


def readable(convert: Callable[[Sequence[Any]], Value], row: Sequence[Any], path: str) -> Value:
    """Make the value of a row, or say that the row is damaged."""
    try:
        return convert(row)
    # Whatever a damaged text provokes in a parser: nobody but autocron writes here.
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise DamagedRow(
            f"can not read a row in {path}: it holds what autocron did not write ({what:.200}); "
            f"restore a copy of the database, or delete the row {row[0]!r:.80}"
        ) from error
