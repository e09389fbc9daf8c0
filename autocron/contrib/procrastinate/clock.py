"""The clock of the database server, which all hosts share.

Hosts differ in their clocks by seconds, some by more. So one clock judges what is due: that of
the server, which a host asks now and then, and carries on by its own elapsed time. That the wall
clock of a host is set makes no difference.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Callable, Optional, Tuple

from autocron.shell.clock import SystemClock

ASK_EVERY_SECONDS = 30.0
# An answer that took longer says too little about when it was given.
_SLOW_SECONDS = 0.5


class ServerClock:
    """Tells the server's time; implements :class:`autocron.ports.Clock`.

    Arguments:
        ask: Asks the server for its time; may raise.
        elapsed: Returns seconds that never go back.
    """

    def __init__(
        self,
        ask: Callable[[], datetime],
        elapsed: Callable[[], float] = SystemClock().monotonic,
    ) -> None:
        self._ask = ask
        self._elapsed = elapsed
        self._known: Optional[Tuple[datetime, float]] = None
        self._asked_at = -math.inf

    def now(self) -> datetime:
        """Return the server's time as an aware UTC datetime."""
        elapsed = self._elapsed()
        if self._known is None or elapsed - self._asked_at >= ASK_EVERY_SECONDS:
            self._look(elapsed)
            elapsed = self._elapsed()
        assert self._known is not None
        at, since = self._known
        return at + timedelta(seconds=elapsed - since)

    def monotonic(self) -> float:
        """Return seconds that never go back and go on while the machine sleeps."""
        return self._elapsed()

    def _look(self, before: float) -> None:
        try:
            at = self._ask()
        except Exception:
            # While the server is away the time goes on; whoever writes will hear of it.
            if self._known is None:
                raise
            self._asked_at = before
            return
        after = self._elapsed()
        self._asked_at = after
        if self._known is None or after - before < _SLOW_SECONDS:
            self._known = (at, (before + after) / 2)
