"""The demo as a user runs it: in another directory, on a bare checkout."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

LINE = re.compile(r"  +\d+\.\d\d  (application|supervisor|worker) +\d+  \S.*")


@pytest.fixture
def scratch(command):
    """A folder for temporary files, whose path must be short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        yield Path(folder)


def start(command, scratch, **pipes):
    return subprocess.Popen(
        command.words("demo"),
        cwd=command.directory,
        env=command.environment(TMPDIR=str(scratch)),
        stdin=subprocess.DEVNULL,
        text=True,
        **pipes,
    )


def test_shows_a_timeline_and_leaves_nothing_behind(command, scratch, all_end):
    done = command("demo", TMPDIR=str(scratch))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    timeline = [line for line in lines if LINE.fullmatch(line)]
    text = "\n".join(timeline)
    for piece in (
        "keeps 2 workers alive",
        "result of add: 5",
        "results: cat-small.png, dog-small.png",
        "error_message: ValueError: no such card: 4711",
        "report() runs again, in another worker",
        "result of report: 'done', nothing is lost",
        "remind('tea') runs",
        "all background processes have ended",
    ):
        assert piece in text
    assert "tick() runs: cron" in text
    assert 'autocron.start("project.db")' in done.stdout
    all_end(str(scratch))
    assert list(scratch.iterdir()) == []
    assert list(Path(os.environ["HOME"]).iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ends_tidily_when_it_is_interrupted(command, scratch, all_end, number):
    process = start(command, scratch, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if "begins" in line:  # two workers are in the middle of a task
            break
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert "Interrupted" in out
    all_end(str(scratch))
    assert list(scratch.iterdir()) == []


def test_ends_tidily_when_it_is_interrupted_at_its_start(command, scratch, all_end):
    process = start(command, scratch, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if "autocron.start" in line:
            break
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert (process.returncode, errors) == (130, "")
    all_end(str(scratch))
    assert list(scratch.iterdir()) == []


def test_ends_tidily_when_nobody_reads(command, scratch, all_end):
    process = start(command, scratch, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), errors) == (0, "")
    all_end(str(scratch))
    assert list(scratch.iterdir()) == []
