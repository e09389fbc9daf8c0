"""Sessions for ``unittest``, Django's test cases included."""

from __future__ import annotations

import asyncio
import functools
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Union

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
        autocron_engine: ``"memory"``, ``"plain"`` or ``"sqlite"``.
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
        has_passed: List[bool] = []
        name: str = self._testMethodName  # type: ignore[attr-defined]
        own = vars(self).get(name)
        setattr(self, name, _telling(getattr(self, name), has_passed))

        def check_plans() -> None:
            # What follows from a failure of the test is no news.
            if has_passed:
                session.check_plans()

        # The first clean-up is the last to be done; what it raises fails the test itself.
        self.addCleanup(check_plans)  # type: ignore[attr-defined]
        try:
            return super().run(result)  # type: ignore[misc]
        finally:
            session.close()
            if own is None:
                delattr(self, name)
            else:
                setattr(self, name, own)


def _telling(method: Callable[..., Any], has_passed: List[bool]) -> Callable[..., Any]:
    """Return a test method that tells when it has passed."""
    if asyncio.iscoroutinefunction(method):

        @functools.wraps(method)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            value = await method(*args, **kwargs)
            has_passed.append(True)
            return value

        return run_async

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        value = method(*args, **kwargs)
        has_passed.append(True)
        return value

    return run
