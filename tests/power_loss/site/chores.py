"""The tasks of the application whose disk is recorded."""

import functools

from notes import note

import autocron


def watched(function):
    """Note that an attempt has begun."""

    @functools.wraps(function)
    def attempt(*args):
        note("begun", autocron.current_task().id)
        return function(*args)

    return attempt


@autocron.delay
@watched
def weigh(text):
    return len(text)


@autocron.delay(retries=2, backoff=0.01)
@watched
def flaky():
    """Fails the first time."""
    if autocron.current_task().attempt == 1:
        raise RuntimeError("not this time")


@autocron.delay
@watched
def fan(count):
    """Calls others; what it has called is a promise, too."""
    for _ in range(count):
        note("accepted", weigh("x").id)


@autocron.delay
@watched
def double(number):
    return 2 * number


@autocron.delay
@watched
def halve(number):
    return number // 2


@autocron.delay
@watched
def total(numbers):
    return sum(numbers)


@autocron.cron("* * * * * *", overlap="allow")
@watched
def tick():
    """Each second."""
