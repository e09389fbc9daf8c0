"""Which workers are wanted: how many, and for which queues.

They are kept as a whole number, for workers that take tasks of any queue, or as text,
``"default=2,mail,bulk=1"``: two workers for ``default``, and one for both ``mail`` and ``bulk``.
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from autocron.core.errors import AutocronError
from autocron.core.task import ALL_QUEUES

MAX_COUNT = 1000
_QUEUE_NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
QUEUE_NAME_IN_WORDS = "letters, digits, '_', '.' and '-', at most 64 of them"

Workers = Union[int, str]


class InvalidWorkers(AutocronError, ValueError):
    """Workers were asked for in a way that can not be used; nothing is changed."""


class Group(NamedTuple):
    """Workers for the same queues.

    Attributes:
        queues: The queues; None is any.
        size: How many workers.
    """

    queues: Optional[Tuple[str, ...]]
    size: int


def is_queue_name(text: str) -> bool:
    """Tell whether a text may name a queue."""
    return re.fullmatch(_QUEUE_NAME, text) is not None


def groups(workers: Workers) -> List[Group]:
    """Return the groups of the wanted workers."""
    if isinstance(workers, int):
        return [Group(None, workers)]
    return [Group(_queues(key), count) for key, count in _read(workers).items()]


def total(workers: Workers) -> int:
    """Return how many workers are wanted."""
    return sum(group.size for group in groups(workers))


def parse_workers(text: str) -> Workers:
    """Read what was typed.

    Arguments:
        text: A number, or counts for queues: ``"default=2,mail=1"``.

    Returns:
        It, in its normal form.

    Raises:
        InvalidWorkers: It can not be used.
    """
    if "=" in text or "," in text:
        return _written(_read(text))
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= MAX_COUNT:
        raise InvalidWorkers(
            f"{text!r} is not a whole number of workers from 1 to {MAX_COUNT}, nor one for each "
            "queue, such as default=2,mail=1"
        )
    return count


def check_workers(value: object) -> Workers:
    """Check what ``start(workers=…)`` was given.

    Arguments:
        value: A whole number from 0, or a mapping of queues to such numbers from 1.

    Returns:
        It, in its normal form.

    Raises:
        InvalidWorkers: It can not be used.
    """
    if isinstance(value, Mapping):
        return _written(_checked(value))
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        raise InvalidWorkers(
            f"{value!r} is not a whole number from 0 to {MAX_COUNT}, nor a mapping of queues to "
            'such numbers, as {"default": 2, "mail": 1}'
        )
    return value


def _read(text: str) -> Dict[str, int]:
    """Read counts for queues; a count goes with the names before it, back to the count before."""
    found: Dict[str, int] = {}
    names: List[str] = []
    for word in text.split(","):
        name, is_counted, count = word.partition("=")
        names.append(name)
        if is_counted:
            key = _normal(",".join(names))
            if key in found:
                raise InvalidWorkers(f"{key!r} has two counts in {text!r}")
            found[key] = _count(key, count.strip())
            names = []
    if names:
        raise InvalidWorkers(f"{','.join(names)!r} has no count in {text!r}; write QUEUE=COUNT")
    return _of_bounded_total(found)


def _checked(value: Mapping[object, object]) -> Dict[str, int]:
    if not value:
        raise InvalidWorkers("an empty mapping names no workers; 0 is the way to start none")
    found: Dict[str, int] = {}
    for key, count in value.items():
        if not isinstance(key, str):
            raise InvalidWorkers(f"{key!r} is no name of a queue: {QUEUE_NAME_IN_WORDS}")
        key = _normal(key)
        if key in found:
            raise InvalidWorkers(f"{key!r} has two counts in {dict(value)!r}")
        found[key] = _count(key, count)
    return _of_bounded_total(found)


def _of_bounded_total(found: Dict[str, int]) -> Dict[str, int]:
    if sum(found.values()) > MAX_COUNT:
        raise InvalidWorkers(f"{sum(found.values())} workers are more than {MAX_COUNT}")
    return found


def _count(key: str, count: object) -> int:
    is_typed = isinstance(count, str) and re.fullmatch("[0-9]{1,9}", count)
    number = int(count) if is_typed else count  # type: ignore[call-overload]
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_COUNT:
        raise InvalidWorkers(
            f"{key}: {count!r} is not a whole number of workers from 1 to {MAX_COUNT}"
        )
    return number


def _normal(key: str) -> str:
    """Return the names of some queues in their normal form, and so always the same."""
    names = [name.strip() for name in key.split(",")]
    for name in names:
        if name == ALL_QUEUES and len(names) == 1:
            continue
        if name == ALL_QUEUES:
            raise InvalidWorkers(f"'*' is any queue, and stands alone, unlike in {key!r}")
        if not is_queue_name(name):
            raise InvalidWorkers(f"{name!r} is no name of a queue: {QUEUE_NAME_IN_WORDS}")
        if names.count(name) > 1:
            raise InvalidWorkers(f"{name!r} is named twice in {key!r}")
    return ",".join(sorted(names))


def _queues(key: str) -> Optional[Tuple[str, ...]]:
    return None if key == ALL_QUEUES else tuple(key.split(","))


def _written(counts: Mapping[str, int]) -> str:
    return ",".join(f"{key}={count}" for key, count in counts.items())
