"""Fixtures of the specification.

No time is frozen here as a tripwire. freezegun would exchange the class ``datetime`` under the
clauses that are about exactly that type, and stop the clocks of hypothesis. What it would catch, a
module that reads a clock, is caught at the source by ``tests/``.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from spec.benches import Bench

# A slow machine is no broken promise.
settings.register_profile("spec", deadline=None)
settings.load_profile("spec")


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.store.close()
