"""What the checks of both contracts are written with."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, List, Sequence, Type

from autocron.core.events import Claimed
from autocron.core.machine import apply
from autocron.core.schedule import Schedule
from autocron.core.task import Failure, Message, Task, TaskState, new_task
from autocron.ports import Store

NOW = datetime(2024, 2, 29, 12, 30, 15, 123_457, tzinfo=timezone.utc)
FAILURE = Failure("ValueError", "no 'ü'\nhere", "Traceback…\n  line")
PATIENCE_SECONDS = 30.0


def expect(actual: Any, expected: Any, what: str) -> None:
    """Raise AssertionError, with both values, unless they are equal."""
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def expect_error(kind: Type[Exception], action: Callable[[], Any], what: str) -> Exception:
    """Raise AssertionError unless the action raises this kind of error; return the error."""
    try:
        given = action()
    except kind as error:
        return error
    raise AssertionError(f"{what}: expected {kind.__name__}, but it returned {given!r}")


def in_threads(count: int, action: Callable[[int], Any]) -> List[Any]:
    """Run an action in several threads that begin at once; return what each returned."""
    ready, results = threading.Barrier(count), [None] * count
    errors: List[BaseException] = []

    def run(number: int) -> None:
        try:
            ready.wait(PATIENCE_SECONDS)
            results[number] = action(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def a_task(
    task_id: str, run_seconds: float = 0.0, *, elapsed: bool = False, **options: Any
) -> Task:
    """Make a waiting task, due so many seconds after NOW; ``options`` are those of a Message."""
    run_at = NOW + timedelta(seconds=run_seconds)
    message = Message("shop.mail:send", "[[],{}]", run_at=run_at, **options)
    return replace(new_task(message, task_id, NOW), elapsed=elapsed)


def a_schedule(key: str, **changes: Any) -> Schedule:
    """Make a schedule with this key."""
    plain = Schedule(
        key=key,
        name="shop.jobs:clean",
        text="30 2 * * *",
        zone="Europe/Berlin",
        missed="once",
        overlap="skip",
        grace_seconds=60.0,
        at_start=False,
        watermark_at=NOW,
    )
    return replace(plain, **changes)


def claimed(store: Store, task: Task, worker: str = "worker-1") -> Task:
    """Store a waiting task as a running one."""
    running = apply(task, Claimed(worker, NOW))
    expect(store.swap(task, running), True, "swap of the task just read")
    return running


def ended(task_id: str, state: TaskState, finished_at: datetime) -> Task:
    """Make a task that has ended."""
    return replace(a_task(task_id), state=state, revision=2, finished_at=finished_at)


def ids(tasks: Sequence[Task]) -> List[str]:
    """Return the ids of tasks, in their order."""
    return [task.id for task in tasks]
