"""How the values of core become rows of the SQLite store, and rows values again, exactly."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, Optional, Sequence, Tuple, TypeVar

from autocron.core.errors import StoreError
from autocron.core.schedule import Schedule
from autocron.core.task import Failure, Task, TaskState

Value = TypeVar("Value")
Row = Tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Later than this no datetime is; a shift stops here.
MAX_INSTANT = 253_402_300_799_999_999
MIN_INSTANT = -62_135_596_800_000_000

# In the order of the fields of Task, with the three of its failure in the place of one.
TASK_COLUMNS = (
    "id",
    "name",
    "payload",
    "enqueued_at",
    "run_at",
    "state",
    "revision",
    "elapsed",
    "priority",
    "unique_key",
    "lock_key",
    "retries",
    "backoff_seconds",
    "schedule",
    "occurrence_at",
    "attempt",
    "failures",
    "deaths",
    "worker",
    "unknown_since_at",
    "started_at",
    "finished_at",
    "result",
    "failure_type",
    "failure_message",
    "failure_traceback",
)

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
)

_STATES: Dict[str, TaskState] = {state.value: state for state in TaskState}


def microseconds(at: datetime) -> int:
    """Tell an aware instant as microseconds since 1970 in UTC, exactly."""
    since = at - _EPOCH
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def instant(stored: int) -> datetime:
    """Tell the aware UTC instant of a number of microseconds since 1970, exactly."""
    return _EPOCH + timedelta(microseconds=stored)


def _maybe_microseconds(at: Optional[datetime]) -> Optional[int]:
    return None if at is None else microseconds(at)


def _maybe_instant(stored: Optional[int]) -> Optional[datetime]:
    return None if stored is None else instant(stored)


def task_row(task: Task) -> Row:
    """Make the row of a task, in the order of :data:`TASK_COLUMNS`."""
    failure = task.failure
    return (
        task.id,
        task.name,
        task.payload,
        microseconds(task.enqueued_at),
        microseconds(task.run_at),
        task.state.value,
        task.revision,
        int(task.elapsed),
        task.priority,
        task.unique,
        task.lock,
        task.retries,
        task.backoff_seconds,
        task.schedule,
        _maybe_microseconds(task.occurrence_at),
        task.attempt,
        task.failures,
        task.deaths,
        task.worker,
        _maybe_microseconds(task.unknown_since_at),
        _maybe_microseconds(task.started_at),
        _maybe_microseconds(task.finished_at),
        task.result,
        None if failure is None else failure.type,
        None if failure is None else failure.message,
        None if failure is None else failure.traceback,
    )


def row_task(row: Sequence[Any]) -> Task:
    """Make the task of a row."""
    return Task(
        id=row[0],
        name=row[1],
        payload=row[2],
        enqueued_at=instant(row[3]),
        run_at=instant(row[4]),
        state=_STATES[row[5]],
        revision=row[6],
        elapsed=bool(row[7]),
        priority=row[8],
        unique=row[9],
        lock=row[10],
        retries=row[11],
        backoff_seconds=row[12],
        schedule=row[13],
        occurrence_at=_maybe_instant(row[14]),
        attempt=row[15],
        failures=row[16],
        deaths=row[17],
        worker=row[18],
        unknown_since_at=_maybe_instant(row[19]),
        started_at=_maybe_instant(row[20]),
        finished_at=_maybe_instant(row[21]),
        result=row[22],
        failure=None if row[23] is None else Failure(row[23], row[24], row[25]),
    )


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
