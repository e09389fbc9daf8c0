"""The options of cron schedules, checked where they are written."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Callable, List, Mapping, Optional, Tuple, Union

from autocron.core.cron import CronExpression, from_fields, parse
from autocron.core.errors import LONGEST_SECONDS, InvalidSchedule, InvalidTask
from autocron.core.policy import PLAIN, Policy
from autocron.core.schedule import (
    DEFAULT_GRACE_SECONDS,
    MISSED_POLICIES,
    NO_ARGUMENTS,
    OVERLAP_POLICIES,
    Schedule,
)
from autocron.core.task import DEFAULT_QUEUE
from autocron.core.values import changed, frozen
from autocron.options import DelayOptions

Field = Union[int, str, "List[Union[int, str]]", "Tuple[Union[int, str], ...]"]

# What a run of a schedule takes from the options of a delayed function.
RUN_OPTIONS = (
    "timeout",
    "retries",
    "backoff",
    "max_backoff",
    "retry_on",
    "no_retry_on",
    "queue",
    "priority",
)


@frozen
class CronOptions:
    """One schedule, before it is known where it will run.

    Attributes:
        name: The name of the task function.
        text: The canonical cron expression; None for "at the start only".
        zone: The name of the time zone; None is the application's.
        missed: The policy for missed occurrences.
        overlap: The policy while an earlier run is in hand.
        grace_seconds: How late an occurrence may be noticed and still be on time.
        at_start: Whether to run once when the application starts.
        is_enabled: Whether it fires.
        jitter_seconds: Each run begins later by less than this, always by the same.
        policy: Retries, backoff and timeout of each run.
        queue: Its queue.
        priority: Its priority.
        payload: Its arguments, as text.
        dynamic_name: The name of a schedule that was made at run time; None for one in the code.
    """

    name: str
    text: Optional[str]
    zone: Optional[str]
    missed: str
    overlap: str
    grace_seconds: float
    at_start: bool
    is_enabled: bool = True
    jitter_seconds: float = 0.0
    policy: Policy = PLAIN
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    payload: str = NO_ARGUMENTS
    dynamic_name: Optional[str] = None

    @property
    def key(self) -> str:
        """The identity of the schedule: stacked ones differ in their text."""
        return self.dynamic_name or f"{self.name} {self.text or '@start'}"

    def schedule(self, default_zone: str, now: datetime) -> Schedule:
        """Return the schedule to declare, beginning now."""
        return Schedule(
            key=self.key,
            name=self.name,
            text=self.text,
            zone=self.zone or default_zone,
            missed=self.missed,
            overlap=self.overlap,
            grace_seconds=self.grace_seconds,
            at_start=self.at_start,
            watermark_at=now,
            is_enabled=self.is_enabled,
            is_dynamic=self.dynamic_name is not None,
            jitter_seconds=self.jitter_seconds,
            payload=self.payload,
            queue=self.queue,
            priority=self.priority,
            policy=self.policy,
        )


def cron_options(
    *,
    text: Optional[str],
    zone: Optional[str],
    is_fixed_time: bool,
    missed: Optional[str],
    overlap: str,
    grace: Union[float, timedelta],
    at_start: bool,
    jitter: Union[float, timedelta] = 0.0,
    enabled: bool = True,
    run: Optional[Mapping[str, Any]] = None,
    base: Optional[DelayOptions] = None,
) -> Callable[[str], CronOptions]:
    """Check the options of a schedule.

    Arguments:
        text: The canonical cron expression; None for "at the start only".
        zone: The name of the time zone; None is the application's.
        is_fixed_time: Whether neither minute nor hour starts with ``*``.
        missed: ``"once"``, ``"skip"``, ``"all"``, or None for the default of the schedule's kind.
        overlap: ``"skip"``, ``"wait"`` or ``"allow"``.
        grace: Seconds, or a timedelta.
        at_start: True or False.
        jitter: Seconds, or a timedelta.
        enabled: True or False.
        run: The options of each run; see :data:`RUN_OPTIONS`. None is "not given".
        base: What they change; the options of the task function.

    Returns:
        What makes the options, given the name of the task function.

    Raises:
        InvalidSchedule: One of them can not be used.
    """
    if missed is None:
        missed = "once" if is_fixed_time else "skip"
    for name, given, policies in (
        ("missed", missed, MISSED_POLICIES),
        ("overlap", overlap, OVERLAP_POLICIES),
    ):
        if given not in policies:
            raise InvalidSchedule(f"{name}: {given!r} is not one of {', '.join(policies)}")
    for name, flag in (("at_start", at_start), ("enabled", enabled)):
        if not isinstance(flag, bool):
            raise InvalidSchedule(f"{name}: {flag!r} is not True or False")
    options = CronOptions(
        name="",
        text=text,
        zone=zone,
        missed=missed,
        overlap=overlap,
        grace_seconds=_seconds("grace", grace, f" (default {DEFAULT_GRACE_SECONDS:g})"),
        at_start=at_start,
        is_enabled=enabled,
        jitter_seconds=_seconds("jitter", jitter, ""),
    )
    wanted = _run_options(base or DelayOptions(), run or {})
    return lambda name: changed(
        options,
        name=name,
        policy=changed(wanted.policy, rate=None),
        queue=wanted.queue,
        priority=wanted.priority,
    )


def _run_options(base: DelayOptions, run: Mapping[str, Any]) -> DelayOptions:
    try:
        return base.changed(**run)
    except InvalidTask as error:
        raise InvalidSchedule(str(error)) from None


def _seconds(name: str, given: object, default: str) -> float:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    usable = not isinstance(seconds, bool) and isinstance(seconds, (int, float))
    if not usable or not 0 <= seconds <= LONGEST_SECONDS:  # type: ignore[operator]
        raise InvalidSchedule(
            f"{name}: {seconds!r} is not a number of seconds from 0 upwards{default}"
        )
    return float(seconds)  # type: ignore[arg-type]


def expression_of(
    crontab: Optional[str], fields: Mapping[str, Optional[Field]], at_start: bool
) -> Optional[CronExpression]:
    """Return the expression of a schedule, in one of its two forms.

    Arguments:
        crontab: The text; None for the keyword form.
        fields: The keyword form; None is "not given". ``dow`` is short for ``days_of_week``.
        at_start: Whether it may do without either: then it runs at the start only.

    Returns:
        The expression; None for "at the start only".

    Raises:
        InvalidSchedule: It can not be used.
    """
    if callable(crontab):
        raise InvalidSchedule(
            '@cron takes a schedule: write @cron("0 2 * * *") for every day at 02:00'
        )
    given = {name: value for name, value in fields.items() if value is not None}
    dow = given.pop("dow", None)
    if dow is not None:
        if "days_of_week" in given:
            raise InvalidSchedule("dow and days_of_week are the same field; give one of them")
        given["days_of_week"] = dow
    if crontab is not None and given:
        raise InvalidSchedule(
            f"a cron text ({crontab!r}) and {', '.join(given)} were both given; give one form"
        )
    if crontab is not None:
        return parse(crontab)
    if given:
        return from_fields(**given)
    if at_start is True:
        return None
    raise InvalidSchedule(
        'cron needs a schedule: a text such as "0 2 * * *", keywords such as minutes=0, '
        "hours=2, or at_start=True"
    )
