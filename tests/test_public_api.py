"""What ``import autocron`` offers: its names, their signatures and their types."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import autocron
from autocron.app import App

NAMES = {
    # the four of the first version
    "cron",
    "delay",
    "start",
    "stop",
    # the time, as tests may set it
    "now",
    # what they give, and the way back to it
    "TaskResult",
    "get_result",
    "TaskGroup",
    "get_group",
    "Chain",
    # inside a task
    "current_task",
    "CurrentTask",
    "Progress",
    "Retry",
    "Discard",
    # what happens to tasks
    "on",
    "TaskEvent",
    # schedules made at run time
    "schedule",
    "unschedule",
    "schedules",
    "ScheduleInfo",
    # what the four are methods of
    "default_app",
    # errors
    "AutocronError",
    "InvalidSchedule",
    "InvalidTask",
    "NoCurrentTask",
    "NotStorable",
    "ResultExpired",
    "ResultNotReady",
    "ScheduleWarning",
    "StartError",
    "StoreError",
    "TaskCancelled",
    "TaskFailed",
    "TaskNotFound",
    "TaskTimeout",
    "WaitTimeout",
}


def test_the_public_names_are_these_and_all_are_there() -> None:
    assert set(autocron.__all__) == NAMES
    assert sorted(autocron.__all__) == autocron.__all__
    for name in NAMES:
        assert hasattr(autocron, name)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_is_explained(name: str) -> None:
    assert inspect.getdoc(getattr(autocron, name))


@pytest.mark.parametrize(
    "name",
    sorted(name for name in dir(autocron.TaskResult) if name[0] != "_" and name != "id"),
)
def test_everything_about_a_result_is_explained(name: str) -> None:
    assert inspect.getdoc(getattr(autocron.TaskResult, name))


def test_a_result_has_the_attributes_of_the_first_version() -> None:
    attributes = {"is_ready", "is_waiting", "has_error", "error_message", "result"}
    assert attributes <= set(dir(autocron.TaskResult))


def test_start_takes_the_database_and_the_rest_by_name() -> None:
    parameters = inspect.signature(autocron.start).parameters
    assert list(parameters) == [
        "database",
        "workers",
        "tz",
        "serializer",
        "durability",
        "max_tasks_per_worker",
        "max_memory_mb",
        "stop_grace",
        "unknown",  # takes nothing; it is there for the message
    ]
    assert parameters["unknown"].annotation == "NoReturn"
    kinds = [parameter.kind for parameter in parameters.values()]
    assert kinds[0] is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert set(kinds[1:-1]) == {inspect.Parameter.KEYWORD_ONLY}
    defaults = {name: parameter.default for name, parameter in list(parameters.items())[1:-1]}
    assert defaults.pop("serializer") == "json"
    assert defaults.pop("durability") == "full"
    assert set(defaults.values()) == {None}


def test_cron_takes_a_text_or_fields_by_name() -> None:
    parameters = inspect.signature(autocron.cron).parameters
    assert next(iter(parameters)) == "crontab"
    fields = {"minutes", "hours", "days", "months", "days_of_week", "dow"}
    assert fields | {"tz", "missed", "overlap"} <= set(parameters)


def test_a_decorated_function_looks_like_the_plain_one() -> None:
    app = App()

    def send(address: str, *, copies: int = 1) -> bool:
        """Send a mail."""
        return bool(address) and copies > 0

    delayed = app.delay(send)
    assert delayed.__name__ == "send"
    assert delayed.__qualname__ == send.__qualname__
    assert delayed.__doc__ == "Send a mail."
    assert inspect.signature(delayed) == inspect.signature(send)
    assert delayed.function is send
    assert app.cron("0 2 * * *")(send) is send


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(autocron.__file__).parent / "py.typed").is_file()


_TYPED = """
from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import List

import autocron
from autocron import TaskResult, cron, delay


@cron("30 2 * * *")
def cleanup() -> None: ...


@cron(minutes=[0, 30], hours=9, dow="mon", tz="Europe/Berlin", grace=timedelta(hours=1))
def report() -> int:
    return 1


