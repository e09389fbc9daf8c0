"""What is said of what an administrator did to tasks, queues and schedules."""

from __future__ import annotations

import sys
from typing import Dict, FrozenSet, List, Optional

from autocron.cli import as_json
from autocron.cli.arguments import did_you_mean
from autocron.cli.changing import is_confirmed
from autocron.cli.formatting import Screen
from autocron.cli.listing import next_of
from autocron.cli.options import ALL, TASK_VERBS, Request
from autocron.cli.pieces import short
from autocron.core.task import ALL_QUEUES, DEFAULT_QUEUE
from autocron.core.workforce import groups
from autocron.shell.admin import Admin
from autocron.shell.listing import ENDED, Filter
from autocron.shell.operating import CANCEL, DISCARD, RETRY, STATES_OF, Changed, Done, Refused

_PAST = {RETRY: "retried", DISCARD: "discarded", CANCEL: "cancelled"}
# More are counted, not listed.
_MOST_SHOWN = 20


def run(admin: Admin, request: Request, screen: Screen) -> int:
    """Do what is asked for, and say what was done.

    Arguments:
        admin: The database.
        request: What is asked for; it has an operation.
        screen: Where to say it.

    Returns:
        The exit code.
    """
    operation = request.operation or ""
    if operation in TASK_VERBS:
        return _on_tasks(admin, operation, request, screen)
    word = getattr(request.options, operation)
    document = as_json.head(admin.shown, admin.clock.now())
    notes: List[str]
    if operation in ("pause", "resume"):
        notes = _on_queue(admin, operation, None if word == ALL_QUEUES else word)
        document["paused"] = as_json.paused(admin.store.paused())
    else:
        word = _key_of(admin, word)
        notes = _on_schedule(admin, operation, word)
        document["schedule"] = as_json.schedule(admin.store.schedules(word))
    if request.options.json:
        screen.document({**document, "notes": notes})
    else:
        for note in notes:
            screen.say(note)
    return 0


# -- tasks ------------------------------------------------------------------------------------


def _on_tasks(admin: Admin, verb: str, request: Request, screen: Screen) -> int:
    options, past = request.options, _PAST[verb]
    words = getattr(options, verb)
    if words != [ALL]:
        done = admin.operator.named(verb, words, options.kill)
    else:
        ids = admin.operator.ids_of_all(verb, request.only, request.states)
        if ids and verb != RETRY and not options.yes:
            question = f"{verb.capitalize()} {_tasks(len(ids), _meant(verb, request))}? [y/N] "
            if not is_confirmed(question, sys.stderr if options.json else None):
                print(f"autocron: nothing is {past} (for scripts: --yes)", file=sys.stderr)
                return 1
        done = admin.operator.each(verb, ids, options.kill)
        if not ids and not options.json:
            screen.say(f"There is no {_meant(verb, request)} task.")
            say_what_is_unknown(admin, request.only, screen)
            return 0
    if options.json:
        document = as_json.head(admin.shown, admin.clock.now())
        # What runs has only been asked to end.
        document[past] = [task.id for task in done.tasks if not task.is_asked]
        if verb == CANCEL:
            document["asked_to_end"] = [task.id for task in done.tasks if task.is_asked]
        document["left"] = [{"reason": why, "count": n} for why, n in done.left.items()]
        screen.document(document)
    else:
        _say_done(verb, done, screen)
    return 0


def _say_done(verb: str, done: Done, screen: Screen) -> None:
    said: Dict[str, List[Changed]] = {}
    for task in done.tasks:
        what = _ASKED[task.is_cut_short] if task.is_asked else _PAST[verb]
        said.setdefault(what, []).append(task)
    for what, tasks in said.items():
        if len(tasks) <= _MOST_SHOWN:
            for task in tasks:
                screen.say(f"{short(task.id)} {task.name}: {what}")
        else:
            screen.say(f"{len(tasks)} tasks: {what}")
    for why, count in done.left.items():
        screen.say(f"{_tasks(count)} left as {'it is' if count == 1 else 'they are'}: {why}")


_ASKED = {
    False: "runs; asked to end (--kill ends it, if it does not)",
    True: "runs; asked to end, and ended if it does not",
}


def _meant(verb: str, request: Request) -> str:
    states = request.states or STATES_OF[verb]
    return " or ".join(state.value for state in states)


def _tasks(count: int, kind: str = "") -> str:
    return f"{count} {kind}{' ' if kind else ''}task{'' if count == 1 else 's'}"


def say_what_is_unknown(admin: Admin, only: Filter, screen: Screen) -> None:
    """Say that no task function, or queue, has the name by which none was found, if that is so."""
    if only.task is not None:
        _say_which_task(admin, only.task, screen)
    for note in () if only.queue is None else _notes_on_queue(admin, only.queue):
        screen.say(note)


