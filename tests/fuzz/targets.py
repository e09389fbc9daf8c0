"""What is fuzzed: each target takes any bytes, and fails if something happens that must not.

What is refused by an error of autocron's own is well.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Tuple

from autocron import cli
from autocron.core.arguments import dump_call, dump_result, load_call, load_result
from autocron.core.cron import parse
from autocron.core.errors import AutocronError, NotStorable, StoreError
from autocron.core.events import Claimed, HandedBack, Released, Retried, Succeeded
from autocron.core.explain import describe, warnings_for
from autocron.core.machine import TRANSITIONS, apply
from autocron.core.next_run import next_run, previous_run
from autocron.core.outcome import Raised, after_attempt, after_loss
from autocron.core.schedule import MISSED_POLICIES, Schedule, owed
from autocron.core.settings import Settings
from autocron.core.task import Failure, Task, TaskState
from autocron.shell.channel import Channel
from autocron.shell.listing import listed
from autocron.shell.rows import (
    SCHEDULE_COLUMNS,
    TASK_COLUMNS,
    added,
    changed,
    row_schedule,
    row_task,
    schedule_row,
)
from autocron.shell.sqlite import SQLiteStore
from autocron.shell.wakeup import Sender, Sent, bind, drain

NOW = datetime(2024, 3, 31, 0, 59, 59, 999_999, timezone.utc)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def cron_text(data: bytes) -> None:
    """A text is refused, or is an expression that its own text gives again."""
    try:
        expression = parse(_text(data))
    except AutocronError:
        return
    assert parse(str(expression)) == expression
    assert describe(expression)
    warnings_for(expression)
    following = next_run(expression, NOW, timezone.utc)
    if following is not None:
        assert following > NOW
        before = previous_run(expression, following, timezone.utc)
        assert before is None or before <= NOW


def stored_arguments(data: bytes) -> None:
    """A text is refused as not ours, or gives values that are stored as they are."""
    text = _text(data)
    with contextlib.suppress(NotStorable):
        args, kwargs = load_call(text)
        _is_stored(lambda: load_call(dump_call(args, kwargs)) == (args, kwargs))
    with contextlib.suppress(NotStorable):
        value = load_result(text)
        _is_stored(lambda: load_result(dump_result(value)) == value)


def _is_stored(again: Callable[[], bool]) -> None:
    try:
        assert again()
    except NotStorable as error:
        # What no call could have stored: JSON knows no largest number.
        if "inf" not in str(error):
            raise


def command_line(data: bytes) -> None:
    """Words are obeyed, or refused with exit code 1 or 2; nothing controls the terminal."""
    words = [_text(word) for word in data.split(b"\0")]
    # Nothing is to be started here, nothing to be written elsewhere, and nobody to be asked.
    is_harmful = any(
        "/" in word or "~" in word or word.startswith(("--r", "--w", "--b", "--del", "--h"))
        for word in words
    )
    if is_harmful or words[0] in ("demo", "simulate", "check"):
        return
    said, stdin = io.StringIO(), sys.stdin
    sys.stdin = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), _empty_folder():
            code = cli.main(words)
    finally:
        sys.stdin = stdin
    assert code in (0, 1, 2), code
    shown = said.getvalue()
    assert "Traceback" not in shown
    assert shown.replace("\n", "").isprintable(), shown


@contextlib.contextmanager
def _empty_folder() -> Any:
    before, home = os.getcwd(), os.environ.get("HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["HOME"] = folder
        try:
            yield
        finally:
            os.chdir(before)
            os.environ.pop("HOME")
            if home is not None:
                os.environ["HOME"] = home


_PLAIN_TASK: Mapping[str, Any] = {
    **dict.fromkeys(TASK_COLUMNS),
    "id": "t",
    "name": "m:f",
    "payload": "[[],{}]",
    "enqueued_at": 0,
    "run_at": 0,
    "state": "waiting",
    "queue": "default",
    "lock_limit": 1,
    **dict.fromkeys(
        [
            "revision",
            "elapsed",
            "priority",
            "feeds",
            "attempt",
            "failures",
            "deaths",
            "is_cut_short",
        ],
        0,
    ),
}
_PLAIN_SCHEDULE: Mapping[str, Any] = dict(
    zip(
        SCHEDULE_COLUMNS,
        schedule_row(Schedule("k", "m:f", "* * * * *", "UTC", "once", "skip", 60.0, False, NOW)),
    )
)
_KINDS: Mapping[str, Callable[[str], Any]] = {
    "i": lambda text: max(-(2**63), min(2**63 - 1, int(text[:40]))),
    "f": float,
    "t": str,
    "b": lambda text: text.encode(),
    "n": lambda text: None,
}


def _row(data: bytes, plain: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a row in which columns are changed as lines say it: ``priority=i7``."""
    row = dict(plain)
    for line in _text(data).split("\n"):
        column, _, value = line.partition("=")
        if column in row and value[:1] in _KINDS:
            with contextlib.suppress(ValueError):
                row[column] = _KINDS[value[0]](value[1:])
    return row


