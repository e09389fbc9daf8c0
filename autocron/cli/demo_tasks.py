"""The tasks of ``autocron demo``: plain functions with a decorator, in a module of their own.

An application looks just like this. The workers import this module to find the functions; what
they print appears where the application's output does.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Tuple

import autocron
from autocron.cli.timeline import WORKER, say


@autocron.delay
def who() -> Tuple[int, int]:
    """Tell which process runs this, and which one keeps it alive."""
    return os.getpid(), os.getppid()


@autocron.delay
def add(a: int, b: int) -> int:
    """Return a sum."""
    say(WORKER, f"add({a}, {b}) runs")
    return a + b


@autocron.delay
def resize(picture: str) -> str:
    """Take a while, as a task of the real world would."""
    say(WORKER, f"resize({picture!r}) begins")
    time.sleep(0.8)
    say(WORKER, f"resize({picture!r}) ends")
    return picture.replace(".png", "-small.png")


@autocron.delay
def charge(card: str) -> None:
    """Fail: what is raised here ends up in the result, and hurts nobody else."""
    say(WORKER, f"charge({card!r}) runs and raises")
    raise ValueError(f"no such card: {card}")


@autocron.delay
def report(footprint: Path) -> str:
    """Lose the worker at the first attempt, as in a crash; the task runs again."""
    try:
        footprint.touch(exist_ok=False)
    except FileExistsError:
        say(WORKER, "report() runs again, in another worker")
        return "done"
    say(WORKER, "report() runs, and kill -9 hits this worker")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


@autocron.delay(seconds=2.5)
def remind(text: str) -> None:
    """Run a while after the call."""
    say(WORKER, f"remind({text!r}) runs")


@autocron.cron("*/2 * * * * *")  # six fields: the first one is the second
def tick() -> None:
    """Run every two seconds."""
    say(WORKER, "tick() runs: cron, every two seconds")
