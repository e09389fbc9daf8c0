"""The arrows of the design: who may import whom, who may read the time, and what an import does."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Set

import pytest

import autocron

PACKAGE = Path(autocron.__file__).parent

# Each part of the package, and what of the package it may import at all, wherever in a module the
# import stands. What a name stands for includes what is below it.
ARROWS = {
    # decides
    "autocron.core": {"autocron.core"},
    # the seams
    "autocron.ports": {"autocron.core"},
    # sequences
    "autocron.engine": {
        "autocron.core",
        "autocron.hand",
        "autocron.housekeeping",
        "autocron.operations",
        "autocron.ports",
        "autocron.stint",
    },
    "autocron.housekeeping": {
        "autocron.core",
        "autocron.firing",
        "autocron.operations",
        "autocron.ports",
    },
    "autocron.hand": {"autocron.core", "autocron.operations"},
    "autocron.stint": {"autocron.core"},
    "autocron.firing": {"autocron.core", "autocron.operations", "autocron.ports"},
    "autocron.operations": {
        "autocron.calls",
        "autocron.core",
        "autocron.followers",
        "autocron.ports",
    },
    "autocron.calls": {"autocron.core", "autocron.ports"},
    "autocron.followers": {"autocron.core", "autocron.ports"},
    # the front: what applications hold in their hands
    "autocron.options": {"autocron.core"},
    "autocron.schedule_options": {"autocron.core", "autocron.options"},
    "autocron.messages": {"autocron.core", "autocron.options", "autocron.registry"},
    "autocron.current": {"autocron.core", "autocron.ports"},
    "autocron.hooks": {"autocron.core", "autocron.ports"},
    "autocron.held": {"autocron.core", "autocron.ports", "autocron.serving"},
    "autocron.serving": {
        "autocron.core",
        "autocron.ports",
        "autocron.registry",
        "autocron.schedule_options",
    },
    "autocron.dynamic": {"autocron.core", "autocron.schedule_options", "autocron.zones"},
    "autocron.group": {
        "autocron.awaiting",
        "autocron.core",
        "autocron.options",
        "autocron.result",
    },
    "autocron.delayed": {
        "autocron.core",
        "autocron.group",
        "autocron.options",
        "autocron.registry",
        "autocron.result",
    },
    "autocron.registry": {"autocron.core"},
    "autocron.zones": {"autocron.core"},
    "autocron.result": {
        "autocron.awaiting",
        "autocron.core",
        "autocron.options",
        "autocron.ports",
    },
    "autocron.awaiting": {"autocron.ports"},
    "autocron.inplace": {
        "autocron.app",
        "autocron.core",
        "autocron.followers",
        "autocron.ports",
        "autocron.registry",
        "autocron.result",
        "autocron.shell.clock",
        "autocron.shell.invoke",
    },
    "autocron.caller": {
        "autocron.app",
        "autocron.core",
        "autocron.delayed",
        "autocron.group",
        "autocron.inplace",
        "autocron.messages",
        "autocron.ports",
        "autocron.result",
        "autocron.serving",
    },
    "autocron.app": {
        "autocron.caller",
        "autocron.core",
        "autocron.delayed",
        "autocron.dynamic",
        "autocron.group",
        "autocron.hooks",
        "autocron.inplace",
        "autocron.messages",
        "autocron.options",
        "autocron.ports",
        "autocron.registry",
        "autocron.result",
        "autocron.schedule_options",
        "autocron.serving",
        "autocron.shell.clock",
        "autocron.shell.service",
        "autocron.zones",
    },
    "autocron": {
        "autocron.app",
        "autocron.core.errors",
        "autocron.core.progress",
        "autocron.current",
        "autocron.delayed",
        "autocron.dynamic",
        "autocron.group",
        "autocron.hooks",
        "autocron.result",
    },
    # does
    "autocron.shell": {
        "autocron.app",
        "autocron.core",
        "autocron.current",
        "autocron.engine",
        "autocron.firing",
        "autocron.followers",
        "autocron.operations",
        "autocron.ports",
        "autocron.registry",
        "autocron.shell",
        "autocron.zones",
    },
    # where a URL asks for it, and only then
    "autocron.shell.kinds": {
        "autocron.contrib.procrastinate.extra",
        "autocron.contrib.procrastinate.hosts",
        "autocron.core",
        "autocron.engine",
        "autocron.operations",
        "autocron.ports",
        "autocron.shell",
    },
    "autocron.shell.migrating": {
        "autocron.contrib.procrastinate.backend",
        "autocron.contrib.procrastinate.extra",
        "autocron.shell",
    },
    "autocron.shell.moving": {
        "autocron.contrib.procrastinate.arriving",
        "autocron.contrib.procrastinate.extra",
        "autocron.core",
        "autocron.operations",
        "autocron.shell",
    },
    # pretends; of the shell it takes what it need not pretend
    "autocron.testing": {
        "autocron.app",
        "autocron.core",
        "autocron.engine",
        "autocron.firing",
        "autocron.options",
        "autocron.ports",
        "autocron.registry",
        "autocron.result",
        "autocron.schedule_options",
        "autocron.serving",
        "autocron.shell.clock",
        "autocron.shell.invoke",
        "autocron.shell.local",
        "autocron.shell.mode",
        "autocron.shell.sqlite",
        "autocron.testing",
        "autocron.zones",
    },
    # where a URL asks for it, and only then
    "autocron.testing.rehearsal": {
        "autocron.app",
        "autocron.contrib.procrastinate.apart",
        "autocron.contrib.procrastinate.extra",
        "autocron.core",
        "autocron.engine",
        "autocron.firing",
        "autocron.ports",
        "autocron.registry",
        "autocron.schedule_options",
        "autocron.shell.local",
        "autocron.shell.remote",
        "autocron.shell.sqlite",
        "autocron.testing",
        "autocron.zones",
    },
    # shows
    "autocron.cli": {
        "autocron.app",
        "autocron.cli",
        "autocron.core",
        "autocron.options",
        "autocron.ports",
        "autocron.shell.admin",
        "autocron.shell.application",
        "autocron.shell.backup",
        "autocron.shell.clock",
        "autocron.shell.foreground",
        "autocron.shell.listing",
        "autocron.shell.migrating",
        "autocron.shell.moving",
        "autocron.shell.operating",
        "autocron.shell.counting",
        "autocron.shell.looking",
        "autocron.shell.overview",
        "autocron.shell.printable",
        "autocron.shell.remote",
        "autocron.shell.statistics",
        "autocron.shell.verify",
        "autocron.testing",
        "autocron.zones",
    },
    "autocron.__main__": {"autocron.cli"},
    # joins with what others made
    "autocron.contrib": {
        "autocron.app",
        "autocron.cli",
        "autocron.contrib",
        "autocron.core",
        "autocron.current",
        "autocron.held",
        "autocron.options",
        "autocron.ports",
        "autocron.registry",
        "autocron.result",
        "autocron.serving",
        "autocron.shell",
        "autocron.zones",
    },
    # An engine of its own for a store of its own.
    "autocron.contrib.procrastinate": {
        "autocron.contrib.procrastinate",
        "autocron.core",
        "autocron.engine",
        "autocron.operations",
        "autocron.ports",
        "autocron.shell",
        "autocron.zones",
    },
    "autocron.dashboard": {"autocron.core", "autocron.ports", "autocron.dashboard"},
}

# Who may read the time. To sleep is not to read it.
CLOCKS = {"autocron.shell.clock", "autocron.testing.clock"}
_READS_TIME = {
    "time": {
        "time",
        "time_ns",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "perf_counter_ns",
        "process_time",
        "clock_gettime",
        "clock_gettime_ns",
        "localtime",
        "gmtime",
        "ctime",
        "asctime",
        "strftime",
    },
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}

# What the core must not be able to do: read clocks and files, draw, thread, talk, log.
_NOT_IN_CORE = {
    "asyncio",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "signal",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
}


class Module(NamedTuple):
    """A module of the package, read and not run."""

    name: str
    tree: ast.Module


class Import(NamedTuple):
    """One import in a module."""

    name: str
    line: int
    is_for_types: bool


def _modules() -> List[Module]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("autocron", *path.relative_to(PACKAGE).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


MODULES = _modules()
_NAMES = {module.name for module in MODULES}


def _imports(module: Module) -> Iterator[Import]:
    for_types: Set[int] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for statement in node.body:
                for_types.update(id(inner) for inner in ast.walk(statement))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, id(node) in for_types)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}, line {node.lineno}: a relative import"
            assert node.module is not None
            for alias in node.names:
                # "from autocron.core import cron" is an import of autocron.core.cron.
                full = f"{node.module}.{alias.name}"
                name = full if full in _NAMES else node.module
                yield Import(name, node.lineno, id(node) in for_types)


def _is_below(name: str, above: str) -> bool:
    return name == above or name.startswith(above + ".")


def _part(name: str) -> Optional[str]:
    fitting = [part for part in ARROWS if part != "autocron" and _is_below(name, part)]
    return max(fitting, key=len) if fitting else "autocron" if name == "autocron" else None


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_imports_only_what_the_design_allows(module: Module) -> None:
    part = _part(module.name)
    assert part is not None, f"{module.name} has no place in the design; give it one in ARROWS"
    for imported in _imports(module):
        if not _is_below(imported.name, "autocron"):
            continue
        # The public face is everybody's above the engine.
        if imported.name == "autocron" and part in ("autocron.cli", "autocron.testing"):
            continue
        if imported.name == "autocron" and part in ("autocron.app", "autocron.contrib"):
            continue
        allowed = any(_is_below(imported.name, target) for target in ARROWS[part])
        assert allowed, f"{module.name}, line {imported.line}, imports {imported.name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_nothing_imports_autocron_testing(module: Module) -> None:
    # The command line simulates, and imports modules of an application without starting it.
    exempt = ("autocron.testing", "autocron.cli.modules", "autocron.cli.simulate")
    if any(_is_below(module.name, name) for name in exempt):
        return
    for imported in _imports(module):
        assert not _is_below(imported.name, "autocron.testing"), imported


@pytest.mark.skipif(
    sys.version_info < (3, 10), reason="this Python does not know the names of its own library"
)
def test_only_the_standard_library_is_imported_outside_of_contrib() -> None:
    names = sys.stdlib_module_names  # type: ignore[attr-defined]
    for module in MODULES:
        if _is_below(module.name, "autocron.contrib"):
            continue
        for imported in _imports(module):
            top = imported.name.partition(".")[0]
            is_for_types = imported.is_for_types and top == "typing_extensions"
            # Zones for old Pythons, if they are there; and pytest, where pytest itself asks for it.
            is_zones = top == "backports"
            is_plugin = top == "pytest" and _is_below(module.name, "autocron.testing")
            allowed = top == "autocron" or top in names or is_for_types or is_zones or is_plugin
            assert allowed, f"{module.name}, line {imported.line}, imports {imported.name}"


@pytest.mark.parametrize(
    "module",
    [module for module in MODULES if _is_below(module.name, "autocron.core")],
    ids=lambda module: module.name,
)
def test_the_core_can_not_reach_the_outside_world(module: Module) -> None:
    for imported in _imports(module):
        assert imported.name.partition(".")[0] not in _NOT_IN_CORE, imported
    for node in ast.walk(module.tree):
        assert not (isinstance(node, ast.Name) and node.id in ("open", "print", "input")), node.id


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_only_the_clock_modules_read_the_time(module: Module) -> None:
    if module.name in CLOCKS:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            names = {alias.name for alias in node.names}
            assert not names & _READS_TIME["time"], f"{module.name}, line {node.lineno}"
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", None)
            reads = node.attr in _READS_TIME.get(str(name), set())
            assert not reads, f"{module.name}, line {node.lineno}, reads {name}.{node.attr}"


def _in_a_fresh_interpreter(code: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=str(PACKAGE.parent),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.decode().splitlines()[-1])


_LOOK_AT_IMPORT = """
import json, signal, sys, threading
before = set(sys.modules)
handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
events = []
def note(event, arguments):
    events.append((event, str(arguments[0]) if arguments else ""))