@delay
def add(a: int, b: int = 2) -> int:
    return a + b


@delay(minutes=5)
def names(prefix: str, *, count: int) -> List[str]:
    return [prefix] * count


@delay
async def fetch(url: str) -> bytes:
    return url.encode()


@delay(retries=2)
async def post(url: str) -> int:
    return len(await fetch.function(url))


@cron("0 3 * * *")
async def sweep() -> None:
    body: bytes = await fetch("x")
    print(body, await add.map([1, 2]))


body: TaskResult[bytes] = fetch("x")
size: TaskResult[int] = post.options(seconds=3)("x")
nothing: None = cleanup()
one: int = report()
result: TaskResult[int] = add(1, b=3)
value: int = result.result
same: int = result.get(timeout=5)
in_time: bool = result.wait(timeout=5) and result.wait(timedelta(minutes=1))
text: str = result.error_message + result.traceback + result.status + result.id
flags: bool = result.is_ready or result.is_waiting or result.has_error or result.cancel()
later: TaskResult[List[str]] = names.options(seconds=30)("x", count=2)
at: TaskResult[int] = add.options(schedule=datetime.now(timezone.utc))(1)
limited: TaskResult[int] = add.options(
    retries=3, backoff="exponential", max_backoff=timedelta(minutes=1), retry_on=(OSError,),
    timeout=5, priority=1, queue="mail", limit=1, limit_key=lambda a, b: f"customer {a}",
    rate="10/minute", rate_key="smtp", unique="args", unique_while="running", unique_for=60,
    expires=timedelta(hours=1),
)(1)
group: autocron.TaskGroup[int] = add.map([1, 2], then=names.options(queue="x"))
all_of_them: List[int] = group.get(timeout=5) + group.results
all_in_time: bool = group.wait(timeout=5)
one_of_them: TaskResult[int] = group[0]
chain: autocron.Chain = add.then(fetch).then(names, count=2)
plain: int = add.function(1, 2)
name: str = add.__name__


@autocron.on("failed", "lost")
def tell(event: autocron.TaskEvent) -> None:
    print(event.name, event.error_message)


@delay(retries=2)
def inside() -> None:
    task = autocron.current_task()
    if not task.is_cancelled:
        task.progress(1, total=2, note="half")
        task.logger.info("half")
    raise autocron.Retry("later", after=timedelta(minutes=1))


schedule_name: str = autocron.schedule(add, "0 9 * * *", args=[1], tz="Europe/Berlin")


async def use() -> int:
    await asyncio.gather(result, body)
    return await asyncio.wait_for(result, 5)


def main() -> None:
    served: bool = autocron.start(Path("/tmp/x.db"), workers=2, tz=timezone.utc, serializer="json")
    autocron.start("project.db", durability="normal")
    autocron.stop()
    asyncio.run(use())
    print(served)


add("one")  # type: ignore[arg-type]
add()  # type: ignore[call-arg]
names("x")  # type: ignore[call-arg]
wrong: TaskResult[str] = add(1)  # type: ignore[assignment]
add.options(second=3)  # type: ignore[call-arg]
add.options(retries="3")  # type: ignore[arg-type]
add.then(len)  # type: ignore[arg-type]
delay(limits=3)  # type: ignore[call-overload]
add.options(seconds="3")  # type: ignore[arg-type]
autocron.start()  # type: ignore[call-arg]
autocron.start("x", 2)  # type: ignore[call-arg]
cron("0 2 * * *", minute=1)  # type: ignore[arg-type]
"""


def test_a_type_checker_understands_the_decorators_and_the_results(tmp_path: Path) -> None:
    pytest.importorskip("mypy.api", reason="the type checker is not installed")
    (tmp_path / "typed.py").write_text(_TYPED)
    # What the package imports where its extras are installed is another one's.
    options = ["--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "typed.py"],
        cwd=str(tmp_path),
        env={**os.environ, "MYPYPATH": str(Path(autocron.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    # An expected error that does not come is an error, too: strict warns of unused ignores.
    assert done.returncode == 0, done.stdout.decode()
