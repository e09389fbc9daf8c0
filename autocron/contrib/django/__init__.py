"""autocron in a Django project.

``"autocron.contrib.django"`` in INSTALLED_APPS starts autocron as the setting ``AUTOCRON`` says,
finds the tasks in each app's ``tasks.py``, holds calls until their transaction is committed, and
brings ``manage.py autocron``, system checks and pages of the admin site.
:class:`~autocron.contrib.django.backend.AutocronBackend` is a backend for Django's own Tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autocron.contrib.django.backend import AutocronBackend

__all__ = ["AutocronBackend"]


def __getattr__(name: str) -> Any:
    """Load the backend only where it is used: a Django without Tasks has none."""
    if name == "AutocronBackend":
        from autocron.contrib.django.backend import AutocronBackend

        return AutocronBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
