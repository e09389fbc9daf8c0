"""The admin site: tasks and their results, with retry, cancel and discard."""

from __future__ import annotations

import functools
import os
from contextlib import closing
from typing import Any, Callable, List, Mapping, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from autocron.contrib.django import conf
from autocron.contrib.django.models import Task
from autocron.contrib.django.pages import Detail, Page
from autocron.core.errors import AutocronError, StoreError
from autocron.core.task import Task as StoredTask
from autocron.shell.admin import Admin, open_existing
from autocron.shell.operating import CANCEL, DISCARD, RETRY, Unknown

T = TypeVar("T")

# What may be done, and what is said of those to which it was.
ACTIONS: Mapping[str, str] = {
    RETRY: "will run again",
    CANCEL: "cancelled, or asked to end",
    DISCARD: "discarded",
}
_DATETIME_FORMAT = "Y-m-d H:i:s"
# What the log of the admin site has room for.
_LONGEST_REPR = 200


@admin.register(Task)
class TaskAdmin(admin.ModelAdmin):
    """Pages like those of a model, over what autocron has stored.

    To look needs the permission to view tasks; to retry, cancel and discard, that to change them.
    """

    def get_urls(self) -> List[Any]:
        """Return the list of tasks, and the page of one; there is nothing else."""
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="autocron_task_changelist"),
            path("<str:object_id>/change/", view(self.change_view), name="autocron_task_change"),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell that tasks are added by calls only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell that tasks are not deleted; what has failed may be discarded."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the tasks that match, or do something to those that are marked."""
        self._begin(request)
        if request.method == "POST":
            self._act(request, request.POST.getlist("task"))
            return HttpResponseRedirect(request.get_full_path())
        context = self._context(request, "Select task to view", extra_context)
        try:
            context["page"] = _in_database(lambda database: Page(database, request.GET))
        except AutocronError as error:
            context["trouble"] = str(error)
        return TemplateResponse(request, "admin/autocron/tasks.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show all of one task, or do something to it.

        Raises:
            Http404: There is no such task.
        """
        self._begin(request)
        if request.method == "POST":
            self._act(request, [object_id])
            # A discarded task has no page any more.
            is_there = _in_database(lambda database: database.store.get(object_id)) is not None
            to_list = reverse("admin:autocron_task_changelist", current_app=self.admin_site.name)
            return HttpResponseRedirect(request.path if is_there else to_list)
        try:
            detail = _in_database(lambda database: Detail(database, object_id))
        except (Unknown, StoreError) as error:
            raise Http404(str(error)) from None
        context = self._context(request, f"Task {detail.task.id}", extra_context)
        context["detail"] = detail
        return TemplateResponse(request, "admin/autocron/task.html", context)

    # -- pieces ---------------------------------------------------------------------------------

    def _begin(self, request: HttpRequest) -> None:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        # A project may have several admin sites; links lead to the one that is used.
        request.current_app = self.admin_site.name

    def _context(self, request: HttpRequest, title: str, more: Any) -> Any:
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.model._meta,
            "may_change": self.has_change_permission(request),
            "actions": list(ACTIONS),
            "datetime_format": _DATETIME_FORMAT,
            **(more or {}),
        }

    def _act(self, request: HttpRequest, ids: List[str]) -> None:
        """Do what was asked for to tasks; one to which it can not be done is told of."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        verb = request.POST.get("action", "")
        if verb not in ACTIONS:
            self.message_user(request, "No action was chosen.", messages.WARNING)
            return
        if not ids:
            self.message_user(request, "No tasks were marked: nothing was done.", messages.WARNING)
            return
        done = 0
        for task_id in ids:
            try:
                task = _in_database(functools.partial(_named, verb, task_id))
            except AutocronError as error:
                self.message_user(request, str(error), messages.ERROR)
                continue
            self._log(request, verb, task)
            done += 1
        if done:
            tasks = "1 task" if done == 1 else f"{done} tasks"
            self.message_user(request, f"{tasks}: {ACTIONS[verb]}.", messages.SUCCESS)

    def _log(self, request: HttpRequest, verb: str, task: StoredTask) -> None:
        """Note who did it, where the admin site notes all that is done in it."""
        LogEntry.objects.create(
            user_id=request.user.pk,
            content_type=ContentType.objects.get_for_model(self.model),
            object_id=task.id,
            object_repr=f"{task.name} {task.id}"[:_LONGEST_REPR],
            # What is discarded has no page that a link could lead to.
            action_flag=DELETION if verb == DISCARD else CHANGE,
            change_message=f"{verb.capitalize()}: {ACTIONS[verb]}.",
        )


def _named(verb: str, task_id: str, database: Admin) -> StoredTask:
    """Do it to one task; return that as it was before."""
    task = database.operator.task(task_id)
    database.operator.named(verb, [task.id])
    return task


def _in_database(do: Callable[[Admin], T]) -> T:
    database = conf.database()
    if database is None:
        raise StoreError("the settings name no database of autocron: AUTOCRON['DATABASE']")
    opened = open_existing(os.fspath(database))
    with closing(opened.store):
        return do(opened)
