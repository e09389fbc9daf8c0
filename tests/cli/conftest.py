"""A home folder of its own for each test, databases with something in them, real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from autocron.core import arguments
from autocron.core.schedule import Schedule
from autocron.core.task import Message, Task
from autocron.engine import Engine
from autocron.registry import task_function
from autocron.shell.chance import new_id
from autocron.shell.clock import SystemClock
from autocron.shell.invoke import FunctionInvoker
from autocron.shell.sqlite import SQLiteStore
from autocron.zones import load_zone

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 60

APPLICATION = """
import sys, time
from pathlib import Path
import autocron
import shop_tasks

autocron.start("shop.db"{options})
for name in sys.argv[1:]:
    shop_tasks.wait_for(Path(name))
print(shop_tasks.add(2, 3).get(30), flush=True)
sys.stdin.read()
autocron.stop()
"""
TASKS = """
import time
from pathlib import Path
import autocron

@autocron.delay
def add(a, b):
    return a + b

@autocron.delay
def wait_for(path):
    Path(f"{path}.begun").touch()
    while not path.exists():
        time.sleep(0.01)

@autocron.cron("30 2 * * *", tz="UTC")
def nightly():
    pass
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder for this process and those that it starts."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.delenv("AUTOCRON_WORKER", raising=False)
    return path


class Command:
    """Runs ``python -m autocron`` as a user does: another directory, a checkout on PYTHONPATH."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def words(self, *words: str) -> List[str]:
        return [sys.executable, "-m", "autocron", *words]

    def environment(self, **changes: str) -> Dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), **changes}

    def __call__(
        self, *words: str, input: Optional[str] = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words),
            cwd=self.directory,
            env=self.environment(**environ),
            input="" if input is None else input,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )


@pytest.fixture
def command(home: Path, tmp_path: Path) -> Command:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    return Command(elsewhere)


# -- a database without processes -------------------------------------------------------------


def add(a: int, b: int) -> int:
    return a + b


def fail(text: str) -> None:
    raise ValueError(text)


class Shop:
    """A database in which tasks were called, and run by the engine."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self.path = path
        self.clock = SystemClock()
        self.store = SQLiteStore(str(path))
        self.store.open()
        functions = {f"shop:{f.__name__}": task_function(f, "delay") for f in (add, fail)}
        self.engine = Engine(
            self.store,
            self.clock,
            zones=load_zone,
            new_id=new_id,
            invoker=FunctionInvoker(lambda name: functions[name], lambda: arguments),
            worker="w1",
        )

    def call(self, name: str, *args: Any, **message: Any) -> Task:
        payload = arguments.dump_call(args, {})
        return self.engine.enqueue(Message(name=f"shop:{name}", payload=payload, **message))

    def run_all(self) -> None:
        while self.engine.tick().claimed is not None or self.engine.in_hand is not None:
            pass

    def plan(self, text: Optional[str] = "30 2 * * *", **changes: Any) -> Schedule:
        now = self.clock.now()
        given: Dict[str, Any] = {
            "key": f"shop:nightly {text}",
            "name": "shop:nightly",
            "text": text,
            "zone": "UTC",
            "missed": "once",
            "overlap": "skip",
            "grace_seconds": 60.0,
            "at_start": False,
            "watermark_at": now - timedelta(days=30),
            **changes,
        }
        schedule = Schedule(**given)
        self.engine.declare([schedule])
        return schedule


@pytest.fixture
def shop(home: Path) -> Any:
    shop = Shop(home / ".autocron" / "shop.db")
    yield shop
    shop.store.close()


# -- an application with processes ------------------------------------------------------------


class Served:
    """An application that runs, with its workers."""

    def __init__(self, folder: Path, options: str, *words: str) -> None:
        self.database = folder.parent / "home" / ".autocron" / "shop.db"
        folder.mkdir()
        (folder / "shop_tasks.py").write_text(TASKS)
        (folder / "main.py").write_text(APPLICATION.replace("{options}", options))
        self.process = subprocess.Popen(
            [sys.executable, "main.py", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "5\n"

    def stop(self) -> None:
        # autocron.stop() in it waits until its workers have ended.
        self.process.communicate(timeout=TIMEOUT_SECONDS)


@pytest.fixture
def serve(home: Path, tmp_path: Path) -> Any:
    started: List[Served] = []

    def serve(options: str = ", workers=2", *words: str) -> Served:
        started.append(Served(tmp_path / "application", options, *words))
        return started[-1]

    yield serve
    for served in started:
        served.stop()
        assert_all_end(str(served.database))


def processes_of(text: str) -> List[str]:
    """Return the command lines of the processes in which a text stands."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "args="], capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )
    return [line for line in listed.stdout.splitlines() if text in line]


def assert_all_end(text: str) -> None:
    """Check that no process is left in whose command line a text stands.

    stop() waits until they have given up their locks; their last steps may take a moment more.
    """
    deadline = SystemClock().monotonic() + 10
    while processes_of(text):
        assert SystemClock().monotonic() < deadline, processes_of(text)


@pytest.fixture
def all_end() -> Any:
    return assert_all_end
