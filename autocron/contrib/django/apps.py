"""The app ``autocron.contrib.django``."""

from __future__ import annotations

import logging

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured

from autocron.app import default_app
from autocron.contrib.django import conf, discovery
from autocron.contrib.django.installing import install
from autocron.contrib.django.transactions import refuse_call, route

logger = logging.getLogger("autocron")


class AutocronConfig(AppConfig):
    """Starts autocron as the setting ``AUTOCRON`` says, and finds the tasks of all apps."""

    name = "autocron.contrib.django"
    label = "autocron"
    verbose_name = "autocron"
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        """Set autocron up in this process.

        Raises:
            ImproperlyConfigured: The settings can not be used. Commands of manage.py leave that to
                their system checks, and start nothing.
        """
        from autocron.contrib.django import checks  # noqa: F401  they register themselves

        install()
        default_app.router = refuse_call
        try:
            discovery.discover()
        finally:
            default_app.router = route
        configuration = conf.read()
        if configuration.problems:
            problem = configuration.problems[0]
            text = f"{problem.message} ({problem.hint})" if problem.hint else problem.message
            if not discovery.is_command():
                raise ImproperlyConfigured(text)
            logger.error("autocron is not started: %s", text)
            return
        if discovery.is_looked_at() or discovery.refused:
            return
        if configuration.database is not None and configuration.start:
            default_app.start(configuration.database, **configuration.arguments)
