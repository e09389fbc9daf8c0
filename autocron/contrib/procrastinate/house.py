"""What has to be done on time and needs no user code: any number of hosts do it, each on its own.

Cron occurrences fire, what has expired is cancelled, what was kept long enough is purged, and tasks
of silent workers are taken back. Nothing is agreed upon between hosts, and none is the first: each
does all of it, and whatever is done by two is done once, by compare-and-set.
"""

from __future__ import annotations

import logging
import math
import threading
from datetime import datetime
from typing import List, Optional

from autocron.contrib.procrastinate.recovery import recover
from autocron.contrib.procrastinate.store import PostgresStore
from autocron.contrib.procrastinate.worker import SILENT_SECONDS
from autocron.core.errors import AutocronError
from autocron.core.task import Task
from autocron.engine import Engine
from autocron.ports import Clock, Observer
from autocron.shell.chance import draw, new_id
from autocron.zones import load_zone

logger = logging.getLogger("autocron")

# Of a schedule that another host has made or changed nobody tells this one.
LOOK_EVERY_SECONDS = 1.0
RECOVER_EVERY_SECONDS = 2.0
REISSUE_EVERY_SECONDS = 60.0


class EvenClock:
    """A clock of which the engine sees no steps.

    On one machine the engine moves elapsed delays along when the wall clock is set. Here that is
    the server's, which is not set; and if it ever is, as by a failover to another machine, each
    host would move them.

    Arguments:
        clock: The server's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        """Return the server's time as an aware UTC datetime."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Return the same as seconds."""
        return self._clock.now().timestamp()


class House:
    """Keeps house on one host.

    Arguments:
        store: The store.
        silent_seconds: For how long a worker has not been heard of that is taken for dead; longer
            than any call into C that holds the interpreter.
        observer: Is told what happened to tasks, once it is stored.
    """

    def __init__(
        self,
        store: PostgresStore,
        *,
        silent_seconds: float = SILENT_SECONDS,
        observer: Optional[Observer] = None,
    ) -> None:
        assert store.clock is not None
        self._store = store
        self._clock = store.clock
        self._silent_seconds = silent_seconds
        self._engine = Engine(
            store,
            EvenClock(store.clock),
            zones=load_zone,
            new_id=new_id,
            draw=draw,
            keeps_house=True,
            observer=observer,
        )
        self._recover_at = self._reissue_at = -math.inf
        self._leaving = threading.Event()

    def run(self) -> None:
        """Keep house until :meth:`leave` is called."""
        while not self._leaving.is_set():
            try:
                seconds = self.step()
            except AutocronError as error:
                logger.error("%s", error)
                seconds = LOOK_EVERY_SECONDS
            self._leaving.wait(seconds)

    def leave(self) -> None:
        """Let :meth:`run` return; for any thread."""
        self._leaving.set()

    def step(self) -> float:
        """Do what is to be done now; return after how many seconds to look again.

        Raises:
            StoreError: The database can not be used.
        """
        tick = self._engine.tick()
        elapsed = self._clock.monotonic()
        if elapsed >= self._recover_at:
            self._recover_at = elapsed + RECOVER_EVERY_SECONDS
            _say(recover(self._store, self._engine, self._silent_seconds))
        if elapsed >= self._reissue_at:
            self._reissue_at = elapsed + REISSUE_EVERY_SECONDS
            count = self._store.reissue()
            if count:
                logger.warning("%d tickets were lost, and are issued again", count)
        if tick.next_at is None:
            return LOOK_EVERY_SECONDS
        seconds = (tick.next_at - self._clock.now()).total_seconds()
        return max(0.0, min(seconds, LOOK_EVERY_SECONDS))


def _say(taken: List[Task]) -> None:
    for task in taken:
        logger.warning(
            "a worker has not been heard of; its task %s (%s) is now %s",
            task.id,
            task.name,
            task.state.value,
        )
