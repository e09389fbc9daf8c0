"""Runs Django's own ``tests/tasks`` with the AutocronBackend: ``python own_suite.py [FOLDER]``.

FOLDER holds the source of the installed Django; without it that is downloaded by pip. The tests of
ImmediateBackend run on a locked database, where Tasks run in place, and those of DummyBackend in a
session of autocron.testing, where they wait. Nothing of the tests is changed but which backend they
speak of; what is left out stands below, with the reason.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import django

ROOT = str(Path(__file__).resolve().parents[3])

LEFT_OUT = {
    "test_cannot_get_result": "AutocronBackend can get results",
    "test_cannot_refresh_result": "AutocronBackend can get results",
    "test_cannot_pass_run_after": "AutocronBackend can defer Tasks",
    "DummyBackendTestCase.test_refresh_result": "writes into the list inside of DummyBackend",
    "DummyBackendTestCase.test_refresh_result_async": "the same",
}
# The module of the tests, whether Tasks run in place, and which of Django's backends is replaced.
MODULES = (
    ("test_immediate_backend", True, "Immediate"),
    ("test_dummy_backend", False, "Dummy"),
    ("test_tasks", False, "Dummy"),
    ("test_custom_backend", False, ""),
)

BACKENDS = '''
from autocron.contrib.django import AutocronBackend
from django.tasks.backends.immediate import ImmediateBackend as Immediate


class ImmediateBackend(AutocronBackend):
    """In place."""


class DummyBackend(AutocronBackend):
    """In a session of autocron.testing; with what the tests of Django's own look at."""

    @property
    def results(self):
        from autocron import default_app

        return [self.get_result(task.id) for task in default_app.service.backend.list()]

    def clear(self):
        from autocron import testing

        testing.reset()
'''

SETTINGS = """
from test_sqlite import *  # noqa: F403

{first}
AUTOCRON = {{"DATABASE": {database!r}}}
INSTALLED_APPS = []
"""


def source(folder: Path) -> Path:
    """Return the folder of the source of the installed Django, downloading it if need be."""
    found = folder / f"django-{django.get_version()}"
    if not found.is_dir():
        spec = f"django=={django.get_version()}"
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=:all:"]
        subprocess.run([*download, "-d", str(folder), spec], check=True)
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            archive.extractall(folder)
    return found


def adapt(text: str, kind: str) -> str:
    """Return a module of tests that speaks of our backend in place of one of Django's."""
    if kind:
        path = f"django.tasks.backends.{kind.lower()}"
        text = text.replace(f"from {path} import", "from autocron_backends import")
        text = text.replace(f'"{path}.{kind}Backend"', f'"autocron_backends.{kind}Backend"')
    for name in LEFT_OUT:
        case, _, method = name.rpartition(".")
        if case and f"class {case}(" not in text:
            continue
        text = re.sub(rf"(\n    (?:async )?def ){method}\(", rf"\g<1>left_out_{method}(", text)
    return text


def run(tests: Path, home: Path) -> int:
    """Run all of it; return the exit code."""
    (tests / "autocron_backends.py").write_text(BACKENDS)
    database = str(home / "suite.db")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, str(tests)]), "HOME": str(home)}
    lock = ["-m", "autocron", database, "--set-autocron-lock", "on"]
    subprocess.run([sys.executable, *lock], env=environ, check=True, stdout=subprocess.DEVNULL)
    code = 0
    for module, in_place, kind in MODULES:
        file = tests / "tasks" / f"{module}.py"
        file.write_text(adapt(file.read_text(), kind))
        first = "" if in_place else "import autocron.testing"
        text = SETTINGS.format(first=first, database=database)
        (tests / "autocron_settings.py").write_text(text)
        command = [sys.executable, "runtests.py", "--settings=autocron_settings", "--parallel=1"]
        command += [f"tasks.{module}"]
        done = subprocess.run(command, cwd=str(tests), env=environ, check=False)
        code = code or done.returncode
    for name, reason in LEFT_OUT.items():
        print(f"left out: {name} ({reason})")
    return code


def main() -> int:
    """Run the tests of the installed Django."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(made)
        home = Path(made) / "home"
        home.mkdir()
        return run(source(folder) / "tests", home)


if __name__ == "__main__":
    sys.exit(main())