def _say_which_task(admin: Admin, name: str, screen: Screen) -> None:
    names, most = admin.latest_names()
    ends = [name, *(one.rpartition(":")[2] for one in names)]
    if any(_is_called(one, name) for one in names):
        return
    meant = did_you_mean(name, [*names, *ends[1:]])
    if most is None:
        meant = meant or "; none is stored of that name"
        screen.say(f"No task function is called {name!r}{meant}")
    else:
        screen.say(f"Of the latest {most:,} tasks none has a function called {name!r}{meant}")


def _is_called(full: str, name: str) -> bool:
    """Tell whether a name is that of a function, or the end of it."""
    return full == name or full.endswith((f":{name}", f".{name}"))


# -- queues -----------------------------------------------------------------------------------


def _on_queue(admin: Admin, operation: str, queue: Optional[str]) -> List[str]:
    if operation == "pause":
        before = admin.operator.pause(queue)
        return _notes_on_pause(admin, before, queue)
    before = admin.operator.resume(queue)
    after = admin.store.paused()
    if queue is None:
        return ["All queues go on." if before else "No queue was paused."]
    notes = [f"Queue {queue} goes on." if queue in before else f"Queue {queue} was not paused."]
    if queue not in before:
        notes[0] += did_you_mean(queue, before - {ALL_QUEUES}).replace("; did", " Did")
    if ALL_QUEUES in after:
        notes.append("All queues are paused still; --resume without a name lets them go on.")
    return notes


def _notes_on_pause(admin: Admin, before: FrozenSet[str], queue: Optional[str]) -> List[str]:
    found = {one.name: one for one in admin.overview().queues}
    concerned = [one for one in found.values() if queue is None or one.name == queue]
    name = "All queues" if queue is None else f"Queue {queue}"
    verb = "are" if queue is None else "is"
    was = " already" if (queue or ALL_QUEUES) in before else ""
    waiting, running = (sum(getattr(one, what) for one in concerned) for what in _IN_QUEUE)
    notes = [f"{name} {verb} paused{was}: {_tasks(waiting)} wait{'s' * (waiting == 1)} there."]
    if running:
        notes.append(f"{_tasks(running)} of it, begun before, run{'s' * (running == 1)} on.")
    if queue is not None and not waiting and not running:
        notes += _notes_on_queue(admin, queue)
    return notes


def _notes_on_queue(admin: Admin, queue: str) -> List[str]:
    """Say that there is no queue of a name, as far as a database can tell: any name may be one."""
    overview = admin.overview()
    known = {DEFAULT_QUEUE, *(one.name for one in overview.queues if one.waiting or one.running)}
    known.update(planned.schedule.queue for planned in overview.schedules)
    started = None if overview.application is None else overview.application.workers
    for workers in (overview.settings.max_workers, started):
        for group in () if workers is None else groups(workers):
            known.update(group.queues or ())
    for worker in overview.processes.workers:
        known.update(worker.queues or ())
    if queue in known or admin.listed(ENDED, 1, Filter(queue=queue), is_thorough=False).count:
        return []
    meant = did_you_mean(queue, known) or "."
    return [f"No task is in a queue {queue!r}, and no worker or schedule names it{meant}"]


_IN_QUEUE = ("waiting", "running")


# -- schedules --------------------------------------------------------------------------------


def _key_of(admin: Admin, name: str) -> str:
    """Return the key of the schedule that is meant by a name, which may be that of its function."""
    if admin.store.schedules(name):
        return name
    found = [one for one in admin.store.schedules() if _is_called(one.name, name)]
    # Those in the code can not be meant, unless there are no others.
    meant = [one for one in found if one.is_dynamic] or found[:1]
    if len(meant) > 1:
        keys = ", ".join(repr(one.key) for one in meant)
        raise Refused(f"several schedules call {meant[0].name}: {keys}; give one of these names")
    return meant[0].key if meant else name


def _on_schedule(admin: Admin, operation: str, name: str) -> List[str]:
    if operation == "unschedule":
        schedule = admin.operator.unschedule(name)
        return [f"{name} ({schedule.name}) is taken out. What it has called already still runs."]
    is_enabled = operation == "enable"
    before = admin.store.schedules(name)
    admin.operator.enable(name, is_enabled)
    if before and before[0].is_enabled == is_enabled:
        return [f"{name} was {'enabled' if is_enabled else 'disabled'} already."]
    if not is_enabled:
        return [f"{name} is disabled: it fires no more. What it has called already still runs."]
    (planned,) = (one for one in admin.overview().schedules if one.schedule.key == name)
    next_at = next_of(planned, admin.clock.now())
    return [f"{name} is enabled; next run: {next_at}.", "Nothing is made up for the time before."]
