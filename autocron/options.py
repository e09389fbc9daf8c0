"""The options of delayed functions, checked where they are written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Callable, Collection, Dict, Mapping, Optional, Tuple, Type, Union

from autocron.core.errors import LONGEST_SECONDS, InvalidTask
from autocron.core.outcome import in_words, kinds_of
from autocron.core.policy import PLAIN, Policy
from autocron.core.rate import parse_rate
from autocron.core.task import DEFAULT_QUEUE, MAX_PRIORITY, MIN_PRIORITY
from autocron.core.values import changed, frozen
from autocron.core.workforce import QUEUE_NAME_IN_WORDS, is_queue_name

Duration = Union[float, timedelta]
Moment = Union[datetime, Callable[[], datetime]]
Backoff = Union[float, timedelta, str]
Exceptions = Union[Type[BaseException], Tuple[Type[BaseException], ...]]
Key = Union[str, Callable[..., object]]

MAX_RETRIES = 1_000_000
MAX_LIMIT = 1_000_000
MAX_KEY_LENGTH = 200
_UNIT_SECONDS: Mapping[str, float] = {
    "weeks": 7 * 86400.0,
    "days": 86400.0,
    "hours": 3600.0,
    "minutes": 60.0,
    "seconds": 1.0,
}


@frozen
class DelayOptions:
    """The options of a delayed function.

    Attributes:
        delay_seconds: Not to be run before this many seconds have elapsed.
        schedule: Not before this instant, or the one that this callable gives at each call.
        expires: No attempt begins at this instant, or so many seconds after the call, or later.
        policy: Retries, backoff, timeout and rate.
        queue: The queue in which it waits.
        priority: -100 to 100; higher runs first.
        limit: How many may run at once; None is any number.
        limit_key: What they are counted by; None is the function.
        rate_key: What the rate is counted by; None is the function.
        unique: Which calls are the same: False, True, ``"args"`` or a callable giving a key.
        unique_running: Whether a running task counts, too.
        unique_seconds: For how many seconds after its call a task counts, whatever becomes of it.
        on_commit: Whether the call waits for the transactions around it, or which one; None leaves
            it to the integration.
        connection: The connection whose transaction it is to be part of; None is one of its own.
    """

    delay_seconds: float = 0.0
    schedule: Optional[Moment] = None
    expires: Union[float, datetime, None] = None
    policy: Policy = PLAIN
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    limit: Optional[int] = None
    limit_key: Optional[Key] = None
    rate_key: Optional[Key] = None
    unique: Union[bool, str, Callable[..., object]] = False
    unique_running: bool = False
    unique_seconds: Optional[float] = None
    on_commit: Union[bool, str, None] = None
    connection: Optional[object] = None

    @property
    def are_even(self) -> bool:
        """Whether calls with them differ in nothing but their arguments, whenever they are made."""
        return (
            self.schedule is None
            and not isinstance(self.expires, datetime)
            and isinstance(self.unique, bool)
            and not callable(self.limit_key)
            and not callable(self.rate_key)
        )

    def changed(self, **given: Any) -> DelayOptions:
        """Return options with what is given changed; a time given replaces the time before.

        Arguments:
            given: The options of :class:`autocron.delayed.TaskOptions`. None is "not given".

        Raises:
            InvalidTask: An option is not known, can not be used, or contradicts another one.
        """
        given = {name: value for name, value in given.items() if value is not None}
        for name in given:
            if name not in OPTIONS:
                raise InvalidTask(unknown_option(name, "delay", OPTIONS))
        after = changed(
            self,
            **_when(given),
            **{name: _READERS[name](name, value) for name, value in given.items() if name in _OWN},
            policy=policy_of(self.policy, given),
        )
        after = _with_unique(after, given)
        after._check_agreement(given)
        return after

    def _check_agreement(self, given: Mapping[str, Any]) -> None:
        """Refuse options that contradict each other."""
        for name, needed, has in (
            ("limit_key", "limit", self.limit is not None),
            ("rate_key", "rate", self.policy.rate is not None),
            ("unique_while", "unique", self.unique is not False),
            ("unique_for", "unique", self.unique is not False),
        ):
            if name in given and not has:
                raise InvalidTask(f"{name}= goes with {needed}=, which is not given")
        if self.connection is not None and self.on_commit:
            raise InvalidTask(
                "connection= stores the call in a transaction, and on_commit= after it; give one"
            )
        if isinstance(self.expires, float) and self.expires <= self.delay_seconds:
            raise InvalidTask(
                f"expires: {in_words(self.expires)} after the call is no later than it is due, "
                f"{in_words(self.delay_seconds)} after it; it would never run"
            )

    def moment(self, zone: tzinfo) -> Optional[datetime]:
        """Return the instant, in UTC, before which the task is not to run; None is now.

        Arguments:
            zone: In which a datetime without a zone is meant.

        Raises:
            InvalidTask: The callable gave no datetime.
        """
        if self.schedule is None:
            return None
        given = self.schedule() if callable(self.schedule) else self.schedule
        return in_utc("schedule", check_moment("schedule", given), zone)


def in_utc(name: str, moment: datetime, zone: tzinfo) -> datetime:
    """Return a datetime in UTC; one without a zone is meant in the given one."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(timezone.utc)
    except (OverflowError, ValueError, OSError):  # the last two from the system's zone
        raise InvalidTask(f"{name}: {moment!r} is out of the range of times") from None


