"""What the application has noted: accepted calls, and how their attempts began and ended."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Set


class Attempt:
    """One attempt as the process that made it has noted it.

    Attributes:
        task_id: The task.
        number: Which one of its task.
        pid: The process id of its worker.
        process: The same with what tells it from others that had this id.
        began: When, on the clock that all processes of a machine share.
        ended: When the function had ended; None if it was cut off.
        raised: Whether it ended by an exception.
        is_last_of_its_process: Whether its process has begun no other one since.
    """

    def __init__(self, task_id: str, number: int, process: str, began: float) -> None:
        self.task_id = task_id
        self.number = number
        self.process = process
        self.pid = int(process.partition("/")[0])
        self.began = began
        self.ended: Optional[float] = None
        self.raised = False
        self.is_last_of_its_process = True


class Call(NamedTuple):
    """A call that had returned when it was noted."""

    kind: str
    pid: int


class Ledger:
    """Reads both files as they grow.

    Arguments:
        folder: The folder of the application.
    """

    def __init__(self, folder: Path) -> None:
        self.attempts: Dict[str, List[Attempt]] = defaultdict(list)
        self.calls: Dict[str, Call] = {}
        # Process id -> the first, and the latest attempt of it.
        self.first_of: Dict[int, Attempt] = {}
        self.in_hand: Dict[int, Attempt] = {}
        self.crashed: Set[str] = set()
        self.refused: List[str] = []
        # Which application process -> when it called start() last, and when that had returned.
        self.starting: Dict[str, float] = {}
        self.started: Dict[str, float] = {}
        self.stopped: Set[str] = set()
        # Which process of the application -> how long its slowest call took.
        self.slowest: Dict[str, float] = {}
        # Id of a probe -> when it was called.
        self.probes: Dict[str, float] = {}
        self.has_probed = False
        self.began_count = 0
        self._probing = 0.0
        self._journal, self._accepted = _Tail(folder / "journal"), _Tail(folder / "accepted")

    def read(self) -> None:
        """Take in what was noted since."""
        for line in self._journal.lines():
            what, at, process, *words = line.split(" ")
            self._take(what, float(at), process, words)
        for line in self._accepted.lines():
            task_id, kind, pid = line.split(" ")
            self.calls[task_id] = Call(kind, int(pid))

    def _take(self, what: str, at: float, process: str, words: List[str]) -> None:
        if what == "begin":
            attempt = Attempt(words[0], int(words[1]), process, at)
            before = self.in_hand.get(attempt.pid)
            if before is not None and before.process == process:
                before.is_last_of_its_process = False
            else:
                self.first_of[attempt.pid] = attempt
            self.in_hand[attempt.pid] = attempt
            self.attempts[words[0]].append(attempt)
            self.began_count += 1
        elif what in ("end", "raise"):
            ended = self.in_hand[int(process.partition("/")[0])]
            ended.ended, ended.raised = at, what == "raise"
        elif what == "crash":
            self.crashed.add(process)
        elif what == "refused":
            self.refused.append(" ".join(words))
        elif what == "starting":
            self.starting[words[0]] = at
        elif what == "started":
            self.started[words[0]] = at
        elif what == "stopped":
            self.stopped.add(words[0])
            self.slowest[words[0]] = float(words[1])
        elif what == "probing":
            self._probing = at
        elif what == "probed":
            self.probes[words[0]] = self._probing
        elif what == "probes":
            self.has_probed = True


class _Tail:
    """Reads the whole lines that were added to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self) -> List[str]:
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode(errors="replace").splitlines()
