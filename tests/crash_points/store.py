"""Cuts every write of the SQLite store: a process dies there, and what it leaves is looked at.

What must be there is known exactly: what had been committed before the cut, all of it, and nothing
else. A database is then opened as by a fresh start, and everything in it comes to its end.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Set, Tuple

from autocron.core.errors import AutocronError
from autocron.shell import schema
from autocron.shell.sqlite import SQLiteStore
from tests.crash_points.operations import OPERATIONS, Bench, Operation, migrate
from tests.crash_points.statements import AFTER, watch
from tests.fresh_start import damage, go_on, make_version_1

DATABASE = "project.db"
SHELL = Path(schema.__file__).parent
# Table -> its rows in some order, and what else makes a database.
Content = Dict[str, Any]


class Point(NamedTuple):
    """A place at which an operation is cut.

    Attributes:
        operation: Which, by its name.
        when: Before or after a statement.
        sql: The statement.
        place: How many such places the operation passes before.
        committed: How much of the operation is committed there, as a number of commits.
    """

    operation: str
    when: str
    sql: str
    place: int
    committed: int

    def __str__(self) -> str:
        sql = self.sql if len(self.sql) < 60 else self.sql[:57] + "..."
        return f"{self.operation}, {self.when} {self.place}: {sql}"


class Reference(NamedTuple):
    """An operation that nothing has cut.

    Attributes:
        operation: It.
        number: Which of them it is.
        changes: In how many atomic changes it is to be done.
        before: The folder with the database as it finds it.
        contents: What the database holds before it, and after each of its commits.
        points: Where it can be cut.
        sites: The lines of autocron's shell from which it writes, each with its file's name.
    """

    operation: Operation
    number: int
    changes: int
    before: Path
    contents: List[Content]
    points: List[Point]
    sites: Set[Tuple[str, int]]


def references(folder: Path) -> List[Reference]:
    """Do all operations, one after the other, and the migration of an old database.

    Arguments:
        folder: An empty folder for what each of them finds.
    """
    found = []
    before = folder / "0"
    before.mkdir()
    for number, (operation, changes) in enumerate(OPERATIONS):
        after = folder / str(number + 1)
        found.append(_do(operation, number, changes, before, after))
        before = after
    old = folder / "old"
    old.mkdir()
    make_version_1(old / DATABASE)
    found.append(_do(migrate, len(OPERATIONS), 1, old, folder / "migrated"))
    return found


def _do(operation: Operation, number: int, changes: int, before: Path, after: Path) -> Reference:
    shutil.copytree(str(before), str(after))
    told = after.parent / "told"

    def do() -> None:
        path = after / DATABASE
        contents, points, sites = [content(path)], [], set()
        plain = sqlite3.connect

        def look(when: str, sql: str, connection: sqlite3.Connection) -> None:
            if when == AFTER and not connection.in_transaction:
                contents.append(content(path, plain))
            committed = len(contents) - 1
            points.append(Point(operation.__name__, when, sql, len(points), committed))
            sites.update(_lines_of_the_shell())

        watch(look)
        bench = Bench(str(path), number)
        operation(bench)
        bench.store.close()
        told.write_bytes(pickle.dumps((contents, points, sites)))

    status = _in_child(do)
    if status != 0:
        raise AssertionError(f"{operation.__name__} fails")
    return Reference(operation, number, changes, before, *pickle.loads(told.read_bytes()))


def _lines_of_the_shell() -> List[Tuple[str, int]]:
    """Return where in autocron's shell this process is, from the inside out."""
    found, frame = [], sys._getframe()
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.parent == SHELL:
            found.append((path.name, frame.f_lineno))
        frame = frame.f_back
    return found


def changes_found(reference: Reference) -> int:
    """Return in how many atomic changes an operation was done."""
    contents = reference.contents
    return sum(before != after for before, after in zip(contents, contents[1:]))


def cut(reference: Reference, point: Point, folder: Path) -> List[str]:
    """Do an operation in a process that dies at a point; return what is wrong then.

    Arguments:
        reference: The operation.
        point: The point.
        folder: A folder that is made for it, and removed.
    """
    shutil.copytree(str(reference.before), str(folder))
    path = folder / DATABASE

    def do() -> None:
        passed = []

        def look(when: str, sql: str, connection: sqlite3.Connection) -> None:
            if len(passed) == point.place:
                os.kill(os.getpid(), signal.SIGKILL)
            passed.append(sql)

        watch(look)
        reference.operation(Bench(str(path), reference.number))

    try:
        status = _in_child(do)
        if not os.WIFSIGNALED(status):
            return [f"{point}: it did not come there"]
        return [f"{point}: {why}" for why in _look(reference, point, path)]
    finally:
        shutil.rmtree(str(folder))


def _look(reference: Reference, point: Point, path: Path) -> List[str]:
    # A copy, since to look changes what is left: the log would be gone.
    copy = path.parent / "copy"
    copy.mkdir()
    for end in ("", "-wal", "-journal"):
        if os.path.exists(f"{path}{end}"):
            shutil.copy(f"{path}{end}", str(copy))
    broken = _differences(reference.contents[point.committed], content(copy / DATABASE))
    store = SQLiteStore(str(path), durability="normal")
    try:
        with closing(store):
            store.open()
            return broken + (damage(store) or go_on(store))
    except AutocronError as error:
        return [*broken, f"{type(error).__name__}: {error}"]


def _differences(expected: Content, actual: Content) -> List[str]:
    return [
        f"{name}: expected {expected.get(name)}, found {actual.get(name)}"
        for name in sorted({*expected, *actual})
        if expected.get(name) != actual.get(name)
    ]


def content(path: Path, connect: Callable[..., sqlite3.Connection] = sqlite3.connect) -> Content:
    """Return all that a database holds; nothing if it was not made yet."""
    if not path.exists():
        return {}
    with closing(connect(str(path), isolation_level=None)) as connection:

        def rows(sql: str) -> List[Tuple[Any, ...]]:
            return sorted(connection.execute(sql).fetchall(), key=repr)

        tables = rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        found = {name: [(sql,), *rows(f"SELECT * FROM {name}")] for name, sql in tables}
        if tables:
            found["indices"] = rows("SELECT name, sql FROM sqlite_master WHERE type = 'index'")
            found["versions"] = rows("PRAGMA user_version") + rows("PRAGMA application_id")
        return found


def chosen(points: List[Point]) -> List[Point]:
    """Leave out what is the same again: of each statement the first and the last one are cut."""
    places: Dict[Tuple[str, str], List[Point]] = {}
    for point in points:
        places.setdefault((point.when, point.sql), []).append(point)
    kept = {point for same in places.values() for point in (same[0], same[-1])}
    return [point for point in points if point in kept]


def _in_child(do: Callable[[], None]) -> int:
    """Do something in a process of its own; return how that has ended."""
    child = os.fork()
    if child == 0:
        try:
            do()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]
