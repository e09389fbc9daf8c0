"""Keeps house in a process of its own, as each host does."""

from __future__ import annotations

import sys

from autocron.contrib.procrastinate.backend import postgres_store
from autocron.contrib.procrastinate.house import House

if __name__ == "__main__":
    House(postgres_store(sys.argv[1]), silent_seconds=4.0).run()
