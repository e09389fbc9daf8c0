"""The pages with examples to run, tried as their reader would: each file, in one project."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

pytest_plugins = "pytester"

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "docs" / "testing.md",
    ROOT / "docs" / "testing-how-to.md",
    ROOT / "docs" / "tasks.md",
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
# Its application is a package of a name that others have, too: a project of its own.
SIMULATE = ROOT / "docs" / "simulate.md"
README = ROOT / "README.md"
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
_SIMULATED = re.compile(r"^```python\n# ([\w/]+\.py)\n(.*?)^```$", re.M | re.S)
_BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.M | re.S)


def test_the_examples_do_what_they_say(pytester, monkeypatch):
    from spec.zones import zone

    zone("Europe/Berlin")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    tests = 0
    for page in PAGES:
        for name, code in _BLOCK.findall(page.read_text(encoding="utf-8")):
            path = pytester.path / name
            assert not path.exists(), f"{name} is shown twice"
            path.write_text(code, encoding="utf-8")
            tests += code.count("def test_")
    application, test = _PYTHON.findall(README.read_text(encoding="utf-8"))
    # The test comes first, as in a project: it is what keeps the application from starting.
    path = pytester.path / "test_readme.py"
    path.write_text("from autocron import testing\n" + application + test, encoding="utf-8")
    tests += 1
    assert tests > 15
    result = pytester.runpytest_subprocess(
        "-p", "autocron_pytest", "-p", "no:cacheprovider", "-W", "error"
    )
    result.assert_outcomes(passed=tests)


def test_the_weekend_of_the_simulator_is_played_as_shown(pytester, monkeypatch):
    from spec.zones import zone

    zone("Europe/Berlin")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    page = SIMULATE.read_text(encoding="utf-8")
    for name, code in _SIMULATED.findall(page):
        (pytester.path / name).parent.mkdir(exist_ok=True)
        (pytester.path / name).write_text(code, encoding="utf-8")
    result = pytester.runpytest_subprocess("-p", "autocron_pytest", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    command, shown = re.findall(
        r"^\$ autocron (simulate .*?[^\\])\n(.*?)^\.\.\.$", page, re.M | re.S
    )[0]
    done = pytester.run(
        sys.executable, "-m", "autocron", *shlex.split(command.replace("\\\n", " "))
    )
    assert done.ret == 0
    assert [line.rstrip() for line in done.outlines][: shown.count("\n")] == shown.splitlines()
