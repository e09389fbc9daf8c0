"""``autocron DATABASE …``: look at a database, operate it, set its settings, delete it."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import Any, Dict, List

from autocron.cli import as_json, backing_up, listing, migrating, moving, running, verifying
from autocron.cli.arguments import UsageError, did_you_mean
from autocron.cli.formatting import Screen
from autocron.cli.options import Request, read
from autocron.core.errors import StartError
from autocron.core.task import TaskState
from autocron.shell.admin import (
    Admin,
    MissingDatabase,
    neighbours,
    open_existing,
    open_or_create,
)
from autocron.shell.listing import ENDED
from autocron.shell.operating import Refused, Unknown
from autocron.shell.printable import one_line


def run(words: List[str]) -> int:
    """Run ``autocron DATABASE …``.

    Arguments:
        words: The words of the command line, the database among them.

    Returns:
        The exit code.
    """
    request = read(words)
    name = request.options.database
    if request.options.run is not None:
        return running.run(request.options)
    try:
        if request.options.backup is not None:
            return backing_up.run(request.options)
        if request.options.verify:
            return verifying.run(request.options)
        if request.options.move_to is not None:
            return moving.run(request.options)
        if request.options.migrate:
            return migrating.run(request.options)
        open_database = open_or_create if request.changes else open_existing
        admin = open_database(name)
    except MissingDatabase as error:
        raise MissingDatabase(error.path, _hint(name, error.path)) from None
    except StartError as error:  # the name itself
        raise UsageError(str(error)) from None
    with closing(admin.store):
        try:
            return _run(admin, request)
        except Refused as error:
            hint = did_you_mean(error.word, error.known) if isinstance(error, Unknown) else ""
            # It names what is stored, which may have more than one line.
            raise Refused(one_line(f"{error}{hint}")) from None


def _run(admin: Admin, request: Request) -> int:
    options, screen = request.options, Screen(sys.stdout)
    # What most command lines do not need is imported by those that do: it takes longer than all
    # that a listing asks of the database.
    if options.delete_database:
        from autocron.cli import changing

        return changing.delete(admin, screen, options.yes)
    if request.operation is not None:
        from autocron.cli import operating

        return operating.run(admin, request, screen)
    if options.watch is not None:
        from autocron.cli import watching

        return watching.run(admin, options.watch, options.json)
    if request.changes:
        from autocron.cli import changing

        # What is for people must not get between the lines of JSON.
        changing.change(admin, request.changes, Screen(sys.stderr) if options.json else screen)
    if request.lists:
        _show_lists(admin, request, screen)
    return 0


def _hint(word: str, path: str) -> str:
    """Tell what was probably meant by the name of a database that is missing."""
    from autocron.cli import commands

    command = did_you_mean(word, commands())
    if command:
        return command.replace("?", " (a command)?")
    here = os.path.abspath(word)
    if not os.path.isabs(word) and os.path.isfile(here):
        return f"; a relative name is one in ~/.autocron, for the file in this folder write {here}"
    files = [name for name in neighbours(path) if not name.endswith(("-wal", "-shm", ".run"))]
    near = did_you_mean(os.path.basename(path), files)
    return near or "; it is created by autocron.start(), or by setting something"


def _show_lists(admin: Admin, request: Request, screen: Screen) -> None:
    now = admin.clock.now()
    document: Dict[str, Any] = as_json.head(admin.shown, now)
    is_json, is_thorough = request.options.json, request.options.thorough
    if not is_json:
        screen.say(admin.shown, "bold")
    count = 0
    for kind in request.lists:
        if kind == "info":
            overview = admin.overview()
            if is_json:
                document["info"] = as_json.info(overview, now)
            else:
                listing.show_info(screen, overview, now)
        elif kind == "tasks":
            tasks = admin.tasks(request.limit, request.only, request.states, is_thorough)
            count += tasks.running.count + tasks.waiting.count
            if is_json:
                document["tasks"] = as_json.tasks(tasks)
            else:
                listing.show_tasks(screen, tasks, now)
        elif kind == "results":
            states = [state for state in ENDED if not request.states or state in request.states]
            results = admin.listed(states, request.limit, request.only, is_thorough)
            count += results.count
            if is_json:
                document["results"] = as_json.results(results)
            else:
                listing.show_results(screen, results)
        elif kind == "failed":
            failed = admin.listed((TaskState.FAILED,), request.limit, request.only, is_thorough)
            count += failed.count
            if is_json:
                document["failed"] = as_json.failed(failed)
            else:
                listing.show_failed(screen, failed, now)
        elif kind == "show":
            from autocron.cli import showing

            task = admin.operator.task(request.options.show)
            if is_json:
                document["task"] = as_json.whole(task)
            else:
                showing.show_task(screen, admin, task, now)
        else:
            from autocron.cli import statistics

            figures = admin.statistics(request.only, is_thorough)
            count += figures.total.ended["day"].count
            if is_json:
                document["stats"] = as_json.stats(figures, now)
            else:
                statistics.show_stats(screen, figures, now)
    if is_json:
        screen.document(document)
    elif not count and (request.only.task, request.only.queue) != (None, None):
        from autocron.cli import operating

        operating.say_what_is_unknown(admin, request.only, screen)
