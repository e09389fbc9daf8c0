"""The application that is tortured: calls tasks until it is told to stop, or is killed.

Arguments: the database, how many workers, which of the processes this is, the seed of its chance,
which mix of tasks, how many calls may be on their way at once, and how long to rest after twenty.
"""

import collections
import random
import sys
import time

import chores
from journal import accept, exists, note

import autocron

database, workers, who, seed, mix, window, pause_seconds = sys.argv[1:]
chance = random.Random(seed)

# Of a thousand calls so many; the others do nothing.
TORTURE = {
    "nap": 220,
    "compute": 130,
    "flaky": 70,
    "later": 50,
    "fan": 20,
    "gather": 10,
    "swarm": 15,
    "long": 5,
    "crash": 0.2,
}
# Workers claim several of them at once, and are killed amid them.
BRIEF = {"swarm": 500, "nap": 20, "flaky": 20, "gather": 10, "long": 2, "crash": 0.5}
LOAD = {"nap": 20, "compute": 100, "later": 20, "fan": 10}
WEIGHTS = {"torture": TORTURE, "brief": BRIEF, "load": LOAD}[mix]
NAMES = ("noop", *WEIGHTS)
SHARES = (1000 - sum(WEIGHTS.values()), *WEIGHTS.values())


def call(kind):
    """Call tasks of one kind; return their results."""
    if kind == "nap":
        return [chores.nap(chance.uniform(0.0, 0.006))]
    if kind == "compute":
        return [chores.compute(chance.randrange(200, 1500))]
    if kind == "later":
        return [chores.nap.options(seconds=chance.uniform(0.05, 1.0))(0.001)]
    if kind == "fan":
        return [chores.fan(chance.randrange(1, 5))]
    if kind == "gather":
        naps = chores.nap.map([0.001] * chance.randrange(2, 10), then=chores.total)
        return [*naps, naps.callback]
    if kind == "swarm":
        # Many short ones, of two queues, which workers claim several at once; some are waited for.
        task = chance.choice([chores.brief, chores.brief.options(queue="aside")])
        count, is_awaited = chance.randrange(20, 50), chance.random() < 0.3
        group = task.map(range(count), then=chores.total if is_awaited else None)
        return [*group, group.callback] if is_awaited else list(group)
    if kind == "long":
        return [chores.long(chance.uniform(0.3, 1.2))]
    return [getattr(chores, kind)()]


def enqueue():
    """Call until told to stop; return how long the slowest call took."""
    on_their_way = collections.deque()
    slowest = 0.0
    while not exists("stop"):
        time.sleep(float(pause_seconds))
        for kind in chance.choices(NAMES, SHARES, k=20):
            try:
                began_at = time.monotonic()
                results = call(kind)
                slowest = max(slowest, time.monotonic() - began_at)
                accept(kind, *results)
                on_their_way.extend(results)
                # Not for ever: where all background processes were killed, the next call is what
                # starts them again.
                patience = 200
                while len(on_their_way) > int(window) and patience and not exists("stop"):
                    if on_their_way[0].is_ready:
                        on_their_way.popleft()
                    else:
                        time.sleep(0.005)
                        patience -= 1
            except Exception as error:
                note("refused", type(error).__name__, *str(error).split())
                time.sleep(0.05)
    return slowest


def probe():
    """Call when all is quiet: each call must wake a worker."""
    for _ in range(20):
        time.sleep(chance.uniform(0.1, 0.3))
        note("probing", "-")
        result = chores.noop()
        accept("noop", result)
        note("probed", result.id)
    note("probes")


if __name__ == "__main__":
    note("starting", who)
    autocron.start(database, workers=int(workers))
    note("started", who)
    note("stopped", who, enqueue())
    if who == "0" and mix != "load":
        while not exists("probe"):
            time.sleep(0.05)
        probe()
    # Until the rig closes it.
    sys.stdin.read()