def task_row(data: bytes) -> None:
    """A row is refused, or is a task that lives like any other."""
    try:
        task = row_task([*_row(data, _PLAIN_TASK).values(), 1])
    except Exception:
        # Whoever reads it sets it aside for that.
        return
    _live(task)


def _live(task: Task) -> None:
    assert added(task)
    ends = {
        Claimed: lambda task: [Claimed("w", NOW)],
        Released: lambda task: [Released("{}", NOW)] if task.after is not None else [],
        Succeeded: lambda task: [
            Succeeded("1", NOW),
            HandedBack(),
            after_attempt(task, Raised(Failure("E", "e")), NOW, 0.5),
            after_loss(task, True, NOW, "ended"),
        ],
        Retried: lambda task: [Retried(NOW)],
    }
    for kind in TRANSITIONS[task.state]:
        for event in ends.get(kind, lambda task: [])(task):  # type: ignore[call-overload]
            after = apply(task, event)
            assert isinstance(changed(task, after)[1], list)


def schedule_row_of(data: bytes) -> None:
    """A row is refused, or is a schedule that can be asked what is owed."""
    row = _row(data, _PLAIN_SCHEDULE)
    try:
        schedule = row_schedule(list(row.values()))
    except Exception:
        return
    # Else nobody could replace it.
    assert list(schedule_row(schedule)) == list(row.values())
    assert schedule.missed in MISSED_POLICIES
    assert schedule.delay_seconds >= 0
    try:
        expression = parse(schedule.text or "")
    except AutocronError:
        return
    found = owed(schedule, expression, timezone.utc, NOW + timedelta(seconds=1))
    assert len(found.made_up) <= 1000


def settings(data: bytes) -> None:
    """Whatever the settings hold, they can be read."""
    lines = (line.partition("=") for line in _text(data).split("\n"))
    Settings.read({name: value for name, _, value in lines})


def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(os.path.join(folder, "f.db"), durability="normal")
        store.open()
        for number in range(3):
            store.add(Task(f"t{number}", "m:f", "[[],{}]", NOW, NOW))
        store.put_settings({"start": "x"})
        store.close()
        return Path(store.path).read_bytes()


_FILES: List[bytes] = []


def database_file(data: bytes) -> None:
    """A file with changed bytes is refused, or read; each three bytes change one, anywhere."""
    if not _FILES:
        _FILES.append(_template())
    changed_file = bytearray(_FILES[0])
    for place in range(0, len(data) - 2, 3):
        # The first page holds the header and the schema; most of what matters is there.
        at = int.from_bytes(data[place : place + 2], "big") % len(changed_file)
        changed_file[at] = data[place + 2]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "f.db")
        Path(path).write_bytes(changed_file)
        store = SQLiteStore(path, durability="normal", timeout_seconds=0.1)
        with contextlib.suppress(StoreError):
            store.open()
            _ask(store)
        store.close()


def _ask(store: SQLiteStore) -> None:
    asked: Tuple[Callable[[], object], ...] = (
        store.find,
        lambda: store.claimable(NOW),
        lambda: store.next_due_at(NOW),
        lambda: store.stats(NOW),
        store.schedules,
        store.settings,
        lambda: listed(store, [TaskState.WAITING], NOW),
        lambda: store.purge(TaskState.SUCCEEDED, NOW, 10),
    )
    for ask in asked:
        with contextlib.suppress(StoreError):
            ask()


def channel(data: bytes) -> None:
    """Whatever a task writes into the channel of its worker, it is read, or passed over."""
    ours, theirs = socket.socketpair()
    with theirs:
        end = Channel(ours)
        theirs.sendall(data[:60_000] + b'\n{"do": "look"}\n')
    messages = []
    while end.is_open:
        messages += end.receive()
    end.close()
    assert all(isinstance(message, dict) for message in messages)
    assert messages[-1] == {"do": "look"}


def datagrams(data: bytes) -> None:
    """Whatever is sent to a socket for wake-ups wakes, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        with bind(path) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for datagram in data.split(b"\n"):
                    sender.sendto(datagram, path)
            drain(listener, 100)
            friend = Sender(path)
            assert friend.send() is Sent.YES
            friend.close()
            drain(listener, 1000)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        cron_text,
        stored_arguments,
        command_line,
        task_row,
        schedule_row_of,
        settings,
        database_file,
        channel,
        datagrams,
    )
}
