"""Cuts a process of the application, its supervisor or a worker at one point, or tells of all.

Run by Python at the start of each of them. CUT names the point, as JSON; with CUT_TRACE instead,
each point that is passed is written to that file.
"""

import collections
import json
import os
import signal
import sys

import statements
import steps

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_POINT = json.loads(os.environ.get("CUT", "null"))
_passed = collections.Counter()


def role():
    """Which kind of process this is; known only once Python has read the command line."""
    script, *rest = getattr(sys, "argv", [""])
    if script.endswith("app.py"):
        return "application"
    return rest[0] if f"{os.sep}boot" in script else ""


def others():
    """The processes of this world, without this one."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if f"{_HERE}/".encode() in file.read():
                        found.append(int(entry))
            except OSError:
                continue
    return found


def cut():
    """End this process, and those that are to end with it, none of which sees another one die."""
    try:
        flag = os.open(f"{_HERE}/cut", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    dying = [os.getpid()]
    if _POINT["all"]:
        # By a process of its own: this one may be about to end, and would leave others stopped.
        if os.fork():
            while True:
                signal.pause()
        dying = others()
        for pid in dying:
            send(pid, signal.SIGSTOP)
    os.write(flag, " ".join([role(), *map(str, dying)]).encode())
    for pid in dying:
        send(pid, signal.SIGKILL)
    os._exit(0)


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def look(when, label):
    mine = [role(), when, label]
    _passed[tuple(mine)] += 1
    mine.append(_passed[tuple(mine)])
    if _POINT is not None:
        if mine == _POINT["at"]:
            cut()
        return
    trace = os.open(os.environ["CUT_TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(trace, (json.dumps(mine) + "\n").encode())
    os.close(trace)


if "CUT" in os.environ or "CUT_TRACE" in os.environ:
    steps.watch(look)
    statements.watch(lambda when, sql, connection: look(when, sql))
