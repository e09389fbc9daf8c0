"""Test what an application does in the background: at once, in this process, under any clock.

::

    from autocron import testing

    def test_the_mail_is_sent():
        sign_up("ada")                      # calls send_mail(…), which is delayed
        testing.run_pending()               # runs it here; an exception is raised here
        assert outbox == ["Welcome, ada"]

    def test_the_cleanup_runs_at_night():
        with testing.session(now="2026-03-28 12:00", tz="Europe/Berlin") as session:
            session.travel(days=1)          # everything on the way runs at its own time
            (run,) = session.runs(cleanup)
            assert str(run.scheduled_for) == "2026-03-29 03:00:00+02:00"

Importing this module is what says "this is a test": from then on the calls of the default App go to
a session of this process, a database in memory on the system's clock, ``autocron.start()`` starts
nothing, and no worker runs. Import it before anything calls ``start()``, in ``conftest.py``. No
module of an application imports it. With pytest each test gets a fresh session.

Tasks run through the steps of the same engine as in a worker: claimed, stored and read back the
same way. freezegun and time-machine move the session's clock as they move the system's.
"""

from __future__ import annotations

import atexit as _atexit
import logging as _logging
import os as _os
from datetime import timedelta, tzinfo
from typing import Optional, Union

from autocron.app import App, default_app
from autocron.core.errors import AutocronError, RunawayTasks, StartError
from autocron.shell.mode import WORKER_VARIABLE as _WORKER_VARIABLE
from autocron.testing import context as _context
from autocron.testing.case import SessionMixin
from autocron.testing.clock import FollowingClock, Instant, ManualClock
from autocron.testing.faults import Faults
from autocron.testing.plans import PlannedCrash, UnusedPlan
from autocron.testing.queue_asserts import Capture, Enqueued, QueueAssertionError
from autocron.testing.rehearsal import chosen_engine as _chosen_engine
from autocron.testing.runner import Report, Run
from autocron.testing.sessions import CollectingSession as _CollectingSession
from autocron.testing.sessions import Session, Tasks
from autocron.testing.simulator import simulate
from autocron.testing.sleeping import SleepWarning
from autocron.testing.timeline import Entry, Occurrence, Timeline
from autocron.zones import load_zone as _load_zone
from autocron.zones import zone_name as _zone_name

__all__ = [
    "Capture",
    "Enqueued",
    "Entry",
    "Faults",
    "ManualClock",
    "Occurrence",
    "PlannedCrash",
    "QueueAssertionError",
    "Report",
    "Run",
    "RunawayTasks",
    "Session",
    "SessionMixin",
    "SleepWarning",
    "Timeline",
    "UnusedPlan",
    "current",
    "reset",
    "run_pending",
    "session",
    "simulate",
]


def run_pending(
    *,
    until: Union[Instant, timedelta, None] = None,
    tasks: Tasks = None,
    raise_errors: bool = True,
    limit: int = 1000,
) -> Report:
    """Run all that is due now, in order, in this process.

    That is every task whose time has come, by priority, due time and age; what those tasks call in
    turn; and the cron occurrences that are due. It belongs to the session that was begun last here,
    or else to that of the process. The clock is not moved, unless ``until`` says so.

    Arguments:
        until: Let time pass until then, an instant or a timedelta from now, and run what falls due
            on the way at its own instant; as ``Session.travel`` does. Only on a clock that the test
            moves.
        tasks: Run only tasks of this function, or of these; others stay waiting.
        raise_errors: True raises the exception of the first attempt that fails, the object itself,
            with a note that names the task; what comes after it stays waiting. What the test has
            planned with ``fail_next`` is not raised. False goes on; the errors are in the report,
            as in the TaskResults.
        limit: After so many runs at one instant, tasks are taken to enqueue each other for ever.

    Returns:
        What was run.

    Raises:
        RunawayTasks: More than ``limit`` runs were due; the message names the most frequent.
        TaskFailed: A task called ``sys.exit()``, or nothing knows its function.
        InvalidTask: One of ``tasks`` is no task function.
        AutocronError: ``until`` is in the past, or this session is on the system's clock.
        BaseException: Whatever else a task raised.
    """
    return _context.active().run_pending(
        until=until, tasks=tasks, raise_errors=raise_errors, limit=limit
    )


