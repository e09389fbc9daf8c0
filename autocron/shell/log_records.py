"""Log records of a worker carry the task during which they were made."""

from __future__ import annotations

import logging
from typing import Any

from autocron.current import current_task


def mark_records() -> None:
    """Let every log record have ``task_name`` and ``task_id``; both are None outside of tasks.

    Whatever factory of records an application sets, now or later, makes the records; what it, or
    ``extra=``, has put there under these names stays. So this is no factory itself: what
    a factory has put into a record can not be given as ``extra=`` any more.
    """
    make = logging.Logger.makeRecord

    def make_record(logger: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(logger, *args, **kwargs)
        task = current_task(None)
        record.__dict__.setdefault("task_name", None if task is None else task.name)
        record.__dict__.setdefault("task_id", None if task is None else task.id)
        return record

    logging.Logger.makeRecord = make_record  # type: ignore[method-assign, assignment]
