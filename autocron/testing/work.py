"""Running tasks in a session: one at a time, in its context, and with an eye on sleeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocron.core.errors import AutocronError
from autocron.testing import context, sleeping
from autocron.testing.clock import ManualClock

if TYPE_CHECKING:
    from autocron.testing.sessions import Session


class AtWork:
    """Is at work in a session for a ``with`` block, alone.

    No generator, as ``contextlib`` would have it: that writes to exceptions that pass.
    """

    def __init__(self, session: Session, what: str) -> None:
        self._session = session
        self._what = what
        # What a task calls belongs to the session that runs it.
        self._inside = context.Inside(session)

    def __enter__(self) -> None:
        """Begin."""
        self._session.check_begun(self._what)
        if not self._session.at_work.acquire(blocking=False):
            raise AutocronError(
                f"{self._what} was called by a task that run_pending() runs, or by another thread "
                "meanwhile; what the task calls is run when the task has ended"
            )
        self._inside.__enter__()
        self._watches = isinstance(self._session.clock, ManualClock)
        if self._watches:
            sleeping.watch()

    def __exit__(self, *error: object) -> None:
        """End."""
        if self._watches:
            sleeping.unwatch()
        self._inside.__exit__()
        self._session.at_work.release()
