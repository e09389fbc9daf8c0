"""A worker: one process that runs one task at a time.

The main thread runs the engine, and with it the user's functions. A second thread watches the
channel to the supervisor and the signals, so that a task that never ends can not keep the worker
from leaving.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import sys
import threading
from collections import deque
from functools import partial
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Sequence, Tuple

from autocron.app import App, default_app
from autocron.core.errors import AutocronError, StartError
from autocron.core.settings import Settings
from autocron.core.task import Task
from autocron.engine import Engine, Tick
from autocron.operations import Operations
from autocron.shell import signals
from autocron.shell.application import Application
from autocron.shell.chance import draw, new_id
from autocron.shell.channel import CUT, LOOK, STOP, TELL, Channel
from autocron.shell.clock import SystemClock
from autocron.shell.code import Code
from autocron.shell.footing import Footing
from autocron.shell.interrupt import SIGNAL, Interrupter
from autocron.shell.invoke import FunctionInvoker
from autocron.shell.kinds import Feed, Kind, kind_of, stored_backend
from autocron.shell.launch import launch_supervisor
from autocron.shell.local import StoreBackend
from autocron.shell.log_records import mark_records
from autocron.shell.logbook import logged
from autocron.shell.mode import WORKER_VARIABLE
from autocron.shell.output import flush_output, guard_output, log_at_last_resort
from autocron.shell.ownership import (
    RunFolder,
    acquire,
    holder,
    is_shared,
    wait_until_unshared,
)
from autocron.shell.printable import lines
from autocron.shell.printable_log import make_log_printable
from autocron.shell.served import Served
from autocron.shell.telling import PromptInvoker
from autocron.shell.terms import Terms
from autocron.shell.trouble import Trouble
from autocron.shell.wakeup import SocketWaker, drain
from autocron.zones import load_zone

logger = logging.getLogger("autocron")

_TROUBLE_PAUSE_SECONDS = 0.5
# While tasks are claimed together one looks so often whether one of them keeps the others waiting.
_STINT_LOOK_SECONDS = 0.025


class WorkerService:
    """What a started App is inside a worker: calls of tasks are stored, as everywhere."""

    is_serving = True

    def __init__(self, kind: Kind, durability: str, waker: Any) -> None:
        self.clock = kind.clock
        self.is_loading = True
        self._app = default_app
        # What a task calls is a promise like any call, hence a store of its own: the worker's
        # bookkeeping need not be synced, since losing it only means running again.
        self._backend = stored_backend(
            kind,
            kind.store(durability),
            waker=waker,
            observer=lambda kind, task: self._app.hooks(kind, task),
        )

    def serve(self, app: App, application: Application) -> None:
        """Be the service of an App, which may be one of the application's own."""
        app.use(self)
        app.serializer, app.default_zone = application.serializer, application.tz
        self._app = app

    @property
    def backend(self) -> StoreBackend[Any]:
        """The engine that takes the calls of tasks.

        Raises:
            StartError: The worker is still importing the application.
        """
        if self.is_loading:
            raise StartError(
                "a delayed function is called at the top level of a module, where each worker that "
                "imports it would call it again; put the call into a function, or in the main "
                "script under \"if __name__ == '__main__':\""
            )
        return self._backend

    def matches(self, database: object) -> bool:
        """In a worker ``start()`` does nothing, whatever it is given."""
        return True

    def announce(self) -> None:
        """A worker declares what it has imported by itself."""

    def stop(self) -> None:
        """In a worker ``stop()`` does nothing."""

    def look_after(self) -> None:
        """Do nothing: this worker has a supervisor, or starts the next one."""

    def check_wait(self, what: str, status: str) -> None:
        """Others may run it meanwhile."""


