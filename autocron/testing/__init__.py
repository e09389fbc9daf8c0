"""Test what an application does in the background: at once, in this process, under any clock.

::

    from autocron import testing

    def test_the_mail_is_sent():
        sign_up("ada")                      # calls send_mail(…), which is delayed
        testing.run_pending()               # runs it here; an exception is raised here
        assert outbox == ["Welcome, ada"]

    def test_the_cleanup_runs_at_night():
        with testing.session(now="2026-03-28 12:00", tz="Europe/Berlin") as session:
            session.advance(days=1)
            assert session.run_pending().count(cleanup) == 1

Importing this module is what says "this is a test": from then on the calls of the default App go to
a session of this process, a database in memory on the system's clock, ``autocron.start()`` starts
nothing, and no worker runs. Import it before anything calls ``start()``, in ``conftest.py``. No
module of an application imports it.

Tasks run through the steps of the same engine as in a worker: claimed, stored and read back the
same way. freezegun and time-machine move the session's clock as they move the system's.
"""

from __future__ import annotations

import atexit as _atexit
import logging as _logging
import os as _os
from datetime import tzinfo
from typing import Optional, Union

from autocron.app import App, default_app
from autocron.core.errors import AutocronError, RunawayTasks, StartError
from autocron.shell.mode import WORKER_VARIABLE as _WORKER_VARIABLE
from autocron.testing import sessions as _sessions
from autocron.testing.clock import FollowingClock, Instant, ManualClock
from autocron.testing.runner import Report, Run
from autocron.testing.sessions import Session
from autocron.zones import load_zone as _load_zone
from autocron.zones import zone_name as _zone_name

__all__ = [
    "ManualClock",
    "Report",
    "Run",
    "RunawayTasks",
    "Session",
    "reset",
    "run_pending",
    "session",
]


def run_pending(*, raise_errors: bool = True, limit: int = 1000) -> Report:
    """Run all that is due now, in order, in this process.

    That is every task whose time has come, by priority, due time and age; what those tasks call in
    turn; and the cron occurrences that are due. It belongs to the session that was begun last, or
    else to that of the process. The clock is not moved.

    Arguments:
        raise_errors: True raises the exception of the first task that fails, the object itself,
            with a note that names the task; what comes after that task stays waiting. False goes
            on; the errors are in the report, as in the TaskResults.
        limit: After so many runs tasks are taken to enqueue each other for ever.

    Returns:
        What was run.

    Raises:
        RunawayTasks: More than ``limit`` runs were due; the message names the most frequent.
        TaskFailed: A task called ``sys.exit()``, or nothing knows its function.
        BaseException: Whatever else a task raised.
    """
    return _sessions.active_session().run_pending(raise_errors=raise_errors, limit=limit)


def session(
    now: Optional[Instant] = None,
    tz: Union[str, tzinfo, None] = None,
    *,
    clock: Optional[ManualClock] = None,
    app: Optional[App] = None,
) -> Session:
    """Begin a session of its own: an empty store in memory, and a clock that the test moves.

    Use it in a ``with`` statement; the App's calls go to it inside. All schedules of the App are
    known in it and owe nothing at its beginning. ``at_start`` functions are due at once.

    Arguments:
        now: The time at which it begins: an aware datetime, a naive one that is meant in ``tz``, or
            either as ISO 8601 text. None is the system's clock.
        tz: The time zone of schedules that name none, by name or as tzinfo; None leaves it as it
            is: that of ``start(tz=…)``, of Django, or of the system.
        clock: A clock to use, instead of ``now``.
        app: The App; None is the default one.

    Returns:
        The session.

    Raises:
        AutocronError: ``now`` is no instant, or was given together with ``clock``.
        InvalidSchedule: The zone is not known here.
    """
    app = default_app if app is None else app
    if now is not None and clock is not None:
        raise AutocronError("now and clock were both given; a session has one clock, give one")
    name = None if tz is None else _zone_name(tz)
    if now is not None:
        clock = ManualClock(now, app.zone if name is None else _load_zone(name))
    return Session(app, FollowingClock() if clock is None else clock, name)


def reset() -> None:
    """Begin the session of the process anew: an empty store, nothing owed.

    Raises:
        AutocronError: It was called inside :func:`session`.
    """
    _sessions.reset(default_app)


def _begin() -> None:
    if default_app.is_active:
        if _WORKER_VARIABLE in _os.environ:
            raise StartError(
                "autocron.testing was imported in a worker, whose calls would be lost in a test "
                "session; import it in tests only, not in a module of the application"
            )
        _logging.getLogger("autocron").warning(
            "autocron.testing was imported after autocron.start(): the workers are stopped, and "
            "calls go to a test session from now on; import it first, in conftest.py"
        )
        default_app.stop()
    reset()
    _atexit.register(_sessions.end_all)


_begin()
