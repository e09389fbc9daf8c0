"""The application whose disk is recorded: calls so many tasks, and notes each call that returned.

Arguments: the database, its durability, which of the processes this is, the seed of its chance, and
how many calls it makes.
"""

import random
import sys

import chores
from notes import note

import autocron

database, durability, who, seed, count = sys.argv[1:]
chance = random.Random(f"{seed}-{who}")
KINDS = ("weigh", "big", "later", "flaky", "fan", "map", "chain", "cancelled", "schedule")
SHARES = (40, 20, 8, 6, 6, 8, 6, 4, 2)


def call(kind):
    """Make one call of a kind; return the results of all its tasks that are known."""
    if kind == "big":
        # So that the log is soon full.
        return [chores.weigh("x" * chance.randrange(20_000))]
    if kind == "later":
        return [chores.weigh.options(seconds=chance.uniform(0.01, 0.5))("x")]
    if kind == "fan":
        return [chores.fan(chance.randrange(1, 4))]
    if kind == "map":
        weights = chores.weigh.map(["x"] * chance.randrange(2, 6), then=chores.total)
        return [*weights, weights.callback]
    if kind == "chain":
        return [chores.weigh.then(chores.double).then(chores.halve)("x")]
    if kind == "cancelled":
        result = chores.weigh.options(seconds=0.2)("x")
        note("accepted", result.id)
        if result.cancel():
            note("cancelled", result.id)
        return [result]
    if kind == "flaky":
        return [chores.flaky()]
    return [chores.weigh("x" * chance.randrange(100))]


def enqueue():
    results = []
    for number in range(int(count)):
        (kind,) = chance.choices(KINDS, SHARES)
        if kind == "schedule":
            name = f"yearly-{who}-{number}"
            autocron.schedule(chores.weigh, "0 0 1 1 *", name=name, args=["x"])
            note("schedule", name)
        else:
            called = call(kind)
            note("accepted", *(result.id for result in called))
            results += called
    for result in results:
        result.wait(60)


if __name__ == "__main__":
    autocron.start(database, workers=2, durability=durability)
    enqueue()
    note("done", who)
    # Until the rig closes it.
    sys.stdin.read()
