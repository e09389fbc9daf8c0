"""Which session the present thread or asyncio task is in."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, List, Optional

from autocron.app import App
from autocron.core.errors import AutocronError

if TYPE_CHECKING:
    from autocron.testing.sessions import Session

_innermost: ContextVar[Optional[Session]] = ContextVar("autocron_session", default=None)
_lock = threading.Lock()
_open: List[Session] = []
_process: List[Session] = []


def begin(session: Session, is_process_wide: bool) -> Optional[Session]:
    """Let a session begin here; return the one that this thread or asyncio task was in."""
    outer = None if is_process_wide else _innermost.get()
    with _lock:
        (_process if is_process_wide else _open).append(session)
    if not is_process_wide:
        _innermost.set(session)
    return outer


def end(session: Session, outer: Optional[Session]) -> None:
    """Let a session end, wherever that is noticed."""
    with _lock:
        (_process if session in _process else _open).remove(session)
    # A fixture may end in another asyncio task than it began in. What is left behind there is
    # over, and passed by when somebody looks.
    if _innermost.get() is session:
        _innermost.set(outer)


class Inside:
    """Is in a session for a ``with`` block, whichever began last: its tasks are being run.

    No generator, as ``contextlib`` would have it: that writes to exceptions that pass.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        """Be in it."""
        self._before = _innermost.get()
        _innermost.set(self._session)

    def __exit__(self, *error: object) -> None:
        """Be where one was before."""
        _innermost.set(self._before)


def find(app: Optional[App]) -> Optional[Session]:
    """Return the session that takes the calls of an App here; None if there is none.

    That is the one that was begun last in this thread or asyncio task. A thread that was started
    inside a session has none of its own: it takes part in the one that is open. Else it is the
    session of the process.

    Arguments:
        app: The App; None is any.

    Raises:
        AutocronError: Several sessions are open elsewhere, so there is no telling.
    """
    session = _own(app)
    if session is not None:
        return session
    with _lock:
        candidates = [session for session in _open if app in (None, session.app)]
    if candidates:
        outer = {id(session.outer) for session in candidates}
        innermost = [session for session in candidates if id(session) not in outer]
        if len(innermost) > 1:
            raise AutocronError(
                f"{len(innermost)} test sessions are open in this process, and this thread was "
                "begun in none of them; begin it in the context of its session: "
                "Thread(target=contextvars.copy_context().run, args=(function,))"
            )
        return innermost[0]
    return _of_process(app)


def around(app: App) -> Optional[Session]:
    """Return the session in which another one is about to begin.

    What other threads have begun is none of its business, so it is one of this thread or asyncio
    task, or that of the process.
    """
    return _own(app) or _of_process(app)


def _own(app: Optional[App]) -> Optional[Session]:
    session = _innermost.get()
    while session is not None and not (session.is_open and app in (None, session.app)):
        session = session.outer
    return session


def _of_process(app: Optional[App]) -> Optional[Session]:
    session = process_wide()
    return session if session is not None and app in (None, session.app) else None


def active() -> Session:
    """Return the session that ``autocron.testing``'s own functions mean here."""
    session = find(None)
    assert session is not None  # importing autocron.testing has begun that of the process
    return session


def process_wide() -> Optional[Session]:
    """Return the session of the process."""
    with _lock:
        return _process[-1] if _process else None


def opened() -> List[Session]:
    """Return the sessions that are open, but for that of the process; the latest last."""
    with _lock:
        return list(_open)
