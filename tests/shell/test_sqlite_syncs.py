"""What the SQLite store has told the disk to keep by the time that a call returns.

A test that kills processes, or copies files, reads what the system has in memory, and can not miss
a sync. So the system calls themselves are read here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TASKS = 20
STORE = f"""
import os, sys
from autocron.shell.sqlite import SQLiteStore
from autocron.testing.contract.tools import a_task

path, durability, pragma = sys.argv[1:]
store = SQLiteStore(path, durability=durability)
store.read("plant a fault", pragma)
for number in range({TASKS}):
    store.add(a_task(f"t{{number}}"))
    os.write(1, b"returned")
os._exit(0)
"""


def returned_unsynced(folder, durability, pragma="SELECT 1"):
    """How many of the calls had returned while something of the log was not synced."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("NOT TESTED what is synced: there is no strace")
    trace = folder / "trace"
    store = [sys.executable, "-c", STORE, str(folder / "x.db"), durability, pragma]
    done = subprocess.run(
        [strace, "-y", "-o", str(trace), "-e", "trace=write,pwrite64,fsync,fdatasync", *store],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"NOT TESTED what is synced: {done.stderr.splitlines()[0]}")
    assert (done.returncode, done.stdout) == (0, "returned" * TASKS), done.stderr
    is_written, unsynced = False, 0
    for line in trace.read_text().splitlines():
        if "returned" in line:
            unsynced += is_written
        elif "x.db-wal>" in line:
            is_written = line.startswith("pwrite64(")
    return unsynced


def test_in_full_durability_every_call_that_has_returned_is_synced(tmp_path):
    assert returned_unsynced(tmp_path, "full") == 0


def test_in_normal_durability_the_latest_calls_are_not(tmp_path):
    assert returned_unsynced(tmp_path, "normal") == TASKS


def test_a_connection_that_does_not_sync_is_noticed(tmp_path):
    assert returned_unsynced(tmp_path, "full", "PRAGMA synchronous=OFF") == TASKS
