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
    ids = [task_id for _, *ids in lines("accepted") for task_id in ids]
    results = [autocron.get_result(task_id) for task_id in ids]
    rounds = 0
    while not (all(result.is_ready for result in results) and lines("ticks")):
        time.sleep(0.02)
        rounds += 1
        if rounds % 25 == 0:
            results.append(chores.touch(rounds))
            note("accepted", "touch", results[-1].id)


if __name__ == "__main__":
    note("starts", "start")
    autocron.start(sys.argv[1], workers=1)
    enqueue()
    wait()
    note("done", "done")
    # Until the rig closes it.
    sys.stdin.read()
