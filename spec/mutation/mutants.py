"""The mutants: those that mutmut writes, and the bugs that were thought up.

``make_mutants`` copies the code to ``mutants/`` and writes the mutants of each function behind it.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import shutil
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple

import libcst
from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants
from mutmut.mutation.data import MutantLineSpans, SourceFileMutationData
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.utils.file_utils import walk_mutatable_files

FOLDER = Path("mutants")
PROCESSES = 2


class Change(NamedTuple):
    """A change of the code by what it says: numbers and line numbers move."""

    function: str
    before: str
    after: str

    def stripped(self) -> Change:
        """Leave out how far lines are indented, which is not told of mutants."""
        before, after = (
            "\n".join(line.strip() for line in text.splitlines())
            for text in (self.before, self.after)
        )
        return Change(self.function, before, after)

    def __str__(self) -> str:
        sides = [("-", self.before), ("+", self.after)]
        lines = [sign + line for sign, text in sides for line in text.splitlines()]
        return "\n".join([self.function, *lines])


class Planted(NamedTuple):
    """A bug that was thought up; it is tested as a mutant is."""

    name: str
    change: Change

    module = "planted"


class Mutant:
    """A mutant that mutmut has written.

    Arguments:
        module: Where it is.
        name: How mutmut calls it, with the module.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    @cached_property
    def function(self) -> str:
        """The function that is changed, as ``module:Class.name``."""
        mangled = self.name[len(self.module) + 1 :].partition("__mutmut_")[0]
        name = mangled[2:].replace("ǁ", ".")
        return f"{self.module}:{name}"

    @cached_property
    def change(self) -> Change:
        name = self.name[len(self.module) + 1 :]
        original = name.partition("__mutmut_")[0] + "__mutmut_orig"
        known_as = self.function.rpartition(":")[2].rpartition(".")[2]
        sources = _spans(self.module).read_function_sources([original, name])
        before, after = (
            source.replace(f"{given}(", f"{known_as}(").splitlines()
            for source, given in zip(sources, (original, name))
        )
        told = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
        before, after = (
            "\n".join(line[1:] for line in told if line.startswith(sign)) for sign in "-+"
        )
        return Change(self.function, before, after).stripped()


@lru_cache(maxsize=None)
def _spans(module: str) -> MutantLineSpans:
    path = Path(*module.split(".")).with_suffix(".py")
    found = MutantLineSpans.load(path)
    assert found is not None
    return found


def make_mutants() -> None:
    """Copy the code, and write its mutants."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    MutationVisitor._skip_node_and_children = _skipped
    with contextlib.redirect_stdout(io.StringIO()):
        copy_src_dir()
        copy_also_copy_files()
        create_mutants(PROCESSES)


_skipped_by_mutmut = MutationVisitor._skip_node_and_children


def _skipped(visitor: Any, node: libcst.CSTNode) -> bool:
    """Do not skip what has a decorator: the properties and the cached functions."""
    if isinstance(node, libcst.FunctionDef) and node.decorators:
        node = node.with_changes(decorators=())
    return bool(_skipped_by_mutmut(visitor, node))


def mutants() -> Iterator[Mutant]:
    """Yield the mutants that were made, in the order of the files."""
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        module = ".".join(path.with_suffix("").parts)
        yield from (Mutant(module, name) for name in data.exit_code_by_key)


def planted(text: str) -> Iterator[Planted]:
    """Yield the bugs of ``planted.md``."""
    for number, change in enumerate(listed(text), 1):
        yield Planted(f"planted.{number}", change)


def listed(text: str) -> List[Change]:
    """Read the changes in the fenced blocks of a page.

    A block names a function, and then, as in a diff, the lines before and after; several changes of
    one function follow each other, and so may several functions.
    """
    found: List[Change] = []
    function = ""
    before: List[str] = []
    after: List[str] = []

    def end() -> None:
        if before or after:
            found.append(Change(function, "\n".join(before), "\n".join(after)))
            before.clear()
            after.clear()

    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            end()
            inside = line == "```diff"
        elif inside and line.startswith("-"):
            if after:
                end()
            before.append(line[1:])
        elif inside and line.startswith("+"):
            after.append(line[1:])
        elif inside:
            end()
            function = line.strip()
    return found
