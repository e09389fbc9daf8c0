"""The contracts that anyone's store or backend can be held against.

A check is a plain function that states one promise in its docstring. It is given what makes a new
and empty store (:class:`autocron.ports.Store`) or bench (:class:`Bench`: a backend, and the hands
that move its clock and its workers), returns if the promise is kept, and raises AssertionError if
not. No test framework is needed, and any will do::

    @pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check):
        check(MyStore)
"""

from __future__ import annotations

from typing import Tuple

from autocron.testing.contract.backend_calls import CALL_CHECKS
from autocron.testing.contract.backend_changes import CHANGE_CHECKS
from autocron.testing.contract.backend_cron import CRON_CHECKS
from autocron.testing.contract.backend_groups import GROUP_CHECKS
from autocron.testing.contract.bench import BackendCheck, Bench, Invoke
from autocron.testing.contract.store_lanes import LANE_CHECKS
from autocron.testing.contract.store_queries import QUERY_CHECKS
from autocron.testing.contract.store_tasks import TASK_CHECKS, StoreCheck
from autocron.testing.contract.store_transactions import TRANSACTION_CHECKS

STORE_CHECKS: Tuple[StoreCheck, ...] = (
    *TASK_CHECKS,
    *LANE_CHECKS,
    *QUERY_CHECKS,
    *TRANSACTION_CHECKS,
)
BACKEND_CHECKS: Tuple[BackendCheck, ...] = (
    *CALL_CHECKS,
    *CHANGE_CHECKS,
    *GROUP_CHECKS,
    *CRON_CHECKS,
)

__all__ = ["BACKEND_CHECKS", "STORE_CHECKS", "BackendCheck", "Bench", "Invoke", "StoreCheck"]
