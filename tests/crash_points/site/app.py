"""The application that is cut: calls what an earlier life of it has not called yet.

Argument: the database.
"""

import sys
import time

import chores
from chores import lines, note

import autocron

CALLS = {
    "touch": lambda: [chores.touch(1)],
    "map": lambda: group(chores.touch.map([1, 2, 3], then=chores.total)),
    "chain": lambda: [chores.touch.then(chores.double)(2)],
    "flaky": lambda: [chores.flaky()],
    "later": lambda: [chores.touch.options(seconds=0.3)(1)],
    "limited": lambda: [chores.limited(1), chores.limited(2)],
    "fan": lambda: [chores.fan()],
    "late": lambda: [chores.late()],
    "cancelled": lambda: [called_off(chores.touch.options(seconds=60)(1))],
}


def group(results):
    return [*results, results.callback]


def called_off(result):
    assert result.cancel()
    return result


def enqueue():
    called = {kind for kind, *_ in lines("accepted")}
    for kind, call in CALLS.items():
        if kind not in called:
            note("accepted", kind, *(result.id for result in call()))


def wait():
    """Wait for all of them, and for an occurrence; a call now and then, as an application makes."""
    ended = set()
    rounds = 0
    while not (is_all_ended(ended) and lines("ticks")):
        time.sleep(0.02)
        rounds += 1
        if rounds % 25 == 0:
            note("accepted", "touch", chores.touch(rounds).id)


def is_all_ended(ended):
    """Tell whether all has ended that was called up to now, by tasks too; notes what has."""
    for _, *ids in lines("accepted"):
        ended.update(i for i in ids if i not in ended and autocron.get_result(i).is_ready)
    return all(i in ended for _, *ids in lines("accepted") for i in ids)


if __name__ == "__main__":
    note("starts", "start")
    autocron.start(sys.argv[1], workers=1)
    enqueue()
    wait()
    note("done", "done")
    # Until the rig closes it.
    sys.stdin.read()
