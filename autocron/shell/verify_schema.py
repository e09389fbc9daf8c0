"""Whether the tables of a database are those that autocron makes, and nothing acts on them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Dict, List, Mapping, Set, Tuple

from autocron.shell.findings import Findings
from autocron.shell.moved import GUARDS
from autocron.shell.schema import MIGRATIONS

# name of a table -> its columns: name, declared type, whether it is never NULL
Columns = Mapping[str, List[Tuple[str, str, bool]]]
_Objects = Dict[Tuple[str, str], str]

RESTORE = "restore a copy of the database"


def expected_columns(version: int) -> Columns:
    """Return the columns of the tables of a version of the schema."""
    with closing(_fresh(version)) as fresh:
        return {
            name: [
                (row[1], row[2], bool(row[3] or row[5]))
                for row in fresh.execute(f"PRAGMA table_info({name})")
            ]
            for kind, name in _objects(fresh)
            if kind == "table"
        }


def verify_schema(findings: Findings, connection: sqlite3.Connection, version: int) -> Set[str]:
    """Hold tables and indexes against those of a new database of the same version.

    Arguments:
        findings: Get what is wrong.
        connection: The database.
        version: The version that it says to have.

    Returns:
        The tables that are as they should be.
    """
    with closing(_fresh(version)) as fresh:
        wanted = _objects(fresh)
    found = _objects(connection)
    for kind, name in sorted(wanted.keys() - found.keys()):
        remedy = "stop the application and make it again" if kind == "index" else RESTORE
        findings.add(f"{kind} {name}", "it is missing", remedy)
    for kind, name in sorted(found.keys() - wanted.keys()):
        if found[kind, name] == GUARDS.get(name):
            continue
        if kind in ("trigger", "view"):
            what = "autocron did not make it, and it can change what is stored, or what is read"
            remedy = f"find out who did, and drop it: 'DROP {kind.upper()} {name}'"
        else:
            what = "autocron did not make it"
            remedy = "if nothing else needs it, drop it; a database of autocron's is for it alone"
        findings.add(f"{kind} {name}", what, remedy)
    for kind, name in sorted(wanted.keys() & found.keys()):
        if wanted[kind, name] != found[kind, name]:
            what = f"it was changed: {found[kind, name]}, instead of {wanted[kind, name]}"
            findings.add(f"{kind} {name}", what, RESTORE)
    return {
        name
        for (kind, name), sql in wanted.items()
        if kind == "table" and found.get((kind, name)) == sql
    }


def _fresh(version: int) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for step in MIGRATIONS[:version]:
        connection.executescript(step)
    return connection


def _objects(connection: sqlite3.Connection) -> _Objects:
    """Return what there is, by kind and name, with how it was made, blanks aside."""
    rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master")
    # Those of SQLite itself are the indexes of keys, and what ANALYZE has counted.
    return {
        (kind, name): " ".join(sql.split())
        for kind, name, sql in rows
        if not name.startswith("sqlite_")
    }
