"""Fixtures of the specification.

No time is frozen here as a tripwire. freezegun would exchange the class ``datetime`` under the
clauses that are about exactly that type, and stop the clock by which hypothesis finds slow
examples. What it would catch, a module that reads a clock, is caught at the source by ``tests/``.
"""

from __future__ import annotations

import pytest

from spec.benches import Bench


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.store.close()
