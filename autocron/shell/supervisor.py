"""The supervisor: one process per host and database that keeps the workers alive.

It holds the supervisor's lock, fires cron occurrences, takes back what dead workers held, follows
the clock and purges; it runs no user code. It lives as long as any process of the application
holds a share. Leaving, it gives up the lock *first* and looks at the shares once more: a process
that came in between is not left without a supervisor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
from typing import Any, List, Optional

from autocron.core.errors import AutocronError
from autocron.core.settings import Settings
from autocron.core.task import TaskState
from autocron.engine import Engine, Tick
from autocron.shell import signals
from autocron.shell.application import APPLICATION, Application
from autocron.shell.chance import new_id
from autocron.shell.clock import SystemClock
from autocron.shell.crew import Crew
from autocron.shell.launch import launch_supervisor
from autocron.shell.output import guard_output
from autocron.shell.ownership import (
    Lock,
    RunFolder,
    acquire,
    holder,
    is_shared,
    remove,
    wait_until_unshared,
)
from autocron.shell.sqlite import SQLiteStore
from autocron.shell.wakeup import SocketWaker, bind, drain, unbind
from autocron.zones import load_zone

logger = logging.getLogger("autocron")

# A failing store is tried again after this; nothing is lost meanwhile.
_TROUBLE_PAUSE_SECONDS = 1.0
# Leaving takes its workers' grace and a little; this ends what hangs on.
_DRAIN_POLL_SECONDS = 0.5


class Supervisor:
    """Keeps house for one database while its application lives."""

    def __init__(self, database: str) -> None:
        self._folder = RunFolder(database)
        self._clock = SystemClock()
        self._store = SQLiteStore(database)
        self._is_told_to_leave = False
        self._is_unshared = False
        self._wake_reader, self._wake_writer = signals.pipe()

    def run(self, lock: Optional[Lock]) -> None:
        """Serve until no process of the application is left, or SIGTERM; then leave.

        Arguments:
            lock: The supervisor's lock, which this process holds.
        """
        # The death of a worker ends the wait, too.
        signals.listen(self._wake_writer, (signal.SIGCHLD,))
        while lock is not None:
            try:
                self._serve()
            finally:
                for path in (self._folder.wake, self._folder.control):
                    unbind(path)
                lock.release()
            # Whoever took a share while we were leaving saw our lock, and relies on us.
            if not is_shared(self._folder.application):
                return
            if self._is_told_to_leave:
                launch_supervisor(self._folder.database)
                return
            lock = acquire(self._folder.supervisor)

    # -- serving ------------------------------------------------------------------------------

    def _serve(self) -> None:
        self._is_unshared = False
        threading.Thread(target=self._watch_shares, daemon=True).start()
        with bind(self._folder.control) as control, bind(self._folder.wake) as wake:
            self._store.open(create=False)
            crew = Crew(self._folder, self._clock, wake)
            engine = Engine(
                self._store,
                self._clock,
                zones=load_zone,
                new_id=new_id,
                waker=SocketWaker(self._folder),
                keeps_house=True,
            )
            self._sweep(engine, crew)
            try:
                self._loop(engine, crew, control)
            finally:
                self._drain(engine, crew)
                self._store.close()

    def _loop(self, engine: Engine, crew: Crew, control: socket.socket) -> None:
        settings = Settings.read(self._store.settings())
        self._look_at_application(crew, settings)
        while not (self._is_told_to_leave or self._is_unshared):
            try:
                tick = self._step(engine, crew)
                timeout = self._timeout(tick, crew, settings)
            except AutocronError as error:
                logger.error("%s: %s", self._folder.database, error)
                timeout = _TROUBLE_PAUSE_SECONDS
            ready = self._wait([control, *crew.channels()], timeout)
            crew.hear(ready)
            if control in ready:
                drain(control, 100)
                try:
                    settings = Settings.read(self._store.settings())
                    self._look_at_application(crew, settings)
                    crew.look()
                except AutocronError as error:
                    logger.error("%s: %s", self._folder.database, error)

    def _step(self, engine: Engine, crew: Crew) -> Tick:
        for name, charged in crew.buried():
            self._reclaim(engine, name, charged)
        self._sweep(engine, crew)
        crew.keep_up()
        # Before that the store may hold schedules that the code has no more, and would fire them.
        return engine.tick() if crew.has_declared else Tick()

    def _look_at_application(self, crew: Crew, settings: Settings) -> None:
        text = self._store.settings().get(APPLICATION)
        if text is not None:
            application = Application.from_json(text)
            wanted = application.workers or settings.max_workers or 1
            crew.serve(application, wanted)

    def _sweep(self, engine: Engine, crew: Crew) -> None:
        """Take back what is held by workers that are gone, of an earlier supervisor's."""
        holders = {task.worker for task in self._store.find(state=TaskState.RUNNING)}
        for name in holders:
            if name is None or crew.knows(name):
                continue
            if holder(self._folder.worker(name)) is None:
                self._reclaim(engine, name, charged=False)
        for name in self._folder.workers():
            path = self._folder.worker(name)
            if name not in holders and not crew.knows(name) and holder(path) is None:
                remove(path)

    def _reclaim(self, engine: Engine, name: str, charged: bool) -> None:
        for task in engine.reclaim(name, charged):
            logger.warning(
                "the worker %s is gone; its task %s (%s) is now %s",
                name,
                task.id,
                task.name,
                task.state.value,
            )

    # -- waiting ------------------------------------------------------------------------------

    def _timeout(self, tick: Tick, crew: Crew, settings: Settings) -> float:
        waits: List[float] = [settings.monitor_idle_time]
        if tick.next_at is not None:
            waits.append((tick.next_at - self._clock.now()).total_seconds())
        next_seconds = crew.next_seconds()
        if next_seconds is not None:
            waits.append(next_seconds)
        return max(0.0, min(waits))

    def _wait(self, listened: List[Any], timeout: float) -> List[Any]:
        ready, _, _ = select.select([self._wake_reader, *listened], [], [], timeout)
        if self._wake_reader in ready and signals.is_asked_to_leave(self._wake_reader):
            self._is_told_to_leave = True
        return ready

    def _watch_shares(self) -> None:
        wait_until_unshared(self._folder.application)
        self._is_unshared = True
        self._wake_up()

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_writer, b"!")

    # -- leaving ------------------------------------------------------------------------------

    def _drain(self, engine: Engine, crew: Crew) -> None:
        """Let the workers leave within their grace, end what stays, take back what they held."""
        crew.dismiss()
        while crew.is_anyone_left():
            for name, charged in crew.buried():
                try:
                    self._reclaim(engine, name, charged)
                except AutocronError as error:
                    # The next supervisor finds it, uncharged.
                    logger.error("%s: %s", self._folder.database, error)
            if crew.is_anyone_left():
                seconds = crew.next_seconds()
                ready = self._wait(
                    crew.channels(),
                    _DRAIN_POLL_SECONDS if seconds is None else max(0.0, seconds),
                )
                crew.hear(ready)


def main(lock: Lock, database: str) -> None:
    """Run a supervisor in this process, which holds the supervisor's lock."""
    guard_output()
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(levelname)s: %(message)s"
    )
    try:
        Supervisor(database).run(lock)
    except AutocronError as error:
        logger.error("%s: the supervisor can not go on: %s", database, error)
