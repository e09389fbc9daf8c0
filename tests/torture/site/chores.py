"""The tasks of the application that is tortured."""

import functools
import hashlib
import os
import signal
import time

from journal import accept, note

import autocron


def watched(function):
    """Note when an attempt begins, and how it ends."""

    @functools.wraps(function)
    def attempt(*args):
        task = autocron.current_task()
        note("begin", task.id, task.attempt)
        try:
            result = function(*args)
        except Exception:
            note("raise", task.id, task.attempt)
            raise
        note("end", task.id, task.attempt)
        return result

    return attempt


@autocron.delay
@watched
def noop():
    """Nothing."""


@autocron.delay
@watched
def nap(seconds):
    time.sleep(seconds)
    return seconds


@autocron.delay
@watched
def brief(number):
    """Always short, unlike a nap, so that several are claimed at once."""
    time.sleep(0.0004)
    return number


@autocron.delay
@watched
def compute(rounds):
    digest = b""
    for _ in range(rounds):
        digest = hashlib.sha256(digest * 40).digest()
    return digest.hex()


@autocron.delay
@watched
def long(seconds):
    """Long enough to be killed meanwhile."""
    time.sleep(seconds)


@autocron.delay
@watched
def fan(count):
    """Calls others; what it has called is a promise, too."""
    for number in range(count):
        accept("nap", nap(0.001 * number))


@autocron.delay(retries=3, backoff=0.05)
@watched
def flaky():
    """Fails the first time."""
    if autocron.current_task().attempt == 1:
        raise RuntimeError("not this time")


@autocron.delay
@watched
def total(naps):
    return sum(naps)


@autocron.delay
@watched
def crash():
    """Kills its worker, each time."""
    note("crash")
    os.kill(os.getpid(), signal.SIGKILL)


@autocron.cron("* * * * * *", overlap="allow")
@watched
def tick():
    """Each second."""
