"""A host of a PostgreSQL database: a world whose processes start with its URL.

Several hosts on one machine differ by their home folders, and so by their locks.
"""

from __future__ import annotations

from pathlib import Path

from autocron.contrib.procrastinate.backend import postgres_store
from autocron.shell.paths import HOME_FOLDER
from autocron.shell.remote import local_name
from tests.processes.world import World


class Host(World):
    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        super().__init__(folder, str(folder / HOME_FOLDER / local_name(url)), url)

    def make_store(self):
        return postgres_store(self.url)
