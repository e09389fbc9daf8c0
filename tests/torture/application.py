"""The application that is tortured, its files and its processes, in a world of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Dict, List, Optional

from tests.processes.world import Application, World
from tests.torture.plants import PLANTS

SITE = Path(__file__).with_name("site")


class Processes:
    """Keeps so many processes of the application alive.

    Arguments:
        folder: Where its files and its database are to be.
        count: How many processes.
        workers: How many workers they ask for.
        seed: Of the chance by which they call.
        mix: Which mix of tasks is called.
        window: How many calls of a process may be on their way at once.
        pause_seconds: How long a process rests after twenty calls.
        plant: A bug that is planted in all processes; see :mod:`tests.torture.plants`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        count: int,
        workers: int,
        seed: int,
        mix: str,
        window: int,
        pause_seconds: float = 0.0,
        plant: Optional[str] = None,
    ) -> None:
        self.world = World(folder)
        self.world.allows_tracebacks = True
        for file in SITE.glob("*.py"):
            shutil.copy(str(file), str(folder))
        if plant is not None:
            self.world.write("planted/sitecustomize.py", PLANTS[plant].code)
            path = self.world.environment["PYTHONPATH"]
            self.world.environment["PYTHONPATH"] = f"{folder / 'planted'}:{path}"
        self._workers = str(workers)
        self._load = (mix, str(window), str(pause_seconds))
        self._seed = seed
        self._count = count
        self._generation = 0
        self._living: Dict[int, Application] = {}

    @property
    def pids(self) -> List[int]:
        """The process ids of those that live."""
        return [a.pid for a in self._living.values() if a.process.poll() is None]

    def keep_up(self) -> None:
        """Start those that are missing."""
        for who in range(self._count):
            application = self._living.get(who)
            if application is not None:
                if application.process.poll() is None:
                    continue
                application.close()
            self._generation += 1
            seed = f"{self._seed}-{who}-{self._generation}"
            self._living[who] = self.world.launch(
                str(self.world.folder / "app.py"),
                *(self.world.database, self._workers, str(who), seed, *self._load),
            )

    def end(self) -> None:
        """Let all come to their natural end."""
        for application in self._living.values():
            application.end()
