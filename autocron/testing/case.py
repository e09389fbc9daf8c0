"""Sessions for ``unittest``, Django's test cases included."""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Optional, Union

if TYPE_CHECKING:
    from autocron.testing.clock import Instant
    from autocron.testing.sessions import Session


class SessionMixin:
    """Gives each test of a ``TestCase`` a session of its own, as ``self.autocron``.

    Derive from it first: ``class MailTest(SessionMixin, TestCase)``. The session is open during
    ``setUp``, the test, ``tearDown`` and all clean-ups, and whatever those classes override.

    Attributes:
        autocron_now: The time at which each session begins; None is the system's clock.
        autocron_tz: The time zone of schedules that name none.
        autocron_engine: ``"memory"`` or ``"sqlite"``.
        autocron: The session of the test.
    """

    autocron_now: Optional[Instant] = None
    autocron_tz: Union[str, tzinfo, None] = None
    autocron_engine: Optional[str] = None
    autocron: Session

    def run(self, result: Any = None) -> Any:
        """Run one test in its session; ``unittest`` calls this."""
        from autocron import testing

        session = self.autocron = testing.session(
            self.autocron_now, self.autocron_tz, engine=self.autocron_engine
        )
        session.begin()
        # The first clean-up is the last to be done, so that it fails the test itself.
        self.addCleanup(self._check_plans)  # type: ignore[attr-defined]
        try:
            return super().run(result)  # type: ignore[misc]
        finally:
            session.close()

    def _check_plans(self) -> None:
        outcome = getattr(self, "_outcome", None)
        if getattr(outcome, "success", True):
            self.autocron.check_plans()
