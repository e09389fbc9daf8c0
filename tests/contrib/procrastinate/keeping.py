"""Houses as hosts keep them, without the workers."""

from __future__ import annotations

from autocron.contrib.procrastinate.house import EvenClock, House
from autocron.contrib.procrastinate.worker import SILENT_SECONDS
from autocron.engine import Engine
from autocron.shell.chance import new_id
from autocron.zones import load_zone


def house_of(store, host="here", silent_seconds=SILENT_SECONDS):
    engine = Engine(store, EvenClock(store.clock), zones=load_zone, new_id=new_id, keeps_house=True)
    return House(store, engine, host, lambda: (), silent_seconds=silent_seconds)


def keep(house, clock, wait):
    """Keep house until ``wait``, which is given seconds, says that it is over."""
    seconds = 0.0
    while not wait(max(0.0, seconds)):
        seconds = (house.tick().next_at - clock.now()).total_seconds()
