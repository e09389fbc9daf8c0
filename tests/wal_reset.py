"""Does this SQLite lose commits when checkpoints and commits meet? ``python -m tests.wal_reset``.

Processes write one row after the other, each a commit, and others make checkpoints without a pause.
At the end all rows must be there, and the file sound. ``--plain`` makes the checkpoints as SQLite
does by itself after a commit, while others write: from 3.7.0 to 3.51.2 that loses commits, or
damages the file, about once a minute here. Without it they are made as
``autocron/shell/checkpoints.py`` makes them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from typing import Any, List


def _connected(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    return connection


def _write(path: str, who: int, seconds: float, told: Any) -> None:
    """Commit one row after the other; tell how many."""
    count, ends_at = 0, time.monotonic() + seconds
    with closing(_connected(path)) as connection:
        try:
            while time.monotonic() < ends_at:
                row = (who, count, os.urandom(60).hex())
                connection.execute("INSERT INTO rows VALUES (?, ?, ?)", row)
                count += 1
        except sqlite3.DatabaseError as error:
            told.put(str(error))
        told.put(count)


def _copy(path: str, is_plain: bool, seconds: float, told: Any) -> None:
    """Make one checkpoint after the other."""
    ends_at = time.monotonic() + seconds
    with closing(_connected(path)) as writer, closing(_connected(path)) as other:
        try:
            while time.monotonic() < ends_at:
                if not is_plain:
                    writer.execute("BEGIN IMMEDIATE")
                other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                if not is_plain:
                    writer.execute("ROLLBACK")
        except sqlite3.DatabaseError as error:
            told.put(str(error))
        told.put(0)


def run(folder: str, seconds: float, writers: int, copiers: int, is_plain: bool) -> str:
    """Do it in an empty folder; return what is wrong then, or nothing."""
    path = os.path.join(folder, "rows.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size=2048")
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("CREATE TABLE rows (who, number, text, PRIMARY KEY (who, number))")
        told: Any = multiprocessing.Queue()
        processes = [
            *(
                multiprocessing.Process(target=_write, args=(path, who, seconds, told))
                for who in range(writers)
            ),
            *(
                multiprocessing.Process(target=_copy, args=(path, is_plain, seconds, told))
                for _ in range(copiers)
            ),
        ]
        for process in processes:
            process.start()
        counts: List[int] = []
        errors: List[str] = []
        while len(counts) < len(processes):
            word = told.get(timeout=seconds + 60)
            (counts if isinstance(word, int) else errors).append(word)
        for process in processes:
            process.join()
        try:
            ((stored,),) = connection.execute("SELECT count(*) FROM rows").fetchall()
            errors += [text for (text,) in connection.execute("PRAGMA integrity_check(3)")]
        except sqlite3.DatabaseError as error:
            return f"{sum(counts):,} committed; {error}"
    if errors == ["ok"] and stored == sum(counts):
        return ""
    return f"{sum(counts):,} committed, {stored:,} stored; {'; '.join(errors)}"


def main() -> int:
    """Do what the command line says; 1 is that something was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.wal_reset", description=__doc__)
    parser.add_argument("--plain", action="store_true", help="as SQLite does it by itself")
    parser.add_argument("--runs", type=int, default=6, help="how often: 6")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each time: 10")
    parser.add_argument("--writers", type=int, default=3, help="processes that commit: 3")
    parser.add_argument("--copiers", type=int, default=4, help="that make checkpoints: 4")
    options = parser.parse_args()
    broken = 0
    print(f"SQLite {sqlite3.sqlite_version}")
    for number in range(1, options.runs + 1):
        with tempfile.TemporaryDirectory(prefix="autocron-wal-reset-") as folder:
            how = (options.seconds, options.writers, options.copiers, options.plain)
            wrong = run(folder, *how)
        print(f"run {number}: {wrong or 'all is there'}", flush=True)
        broken += bool(wrong)
    print(f"broken {broken} of {options.runs}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
