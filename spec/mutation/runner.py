"""Run the specification against mutants, whose names are read; it is started in ``mutants/``.

One process collects the clauses, runs each of them once on the code as it is, and notes which of
them reach which function. Then it forks a child for each mutant, which exchanges the code of one
function and runs the clauses that reach it: those that have killed a mutant of this function
before, then the others, the quickest first. The first clause that fails ends it. So a mutant that
is killed costs some hundredths of a second, and only one that survives takes all that could kill
it.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import inspect
import json
import os
import resource
import select
import signal
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Sequence, Set

import pytest
from hypothesis import HealthCheck, Phase, settings
from mutmut.mutation import trampoline

# The same examples for each mutant, and the first that fails is enough.
settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=25,
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

# Clauses that are not run.
LEFT_OUT = (
    # Mutated modules import mutmut.
    "spec/arguments_spec.py::DescribeLoading::it_is_light_to_import",
    # Mutants would be those of what it has imported anew.
    "spec/arguments_spec.py::DescribeDatesAndTimes::it_does_so_also_if_it_is_imported",
    # Slow, and about stores, which are not mutated.
    "spec/store_contract_spec.py::DescribeStoreHistory",
    "spec/store_contract_spec.py::DescribePlainStoreHistory",
    "spec/simulator_spec.py::it_explores_alike_on_every_store",
    "spec/simulator_spec.py::DescribeTheSameSeed::it_gives_the_same_timeline_on_every_store",
)
OPTIONS = [
    "spec",
    "--import-mode=importlib",
    "--hypothesis-profile=mutation",
    "--capture=sys",  # children would share the file of another kind
    "--assert=plain",  # nobody reads why a clause has failed
    "--override-ini=addopts=",
    "--override-ini=tmp_path_retention_policy=none",
    *("-p", "no:cacheprovider"),
    *("-p", "no:terminal"),
]

CHILDREN = min(2, os.cpu_count() or 1)
# A mutant that never ends may also collect without end.
MEMORY_BYTES = 2 << 30
# How long a clause may take, of processor time, where without a mutant it takes some seconds; and
# how long of the wall clock, if it uses no processor.
PATIENCE_SECONDS, PATIENCE_TIMES = 1.0, 5.0
WALL_SECONDS, WALL_TIMES = 120.0, 60.0
# Annotations are text in all our modules.
LIKE_OURS = annotations.compiler_flag
# How a child tells that no clause has failed.
SURVIVED = 77


@dataclass
class Function:
    """A function that has mutants, and what is known of it."""

    module: str
    function: FunctionType
    variants: Dict[str, Any]
    killers: Set[int] = field(default_factory=set)

    def become(self, mutant: str) -> None:
        """Exchange the code for that of a mutant, for the rest of this process."""
        variant = _plain(self.variants[mutant])
        self.function.__code__ = variant.__code__
        self.function.__defaults__ = variant.__defaults__
        self.function.__kwdefaults__ = variant.__kwdefaults__


functions: List[Function] = []
# A mutant that changes nothing: all clauses hold in a child, whatever their order.
NOTHING = Function("nothing", lambda: None, {"changed": lambda: None})


def _plant(name: str, change: Sequence[str]) -> bool:
    """Write a bug into a copy of a function, as one more mutant of it; tell whether it fits."""
    where, before, after = change
    module, _, path = where.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = inspect.getattr_static(found, part)
    function = _plain(found)
    one = next((one for one in functions if one.function is function), None)
    if one is None:
        one = Function(module, function, {})
        functions.append(one)
    lines, old = inspect.getsource(function).splitlines(), before.splitlines()
    places = [n for n in range(len(lines)) if lines[n : n + len(old)] == old]
    if not places:
        return False
    lines[places[0] : places[0] + len(old)] = after.splitlines()
    tree = ast.parse(textwrap.dedent("\n".join(lines)))
    tree.body[0].decorator_list = []
    made: Dict[str, Any] = {}
    code = compile(tree, name, "exec", LIKE_OURS)
    exec(code, function.__globals__, made)
    one.variants[name] = made[function.__name__]
    return True


def _switchable(variants: Dict[str, Any], is_classmethod: bool = False) -> Any:
    """Note a function and its mutants: what mutmut has written in front of each.

    Its own decorator asks at each call which mutant is meant, which takes longer than most calls.
    """

    def note(function: Any) -> Any:
        functions.append(Function(function.__module__, _plain(function), variants))
        return function

    return note


def _plain(function: Any) -> FunctionType:
    """Take the function out of a method, a property or a cache."""
    for name in ("__func__", "fget", "__wrapped__"):
        function = getattr(function, name, function)
    return function


@dataclass
class Child:
    """A process that tests one mutant, and tells by a pipe at which clause it is."""

    mutant: str
    function: Function
    process: int
    pipe: int
    until: float
    clause: int = -1
    is_late: bool = False


class Campaign:
    """The plugin for pytest that does all this instead of running each clause once."""

    def __init__(self, wanted: Set[str], bugs: Mapping[str, Sequence[str]], verdicts: Path) -> None:
        self._wanted = wanted
        self._bugs = bugs
        self._items: List[pytest.Item] = []
        self._caches: List[Callable[[], None]] = []
        self._seconds: List[float] = []
        self._reached: Dict[CodeType, Set[int]] = {}
        self._in_child = False
        self._failed = False
        self._verdicts: Dict[str, str] = {}
        self._file = verdicts

    def pytest_collection_modifyitems(self, items: List[pytest.Item]) -> None:
        items[:] = [item for item in items if not item.nodeid.startswith(LEFT_OUT)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is None or call.excinfo.errisinstance(pytest.skip.Exception):
            return
        if self._in_child:
            os._exit(1)
        self._failed = True
        print(f"\nIt fails without any mutant: {item.nodeid}\n{call.excinfo.exconly()}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = session.items
        self._caches = _caches()
        for name, change in self._bugs.items():
            if name in self._wanted and not _plant(name, change):
                self._verdicts[name] = "there are no such lines"
        began = time.monotonic()
        self._run_all()
        print(f"{len(self._items)} clauses hold without any mutant ({_since(began)})", flush=True)
        # Neither collected in a child nor copied for it.
        gc.collect()
        gc.freeze()
        wanted = [
            (one, mutant)
            for one in functions
            for mutant in one.variants
            if _name(one, mutant) in self._wanted
        ]
        self._reached[NOTHING.function.__code__] = set(range(len(self._items)))
        self._run_mutants([(NOTHING, "changed"), *wanted])
        return True

    # -- which clauses reach what -------------------------------------------------------------

    def _run_all(self) -> None:
        """Run each clause as it is, and note how long it takes and which functions it reaches."""
        watch, reached = sys.monitoring, set()
        watch.use_tool_id(watch.COVERAGE_ID, "mutation")

        def note(code: CodeType, offset: int) -> Any:
            reached.add(code)
            return watch.DISABLE  # until the next clause

        watch.register_callback(watch.COVERAGE_ID, watch.events.PY_START, note)
        for one in functions:
            code = one.function.__code__
            watch.set_local_events(watch.COVERAGE_ID, code, watch.events.PY_START)
        for number, item in enumerate(self._items):
            reached.clear()
            watch.restart_events()
            began = time.process_time()
            self._run(number, _following(self._items, number))
            self._seconds.append(time.process_time() - began)
            for code in reached:
                self._reached.setdefault(code, set()).add(number)
            if self._failed:
                raise pytest.exit.Exception("the specification does not hold as it is", 1)
        watch.free_tool_id(watch.COVERAGE_ID)

    def _run(self, number: int, following: Any) -> None:
        for clear in self._caches:
            clear()  # let no cache hide a mutant
        item = self._items[number]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    # -- the mutants --------------------------------------------------------------------------

    def _run_mutants(self, wanted: List[tuple[Function, str]]) -> None:
        """Test mutants, some at a time."""
        began, told_at = time.monotonic(), 0.0
        waiting, children = wanted[::-1], {}  # type: Any, Dict[int, Child]
        while waiting or children:
            while waiting and len(children) < CHILDREN:
                child = self._start(*waiting.pop())
                children[child.pipe] = child
            ready, _, _ = select.select(list(children), [], [], 1.0)
            for pipe in ready:
                told = os.read(pipe, 1 << 16)
                if told:
                    self._hear(children[pipe], told)
                else:
                    self._end(children.pop(pipe))
            for child in children.values():
                if time.monotonic() > child.until:
                    child.is_late = True
                    os.kill(child.process, signal.SIGKILL)
            if time.monotonic() > told_at + 30:
                told_at = time.monotonic()
                done = len(wanted) - len(waiting) - len(children)
                self._tell(f"{done} of {len(wanted)} mutants ({_since(began)})")
        self._tell(f"{len(wanted)} mutants ({_since(began)})")

    def _tell(self, text: str) -> None:
        print(text, flush=True)
        self._file.write_text(json.dumps(self._verdicts))

    def _start(self, function: Function, mutant: str) -> Child:
        receiver, sender = os.pipe()
        process = os.fork()
        if not process:
            os.close(receiver)
            self._be_a_child(function, mutant, sender)
        os.close(sender)
        until = time.monotonic() + WALL_SECONDS
        return Child(_name(function, mutant), function, process, receiver, until)

    def _hear(self, child: Child, told: bytes) -> None:
        child.clause = int.from_bytes(told[-4:], "little")
        seconds = WALL_SECONDS + WALL_TIMES * self._seconds[child.clause]
        child.until = time.monotonic() + seconds

    def _end(self, child: Child) -> None:
        os.close(child.pipe)
        _, status = os.waitpid(child.process, 0)
        code = os.waitstatus_to_exitcode(status)
        if child.is_late or code == -signal.SIGPROF:
            verdict = "timeout"
        elif code == SURVIVED:
            verdict = "survived" if child.clause >= 0 else "no clause reaches it"
        else:
            verdict = "killed"
        self._verdicts[child.mutant] = verdict
        if child.function is NOTHING and verdict != "survived":
            raise pytest.exit.Exception(
                f"it fails in a child, without any mutant: {self._items[child.clause].nodeid}", 1
            )
        if verdict in ("killed", "timeout"):
            child.function.killers.add(child.clause)

    def _be_a_child(self, function: Function, mutant: str, sender: int) -> NoReturn:
        try:
            self._in_child = True
            with contextlib.suppress(ValueError, OSError):  # not every system knows this limit
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            # Not by a handler: engine and hypothesis would go on after an exception.
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            clauses = self._clauses_for(function)
            items = [self._items[number] for number in clauses]
            function.become(mutant)
            for place, number in enumerate(clauses):
                os.write(sender, number.to_bytes(4, "little"))
                patience = PATIENCE_SECONDS + PATIENCE_TIMES * self._seconds[number]
                # Processor time, since the machine may have more to do.
                signal.setitimer(signal.ITIMER_PROF, patience)
                self._run(number, _following(items, place))
            os._exit(SURVIVED)
        finally:
            os._exit(1)

    def _clauses_for(self, function: Function) -> List[int]:
        reaching = self._reached.get(function.function.__code__, ())
        return sorted(reaching, key=lambda n: (n not in function.killers, self._seconds[n]))


def _following(items: List[pytest.Item], place: int) -> Any:
    return items[place + 1] if place + 1 < len(items) else None


def _name(function: Function, mutant: str) -> str:
    return mutant if mutant.startswith("planted.") else f"{function.module}.{mutant}"


def _caches() -> List[Callable[[], None]]:
    """Find what empties the caches of the core."""
    modules = [module for name, module in sys.modules.items() if name.startswith("autocron.core.")]
    values = [value for module in modules for value in vars(module).values()]
    kept = [value for value in values if not isinstance(value, type)]
    return [value.cache_clear for value in kept if hasattr(value, "cache_clear")]


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


def main(name: str) -> int:
    trampoline.wrap_in_trampoline = _switchable
    wanted, bugs = json.load(sys.stdin)
    campaign = Campaign(set(wanted), dict(bugs), Path(name).absolute())
    return int(pytest.main(OPTIONS, plugins=[campaign]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