def policy_of(before: Policy, given: Mapping[str, Any]) -> Policy:
    """Return a policy with what is given changed.

    Arguments:
        before: The policy as it was.
        given: Among others, ``retries``, ``backoff``, ``max_backoff``, ``retry_on``,
            ``no_retry_on``, ``timeout`` and ``rate``.

    Raises:
        InvalidTask: One of them can not be used, or contradicts another one.
    """
    changes: Dict[str, Any] = {
        field: _READERS[name](name, given[name])
        for name, field in _POLICY_FIELDS.items()
        if name in given
    }
    if not changes:
        return before
    after = changed(before, **changes)
    for name in ("backoff", "max_backoff", "retry_on", "no_retry_on"):
        if name in given and not after.retries:
            raise InvalidTask(f"{name}= is about retries, and there are none: give retries= too")
    both = set(after.retry_on or ()) & set(after.no_retry_on)
    if both:
        raise InvalidTask(f"retry_on= and no_retry_on= both name {', '.join(sorted(both))}")
    if "max_backoff" in given and after.backoff_seconds is not None:
        raise InvalidTask("max_backoff= is for exponential backoff; the backoff= is constant")
    return after


def _when(given: Mapping[str, Any]) -> Dict[str, Any]:
    delay = {name: given[name] for name in given if name in _UNIT_SECONDS}
    schedule = given.get("schedule")
    if schedule is not None and delay:
        raise InvalidTask(
            f"schedule= and {', '.join(f'{name}=' for name in delay)} both say when the task "
            "is to run; give one of them"
        )
    if schedule is not None:
        if not callable(schedule):
            check_moment("schedule", schedule)
        return {"delay_seconds": 0.0, "schedule": schedule}
    if not delay:
        return {}
    seconds = sum(_number(name, value) * _UNIT_SECONDS[name] for name, value in delay.items())
    if seconds > LONGEST_SECONDS:
        raise InvalidTask(f"{', '.join(delay)}: the delay is more than 100 years")
    return {"delay_seconds": seconds, "schedule": None}


def _with_unique(options: DelayOptions, given: Mapping[str, Any]) -> DelayOptions:
    changes: Dict[str, Any] = {}
    if "unique_while" in given:
        scope = given["unique_while"]
        if scope not in ("waiting", "running"):
            raise InvalidTask(f'unique_while: {scope!r} is neither "waiting" nor "running"')
        changes["unique_running"] = scope == "running"
    if "unique_for" in given:
        changes["unique_seconds"] = duration("unique_for", given["unique_for"])
    return changed(options, **changes) if changes else options


# -- reading one option -----------------------------------------------------------------------


def check_moment(name: str, given: object) -> datetime:
    """Return a datetime, or raise InvalidTask for what is none."""
    if not isinstance(given, datetime):
        raise InvalidTask(
            f"{name}: {given!r} is no datetime; expected an aware datetime, one in the "
            "application's zone, or a callable that returns one (for a delay: seconds=…)"
        )
    return given


def duration(name: str, value: object, or_else: str = "") -> float:
    """Return a duration in seconds, more than none and up to 100 years.

    Arguments:
        name: The name of the option, for messages.
        value: The duration.
        or_else: What else might have been given, for messages.

    Raises:
        InvalidTask: It is none.
    """
    seconds = _seconds(value)
    if seconds is None or not 0 < seconds <= LONGEST_SECONDS:
        raise InvalidTask(
            f"{name}: {value!r} is not a number of seconds above 0 and up to 100 years, "
            f"nor such a timedelta{or_else}"
        )
    return float(seconds)


