"""``autocron DATABASE --run MODULE…``: supervisor and workers in the foreground."""

from __future__ import annotations

import argparse
import os
from typing import Dict, List, Optional, Tuple

from autocron import zones
from autocron.cli.arguments import UsageError, asks_for, check_module, read_zone
from autocron.core.task import ALL_QUEUES
from autocron.core.workforce import InvalidWorkers, Workers, check_workers, parse_workers

OPTIONS = ("workers", "queues", "tz", "serializer")


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of what runs workers."""
    group.add_argument(
        "--run",
        nargs="*",
        metavar="MODULE",
        help="run supervisor and workers here, until SIGTERM or Ctrl-C, for the tasks in these "
        "modules; MODULE:APP for an App of one's own; none are needed for a Django project",
    )
    group.add_argument(
        "--workers", metavar="N", help="how many, or how many for which queues: default=2,mail=1"
    )
    group.add_argument("--queues", metavar="Q,Q", help="the queues that they work on; else all")
    group.add_argument("--tz", metavar="ZONE", help="the zone of schedules that name none")
    group.add_argument(
        "--serializer", choices=("json", "pickle"), help="as start() of the application is given it"
    )


def check(options: argparse.Namespace, others: List[str]) -> None:
    """Refuse what does not go with ``--run``.

    Arguments:
        options: The options as they were read.
        others: The options of other uses that were given, as they are written.

    Raises:
        UsageError: Something does not.
    """
    if asks_for(options, "run", OPTIONS, others):
        _modules(options.run)
        _workers(options)
        read_zone(options.tz)


def run(options: argparse.Namespace) -> int:
    """Run workers until told to stop; return the exit code."""
    from autocron.shell import foreground

    modules, app = _modules(options.run)
    if not modules and app is None and not _is_django():
        raise UsageError(
            "--run: name the modules in which the tasks live, as in --run shop.tasks; only for a "
            "Django project, with DJANGO_SETTINGS_MODULE, none are needed"
        )
    return foreground.run(
        options.database,
        foreground.Wanted(
            modules=modules,
            app=app,
            workers=_workers(options),
            tz=None if options.tz is None else zones.zone_name(options.tz),
            serializer=options.serializer or "json",
        ),
    )


def _is_django() -> bool:
    from autocron.shell.application import django_settings

    return django_settings() is not None or "DJANGO_SETTINGS_MODULE" in os.environ


def _modules(words: List[str]) -> Tuple[List[str], Optional[str]]:
    """Return the modules, and ``MODULE:APP`` if there is one."""
    modules: List[str] = []
    apps: List[str] = []
    for word in words:
        check_module(word, "--run: ")
        (apps if ":" in word else modules).append(word)
    if len(set(apps)) > 1:
        raise UsageError(f"--run: {apps[0]} and {apps[1]}: one database is for one App")
    return modules, apps[0] if apps else None


def _workers(options: argparse.Namespace) -> Optional[Workers]:
    """Return how many workers for which queues; None leaves it to the settings."""
    if options.queues is None:
        return None if options.workers is None else _read("--workers", options.workers)
    count = 1 if options.workers is None else _read("--workers", options.workers)
    if not isinstance(count, int):
        raise UsageError("--queues, and --workers with queues: one of them says which")
    if options.queues == ALL_QUEUES:
        return count
    wanted: Dict[str, int] = {options.queues: count}
    try:
        return check_workers(wanted)
    except InvalidWorkers as error:
        raise UsageError(f"--queues: {error}") from None


def _read(option: str, text: str) -> Workers:
    try:
        return parse_workers(text)
    except InvalidWorkers as error:
        raise UsageError(f"{option}: {error}") from None