def session(
    now: Optional[Instant] = None,
    tz: Union[str, tzinfo, None] = None,
    *,
    engine: Optional[str] = None,
    clock: Optional[ManualClock] = None,
    app: Optional[App] = None,
) -> Session:
    """Make a session of its own: an empty store, and a clock that the test moves.

    Use it in a ``with`` statement, or as a decorator of functions, also async ones, and methods;
    :func:`current` returns it inside. The App's calls go to it meanwhile, from this thread or
    asyncio task and from threads that are started in it; other sessions, also at the same time, do
    not touch it. All schedules of the App are known in it and owe nothing at its beginning.
    ``at_start`` functions are due at once.

    Arguments:
        now: The time at which it begins: an aware datetime, a naive one that is meant in ``tz``, or
            either as ISO 8601 text. None is the system's clock.
        tz: The time zone of schedules that name none, by name or as tzinfo; None leaves it as it
            is: that of ``start(tz=…)``, of Django, or of the system.
        engine: ``"memory"`` keeps tasks in SQLite, in memory; ``"sqlite"`` in a file in a temporary
            folder, as in production; ``"plain"`` in plain Python, for tests that play years; the
            URL of a PostgreSQL database there, in a schema of the session's own. All keep one
            contract. None is what the environment variable ``AUTOCRON_TEST_ENGINE`` says,
            or memory.
        clock: A clock to use, instead of ``now``.
        app: The App; None is the default one.

    Returns:
        The session.

    Raises:
        AutocronError: ``now`` is no instant, or was given together with ``clock``; ``clock`` or
            ``app`` is none; there is no such engine.
        InvalidSchedule: The zone is not known here.
    """
    if now is not None and clock is not None:
        raise AutocronError("now and clock were both given; a session has one clock, give one")
    if clock is not None and not isinstance(clock, ManualClock):
        raise AutocronError(
            f"clock: {clock!r} is no clock; expected a testing.ManualClock(…), or give the time: "
            'now="2026-03-28 12:00"'
        )
    if app is not None and not isinstance(app, App):
        raise AutocronError(f"app: {app!r} is no App; None is the default one")
    its_app = default_app if app is None else app
    name = None if tz is None else _zone_name(tz)
    its_engine = _chosen_engine(engine)

    def make() -> Session:
        its_clock: Union[ManualClock, FollowingClock, None] = clock
        if now is not None:
            its_clock = ManualClock(now, its_app.zone if name is None else _load_zone(name))
        return Session(its_app, its_clock or FollowingClock(), name, its_engine, make)

    return make()


def current() -> Session:
    """Return the session that is active here: the one begun last, or that of the process."""
    return _context.active()


def reset() -> None:
    """Begin the session of the process anew: an empty store, nothing owed.

    The pytest plugin does so before each test.

    Raises:
        AutocronError: It was called inside :func:`session`.
    """
    if _context.active() is not _context.process_wide():
        raise AutocronError(
            "reset() renews the session of the process, and was called inside testing.session(); "
            "leave that first"
        )
    renew()


def renew() -> None:
    """Begin the session of the process anew, whatever other sessions there are; for plugins."""
    _begin_process_wide(Session(default_app, FollowingClock(), None, _chosen_engine(None)))


def check_plans() -> None:
    """Fail if something was planned to go wrong in the session of the process, and never did.

    Raises:
        UnusedPlan: There is such a plan.
    """
    session = _context.process_wide()
    if session is not None:
        session.check_plans()


def _begin_process_wide(session: Session) -> None:
    before = _context.process_wide()
    if before is not None:
        before.close()
    session.begin(is_process_wide=True)


def _end_all() -> None:
    for session in reversed(_context.opened()):
        session.close()
    process_wide = _context.process_wide()
    if process_wide is not None:
        process_wide.close()


def _begin() -> None:
    if default_app.is_active:
        if _WORKER_VARIABLE in _os.environ:
            raise StartError(
                "autocron.testing was imported in a worker, whose calls would be lost in a test "
                "session; import it in tests only, not in a module of the application"
            )
        _logging.getLogger("autocron").warning(
            "autocron.testing was imported after autocron.start(): the workers are stopped, and "
            "calls go to a test session from now on; import it first, in conftest.py, or for "
            "manage.py in Django's settings: if 'test' in sys.argv: import autocron.testing"
        )
        default_app.stop()
    _begin_process_wide(
        _CollectingSession(default_app, FollowingClock(), None, _chosen_engine(None))
    )
    _atexit.register(_end_all)


_begin()
