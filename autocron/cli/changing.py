"""Setting the settings of a database, and deleting it."""

from __future__ import annotations

import sys
from typing import List, Mapping, Optional, TextIO

from autocron.cli import listing
from autocron.cli.formatting import Screen
from autocron.core.task import TaskState
from autocron.shell.admin import Admin, Changed


def change(admin: Admin, changes: Mapping[str, Optional[str]], screen: Screen) -> None:
    """Change settings, and say what that does, and does not.

    Arguments:
        admin: The database.
        changes: The settings; None is the default of one.
        screen: Where to say it.
    """
    changed = admin.change(changes)
    screen.say(admin.shown, "bold")
    screen.table(
        [
            [
                name.replace("_", "-"),
                listing.setting(changed.before, name),
                "->",
                listing.setting(changed.after, name),
            ]
            for name in changes
        ]
    )
    if changed.was_told:
        screen.say(f"The supervisor (pid {changed.processes.supervisor}) has been told.")
    for note in _notes(changes, changed):
        screen.say(note)


def _notes(changes: Mapping[str, Optional[str]], changed: Changed) -> List[str]:
    """Tell what a change does not do, where one might think that it does."""
    notes = []
    was_locked, is_locked = changed.before.autocron_lock, changed.after.autocron_lock
    if is_locked and not was_locked and changed.processes.is_anyone_there:
        notes.append(
            "The lock is read by start(): workers go on until the application is started anew."
        )
    if was_locked and not is_locked:
        notes.append("All schedules begin now; nothing is made up for the time of the lock.")
    if changes.get("max_workers") is not None and changed.start_workers is not None:
        notes.append(
            f"The application has called start(workers={changed.start_workers!r}), which wins over "
            "max-workers."
        )
    return notes


def delete(admin: Admin, screen: Screen, is_sure: bool) -> int:
    """Delete a database, unless the user thinks better of it; return the exit code."""
    counts = admin.overview().stats.counts
    waiting = counts[TaskState.WAITING] + counts[TaskState.RUNNING]
    ended = sum(counts.values()) - waiting
    what = f"{admin.shown} with {waiting} waiting and {ended} ended tasks"
    if not is_sure and not is_confirmed(f"Delete {what}? [y/N] "):
        print("autocron: nothing is deleted (for scripts: --yes)", file=sys.stderr)
        return 1
    admin.delete()
    screen.say(f"Deleted {what}.")
    return 0


def is_confirmed(question: str, stream: Optional[TextIO] = None) -> bool:
    """Ask the user something; without an answer it is no.

    Arguments:
        question: The question.
        stream: Where to ask; None is the standard output.
    """
    asked = stream or sys.stdout
    print(question, end="", file=asked, flush=True)
    try:
        answer = input("")
    except EOFError:
        answer = ""
    if not sys.stdin.isatty():
        print(file=asked)  # nobody has typed Enter
    return answer.strip().lower() in ("y", "yes")
