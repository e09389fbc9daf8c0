"""Looks at an application's main script before workers import it.

Where tasks live in the script that was started, workers import that script as a module, and run its
top level once more. What starts the application there has to be guarded, as with multiprocessing.
"""

from __future__ import annotations

import ast
import logging
from typing import Iterator, Optional

logger = logging.getLogger("autocron")

# What begins to serve, and does not return, is called one of these.
_RUNS = ("main", "mainloop", "run", "run_app", "run_forever", "serve", "serve_forever")


def warn_if_unguarded(file: str) -> None:
    """Warn if a script would start its application again when it is imported.

    Arguments:
        file: The path of the script.
    """
    try:
        with open(file, "rb") as script:
            tree = ast.parse(script.read())
    except (OSError, SyntaxError, ValueError):
        return
    line = next(_unguarded_runs(tree.body), None)
    if line is not None:
        logger.warning(
            "%s, line %d: workers import this script, since tasks live in it, and run that line, "
            "too; put it under \"if __name__ == '__main__':\", or move the tasks to a module",
            file,
            line,
        )


def _unguarded_runs(statements: list[ast.stmt]) -> Iterator[int]:
    """Yield the lines of top-level statements that look like the start of an application."""
    for statement in statements:
        if isinstance(statement, ast.Expr) and _called(statement.value) in _RUNS:
            yield statement.lineno
        elif isinstance(statement, (ast.With, ast.Try)) or (
            isinstance(statement, ast.If) and not _is_guard(statement.test)
        ):
            yield from _unguarded_runs(statement.body)


def _called(value: ast.expr) -> Optional[str]:
    """Return the last part of the name of a called function."""
    if not isinstance(value, ast.Call):
        return None
    if isinstance(value.func, ast.Attribute):
        return value.func.attr
    return value.func.id if isinstance(value.func, ast.Name) else None


def _is_guard(test: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(test))
