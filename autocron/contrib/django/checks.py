"""System checks: what ``manage.py check`` says of the settings, tasks and schedules."""

from __future__ import annotations

import importlib.util
from typing import Any, Iterator, List

from django.core.checks import CheckMessage, Error, Warning, register

from autocron.app import default_app
from autocron.contrib.django import conf, discovery
from autocron.core import cron, explain

TAG = "autocron"


@register(TAG)
def check_settings(app_configs: Any = None, **kwargs: Any) -> List[CheckMessage]:
    """Check the setting ``AUTOCRON``, and the databases of Django's Tasks."""
    return [
        Error(problem.message, hint=problem.hint, id=f"autocron.{problem.number}")
        for problem in conf.read().problems
    ]


@register(TAG)
def check_tasks(app_configs: Any = None, **kwargs: Any) -> List[CheckMessage]:
    """Check that workers can find all task functions, and that autocron takes them."""
    found: List[CheckMessage] = [
        Error(
            f"{name} can not be used: {type(error).__name__}: {error}",
            hint="autocron is not started until that is mended.",
            id="autocron.E006",
        )
        for name, error in discovery.refused
    ]
    for known in default_app.registry.all():
        problem = known.unreachable
        if problem is None and not _can_be_imported(known.module):
            problem = (
                f"{known.name} is in a module that a worker can not import by that name; move it "
                "to the tasks.py of an app"
            )
        if problem is not None:
            found.append(Error(problem, id="autocron.E007"))
    return found


@register(TAG)
def check_schedules(app_configs: Any = None, **kwargs: Any) -> Iterator[CheckMessage]:
    """Look for schedules that may be slips."""
    for options in default_app.schedules.values():
        if options.text is None:
            continue
        for slip in explain.warnings_for(cron.parse(options.text)):
            yield Warning(f"the schedule of {options.name}: {slip}", id="autocron.W001")


def _can_be_imported(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