class Worker:
    """Runs tasks until it is told to leave."""

    def __init__(self, database: str, name: str, channel: Channel, wake: socket.socket) -> None:
        self._database = database
        self._name = name
        self._channel = channel
        self._wake = wake
        self._folder = RunFolder(database)
        self._clock = SystemClock()
        self._kind = kind_of(self._folder)
        self._store = self._kind.worker_store()
        self._footing: Optional[Footing] = None
        self._trouble = Trouble(self._kind.shown)
        self._interrupter = Interrupter(self._clock, channel.send, self._check_footing)
        self._queues: Optional[List[str]] = None
        self._terms = Terms()
        self._tasks_run = 0
        self._hooks_told: List[str] = []
        self._news: Deque[Tuple[str, str]] = deque()
        self._was_woken = False
        self._knows_of_later = False
        self._is_leaving = False
        self._unheard: List[Dict[str, Any]] = []
        self._engine: Optional[Engine] = None
        self._is_pacing = False
        self._steps = 0
        self._stir_reader, self._stir_writer = signals.pipe()
        self._signal_reader, self._signal_writer = signals.pipe()

    def run(self) -> None:
        """Import the application, and run its tasks."""
        lock = acquire(self._folder.worker(self._name))
        if lock is None:
            return
        application = self._hear_application()
        if application is None:
            # Nobody has hired it, or ended it, so its supervisor was killed. That may hold its lock
            # for a moment longer; so it is not asked whether it does.
            if is_shared(self._folder.application):
                self._launch_supervisor()
            return
        if self._queues is not None:
            lock.note(",".join(self._queues))
        signals.listen(self._signal_writer, (SIGNAL,))
        self._interrupter.listen()
        threading.Thread(target=self._watch, name="autocron-watch", daemon=True).start()
        self._store.open(create=False)
        service = WorkerService(self._kind, application.durability, SocketWaker(self._folder))
        os.environ[WORKER_VARIABLE] = self._database
        mark_records()
        make_log_printable()
        log_at_last_resort()
        service.serve(default_app, application)
        code = Code(default_app, application, self._store, Served(self._folder), self._clock)
        code.load()
        app = code.app
        service.serve(app, application)
        service.is_loading = False
        code.declare(service.backend, self._kind.clock.now())
        self._hooks_told = app.hooks.kinds
        self._channel.send(files=code.changed_files(), hooks=self._hooks_told, broken=code.broken)
        engine = self._engine = Engine(
            self._store,
            self._kind.clock,
            zones=load_zone,
            new_id=new_id,
            waker=SocketWaker(self._folder),
            invoker=PromptInvoker(FunctionInvoker(code.find, lambda: app.codec, call=self._call)),
            worker=self._name,
            draw=draw,
            queues=self._queues,
            observer=app.hooks,
            logbook=self._kind.logbook(self._name),
            logbooks=partial(logged, self._folder),
        )
        self._footing = Footing((self._channel.connection, self._wake), self._signal_writer)
        feed = self._kind.feed(self._store, self._queues, self._stir)
        try:
            self._loop(engine, code, service, feed, self._footing)
        finally:
            feed.close()
        self._see_to_supervisor()
        flush_output()
        # What user code has left behind (threads, exit handlers) must not keep the process.
        os._exit(0)

    def _call(
        self,
        task: Task,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Call the function of a task, with what an integration has put around it."""
        around = default_app.around
        called = function if around is None else around(function)
        return self._interrupter.call(task, called, args, kwargs)

    def _check_footing(self) -> None:
        if self._footing is not None:
            self._footing.check()

    def _check_descriptors(self) -> None:
        if self._footing is not None:
            self._footing.check_descriptors()

    def _hear_application(self) -> Optional[Application]:
        """Wait for what the supervisor says first; what it has said since is kept for the watch."""
        messages: List[Dict[str, Any]] = []
        while not messages and self._channel.is_open:
            messages = self._channel.receive()
        if not messages:
            return None
        first, *self._unheard = messages
        self._queues, self._terms = first["queues"], Terms.read(first["terms"])
        return Application.from_json(first["application"])

    # -- working ------------------------------------------------------------------------------

    def _loop(
        self, engine: Engine, code: Code, service: WorkerService, feed: Feed, footing: Footing
    ) -> None:
        was_idle = True
        while not (self._is_leaving and engine.in_hand is None):
            is_run = engine.in_hand is not None
            was_woken, self._was_woken = self._was_woken, False
            try:
                self._tell_hooks(code)
                claim = not (self._is_leaving or self._is_at_last_task(is_run))
                tick = feed.tick(engine, claim)
            except AutocronError as error:
                self._trouble.tell(error)
                self._sleep(_TROUBLE_PAUSE_SECONDS, for_work=False)
                continue
            if tick.trouble is None:
                self._trouble.is_over()
            if is_run and tick.trouble is None:
                self._clean_up(code, service)
                self._tasks_run += 1
                if self._terms.are_over(self._tasks_run):
                    # What it may have claimed is its last one.
                    self._leave()
            if tick.trouble is not None:
                # The outcome is in hand and is tried again; the task is not run again.
                self._trouble.tell(tick.trouble)
                self._sleep(_TROUBLE_PAUSE_SECONDS, for_work=False)
            elif tick.claimed is not None:
                if engine.has_kept:
                    # It was claimed with one before it.
                    continue
                if engine.is_amid_stint:
                    self._pace(engine)
                if self._leaves_to_newer(engine, code):
                    return
                if was_idle:
                    # Several tasks may have become due at once.
                    self._share(engine, feed)
                was_idle = False
            elif not self._is_leaving:
                was_idle = True
                self._knows_of_later = tick.next_at is not None
                footing.restore()
                if was_woken and not is_run and self._queues is not None:
                    # There is work, but in another queue; somebody else may be there for that.
                    self._channel.send(passes=True)
                feed.rest()
                self._sleep(self._idle_seconds(tick, feed))

    def _share(self, engine: Engine, feed: Feed) -> None:
        if self._knows_of_later:
            # It is busy when that is due, perhaps, so another one has to know of it.
            engine.wake()
            return
        try:
            feed.share(engine)
        except AutocronError as error:
            self._trouble.tell(error)
            engine.wake()

    def _is_at_last_task(self, is_run: bool) -> bool:
        """Tell whether the task that is run now, if any, is the last one."""
        return 0 < self._terms.max_tasks <= self._tasks_run + is_run

    def _tell_hooks(self, code: Code) -> None:
        """Tell the hooks what the supervisor has done."""
        while self._news:
            kind, task_id = self._news[0]
            task = self._store.get(task_id)
            self._news.popleft()
            if task is not None:
                code.app.hooks(kind, task)
            self._channel.send(told=task_id)

    def _leaves_to_newer(self, engine: Engine, code: Code) -> bool:
        """Hand back a task that may have been called by newer code than ours; then leave.

        The supervisor replaces us after the start of a process with other code, but a call of that
        process can be faster.
        """
        try:
            return code.is_outdated() and bool(engine.hand_back(self._name))
        except AutocronError as error:
            logger.error("%s: %s", self._kind.shown, error)
            return False

    def _idle_seconds(self, tick: Tick, feed: Feed) -> float:
        if feed.idle_seconds is not None:
            return feed.idle_seconds
        try:
            settings = Settings.read(self._store.settings())
        except AutocronError as error:
            self._trouble.tell(error)
            return _TROUBLE_PAUSE_SECONDS
        if tick.next_at is None:
            return settings.worker_idle_time
        seconds = (tick.next_at - self._kind.clock.now()).total_seconds()
        return max(0.0, min(seconds, settings.worker_idle_time))

    def _sleep(self, seconds: float, for_work: bool = True) -> None:
        """Sleep until somebody says that there is work or that we are to leave, or for so long."""
        listened: List[Any] = [self._stir_reader, self._wake] if for_work else [self._stir_reader]
        ready, _, _ = select.select(listened, [], [], seconds)
        if self._wake in ready:
            drain(self._wake)
            self._was_woken = True
        if self._stir_reader in ready:
            os.read(self._stir_reader, 4096)

    def _clean_up(self, code: Code, service: WorkerService) -> None:
        """Undo what a task may have done to the process, and pass on what it printed."""
        code.return_to_directory()
        flush_output()
        if code.has_mended:
            try:
                code.declare(service.backend, self._kind.clock.now())
                code.has_mended = False
            except AutocronError as error:
                # After the next task it is tried again.
                self._trouble.tell(error)
        files, hooks = code.changed_files(), code.app.hooks.kinds
        if files or hooks != self._hooks_told:
            self._hooks_told = hooks
            self._channel.send(files=files, hooks=hooks, broken=code.broken)

    # -- leaving ------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Wait for the word to leave, and see to it that this worker does."""
        try:
            self._await_word()
        except Exception as error:
            self._check_descriptors()
            # Nobody would hear the word any more, so it is taken as said.
            self._tell("this worker leaves", error)
        self._leave()
        # Wait out the grace; a second word changes nothing.
        threading.Event().wait(self._terms.stop_grace)
        try:
            self._hand_back()
            self._see_to_supervisor()
        except Exception as error:
            # Whoever comes next finds that this worker is gone, and takes back what it held.
            self._tell("what this worker held is taken back by the next", error)
        finally:
            flush_output()
            os._exit(0)

    def _tell(self, what: str, error: Exception) -> None:
        """Log an error, if that can be done: to show where it was raised takes open files, too."""
        with contextlib.suppress(Exception):
            logger.error("%s: %s: %s: %s", self._kind.shown, what, type(error).__name__, error)

    def _await_word(self) -> None:
        """Wait for the word to leave, or for a reason to do so without."""
        must_hurry = self._heed(self._unheard)
        while not must_hurry:
            listened: List[Any] = [self._channel, self._signal_reader]
            timeout = _STINT_LOOK_SECONDS if self._is_pacing else None
            ready, _, _ = select.select(listened, [], [], timeout)
            self._look_at_stint()
            if self._signal_reader in ready:
                must_hurry = signals.is_asked_to_leave(self._signal_reader)
            if self._channel in ready:
                must_hurry = self._heed(self._channel.receive()) or must_hurry
                if not self._channel.is_open:
                    self._outlive_supervisor()
                    must_hurry = True

    def _pace(self, engine: Engine) -> None:
        """Have the other thread look at a stint, unless it does."""
        if not self._is_pacing:
            self._is_pacing = True
            with contextlib.suppress(BlockingIOError):
                # No signal has this number.
                os.write(self._signal_writer, b"\0")

    def _look_at_stint(self) -> None:
        """Settle a stint if the task in hand is the same as at the last look."""
        engine = self._engine
        if engine is None or not self._is_pacing:
            return
        before, self._steps = self._steps, engine.steps
        if before != self._steps:
            return
        if engine.is_amid_stint:
            # What is being stored is seen to; and this thread has others to listen to.
            self._settle(waits=False)
        else:
            self._is_pacing = False
            # One may have begun meanwhile, for which nobody has called.
            self._is_pacing = engine.is_amid_stint

    def _settle(self, waits: bool = True) -> None:
        if self._engine is not None:
            self._check_descriptors()
            try:
                self._engine.settle(waits)
            except AutocronError as error:
                self._trouble.tell(error)

    def _heed(self, messages: List[Dict[str, Any]]) -> bool:
        """Do as the supervisor says; tell whether to be quick about it."""
        for message in messages:
            if message["do"] == LOOK:
                if "terms" in message:
                    self._terms = Terms.read(message["terms"])
                self._stir()
            elif message["do"] == TELL:
                self._news.append((message["kind"], message["task"]))
                self._stir()
            elif message["do"] == CUT:
                # It may be one that has not begun.
                self._settle()
                self._interrupter.cut_short(message["task"], message["attempt"])
            else:
                self._leave()
        return any(message["do"] == STOP for message in messages)

    def _outlive_supervisor(self) -> None:
        """The supervisor was killed: start the next one, or, without an application, hurry."""
        is_shared_still = is_shared(self._folder.application)
        if is_shared_still:
            # Before leaving, which an idle worker does so soon that nothing would be started.
            self._launch_supervisor()
        self._leave()
        if is_shared_still:
            # The task in hand may take its time for as long as its application lives.
            wait_until_unshared(self._folder.application)

    def _see_to_supervisor(self) -> None:
        """Start one at last, if it was killed while it saw us leave and the application lives."""
        try:
            if holder(self._folder.supervisor) is None and is_shared(self._folder.application):
                self._launch_supervisor()
        except AutocronError as error:
            logger.error("%s: %s", self._kind.shown, error)

    def _launch_supervisor(self) -> None:
        try:
            launch_supervisor(self._database)
        except OSError as error:
            # The next call of the application tries it, too.
            logger.error("%s: no supervisor could be started: %s", self._kind.shown, error)

    def _leave(self) -> None:
        self._is_leaving = True
        self._stir()

    def _stir(self) -> None:
        """Wake the main thread if it sleeps."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._stir_writer, b"!")

    def _hand_back(self) -> None:
        self._check_descriptors()
        try:
            operations = Operations(
                self._kind.store("normal"),
                self._kind.clock,
                new_id=new_id,
                waker=SocketWaker(self._folder),
                logbooks=partial(logged, self._folder),
            )
            for task in operations.hand_back(self._name):
                logger.warning("task %s (%s) is handed back: its worker has to leave", *_who(task))
        except AutocronError as error:
            # Whoever comes next finds that this worker is gone, and takes it back.
            logger.error("%s: %s", self._kind.shown, error)


def _who(task: Any) -> Any:
    return task.id, task.name


def main(database: str, name: str, channel: str, wake: str) -> None:
    """Run a worker in this process; the last two arguments are inherited descriptors."""
    guard_output()
    for descriptor in (channel, wake):
        os.set_inheritable(int(descriptor), False)
    worker = Worker(
        database,
        name,
        Channel(socket.socket(fileno=int(channel))),
        socket.socket(fileno=int(wake)),
    )
    try:
        worker.run()
    except AutocronError as error:
        print(f"autocron: a worker can not go on: {lines(str(error))}", file=sys.stderr)
        flush_output()
        sys.exit(1)
