"""The tasks of the application that is cut."""

import functools
import os
import pathlib
import time

import autocron

HERE = pathlib.Path(__file__).resolve().parent


def note(file, *words):
    """Add a line to a file, by one write."""
    descriptor = os.open(HERE / file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
    os.close(descriptor)


def lines(file):
    """The words of each line of a file."""
    path = HERE / file
    return [line.split(" ") for line in path.read_text().splitlines()] if path.exists() else []


def watched(function):
    """Note when an attempt begins, and how it has ended."""

    @functools.wraps(function)
    def attempt(*args):
        task = autocron.current_task()
        note("journal", "begin", task.id, os.getpid())
        try:
            result = function(*args)
        except Exception:
            note("journal", "raise", task.id, os.getpid())
            raise
        note("journal", "end", task.id, os.getpid())
        return result

    return attempt


@autocron.delay
@watched
def touch(number):
    return number


@autocron.delay
@watched
def double(number):
    autocron.current_task().progress(1, 2)
    return 2 * number


@autocron.delay
@watched
def total(numbers):
    return sum(numbers)


@autocron.delay(retries=1, backoff=0.05)
@watched
def flaky():
    """Fails the first time."""
    if autocron.current_task().attempt == 1:
        raise RuntimeError("not this time")


@autocron.delay(limit=1, rate="20/second")
@watched
def limited(number):
    return number


@autocron.delay
@watched
def fan():
    """Calls another one; that is a promise, too."""
    note("accepted", "touch", touch(3).id)


@autocron.delay(timeout=0.2)
@watched
def late():
    time.sleep(30)


@autocron.cron("* * * * * *", overlap="allow")
@watched
def tick():
    """Each second."""
    note("ticks", "tick")


@autocron.cron(at_start=True)
@watched
def begin():
    """Once at each start."""


@autocron.on("enqueued")
def hear(task):
    """So that the supervisor has something to tell its workers."""
