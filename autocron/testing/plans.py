"""What a test plans to go wrong: the next run of a task that raises, or that its worker dies of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, List, Optional, Type, Union

from autocron.core.errors import AutocronError

if TYPE_CHECKING:
    from autocron.testing.invoker import Attempt


class WorkerDied(BaseException):
    """The worker died here, as ``crash_next()`` has planned; only the runner sees it.

    Attributes:
        attempt: What it was running.
    """

    def __init__(self, attempt: Attempt) -> None:
        super().__init__("the worker died, as planned")
        self.attempt = attempt


class PlannedCrash(AutocronError):
    """Stands in a :class:`~autocron.testing.Run` for the death of its worker."""


class UnusedPlan(AutocronError, AssertionError):
    """Something was planned to go wrong in a session, and nothing has come of it."""


@dataclass(frozen=True)
class Plan:
    """One fault that is to come.

    Attributes:
        error: What is raised in place of the function; None for the death of the worker.
        after: Whether the worker dies only when the function has run.
        text: The call that has planned it.
    """

    error: Optional[BaseException]
    after: bool
    text: str


class Plans:
    """The faults that are to come, by the name of their task function, in order."""

    def __init__(self) -> None:
        self._plans: Dict[str, List[Plan]] = {}

    def fail(self, name: str, given: Union[BaseException, Type[BaseException]], times: int) -> None:
        """Plan that the next attempts of a task function raise.

        Arguments:
            name: The name of the task function.
            given: The exception, or its class.
            times: How many attempts, at least 1.

        Raises:
            AutocronError: It is no exception that a task could raise.
        """
        is_class = isinstance(given, type) and issubclass(given, Exception)
        if not is_class and not isinstance(given, Exception):
            raise AutocronError(
                f"fail_next: {given!r} is no exception; expected one such as "
                'ConnectionError("no route"), or its class'
            )
        for _ in range(_times("fail_next", times)):
            error = given() if isinstance(given, type) else given
            self._add(name, Plan(error, False, f"fail_next({name}, {error!r})"))

    def crash(self, name: str, after: bool, times: int) -> None:
        """Plan that the worker dies of the next attempts of a task function.

        Arguments:
            name: The name of the task function.
            after: Whether it dies only when the function has run.
            times: How many attempts, at least 1.

        Raises:
            AutocronError: ``times`` is no such number.
        """
        shown = f"crash_next({name}{', after=True' if after else ''})"
        for _ in range(_times("crash_next", times)):
            self._add(name, Plan(None, after, shown))

    def take(self, name: str) -> Optional[Plan]:
        """Return what is planned for the attempt that begins now, and forget it."""
        plans = self._plans.get(name)
        return plans.pop(0) if plans else None

    def left(self) -> List[str]:
        """Return the plans that nothing has come of, as texts."""
        return [plan.text for plans in self._plans.values() for plan in plans]

    def _add(self, name: str, plan: Plan) -> None:
        self._plans.setdefault(name, []).append(plan)


def _times(where: str, times: int) -> int:
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise AutocronError(f"{where}: times={times!r} is not a whole number from 1 upwards")
    return times
