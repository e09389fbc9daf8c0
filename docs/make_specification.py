"""Turn ``spec/`` into pages: the prose of each module, and its clauses as sentences and tables.

The files are parsed, not imported, so nothing of them runs; only the checks of a contract, which
are part of autocron, are looked up there. The pages are Markdown. A docstring may
use what Markdown and reStructuredText share, and of the latter also roles, ``::`` before an
indented block, definition lists and simple tables.
"""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Union

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]
Checks = Dict[str, Sequence[Callable[..., object]]]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def write(spec: Path, target: Path) -> None:
    """Write one page for each ``*_spec.py``.

    Arguments:
        spec: The folder of the specification.
        target: The folder of the pages; those of modules that are gone are removed.
    """
    target.mkdir(parents=True, exist_ok=True)
    pages = {path.stem + ".md": page(path) for path in sorted(spec.glob("*_spec.py"))}
    for old in target.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        # Sphinx goes by the time of a file, so what is the same stays as it is.
        path = target / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def page(path: Path) -> str:
    """One module of the specification as a page of Markdown."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    first, _, prose = (ast.get_docstring(tree) or words(path.stem[: -len("_spec")])).partition("\n")
    title, _, subtitle = first.rstrip(".").partition(": ")
    parts = [f"# {title}", subtitle and f"*{subtitle[:1].upper()}{subtitle[1:]}.*", markdown(prose)]
    clauses = list(_clauses(tree.body, _imported_checks(tree)))
    if clauses:
        parts += ["## Clauses", *clauses]
    parts.append(f"*These clauses run: `spec/{path.name}`.*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _imported_checks(tree: ast.Module) -> Checks:
    """The checks of a contract that the module runs, by the name under which it has them."""
    found: Checks = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autocron.testing"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if alias.name.endswith("CHECKS"):
                    found[alias.asname or alias.name] = getattr(module, alias.name)
    return found


def _clauses(body: Sequence[ast.stmt], checks: Checks) -> Iterator[str]:
    functions = [node for node in body if isinstance(node, FUNCTIONS) and node.name[:3] == "it_"]
    for function in functions:
        yield from _clause(function, checks)
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Describe"):
            inside = list(_clauses(node.body, checks))
            if inside:
                yield "### " + words(node.name[len("Describe") :])
                yield markdown(ast.get_docstring(node) or "")
                yield from inside


def _clause(function: Function, checks: Checks) -> Iterator[str]:
    law = any(_name(decorator) == "given" for decorator in function.decorator_list)
    promises = [_promises(decorator, checks) for decorator in function.decorator_list]
    end = ":" if any(promises) else "."
    yield f"- **{words(function.name)}{end}**" + (
        " (A law, tried on generated examples.)" if law else ""
    )
    tables = [_table(decorator) for decorator in function.decorator_list]
    for text in [markdown(ast.get_docstring(function) or ""), *promises, *tables]:
        if text:
            yield _indented(text)


def _name(decorator: ast.expr) -> str:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _promises(decorator: ast.expr, checks: Checks) -> Optional[str]:
    """The checks that a clause runs one by one, as a list."""
    if isinstance(decorator, ast.Call) and _name(decorator) == "parametrize":
        rows = decorator.args[1]
        if isinstance(rows, ast.Name) and rows.id in checks:
            return "\n".join(_promise(check) for check in checks[rows.id])
    return None


def _promise(check: Callable[..., object]) -> str:
    name = check.__name__
    sentence = words(name[len("check_") :] if name.startswith("check_") else name)
    prose = " ".join(markdown(check.__doc__ or "").split())
    return f"- **{sentence}.** {prose}"


def _table(decorator: ast.expr) -> Optional[str]:
    """The examples of a clause, from ``@table(text)`` or ``parametrize(names, rows)``."""
    if not isinstance(decorator, ast.Call) or not decorator.args:
        return None
    first = decorator.args[0]
    if _name(decorator) == "table" and isinstance(first, ast.Constant):
        rows = [line.split("|") for line in str(first.value).splitlines() if line.strip()]
        return _markdown_table(rows[0], [[_code(cell.strip()) for cell in row] for row in rows[1:]])
    if _name(decorator) == "parametrize" and len(decorator.args) > 1:
        names, rows = decorator.args[:2]
        if isinstance(rows, (ast.List, ast.Tuple)):
            columns = _columns(names)
            cells = [_cells(row, len(columns)) for row in rows.elts]
            return _markdown_table(columns, cells)
    return None


def _columns(names: ast.expr) -> List[str]:
    value = ast.literal_eval(names)
    return [name.strip() for name in (value.split(",") if isinstance(value, str) else value)]


def _cells(row: ast.expr, columns: int) -> List[str]:
    if isinstance(row, ast.Call) and _name(row) == "param":
        elements: Sequence[ast.expr] = row.args
    elif columns > 1 and isinstance(row, (ast.Tuple, ast.List)):
        elements = row.elts
    else:
        elements = [row]
    return [_code(ast.unparse(element)) for element in elements]


def _code(text: str) -> str:
    if not text:
        return ""
    # A fence is longer than any run of backticks inside.
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text[:1] + text[-1:] else ""
    return f"{fence}{space}{text}{space}{fence}".replace("\n", " ")


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if len(columns) == 1:
        return f"{columns[0].strip()}: " + ", ".join(row[0] for row in rows)
    lines = [" | ".join(column.strip().replace("_", " ") for column in columns)]
    lines.append(" | ".join("---" for _ in columns))
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def words(name: str) -> str:
    """``it_treats_7_as_sunday`` and ``TheClock`` as the words that they are."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    spaced = spaced.replace("_", " ").strip()
    if "_" not in name:
        spaced = spaced.lower()
    return spaced[:1].upper() + spaced[1:]


def _indented(text: str) -> str:
    return "\n".join("  " + line if line else "" for line in text.splitlines())


def markdown(docstring: str) -> str:
    """A docstring as Markdown."""
    text = re.sub(r":[a-z:]+:`~?([^`<]+)`", r"`\1`", docstring.strip("\n"))
    return "\n\n".join(_block(block) for block in re.split(r"\n\s*\n", text) if block.strip())


def _block(block: str) -> str:
    lines = block.splitlines()
    if re.fullmatch(r"=+( +=+)+", lines[0].strip()):
        return "\n".join(["```text", *lines, "```"])
    if len(lines) > 1 and re.fullmatch(r"[-=~^]{3,}", lines[1].strip()):
        return "\n".join([f"**{lines[0].strip()}**", *lines[2:]])
    is_list = re.match(r"\s*([-*+]|\d+\.)\s", lines[0])
    rest = lines[1:]
    if rest and not is_list and lines[0][:1] != " " and all(line[:2] == "  " for line in rest):
        definition = "\n  ".join(line.strip() for line in rest)
        return f"{lines[0]}\n: {definition}"
    if lines[-1].endswith("::"):
        lines[-1] = lines[-1][:-1]
    return "\n".join(lines)