def _seconds(value: object) -> Optional[float]:
    """Return a duration in seconds, whatever its length; None if it is none."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = not isinstance(seconds, bool) and isinstance(seconds, (int, float))
    return seconds if is_number and seconds == seconds else None  # type: ignore[return-value]


def wait_seconds(timeout: object) -> Optional[float]:
    """Return for how many seconds a caller waits at most, from 0 to 100 years; None is for ever.

    Less than nothing is nothing: what is left until an instant, which may have passed.

    Raises:
        InvalidTask: It is no duration.
    """
    if timeout is None:
        return None
    seconds = _seconds(timeout)
    if seconds is None:
        raise InvalidTask(
            f"timeout: {timeout!r} is not a number of seconds, nor a timedelta; None waits for ever"
        )
    return float(min(max(seconds, 0.0), LONGEST_SECONDS))


def _number(name: str, value: object) -> float:
    number = not isinstance(value, bool) and isinstance(value, (int, float))
    if not number or not 0 <= value < float("inf"):  # type: ignore[operator]
        raise InvalidTask(f"{name}: {value!r} is not a number from 0 upwards")
    # An int may be larger than any float; all of these are too long anyway.
    return float(min(value, 2 * LONGEST_SECONDS))  # type: ignore[call-overload]


def _whole(low: int, high: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidTask(f"{name}: {value!r} is not a whole number from {low} to {high}")
        return value

    return read


def _expires(name: str, value: object) -> Union[float, datetime]:
    if isinstance(value, datetime):
        return value
    return duration(name, value, ", nor a datetime")


def _backoff(name: str, value: object) -> Optional[float]:
    if value == "exponential":
        return None
    seconds = _seconds(value)
    if seconds is None or not 0 <= seconds <= LONGEST_SECONDS:
        raise InvalidTask(
            f"{name}: {value!r} is neither a number of seconds from 0 to 100 years, nor such a "
            "timedelta, nor 'exponential'"
        )
    return float(seconds)


def _exceptions(name: str, value: object) -> Tuple[str, ...]:
    kinds = value if isinstance(value, (tuple, list)) else (value,)
    for kind in kinds:
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise InvalidTask(f"{name}: {kind!r} is no class of exceptions")
    return tuple(kinds_of(kind)[0] for kind in kinds)


def check_queue(name: str, value: object) -> str:
    """Return the name of a queue.

    Raises:
        InvalidTask: It is none; the message begins with ``name``.
    """
    if not isinstance(value, str) or not is_queue_name(value):
        raise InvalidTask(f"{name}: {value!r} is no name of a queue: {QUEUE_NAME_IN_WORDS}")
    return value


def _key(name: str, value: object) -> Key:
    if callable(value):
        return value
    return check_key(name, value)


def check_key(name: str, value: object) -> str:
    """Return a key as text.

    Raises:
        InvalidTask: It can be none.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise InvalidTask(f"{name}: {value!r} is no key; expected a text or a whole number")
    text = str(value)
    if len(text) > MAX_KEY_LENGTH:
        raise InvalidTask(f"{name}: the key {text[:40]!r}… is longer than {MAX_KEY_LENGTH}")
    return text


def _unique(name: str, value: object) -> object:
    if isinstance(value, bool) or value == "args" or callable(value):
        return value
    raise InvalidTask(
        f'{name}: {value!r} is not True, False, "args", nor a callable that is given the arguments '
        "and returns a key"
    )


def _on_commit(name: str, value: object) -> Union[bool, str]:
    if isinstance(value, (bool, str)) and value != "":
        return value
    raise InvalidTask(
        f"{name}: {value!r} is not True, False, nor the alias of one of Django's databases"
    )


def _connection(name: str, value: object) -> object:
    if isinstance(value, (bool, int, float, str, bytes)):
        raise InvalidTask(f"{name}: {value!r} is no open connection to a database")
    return value


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "expires": _expires,
    "queue": check_queue,
    "priority": _whole(MIN_PRIORITY, MAX_PRIORITY),
    "limit": _whole(1, MAX_LIMIT),
    "limit_key": _key,
    "rate_key": _key,
    "unique": _unique,
    "retries": _whole(0, MAX_RETRIES),
    "backoff": _backoff,
    "max_backoff": duration,
    "retry_on": _exceptions,
    "no_retry_on": _exceptions,
    "timeout": duration,
    "rate": lambda name, value: parse_rate(value),
    "on_commit": _on_commit,
    "connection": _connection,
}
# Option -> field of the policy.
_POLICY_FIELDS: Mapping[str, str] = {
    "retries": "retries",
    "backoff": "backoff_seconds",
    "max_backoff": "backoff_cap_seconds",
    "retry_on": "retry_on",
    "no_retry_on": "no_retry_on",
    "timeout": "timeout_seconds",
    "rate": "rate",
}
_OWN = tuple(name for name in _READERS if name not in _POLICY_FIELDS)
OPTIONS: Tuple[str, ...] = (
    *_UNIT_SECONDS,
    "schedule",
    *_READERS,
    "unique_while",
    "unique_for",
)


def unknown_option(name: str, of: str, known: Collection[str]) -> str:
    """Say that there is no option of this name, and which is the nearest one.

    Arguments:
        name: What was given.
        of: What it was given to.
        known: The names of all options that there are.
    """
    import difflib  # only now: most applications never need it

    # minute= and retry= are minutes= and retries=, whatever else is as near.
    plurals = [one for one in (f"{name}s", f"{name[:-1]}ies") if one in known]
    near = plurals or difflib.get_close_matches(name, known, 1)
    meant = f"; did you mean {near[0]}=?" if near else ""
    return f"{name!r} is no option of {of}{meant} (there are: {', '.join(known)})"
