"""What the admin site shows: tasks, which autocron keeps in its own database.

The model has no table. It gives the pages their place in the admin site, and the permissions "Can
view task" and "Can change task", which ``manage.py migrate`` creates.
"""

from __future__ import annotations

from django.db import models


class Task(models.Model):
    """A task of autocron."""

    class Meta:
        """No table, and no permission to add or delete anything."""

        managed = False
        default_permissions = ("view", "change")
        verbose_name = "task"
        verbose_name_plural = "tasks"

    id = models.CharField(primary_key=True, max_length=63)
