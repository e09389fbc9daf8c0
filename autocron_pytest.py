"""The pytest plugin of autocron; ``pip install autocron`` is all that it needs.

It stands outside of the package so that it costs nothing where it is not used: pytest loads it in
every project, and here nothing of autocron is imported before a test asks for it.

* ``autocron_session``: a fixture, a session of its own for the test.
* ``@pytest.mark.autocron(now=…, tz=…, engine=…)``: with what that session begins; the marker alone
  is enough.
* Once ``autocron.testing`` is imported, each test gets a fresh session of the process, so that no
  test sees the calls of another.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Iterator, Set

import pytest

if TYPE_CHECKING:
    from autocron.testing import Session

_FIXTURE = "autocron_session"
_MARKER = "autocron"

_failed: Set[str] = set()


def pytest_configure(config: Any) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "autocron(now=None, tz=None, engine=None): run this test in a session of autocron.testing "
        "that begins like this; the fixture autocron_session is that session",
    )


@pytest.fixture
def autocron_session(request: Any) -> Iterator[Session]:
    """A session of autocron.testing for this test: an empty queue, and a clock.

    ``@pytest.mark.autocron(now="2026-03-28 12:00", tz="Europe/Berlin")`` gives it a clock that the
    test moves; else it is on the system's.
    """
    from autocron import testing

    marker = request.node.get_closest_marker(_MARKER)
    args, kwargs = ((), {}) if marker is None else (marker.args, marker.kwargs)
    session = testing.session(*args, **kwargs)
    session.begin()
    try:
        yield session
    finally:
        session.close()
    if request.node.nodeid not in _failed:
        session.check_plans()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: Any) -> None:
    """Begin the session of the process anew, and that of the marker if there is one."""
    _failed.discard(item.nodeid)
    testing = sys.modules.get("autocron.testing")
    if testing is not None:
        testing.renew()
    names = getattr(item, "fixturenames", None)
    if names is None:  # an item that is no Python function
        return
    if item.get_closest_marker(_MARKER) is not None or _FIXTURE in names:
        # First, so that the test's other fixtures are in it, in whatever order they are named. A
        # list of its own, since the others of a parametrized test share theirs.
        item.fixturenames = [_FIXTURE, *(name for name in names if name != _FIXTURE)]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: Any) -> None:
    """Fail the test if it has planned a fault in the session of the process, and none came."""
    testing = sys.modules.get("autocron.testing")
    if testing is not None and item.nodeid not in _failed:
        testing.check_plans()


def pytest_runtest_logreport(report: Any) -> None:
    """Note which tests have failed: what follows from that is no news."""
    if report.failed:
        _failed.add(report.nodeid)
