"""Fixtures of the specification.

No time is frozen here as a tripwire. freezegun would exchange the class ``datetime`` under the
clauses that are about exactly that type, and stop the clocks of hypothesis. What it would catch, a
module that reads a clock, is caught at the source by ``tests/``.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from autocron import testing
from autocron.app import App
from spec.benches import NOW, Bench

# A slow machine is no broken promise.
settings.register_profile("spec", deadline=None)
# For one more interpreter, where the same laws were drawn for in full on others.
settings.register_profile("brief", deadline=None, max_examples=15)
settings.load_profile("spec")


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.store.close()


@pytest.fixture
def app():
    return App()


@pytest.fixture
def session(app):
    """A session of the App, on a clock that the clause moves."""
    with testing.session(now=NOW, tz="UTC", app=app) as session:
        yield session


@pytest.fixture
def ran():
    """With what ``note`` was run."""
    return []


@pytest.fixture
def note(app, ran):
    @app.delay
    def note(what=None):
        ran.append(what)
        return what

    return note
