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
import threading
from functools import partial
from typing import Any, Collection, List, Optional, Protocol, Set

from autocron.core.errors import AutocronError
from autocron.core.settings import Settings
from autocron.core.task import TaskState
from autocron.core.workforce import groups, total
from autocron.engine import Engine, Tick
from autocron.shell import signals
from autocron.shell.chance import draw, new_id
from autocron.shell.clock import SystemClock
from autocron.shell.crew import Crew
from autocron.shell.kinds import Keeper, kind_of
from autocron.shell.launch import Recruited, launch_supervisor
from autocron.shell.logbook import in_hand, logged
from autocron.shell.member import Gone, Limit
from autocron.shell.news import News
from autocron.shell.orphans import Orphans
from autocron.shell.output import guard_output, log_to_stderr
from autocron.shell.ownership import (
    Lock,
    RunFolder,
    acquire,
    holder,
    is_shared,
    remove,
    wait_until_unshared,
)
from autocron.shell.private import check_folder
from autocron.shell.served import Served
from autocron.shell.terms import Terms
from autocron.shell.trouble import Trouble
from autocron.shell.wakeup import SocketWaker, bind, drain, unbind
from autocron.zones import load_zone

logger = logging.getLogger("autocron")

# A failing store is tried again after this; nothing is lost meanwhile.
_TROUBLE_PAUSE_SECONDS = 1.0
# Leaving takes its workers' grace and a little; this ends what hangs on.
_DRAIN_POLL_SECONDS = 0.5
# Of the end of a process that is not its child nobody tells it.
_ORPHANS_POLL_SECONDS = 0.1


class Foreground(Protocol):
    """Who has a supervisor in the foreground, and is told how it fares."""

    def see(self, broken: Collection[str]) -> bool:
        """Hear which modules workers could not import; tell whether to go on."""
        ...

    def leave(self, stop_grace: float) -> None:
        """Hear that workers leave, within so many seconds; gives up the share."""
        ...

    def hurry(self) -> None:
        """Hear that they are ended at once."""
        ...


