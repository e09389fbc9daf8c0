"""The settings that a database keeps: names, units, bounds and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Mapping, Optional

from autocron.core.errors import AutocronError

LOCK_WORDS: Mapping[str, bool] = {"on": True, "true": True, "off": False, "false": False}


class InvalidSetting(AutocronError, ValueError):
    """A setting was given a word or number that it can not take; nothing is changed."""


@dataclass(frozen=True)
class Settings:
    """The settings of one database.

    Attributes:
        autocron_lock: True keeps ``start()`` from starting anything: calls run in place.
        max_workers: How many workers run; None leaves it to ``start(workers=…)`` or the default, 1.
        worker_idle_time: Seconds after which an idle worker looks for work unasked; the net under
            a lost wake-up.
        monitor_idle_time: Seconds after which an idle supervisor looks around unasked.
        result_ttl: Seconds for which a result is kept after its task has ended.
        failure_ttl: Seconds for which a failed task is kept.
    """

    autocron_lock: bool = False
    max_workers: Optional[int] = None
    worker_idle_time: float = 30.0
    monitor_idle_time: float = 30.0
    result_ttl: float = 1800.0
    failure_ttl: float = 30 * 86400.0

    @classmethod
    def read(cls, stored: Mapping[str, str]) -> Settings:
        """Read the settings from a store's; what was never set has its default."""
        number: Dict[str, float] = {
            name: float(stored[name]) for name in NUMBERS if name in stored and name != MAX_WORKERS
        }
        return cls(
            autocron_lock=stored.get(AUTOCRON_LOCK) == "on",
            max_workers=int(stored[MAX_WORKERS]) if MAX_WORKERS in stored else None,
            **number,
        )


AUTOCRON_LOCK = "autocron_lock"
MAX_WORKERS = "max_workers"

# name -> smallest, largest, unit
NUMBERS: Mapping[str, tuple[float, float, str]] = {
    MAX_WORKERS: (1, 1000, "workers"),
    "worker_idle_time": (0.05, 86400, "seconds"),
    "monitor_idle_time": (0.05, 86400, "seconds"),
    "result_ttl": (0, 10 * 366 * 86400, "seconds"),
    "failure_ttl": (0, 10 * 366 * 86400, "seconds"),
}
NAMES = (AUTOCRON_LOCK, *NUMBERS)


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
    smallest, largest, unit = NUMBERS[name]
    whole = name == MAX_WORKERS
    kind = "a whole number" if whole else "a number"
    expected = f"{kind} of {unit} from {smallest:g} to {largest:.10g}"
    try:
        number = float(int(word)) if whole else float(word)
    except (ValueError, OverflowError):
        raise InvalidSetting(f"{name}: {word!r} is not {expected}") from None
    if not smallest <= number <= largest:
        raise InvalidSetting(f"{name}: {word!r} is not {expected}")
    return f"{number:.10g}"
