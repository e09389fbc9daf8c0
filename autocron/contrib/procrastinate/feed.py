"""What brings a worker process to its tasks: tickets, which procrastinate's worker takes.

procrastinate's worker has a thread of its own, with its event loop; the functions of tasks run in
the main thread, as on one machine, where they can be interrupted. The thread brings one ticket at a
time, and waits until it has been used.
"""

from __future__ import annotations

import logging
import threading
from typing import Callable, Iterable, Optional

from autocron.contrib.procrastinate.connections import ERRORS
from autocron.contrib.procrastinate.store import PostgresStore
from autocron.contrib.procrastinate.worker import TicketTaker
from autocron.core.errors import StoreError
from autocron.engine import Engine, Tick
from autocron.shell.trouble import Trouble

# What procrastinate and its pool say of a server that is away would be said by each worker, with
# tracebacks, many times; the supervisor says it once.
_TALKATIVE = ("procrastinate", "psycopg.pool")
_TRY_AGAIN_SECONDS = 0.5
_LEAVING_SECONDS = 1.0


class _Turn:
    """A ticket that waits to be used, or is in use."""

    def __init__(self, ticket: int, task_id: str) -> None:
        self.ticket = ticket
        self.task_id = task_id
        self.is_taken = False
        self.is_used = threading.Event()
        self.error: Optional[StoreError] = None


class TicketFeed(TicketTaker):
    """Lets the main thread use the tickets; implements :class:`autocron.shell.kinds.Feed`.

    Arguments:
        store: The store of the worker's engine.
        queues: The queues of which tickets are taken; None is all.
        stir: Wakes the main thread.
    """

    #: A ticket stirs. This is for what nobody thought of.
    idle_seconds: Optional[float] = 60.0

    def __init__(
        self, store: PostgresStore, queues: Optional[Iterable[str]], stir: Callable[[], None]
    ) -> None:
        super().__init__(store, queues)
        self._stir = stir
        self._turn: Optional[_Turn] = None
        self._trouble = Trouble(store.shown)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread = threading.Thread(target=self._serve, name="autocron-tickets", daemon=True)
        self._thread.start()

    def tick(self, engine: Engine, claim: bool) -> Tick:
        """Do one step of the engine; claim only with a ticket."""
        if engine.in_hand is not None:
            return engine.tick(claim=False)
        turn = self._turn
        if turn is None or turn.is_taken or not claim:
            return Tick()
        turn.is_taken = True
        try:
            return self.take(engine, turn.ticket, turn.task_id)
        except StoreError as error:
            if engine.in_hand is None:
                # It comes again.
                turn.error = error
                self.rest()
            raise

    def share(self, engine: Engine) -> None:
        """Wake one more: to look would keep the task waiting for an answer of the server."""
        engine.wake()

    def rest(self) -> None:
        """Let the next ticket come; a worker that leaves after its task wants none."""
        turn = self._turn
        if turn is not None and turn.is_taken:
            self._turn = None
            turn.is_used.set()

    def use(self, ticket: int, task_id: str) -> None:
        """Have the main thread use a ticket, and wait for it; called in procrastinate's thread."""
        if self.is_leaving:
            raise self._left()
        turn = self._turn = _Turn(ticket, task_id)
        self._stir()
        turn.is_used.wait()
        if turn.error is not None:
            raise turn.error

    def close(self) -> None:
        """Give back a ticket that was not used, and end procrastinate's worker."""
        self.leave()
        turn = self._turn
        if turn is not None and not turn.is_taken:
            turn.error, turn.is_taken = self._left(), True
        self.rest()
        self._thread.join(_LEAVING_SECONDS)

    @staticmethod
    def _left() -> StoreError:
        return StoreError("this worker leaves; another one uses the ticket")

    def _serve(self) -> None:
        """Have procrastinate's worker; it ends whenever the server is away for a while."""
        while not self.is_leaving:
            try:
                self.run()
            except ERRORS as error:
                self._trouble.tell(error)
            except Exception as error:
                # Of a pool, a library below, or an event loop that is torn down.
                self._trouble.tell(error)
            else:
                self._trouble.is_over()
            self.wait(_TRY_AGAIN_SECONDS)
