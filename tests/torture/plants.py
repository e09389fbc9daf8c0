"""Bugs that are planted on purpose, to see whether the rig finds them.

Nothing of autocron knows of them: each is a ``sitecustomize.py``, which Python runs at the start of
every process of the application, supervisor and workers included, and which changes the package
there.
"""

from __future__ import annotations

from typing import Dict, NamedTuple


class Plant(NamedTuple):
    """A bug.

    Attributes:
        what: What it does.
        code: The code that plants it.
    """

    what: str
    code: str


PLANTS: Dict[str, Plant] = {
    "swap": Plant(
        "a swap does not compare the revision, so two workers can take one task",
        """
from autocron.shell import queries
plain = queries.swap
queries.swap = lambda columns: plain(columns).replace("AND revision = ?", "AND ? IS NOT NULL")
""",
    ),
    "sync": Plant(
        "nothing is synced to the disk",
        """
from autocron.shell import connections
connections.SYNCHRONOUS = {name: "OFF" for name in connections.SYNCHRONOUS}
from autocron.shell import database
database.SYNCHRONOUS = connections.SYNCHRONOUS
""",
    ),
    "commit": Plant(
        "a call returns before its task is stored, which a thread does a moment later",
        """
import threading, time
from autocron.shell.sqlite import SQLiteStore
plain = SQLiteStore.add
def add(self, task):
    if self.in_transaction:
        return plain(self, task)
    threading.Timer(0.02, plain, (self, task)).start()
SQLiteStore.add = add
""",
    ),
    "wake": Plant(
        "wake-ups are lost",
        """
from autocron.shell import wakeup
plain = wakeup.Sender.send
def send(self):
    return wakeup.Sent.YES if self._path.endswith("wake.sock") else plain(self)
wakeup.Sender.send = send
""",
    ),
    "uncharged": Plant(
        "the death of a worker is not charged to its task",
        """
from autocron.shell.member import Member, Gone
Member.gone = property(lambda self: Gone(self.name, False, self.ended_for))
""",
    ),
    "overcharged": Plant(
        "every loss is charged, also where no supervisor has seen the death",
        """
from autocron.operations import Operations
plain = Operations.reclaim
Operations.reclaim = lambda self, worker, charged, timed_out=False: plain(
    self, worker, True, timed_out)
""",
    ),
    "unlogged": Plant(
        "nobody reads the logbook of a dead worker, so what had ended amid a stint runs again",
        """
from autocron.shell import supervisor
supervisor.logged = lambda folder, worker: None
""",
    ),
    "orphan": Plant(
        "a worker does not notice that its supervisor is gone",
        """
import threading
from autocron.shell.worker import Worker
Worker._outlive_supervisor = lambda self: threading.Event().wait()
""",
    ),
    "unclaimed": Plant(
        "what a dead worker of an earlier supervisor held is not taken back",
        """
from autocron.shell.supervisor import Supervisor
plain = Supervisor._sweep
def sweep(self, engine, crew):
    self._reclaim, kept = (lambda *_: None), self._reclaim
    try:
        return plain(self, engine, crew)
    finally:
        self._reclaim = kept
Supervisor._sweep = sweep
""",
    ),
    "steal": Plant(
        "a supervisor takes back what workers hold that it does not know, though they live",
        """
from autocron.shell import supervisor
plain = supervisor.holder
supervisor.holder = lambda path: None if "worker-" in path else plain(path)
""",
    ),
    "twice": Plant(
        "an occurrence is stored whoever has stored it already",
        """
from autocron.firing import CronTicker
plain = CronTicker._fire_one
def fire(self, plan, at, message, skips, fired):
    plain(self, plan, at, message, skips, fired)
    if at.second % 10 == 0:
        from autocron.core.task import new_task
        self._store.add(new_task(message, self._firing._new_id(), at, at))
CronTicker._fire_one = fire
""",
    ),
    "leave": Plant(
        "a supervisor leaves as soon as it is told to, and does not look at the shares once more",
        """
from autocron.shell import supervisor
supervisor.launch_supervisor = lambda database: None
from autocron.shell import service, worker
service.launch_supervisor = worker.launch_supervisor = lambda database: None
import os
# Only the first one of all is started.
def launch(database, plain=__import__("autocron.shell.launch").shell.launch.launch_supervisor):
    if not os.path.exists(database + ".planted"):
        open(database + ".planted", "w").close()
        plain(database)
service.launch_supervisor = launch
""",
    ),
}
