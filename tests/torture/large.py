"""Serves a database of gigabytes: ``python -m tests.torture.large --gigabytes 2``.

It is filled with results and with tasks for later. Then an application is started with it, killed,
and started again. What an operator asks about it is answered, and what is called runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Callable, List, TypeVar

from autocron.core.arguments import dump_call
from autocron.core.events import Claimed, Succeeded
from autocron.core.machine import apply
from autocron.core.task import Message, new_task
from autocron.shell.chance import new_id
from autocron.shell.sqlite import SQLiteStore
from tests.processes.world import World

T = TypeVar("T")

_TEXT_BYTES = 100_000
# A tenth of it waits for tomorrow, the others have ended.
_WAITING_EVERY = 10


def main() -> int:
    """Do what the command line says; 1 is that something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.large", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="how large: 2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autocron-large-") as folder:
        world = World(Path(folder).resolve())
        broken: List[str] = []
        try:
            count = int(options.gigabytes * 1e9 / _TEXT_BYTES)
            _told("filled", lambda: _fill(world.database, count))
            size = os.path.getsize(world.database)
            print(f"{count} tasks, {size / 1e9:.2f} GB")
            _serve(world)
            copy = str(world.folder / "copy.db")
            for words in (["--info"], ["--stats"], ["--failed"], ["--verify"], ["--backup", copy]):
                broken += _ask(world, words)
            kept = len(world.store.find(limit=count + 1000))
            if kept < count:
                broken.append(f"{count - kept} tasks are gone")
        finally:
            world.close(has_failed=True)
    for line in broken:
        print(f"  BROKEN: {line}")
    return 1 if broken else 0


def _fill(database: str, count: int) -> None:
    now = datetime.now(timezone.utc)
    message = Message("tasks:touch", dump_call(("x" * _TEXT_BYTES,), {}))
    store = SQLiteStore(database, durability="normal")
    store.open()
    for first in range(0, count, 100):
        with store.transaction():
            for number in range(first, min(first + 100, count)):
                task = new_task(message, new_id(), now + timedelta(days=1))
                if number % _WAITING_EVERY:
                    task = apply(apply(task, Claimed("w", now)), Succeeded("null", now))
                store.add(task)
    store.close()


def _serve(world: World) -> None:
    application = _told("started", world.application)
    _told("first call run", lambda: application.ask("tasks.add(1, 2).get(60)"))
    world.kill(*world.background(), application.pid)
    application = _told("started after a kill", world.application)
    _told("first call run", lambda: application.ask("tasks.add(1, 2).get(60)"))


def _ask(world: World, words: List[str]) -> List[str]:
    asked = _told(
        f"autocron DATABASE {words[0]}",
        lambda: subprocess.run(
            [sys.executable, "-m", "autocron", world.database, *words],
            env=world.environment,
            capture_output=True,
            check=False,
        ),
    )
    return [] if asked.returncode == 0 else [f"{words[0]}: {asked.stderr.decode()}"]


def _told(what: str, act: Callable[[], T]) -> T:
    begun = time.monotonic()
    found = act()
    print(f"  {what}: {time.monotonic() - begun:.2f} s", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