sys.addaudithook(note)
import autocron
imported = set(sys.modules) - before
@autocron.cron("0 2 * * *")
def nightly(): pass
@autocron.delay
def later(): pass
seen = list(events)
print(json.dumps({
    "opened": [what for event, what in seen if event == "open"],
    "acts": sorted({event for event, what in seen if event.partition(".")[0] in (
        "os", "socket", "sqlite3", "subprocess", "_thread", "shutil", "tempfile", "fcntl",
    ) and event not in ("os.listdir", "os.scandir", "os.putenv")}),
    "threads": threading.active_count(),
    "handlers": [signal.getsignal(n) == h for n, h in handlers.items()],
    "imported": sorted(imported),
    "loaded": sorted(set(sys.modules) - before),
}))
"""


def test_an_import_is_cheap_and_does_nothing() -> None:
    found = _in_a_fresh_interpreter(_LOOK_AT_IMPORT)
    others = [path for path in found["opened"] if not path.endswith((".py", ".pyc", ".so"))]
    assert others == []
    assert found["acts"] == []
    assert found["threads"] == 1
    assert all(found["handlers"])
    heavy = {"sqlite3", "subprocess", "asyncio", "socket", "multiprocessing", "ctypes", "fcntl"}
    # What compiles, or is compiled, when it is imported: more than all of ours takes.
    heavy |= {"dataclasses", "inspect", "logging", "traceback", "zoneinfo"}
    assert not heavy & set(found["loaded"])
    # What no decorator has asked for is imported when it is.
    assert [name for name in found["imported"] if name.startswith("autocron")] == ["autocron"]
    # They are installed here; that changes nothing.
    frameworks = {"django", "flask", "werkzeug", "asgiref"}
    assert not frameworks & {name.partition(".")[0] for name in found["loaded"]}
    ours = {name for name in found["loaded"] if name.startswith("autocron")}
    assert not {name for name in ours if name.startswith(("autocron.shell", "autocron.testing"))}


_LOOK_AT_EXCEPTIONS = """
import importlib, inspect, json, pkgutil
import autocron
found, strangers = [], []
for info in pkgutil.walk_packages(autocron.__path__, "autocron."):
    if info.name.startswith("autocron.contrib") or "boot" in info.name or "__main__" in info.name:
        continue
    module = importlib.import_module(info.name)
    for name, value in vars(module).items():
        if inspect.isclass(value) and issubclass(value, BaseException):
            # One with an underscore never leaves the module that made it up.
            is_ours = value.__module__.startswith("autocron") and not name.startswith("_")
            if is_ours and not issubclass(value, Warning):
                found.append(name)
                if not issubclass(value, autocron.AutocronError):
                    strangers.append(f"{value.__module__}.{name}")
print(json.dumps({"found": sorted(set(found)), "strangers": sorted(set(strangers))}))
"""


def test_every_exception_derives_from_autocron_error() -> None:
    found = _in_a_fresh_interpreter(_LOOK_AT_EXCEPTIONS)
    assert "TaskFailed" in found["found"]
    # A death is no error: nothing may catch it, as nothing catches a SIGKILL. A refusal is what one
    # is made of, once it is known of which argument.
    assert set(found["strangers"]) <= {
        "autocron.core.refusals.Refusal",
        "autocron.testing.contract.bench.WorkerDeath",
        "autocron.testing.faults.ProcessDeath",
        "autocron.testing.plans.WorkerDied",
    }


def test_every_room_stands_on_the_map() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    parts = (PACKAGE, *(PACKAGE / name for name in ("core", "shell", "testing")))
    rooms = [path.name for part in parts for path in part.glob("*.py") if path.name[0] != "_"]
    assert [room for room in rooms if room not in page] == []


def test_every_part_of_the_specification_stands_in_its_reading_order() -> None:
    spec = PACKAGE.parent / "spec"
    page = (spec / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in spec.glob("*_spec.py") if f"`{path.name}`" not in page] == []
