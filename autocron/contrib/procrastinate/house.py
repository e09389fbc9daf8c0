"""What has to be done on time and needs no user code: any number of hosts do it, each on its own.

Cron occurrences fire, what has expired is cancelled, what was kept long enough is purged, and tasks
of silent workers are taken back. Nothing is agreed upon between hosts, and none is the first: each
does all of it, and whatever is done by two is done once, by compare-and-set.
"""

from __future__ import annotations

import logging
import math
from datetime import datetime, timedelta
from typing import Callable, List, Sequence

from autocron.contrib.procrastinate.recovery import recover
from autocron.contrib.procrastinate.store import PostgresStore
from autocron.contrib.procrastinate.worker import SILENT_SECONDS
from autocron.core.errors import AutocronError
from autocron.core.task import Task
from autocron.engine import Engine, Tick
from autocron.ports import Clock

logger = logging.getLogger("autocron")

# Of a schedule that another host has made or changed nobody tells this one.
LOOK_EVERY_SECONDS = 1.0
# This host tells the others that it is there.
TELL_EVERY_SECONDS = 2.0
RECOVER_EVERY_SECONDS = 2.0
REISSUE_EVERY_SECONDS = 60.0
# After an outage more often: what a server had noted last before it crashed, as that a task was
# claimed, it may have forgotten, and the ticket of that task has been used.
REISSUE_SOON_SECONDS = 2.0


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
    """Keeps house on one host; implements :class:`autocron.shell.kinds.Keeper`.

    Arguments:
        store: The store.
        engine: Keeps house there.
        host: The name of this host, with which the names of its workers begin.
        workers: Tells the names of its workers that live.
        silent_seconds: For how long a host has not been heard of that is taken for dead.
    """

    def __init__(
        self,
        store: PostgresStore,
        engine: Engine,
        host: str,
        workers: Callable[[], Sequence[str]],
        *,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        assert store.clock is not None
        self._store = store
        self._clock = store.clock
        self._engine = engine
        self._host = host
        self._workers = workers
        self._silent_seconds = silent_seconds
        self._told_at = self._recovered_at = self._reissued_at = -math.inf
        # Who was cut off himself can not tell who is silent, until all have had time to be heard.
        self._may_judge_at = self._reissue_soon_until = -math.inf
        self._outages = 0

    def tick(self, fires: bool = True) -> Tick:
        """Do what is to be done now; the next step is due within a second.

        Arguments:
            fires: Whether it is known which schedules the code has, so that they may fire.

        Raises:
            StoreError: The database can not be used.
        """
        try:
            return self._tick(fires)
        except AutocronError:
            self._may_judge_at = self._clock.monotonic() + self._silent_seconds
            self._reissue_soon()
            raise

    def _reissue_soon(self) -> None:
        """Look for lost tickets at once, and until workers have given up those that they had."""
        self._reissue_soon_until = self._clock.monotonic() + 2 * self._silent_seconds
        self._reissued_at = -math.inf

    def _tick(self, fires: bool) -> Tick:
        elapsed = self._clock.monotonic()
        if elapsed >= self._told_at + TELL_EVERY_SECONDS:
            self._store.put_host(self._host, self._workers())
            self._told_at = elapsed
        tick = self._engine.tick() if fires else Tick()
        is_due = elapsed >= self._recovered_at + RECOVER_EVERY_SECONDS
        if is_due and elapsed >= self._may_judge_at:
            self._recovered_at = elapsed
            _say(recover(self._store, self._engine, self._silent_seconds))
        if self._store.outages != self._outages:
            # It may have been away for so short a time that nothing has failed.
            self._outages = self._store.outages
            self._reissue_soon()
        is_soon = elapsed < self._reissue_soon_until
        pause_seconds = REISSUE_SOON_SECONDS if is_soon else REISSUE_EVERY_SECONDS
        if elapsed >= self._reissued_at + pause_seconds:
            self._reissued_at = elapsed
            self._store.forget_hosts()
            count = self._store.reissue()
            if count:
                logger.warning("%d tickets were lost, and are issued again", count)
        latest_at = self._clock.now() + timedelta(seconds=LOOK_EVERY_SECONDS)
        next_at = latest_at if tick.next_at is None else min(tick.next_at, latest_at)
        return tick._replace(next_at=next_at)

    def close(self) -> None:
        """Let the other hosts know that this one leaves."""
        try:
            self._store.remove_host(self._host)
        except AutocronError as error:
            logger.warning("%s: %s", self._store.shown, error)


def _say(taken: List[Task]) -> None:
    for task in taken:
        logger.warning(
            "a worker has not been heard of; its task %s (%s) is now %s",
            task.id,
            task.name,
            task.state.value,
        )
