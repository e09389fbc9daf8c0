"""Kills, stops and ends processes at random, by a seed, and measures how soon work goes on."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter, defaultdict
from typing import Callable, Dict, List, NamedTuple, Optional, Set

from autocron.core.task import TaskState
from tests.processes.world import children_of, end_by_force
from tests.torture.application import Processes
from tests.torture.ledger import Ledger
from tests.torture.terms import Terms

# Of a hundred so many.
KINDS: Dict[str, int] = {
    "worker": 60,
    "supervisor": 11,
    "everything": 5,
    "background": 3,
    "application": 4,
    "SIGTERM application": 2,
    "SIGTERM supervisor": 3,
    "SIGTERM worker": 4,
    "SIGSTOP": 8,
}
_POLL_SECONDS = 0.005
# So long one looks for a worker in the midst of a task.
_LOOK_SECONDS = 1.0


class Kill(NamedTuple):
    """A process that was killed while it had a task in hand, or nothing.

    Attributes:
        at: When it was begun.
        until: When it was done for sure.
        kind: Of what it was a part.
        task_id: The task that it had in hand.
        is_clean: Whether nothing else happened until its task had begun again.
    """

    at: float
    until: float
    kind: str
    task_id: Optional[str] = None
    is_clean: bool = False


class Chaos:
    """One run of it.

    Arguments:
        processes: Those of the application.
        ledger: What the application notes.
        seed: Of its chance.
        terms: How hard it is.
    """

    def __init__(self, processes: Processes, ledger: Ledger, seed: int, terms: Terms) -> None:
        self._processes = processes
        self._world = processes.world
        self._ledger = ledger
        self._chance = random.Random(seed)
        self._terms = terms
        self._deck: List[str] = []
        self.counts: Counter[str] = Counter()
        # Process id -> how it was killed; a worker that was told to leave may hand its task back.
        self.killed: Dict[int, List[Kill]] = defaultdict(list)
        self.dismissed: Dict[int, float] = {}
        self.recoveries: Dict[str, List[float]] = defaultdict(list)
        self.unrecovered: List[str] = []
        # What was done and seen, for whoever looks into a promise that was broken.
        self.story: List[str] = []

    def run(self) -> None:
        """Go on until it is enough."""
        ends_at = time.monotonic() + self._terms.seconds
        while time.monotonic() < ends_at and not self._is_enough():
            # A moment of chaos, not a wait for something.
            time.sleep(self._chance.uniform(*self._terms.between_seconds))
            waits = self._chance.random() < 0.75
            self._processes.keep_up()
            if not self._is_ahead():
                self._strike(self._draw(), waits)

    def _is_enough(self) -> bool:
        kills, tasks = self._terms.kills, self._terms.tasks
        if kills is None and tasks is None:
            return False
        self._ledger.read()
        return self.kills >= (kills or 0) and len(self._ledger.calls) >= (tasks or 0)

    def _is_ahead(self) -> bool:
        """Tell whether there were more kills than their share, so that they come all the way."""
        kills, tasks = self._terms.kills, self._terms.tasks
        return bool(kills and tasks) and self.kills * tasks > kills * len(self._ledger.calls)

    def _draw(self) -> str:
        # From a shuffled pack rather than each for itself, so that a short run has some of each.
        if not self._deck:
            self._deck = [kind for kind, count in KINDS.items() for _ in range(count)]
            if self._terms.often is not None:
                self._deck += [self._terms.often] * len(self._deck)
            self._chance.shuffle(self._deck)
        return self._deck.pop()

    @property
    def kills(self) -> int:
        """How often something was killed, a group of processes counted once."""
        kinds = ("worker", "supervisor", "everything", "background", "application")
        return sum(self.counts[kind] for kind in kinds)

    # -- what happens -----------------------------------------------------------------------------

    def _strike(self, kind: str, waits: bool) -> None:
        if kind == "worker":
            self._kill_worker(waits)
        elif kind == "supervisor":
            self._kill_supervisor(waits)
        elif kind == "background":
            self._kill_background(waits)
        elif kind == "everything":
            self._kill_everything(waits)
        elif kind == "SIGSTOP":
            self._stop_for_a_moment()
        else:
            self._signal(kind)

    def _kill_worker(self, waits: bool) -> None:
        ends_at = time.monotonic() + _LOOK_SECONDS
        while not self._kill_one_at_work(waits) and time.monotonic() < ends_at:
            time.sleep(_POLL_SECONDS)

    def _kill_one_at_work(self, waits: bool) -> bool:
        for pid in self._shuffled(self._world.workers):
            task_id = self._caught_with(pid)
            if task_id is None:
                end_by_force(pid, signal.SIGCONT)
                continue
            # Of an earlier supervisor's worker nobody sees how it dies, and without a supervisor
            # nobody sees it at once.
            is_seen = pid not in self.dismissed and self._world.supervisor is not None
            at = self._kill("worker", pid, task_id)
            self.counts["worker"] += 1
            kind = "worker" if is_seen else "orphaned worker"
            if waits and self._await(kind, at, lambda: self._began_again(task_id, at)) and is_seen:
                self.killed[pid][-1] = self.killed[pid][-1]._replace(is_clean=True)
            return True
        return False

    def _caught_with(self, pid: int) -> Optional[str]:
        """Stop a worker; return the id of the task that it is in the midst of, if it is."""
        end_by_force(pid, signal.SIGSTOP)
        self._ledger.read()
        attempt = self._ledger.in_hand.get(pid)
        if attempt is None or attempt.ended is not None:
            return None
        return attempt.task_id

    def _kill_supervisor(self, waits: bool) -> None:
        pid = self._world.supervisor
        if pid is None or pid <= 0:
            return
        # Those that it has just hired hold no lock yet.
        before = {*self._world.workers, *children_of(pid)}
        at = self._kill("supervisor", pid)
        for worker in before:
            self.dismissed[worker] = at
        self.counts["supervisor"] += 1
        if waits:
            self._await("supervisor", at, lambda: self._began_elsewhere(before, at))

    def _kill_background(self, waits: bool) -> None:
        before = set(self._world.background())
        if before:
            at = self._kill_all("background", before)
            if waits:
                self._await("background", at, lambda: self._began_elsewhere(before, at))

    def _kill_everything(self, waits: bool) -> None:
        before = {*self._world.background(), *self._processes.pids}
        at = self._kill_all("everything", before)
        self._processes.keep_up()
        if waits:
            # It is measured from the moment at which start() is called.
            self._await(
                "everything", at, lambda: self._began_elsewhere(before, at), from_start=True
            )

    def _signal(self, kind: str) -> None:
        number = signal.SIGTERM if kind.startswith("SIGTERM") else signal.SIGKILL
        supervisor = self._world.supervisor
        candidates = {
            "application": self._processes.pids,
            "worker": self._world.workers,
            "supervisor": [] if supervisor is None else [supervisor],
        }[kind.split()[-1]]
        for pid in self._shuffled(candidates)[:1]:
            at = time.monotonic()
            # Those that see their supervisor leave, or their application end, leave as well.
            for worker in {pid, *self._world.workers}:
                self.dismissed[worker] = at
            self.counts[kind] += 1
            self._tell(at, f"{kind} {pid}; {self._cast()}")
            end_by_force(pid, number)

    def _stop_for_a_moment(self) -> None:
        supervisor = self._world.supervisor
        candidates = [*self._processes.pids, *self._world.workers]
        candidates += [] if supervisor is None else [supervisor]
        stopped = self._shuffled(candidates)[: self._chance.randrange(1, 3)]
        self._tell(time.monotonic(), f"SIGSTOP {stopped}; {self._cast()}")
        for pid in stopped:
            end_by_force(pid, signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.1, 1.2))
        for pid in stopped:
            end_by_force(pid, signal.SIGCONT)
        self.counts["SIGSTOP"] += 1

    # -- pieces -----------------------------------------------------------------------------------

    def _shuffled(self, pids: List[int]) -> List[int]:
        # By chance alone: what the system has called them is not of the seed.
        living = sorted(pid for pid in pids if pid > 0)
        return self._chance.sample(living, len(living))

    def _tell(self, at: float, what: str) -> None:
        self.story.append(f"{at:.6f} {what}")

    def _cast(self) -> str:
        return f"supervisor {self._world.supervisor}, workers {self._world.workers}"

    def _kill(self, kind: str, pid: int, task_id: Optional[str] = None) -> float:
        at = time.monotonic()
        self._tell(at, f"kill {kind} {pid} {task_id or ''}; {self._cast()}")
        end_by_force(pid)
        self.killed[pid].append(Kill(at, time.monotonic(), kind, task_id))
        return at

    def _kill_all(self, kind: str, pids: Set[int]) -> float:
        at = time.monotonic()
        self._tell(at, f"kill {kind} {sorted(pids)}; {self._cast()}")
        self._world.kill(*pids)
        for pid in pids:
            self.killed[pid].append(Kill(at, time.monotonic(), kind))
        # A launch may have been on its way.
        for pid in set(self._world.background()) - pids if kind == "everything" else ():
            self._kill(kind, pid)
        self.counts[kind] += 1
        return at

    def _await(
        self,
        kind: str,
        at: float,
        recovered_at: Callable[[], Optional[float]],
        from_start: bool = False,
    ) -> bool:
        patience = self._terms.patience_seconds
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self._processes.keep_up()
            self._ledger.read()
            found = recovered_at()
            if found is not None:
                if from_start:
                    at = min(begun for begun in self._ledger.starting.values() if begun > at)
                # Negative where somebody had seen to it before.
                if found >= 0:
                    self.recoveries[kind].append(max(0.0, found - at))
                    self._tell(found, f"{kind}: work goes on after {found - at:.3f} s")
                return True
            time.sleep(_POLL_SECONDS)
        self.unrecovered.append(f"{kind} killed at {at:.3f}: no work within {patience:g} s")
        return False

    def _began_again(self, task_id: str, at: float) -> Optional[float]:
        latest = self._ledger.attempts[task_id][-1]
        if latest.began > at:
            return latest.began
        # The third death is the last.
        task = self._world.store.get(task_id)
        return -1.0 if task is not None and task.state is TaskState.FAILED else None

    def _began_elsewhere(self, before: Set[int], at: float) -> Optional[float]:
        times = [
            attempt.began
            for pid, attempt in self._ledger.first_of.items()
            if pid not in before and attempt.began > at
        ]
        return min(times) if times else None
