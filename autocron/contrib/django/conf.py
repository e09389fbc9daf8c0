"""The setting ``AUTOCRON``: its keys, and what is wrong with it."""

from __future__ import annotations

import difflib
import functools
import os
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Union

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from autocron.app import default_app
from autocron.core.errors import AutocronError
from autocron.core.settings import check_number
from autocron.core.workforce import check_workers
from autocron.shell.paths import database_path
from autocron.zones import zone_name

BACKEND = "autocron.contrib.django.AutocronBackend"
_BACKENDS = (BACKEND, "autocron.contrib.django.backend.AutocronBackend")


class Problem(NamedTuple):
    """Something that is wrong in the settings: its number, what, and what to do."""

    number: str
    message: str
    hint: Optional[str] = None


@dataclass(frozen=True)
class Configuration:
    """What the settings say.

    Attributes:
        database: The database; None if the settings name none.
        start: Whether the app is to start autocron.
        on_commit: Whether calls wait for the transactions around them; or the alias of the only
            database whose transactions count.
        arguments: The other arguments of ``autocron.start()``.
        problems: What is wrong; then nothing is started.
    """

    database: Union[str, os.PathLike[str], None] = None
    start: bool = True
    on_commit: Union[bool, str] = True
    arguments: Mapping[str, Any] = field(default_factory=dict)
    problems: List[Problem] = field(default_factory=list)


def _one_of(*words: str) -> Callable[[object], None]:
    def check(value: object) -> None:
        if value not in words:
            raise ValueError(f"{value!r} is not one of {', '.join(words)}")

    return check


def _yes_or_no(value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither True nor False")


def _number(name: str) -> Callable[[Any], object]:
    return lambda value: check_number(name, value)


def _on_commit(value: object) -> None:
    if isinstance(value, bool):
        return
    if value not in settings.DATABASES:
        raise ValueError(
            f"{value!r} is neither True, False, nor the alias of a database "
            f"({', '.join(settings.DATABASES)})"
        )


# The keys, and what checks their values; each raises ValueError, or an error of autocron.
KEYS: Mapping[str, Callable[[Any], object]] = {
    "DATABASE": lambda value: database_path(value, make_folder=False),
    "WORKERS": check_workers,
    "TZ": zone_name,
    "SERIALIZER": _one_of("json", "pickle"),
    "DURABILITY": _one_of("full", "normal"),
    "MAX_TASKS_PER_WORKER": _number("max_tasks_per_worker"),
    "MAX_MEMORY_MB": _number("max_memory_mb"),
    "STOP_GRACE": _number("stop_grace"),
    "START": _yes_or_no,
    "ON_COMMIT": _on_commit,
}
_NO_ARGUMENTS = ("DATABASE", "START", "ON_COMMIT")
_EXAMPLE = 'for example AUTOCRON = {"DATABASE": "project.db"}'


@functools.lru_cache(maxsize=None)
def read() -> Configuration:
    """Read the settings; what is wrong with them is in the configuration, and raises nothing."""
    given = getattr(settings, "AUTOCRON", None)
    by_backends = _databases_of_backends()
    if given is None:
        database = next(iter(by_backends.values()), None)
        return Configuration(database, problems=_disagreements(database, by_backends))
    if not isinstance(given, Mapping):
        message = f"AUTOCRON is {given!r}, and has to be a dictionary"
        return Configuration(problems=[Problem("E001", message, _EXAMPLE)])
    problems = _problems_of(given)
    database = given.get("DATABASE")
    if database is None:
        database = next(iter(by_backends.values()), None)
    if database is None:
        problems.append(Problem("E004", "AUTOCRON names no DATABASE", _EXAMPLE))
    if not problems:
        problems = _disagreements(database, by_backends)
    if problems:
        return Configuration(problems=problems)
    return Configuration(
        database,
        given.get("START", True),
        given.get("ON_COMMIT", True),
        {key.lower(): value for key, value in given.items() if key not in _NO_ARGUMENTS},
    )


def database() -> Union[str, os.PathLike[str], None]:
    """Return the database of the settings, or else that with which this process was started."""
    named = read().database
    if named is not None:
        return named
    store = getattr(getattr(default_app.service, "backend", None), "store", None)
    path: Optional[str] = getattr(store, "path", None)
    return path if path is not None and os.path.isabs(path) else None


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    """Read again what a test has overridden."""
    if setting in ("AUTOCRON", "TASKS", "DATABASES"):
        read.cache_clear()


def _problems_of(given: Mapping[Any, Any]) -> List[Problem]:
    problems = []
    for key, value in given.items():
        if key not in KEYS:
            message = f"AUTOCRON has an unknown key {key!r}"
            problems.append(Problem("E002", message, did_you_mean(key, KEYS)))
        elif value is not None:
            try:
                KEYS[key](value)
            except (AutocronError, ValueError, TypeError) as error:
                number = "E005" if key == "DATABASE" else "E003"
                problems.append(Problem(number, f"AUTOCRON[{key!r}]: {error}"))
    return problems


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return which of the known names may be meant, and all of them."""
    names = list(known)
    near = difflib.get_close_matches(str(word).upper(), [name.upper() for name in names], 1)
    meant = [name for name in names if near and name.upper() == near[0]]
    there_are = f"there are: {', '.join(names)}"
    return f"did you mean {meant[0]!r}? ({there_are})" if meant else there_are


def _databases_of_backends() -> Dict[str, Any]:
    """Return the databases of the backends of Django's Tasks that are autocron's, by alias."""
    given = getattr(settings, "TASKS", None)
    found = {}
    for alias, parameters in given.items() if isinstance(given, Mapping) else ():
        if isinstance(parameters, Mapping) and parameters.get("BACKEND") in _BACKENDS:
            options = parameters.get("OPTIONS") or {}
            if isinstance(options, Mapping) and options.get("database") is not None:
                found[alias] = options["database"]
    return found


def _disagreements(database: Any, by_backends: Mapping[str, Any]) -> List[Problem]:
    """Return the backends whose database is another one than that of the project."""
    problems = []
    for alias, other in by_backends.items():
        try:
            is_same = database_path(other, make_folder=False) == database_path(
                database, make_folder=False
            )
        except AutocronError as error:
            problems.append(Problem("E005", f"TASKS[{alias!r}]['OPTIONS']: {error}"))
            continue
        if not is_same:
            message = (
                f"TASKS[{alias!r}] names the database {str(other)!r}, and {str(database)!r} is "
                "named elsewhere: one application has one database"
            )
            problems.append(Problem("E009", message))
    return problems
