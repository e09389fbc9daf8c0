"""What a list imports: mostly more than it asks of the database."""

from __future__ import annotations

import json
import sys

import pytest

# Each takes as long as a list of 50 tasks, or nearly so.
_LARGE = {
    "asyncio", "dataclasses", "difflib", "inspect", "logging", "multiprocessing", "pprint",
    "socket", "subprocess", "tempfile", "traceback", "urllib.parse", "zoneinfo",
}  # fmt: skip
_LOOK = """
import contextlib, io, json, sys
from autocron.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    assert main(sys.argv[1:]) == 0
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize(
    "words", [["--info"], ["--tasks"], ["--results", "--task", "add"], ["--stats"], ["--json"]]
)
def test_a_list_imports_what_it_shows(shop, command, words):
    shop.call("add", 1, 2)
    shop.run_all()
    command.words = lambda *words: [sys.executable, "-S", "-c", _LOOK, *words]
    done = command("shop.db", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert not _LARGE & set(json.loads(done.stdout))
