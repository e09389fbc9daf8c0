"""Keeps house in a process of its own, as each host does."""

from __future__ import annotations

import os
import sys
import time

from autocron.contrib.procrastinate.backend import postgres_store
from tests.contrib.procrastinate.keeping import house_of, keep

if __name__ == "__main__":
    store = postgres_store(sys.argv[1])
    keep(house_of(store, f"host {os.getpid()}", 4.0), store.clock, time.sleep)