class Supervisor:
    """Keeps house for one database while its application lives.

    Arguments:
        database: The path of the database.
        foreground: Who has it in the foreground; None if it is detached.
        recruited: The first workers, if they were started before this.
    """

    def __init__(
        self,
        database: str,
        foreground: Optional[Foreground] = None,
        recruited: Optional[Recruited] = None,
    ) -> None:
        self._foreground = foreground
        self._recruited = recruited
        self._asking = signals.ASKS_TO_LEAVE if foreground is None else signals.ASKS_IN_FOREGROUND
        self._folder = RunFolder(database)
        self._served = Served(self._folder)
        self._clock = SystemClock()
        self._kind = kind_of(self._folder)
        self._store = self._kind.store()
        self._trouble = Trouble(self._kind.shown)
        self._orphans = Orphans(self._folder, self._clock)
        self._lock: Optional[Lock] = None
        self._noted_count = 0
        # How often it was told to leave.
        self._told = 0
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
            self._lock, self._noted_count = lock, 0
            try:
                self._serve()
            finally:
                for path in (self._folder.wake, self._folder.control):
                    unbind(path)
                lock.release()
            # Whoever took a share while we were leaving saw our lock, and relies on us.
            if not is_shared(self._folder.application):
                return
            if self._told:
                launch_supervisor(self._folder.database)
                return
            lock = acquire(self._folder.supervisor)

    # -- serving ------------------------------------------------------------------------------

    def _serve(self) -> None:
        check_folder(self._folder.path)
        recruited, self._recruited = self._recruited, None
        bound, recruits = recruited or Recruited(bind(self._folder.wake), [])
        with bind(self._folder.control) as control, bound as wake:
            if not self._open_store():
                for recruit in recruits:
                    recruit.dismiss()
                return
            news = News()
            crew = Crew(self._folder, self._clock, wake, news, self._kind.worker_name, recruits)
            engine = Engine(
                self._store,
                self._kind.house_clock,
                zones=load_zone,
                new_id=new_id,
                waker=SocketWaker(self._folder),
                draw=draw,
                keeps_house=True,
                observer=news,
                logbooks=partial(logged, self._folder),
            )
            keeper = self._kind.keeper(self._store, engine)
            try:
                self._sweep(engine, crew)
            except AutocronError as error:
                # Each step does it again.
                self._trouble.tell(error)
            replacements = self._store.replacements
            try:
                # A new process of the application need not wait until all workers have left.
                while self._store.replacements == replacements and self._is_asked_for():
                    self._loop(engine, crew, keeper, control)
                    if self._told or not is_shared(self._folder.application):
                        self._drain(engine, crew, control)
            finally:
                self._drain(engine, crew)
                if not (self._told or is_shared(self._folder.application)):
                    self._see_orphans_off(engine, crew)
                keeper.close()
                self._store.close()

    def _open_store(self) -> bool:
        """Open the store as soon as that can be done; tell whether it was, before one has to leave.

        It may just be away, or be replaced once more by what can be used.
        """
        while True:
            try:
                self._store.open(create=False)
                return True
            except AutocronError as error:
                self._trouble.tell(error)
                self._wait([], _TROUBLE_PAUSE_SECONDS)
            if self._told or not is_shared(self._folder.application):
                return False

    def _is_asked_for(self) -> bool:
        """Tell whether the application lives, and have it watched."""
        self._is_unshared = not is_shared(self._folder.application)
        if self._is_unshared or self._told:
            return False
        threading.Thread(target=self._watch_shares, daemon=True).start()
        return True

    def _loop(self, engine: Engine, crew: Crew, keeper: Keeper, control: socket.socket) -> None:
        settings: Optional[Settings] = None
        replacements = self._store.replacements
        while not (self._told or self._is_unshared):
            try:
                if settings is None:
                    # At first, and again if they could not be read.
                    settings = Settings.read(self._store.settings())
                    self._look_at_application(crew, settings)
                tick = self._step(engine, crew, keeper)
                if self._kind.is_shared:
                    settings = self._look_at_settings(crew, settings)
                timeout = self._timeout(tick, crew, settings)
                self._trouble.is_over()
            except AutocronError as error:
                self._trouble.tell(error)
                timeout = _TROUBLE_PAUSE_SECONDS
            if self._store.replacements != replacements:
                # What engine and workers know is of the other file, schedules among it.
                logger.warning(
                    "%s was replaced by another file while it was in use: workers are replaced",
                    self._kind.shown,
                )
                return
            ready = self._wait([control, *crew.channels()], timeout)
            crew.hear(ready)
            if not self._is_accepted(crew):
                self._told += 1
            if control in ready:
                drain(control, 100)
                try:
                    settings = Settings.read(self._store.settings())
                    self._look_at_application(crew, settings)
                    crew.look()
                except AutocronError as error:
                    settings = None
                    self._trouble.tell(error)

    def _step(self, engine: Engine, crew: Crew, keeper: Keeper) -> Tick:
        crew.end_late(self._is_held)
        for gone in self._buried(crew):
            self._reclaim(engine, *gone)
        busy = self._sweep(engine, crew)
        crew.keep_up()
        # Before that the store may hold schedules that the code has no more, and would fire them.
        tick = keeper.tick(fires=crew.has_declared)
        crew.pass_news(busy)
        return tick

    def _buried(self, crew: Crew) -> List[Gone]:
        gone = crew.buried()
        if os.getpid() == 1:
            # Then this is also the parent of whatever a task has left behind.
            signals.reap_others(crew.pids)
        return gone

    def _is_accepted(self, crew: Crew) -> bool:
        """Tell whether to go on with what workers have said of the application's modules."""
        if self._foreground is None or crew.broken is None:
            return True
        return self._foreground.see(crew.broken)

    def _look_at_settings(self, crew: Crew, known: Settings) -> Settings:
        """Read the settings, which another host may have changed."""
        settings = Settings.read(self._store.settings())
        if settings != known:
            self._look_at_application(crew, settings)
            crew.look()
        return settings

    def _look_at_application(self, crew: Crew, settings: Settings) -> None:
        application = self._served.application
        if application is not None:
            workers = application.workers or settings.max_workers or 1
            wanted = groups(workers)
            self._note_count(total(workers))
            crew.serve(application, wanted, Terms.of(application, settings))

    def _note_count(self, count: int) -> None:
        """Let the next supervisor know, before it can read settings."""
        if self._lock is not None and count != self._noted_count:
            self._noted_count = count
            # On a full disk it will not know, and hire the others then.
            with contextlib.suppress(OSError):
                self._lock.note(str(count))

    def _sweep(self, engine: Engine, crew: Crew) -> Set[str]:
        """Look at what runs: end what is to end; take back what nobody holds any more.

        Returns:
            The names of the workers that hold tasks.
        """
        running = self._store.find(state=TaskState.RUNNING)
        first = in_hand(self._folder, running)
        for task in running:
            if task.is_cut_short:
                crew.cut_short(task, has_begun=task is first[task.worker or ""])
        holders = {task.worker for task in running if task.worker is not None}
        # Of an earlier supervisor's.
        others = {n for n in holders if self._kind.is_ours(n) and not crew.knows(n)}
        lost = {name for name in others if holder(self._folder.worker(name)) is None}
        for name in lost:
            self._reclaim(engine, name, False, self._orphans.ended_for(name))
        self._orphans.watch(task for name, task in first.items() if name in others - lost)
        for name in {*self._folder.workers(), *self._folder.logbooks()}:
            path = self._folder.worker(name)
            if name in holders or crew.knows(name) or holder(path) is not None:
                continue
            # One may have claimed something since, and died of it: what it noted is needed.
            if not self._store.find(state=TaskState.RUNNING, worker=name, limit=1):
                remove(path)
                remove(self._folder.logbook(name))
        return holders

    def _is_held(self, name: str, limit: Limit) -> bool:
        task = self._store.get(limit.task_id)
        return (
            task is not None
            and task.state is TaskState.RUNNING
            and (task.worker, task.attempt) == (name, limit.attempt)
        )

    def _reclaim(
        self,
        engine: Engine,
        name: str,
        charged: bool,
        ended_for: Optional[str] = None,
        how: str = "",
    ) -> None:
        """Take back what a worker that is gone may hold.

        If it was ended for another task, which has ended just then, this one is innocent.
        """
        late = None if ended_for is None else self._store.get(ended_for)
        timed_out = (
            late is not None
            and late.worker == name
            and late.cancel_asked_at is None
            and late.policy.timeout_seconds is not None
        )
        known = logged(self._folder, name)
        begun = None if known is None else {task_id for task_id, _ in known.under_way}
        for task in engine.reclaim(name, charged, timed_out, how):
            if begun is not None and task.id not in begun:
                # Of a stint only one was under way.
                continue
            logger.warning(
                "the worker %s is gone%s; its task %s (%s) is now %s",
                name,
                how and f": it {how}",
                task.id,
                task.name,
                task.state.value,
            )
        remove(self._folder.logbook(name))

    # -- waiting ------------------------------------------------------------------------------

    def _timeout(self, tick: Tick, crew: Crew, settings: Settings) -> float:
        waits: List[float] = [settings.monitor_idle_time]
        if tick.next_at is not None:
            waits.append((tick.next_at - self._kind.clock.now()).total_seconds())
        for next_seconds in (crew.next_seconds(), self._orphans.next_seconds()):
            if next_seconds is not None:
                waits.append(next_seconds)
        return max(0.0, min(waits))

    def _wait(self, listened: List[Any], timeout: float) -> List[Any]:
        ready, _, _ = select.select([self._wake_reader, *listened], [], [], timeout)
        if self._wake_reader in ready:
            self._told += signals.asked_to_leave(self._wake_reader, self._asking)
        return ready

    def _watch_shares(self) -> None:
        wait_until_unshared(self._folder.application)
        self._is_unshared = True
        self._wake_up()

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_writer, b"!")

    # -- leaving ------------------------------------------------------------------------------

    def _drain(self, engine: Engine, crew: Crew, control: Optional[socket.socket] = None) -> None:
        """Let the workers leave within their grace, end what stays, take back what they held.

        Arguments:
            engine: Takes it back.
            crew: The workers.
            control: If given, this ends when a process says there that the application is back.
        """
        if self._foreground is not None and self._told:
            self._foreground.leave(crew.stop_grace)
        crew.dismiss()
        while crew.is_anyone_left():
            if self._foreground is not None and self._told > 1 and crew.hurry():
                self._foreground.hurry()
            for gone in self._buried(crew):
                try:
                    self._reclaim(engine, *gone)
                except AutocronError as error:
                    # The next supervisor finds it, uncharged.
                    logger.error("%s: %s", self._kind.shown, error)
            if crew.is_anyone_left():
                seconds = crew.next_seconds()
                ready = self._wait(
                    [*crew.channels(), *([control] if control is not None else [])],
                    _DRAIN_POLL_SECONDS if seconds is None else max(0.0, seconds),
                )
                crew.hear(ready)
                if control in ready and control is not None:
                    # It stays there to be read, if the application is back.
                    if is_shared(self._folder.application) and not self._told:
                        return
                    drain(control, 100)

    def _see_orphans_off(self, engine: Engine, crew: Crew) -> None:
        """See to it that workers of an earlier supervisor have left, too.

        They see themselves that the application has ended; but not while they are in C code.
        """
        ends_at = self._clock.monotonic() + crew.leaving_seconds
        while True:
            left = self._orphans.living()
            if not left:
                break
            if self._clock.monotonic() >= ends_at:
                for name in left:
                    self._orphans.kill(name)
            self._wait([], _ORPHANS_POLL_SECONDS)
        try:
            self._sweep(engine, crew)
        except AutocronError as error:
            logger.error("%s: %s", self._kind.shown, error)


def main(lock: Lock, recruited: Optional[Recruited], database: str) -> None:
    """Run a supervisor in this process, which holds the supervisor's lock.

    Arguments:
        lock: That lock.
        recruited: Its first workers, if they are started.
        database: The path of the database.
    """
    guard_output()
    log_to_stderr()
    try:
        Supervisor(database, recruited=recruited).run(lock)
    except AutocronError as error:
        logger.error("%s: the supervisor can not go on: %s", database, error)
