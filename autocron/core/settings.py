"""The settings that a database keeps: names, units, bounds and defaults."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Dict, Mapping, Optional, Union

from autocron.core.errors import AutocronError
from autocron.core.values import frozen
from autocron.core.workforce import InvalidWorkers, Workers, parse_workers

LOCK_WORDS: Mapping[str, bool] = {"on": True, "true": True, "off": False, "false": False}


class InvalidSetting(AutocronError, ValueError):
    """A setting was given a word or number that it can not take; nothing is changed."""


@frozen
class Settings:
    """The settings of one database.

    Attributes:
        autocron_lock: True keeps ``start()`` from starting anything: calls run in place.
        max_workers: How many workers run, and for which queues, as
            :func:`autocron.core.workforce.groups` reads it; None leaves it to
            ``start(workers=…)`` or the default, 1.
        max_tasks_per_worker: A worker is replaced after so many tasks; 0 is never.
        max_memory_mb: A worker is replaced once it takes more memory than this; 0 is never.
        stop_grace: Seconds that the task in hand is given when the workers are told to stop.
        worker_idle_time: Seconds after which an idle worker looks for work unasked; the net under
            a lost wake-up.
        monitor_idle_time: Seconds after which an idle supervisor looks around unasked.
        result_ttl: Seconds for which a result is kept after its task has ended.
        failure_ttl: Seconds for which a failed task is kept.
    """

    autocron_lock: bool = False
    max_workers: Optional[Workers] = None
    max_tasks_per_worker: int = 0
    max_memory_mb: float = 0.0
    stop_grace: float = 5.0
    worker_idle_time: float = 30.0
    monitor_idle_time: float = 30.0
    result_ttl: float = 1800.0
    failure_ttl: float = 30 * 86400.0

    @classmethod
    def read(cls, stored: Mapping[str, str]) -> Settings:
        """Read the settings from a store's.

        What was never set has its default, and so has what could not have been set.
        """
        found: Dict[str, Any] = {}
        for name in NUMBERS:
            if name in stored:
                with suppress(InvalidSetting):
                    number = check_number(name, stored[name])
                    found[name] = int(number) if name in _WHOLE else number
        if MAX_WORKERS in stored:
            with suppress(InvalidWorkers):
                found[MAX_WORKERS] = parse_workers(stored[MAX_WORKERS])
        return cls(autocron_lock=stored.get(AUTOCRON_LOCK) == "on", **found)


AUTOCRON_LOCK = "autocron_lock"
MAX_WORKERS = "max_workers"

# name -> smallest, largest, unit
NUMBERS: Mapping[str, tuple[float, float, str]] = {
    "max_tasks_per_worker": (0, 10**9, "tasks"),
    "max_memory_mb": (0, 10**9, "megabytes"),
    "stop_grace": (0, 86400, "seconds"),
    "worker_idle_time": (0.05, 86400, "seconds"),
    "monitor_idle_time": (0.05, 86400, "seconds"),
    "result_ttl": (0, 10 * 366 * 86400, "seconds"),
    "failure_ttl": (0, 10 * 366 * 86400, "seconds"),
}
_WHOLE = ("max_tasks_per_worker",)
NAMES = (AUTOCRON_LOCK, MAX_WORKERS, *NUMBERS)


def check_setting(name: str, word: str) -> str:
    """Check what a setting is to become.

    Arguments:
        name: The name of the setting, one of :data:`NAMES`.
        word: What it was given, as typed.

    Returns:
        The text to store.

    Raises:
        InvalidSetting: The word does not fit; the message says what was expected.
    """
    if name == AUTOCRON_LOCK:
        flag = LOCK_WORDS.get(word.lower())
        if flag is None:
            raise InvalidSetting(f"{name}: {word!r} is not one of on, off, true, false")
        return "on" if flag else "off"
    if name == MAX_WORKERS:
        try:
            return str(parse_workers(word))
        except InvalidWorkers as error:
            raise InvalidSetting(f"{name}: {error}") from None
    return f"{check_number(name, word):.10g}"


def check_number(name: str, word: Union[str, float]) -> float:
    """Check what a setting that is a number is to become.

    Arguments:
        name: The name of the setting, one of :data:`NUMBERS`.
        word: What it was given: as typed, or a number.

    Returns:
        The number.

    Raises:
        InvalidSetting: It does not fit; the message says what was expected.
    """
    smallest, largest, unit = NUMBERS[name]
    whole = name in _WHOLE
    kind = "a whole number" if whole else "a number"
    expected = f"{kind} of {unit} from {smallest:g} to {largest:.10g}"
    try:
        number = float(int(word)) if whole else float(word)
        # What is no text is no flag either, and no fraction where a whole number is expected.
        fits = isinstance(word, str) or (not isinstance(word, bool) and number == word)
    except (ValueError, OverflowError, TypeError):
        fits = False
    if not fits or not smallest <= number <= largest:
        raise InvalidSetting(f"{name}: {word!r} is not {expected}")
    return number
