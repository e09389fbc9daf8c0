"""The pages with examples to run, tried as their reader would: each file, in one project."""

from __future__ import annotations

import re
from pathlib import Path

pytest_plugins = "pytester"

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "docs" / "testing.md",
    ROOT / "docs" / "testing-how-to.md",
    ROOT / "docs" / "tasks.md",
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
README = ROOT / "README.md"
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
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
