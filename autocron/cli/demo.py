"""``autocron demo``: a real application for a few seconds, with real workers on a real database.

It uses nothing but the public functions, so it reads like an application of yours.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import autocron
from autocron.cli import timeline
from autocron.cli.arguments import Parser
from autocron.cli.formatting import Screen, duration
from autocron.cli.timeline import APPLICATION, SUPERVISOR, WORKER, say
from autocron.shell.clock import SystemClock

_ABOUT = """\
Show real workers at work, for about seven seconds: delayed tasks, a failing
one, a cron task, and a worker that is killed. Everything lies in a temporary
folder, which is removed at the end.
"""
WORKERS = 2
_PATIENCE_SECONDS = 20.0
_LAST_SECONDS = 6.0


def run(words: List[str]) -> int:
    """Run ``autocron demo``.

    Arguments:
        words: The words after the command.

    Returns:
        The exit code.
    """
    Parser("autocron demo", description=_ABOUT).read(words)
    # What its processes have to complain about is shown only if the demo fails.
    folder = tempfile.mkdtemp(prefix="autocron-demo-")
    log = os.path.join(folder, "errors.log")
    try:
        with _Interrupts() as interrupts:
            _play(folder, log, interrupts)
    except KeyboardInterrupt:
        print("\nInterrupted: all processes have ended, nothing is left behind.", flush=True)
        return 130
    except autocron.AutocronError as error:
        print(f"\nautocron: the demo can not go on: {error}", file=sys.stderr)
        with contextlib.suppress(OSError):
            print(Path(log).read_text(errors="replace"), file=sys.stderr, end="")
        return 1
    finally:
        _remove(folder)
    _show_next_steps(Screen(sys.stdout))
    return 0


def _play(folder: str, log: str, interrupts: _Interrupts) -> None:
    database = os.path.join(folder, "demo.db")
    screen = Screen(sys.stdout)
    screen.say("autocron demo: delayed tasks and cron, in real worker processes", "bold")
    screen.say(f"  database  {database}")
    screen.say("  tasks     autocron/cli/demo_tasks.py")
    screen.say()
    screen.say(timeline.HEADING, "dim")
    # Importing the module decorates its functions. Here, so that `autocron --help` has no schedule.
    from autocron.cli import demo_tasks

    timeline.begin()
    clock = SystemClock()
    began = clock.monotonic()
    try:
        say(APPLICATION, f'autocron.start("demo.db", workers={WORKERS})')
        # Not to be interrupted before there are processes that stop() can wait for.
        with interrupts.put_off(), _errors_to(log):
            autocron.start(database, workers=WORKERS)
            worker, supervisor = demo_tasks.who().get(_PATIENCE_SECONDS)
        say(SUPERVISOR, f"keeps {WORKERS} workers alive", supervisor)
        say(WORKER, "is ready", worker)
        _show_tasks(demo_tasks, Path(folder, "footprint"), clock)
        _rest(_LAST_SECONDS - (clock.monotonic() - began))
    finally:
        with interrupts.put_off():
            # Whether somebody still reads the output or not.
            with contextlib.suppress(OSError):
                say(APPLICATION, "autocron.stop()")
            autocron.stop()
            with contextlib.suppress(OSError):
                say(APPLICATION, "all background processes have ended")


def _show_tasks(tasks: Any, footprint: Path, clock: SystemClock) -> None:
    say(APPLICATION, "calls add(2, 3), remind(...), resize(...) twice")
    called = clock.monotonic()
    total = tasks.add(2, 3)
    reminder = tasks.remind("tea")
    pictures = [tasks.resize(name) for name in ("cat.png", "dog.png")]
    seconds = clock.monotonic() - called
    say(APPLICATION, f"the four calls are stored after {duration(seconds)}")
    say(APPLICATION, f"result of add: {total.get(_PATIENCE_SECONDS)}")
    results = [picture.get(_PATIENCE_SECONDS) for picture in pictures]
    say(APPLICATION, f"results: {', '.join(results)}")

    failed = tasks.charge("4711")
    _wait_for(failed)
    say(APPLICATION, f"error_message: {failed.error_message}")

    report = tasks.report(footprint)
    say(APPLICATION, f"result of report: {report.get(_PATIENCE_SECONDS)!r}, nothing is lost")
    # Where starting took long, the demo takes longer, too.
    reminder.get(_PATIENCE_SECONDS)


def _wait_for(result: autocron.TaskResult[Any]) -> None:
    """Wait until a task has ended, without asking for its result."""
    with contextlib.suppress(autocron.TaskFailed):
        result.get(_PATIENCE_SECONDS)


def _rest(seconds: float) -> None:
    if seconds > 0:
        threading.Event().wait(seconds)


def _show_next_steps(screen: Screen) -> None:
    screen.say()
    screen.say("In your application", "bold")
    screen.say("  import autocron")
    screen.say('  @autocron.delay or @autocron.cron("30 2 * * *")  above your functions')
    screen.say('  autocron.start("project.db")                     once, anywhere')
    screen.say()
    screen.say("Next", "bold")
    screen.say("  autocron project.db                     what is going on in there")
    screen.say('  autocron explain "*/15 9-17 * * 1-5"    what a cron expression means')
    screen.say("  autocron --help                         all of it")


# -- the process ------------------------------------------------------------------------------


@contextlib.contextmanager
def _errors_to(path: str) -> Iterator[None]:
    """Let the processes that are started here write their errors to a file."""
    sys.stderr.flush()
    before = os.dup(2)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(target, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(target)


class _Interrupts:
    """Lets Ctrl-C, SIGTERM and a closed terminal end the demo tidily, and not in between."""

    def __init__(self) -> None:
        self._are_put_off = False
        self._is_asked = False
        self._before: List[Tuple[int, Any]] = []

    def __enter__(self) -> _Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                self._before.append((number, signal.signal(number, self._hear)))
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    def _hear(self, number: int, frame: object) -> None:
        self._is_asked = True
        if not self._are_put_off:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def put_off(self) -> Iterator[None]:
        """Let them wait until a step is done that must not be left half way."""
        self._are_put_off, self._is_asked = True, False
        try:
            yield
        finally:
            self._are_put_off = False
        if self._is_asked:
            raise KeyboardInterrupt


def _remove(folder: str) -> None:
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        _rest(0.01)
