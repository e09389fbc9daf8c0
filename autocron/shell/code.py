"""The application's code in a worker: imported as by the application, and found by name."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import json
import logging
import math
import os
import sys
import traceback
from datetime import datetime
from typing import TYPE_CHECKING, Callable, Dict, FrozenSet, List, Optional, Set, Tuple, Union

from autocron.core.outcome import UNKNOWN_PATIENCE_SECONDS, UNKNOWN_PAUSE_SECONDS, Unknown
from autocron.firing import SERVICE
from autocron.ports import Backend, Clock, Store
from autocron.registry import TaskFunction
from autocron.shell.application import Application, django_settings
from autocron.shell.served import Served, alone, fingerprint

if TYPE_CHECKING:
    from autocron.app import App

logger = logging.getLogger("autocron")

# Where the store keeps which tracebacks of imports were shown.
IMPORT_ERRORS = "import_errors"
# What stands in the place of a module's name where that is set up, and its URLs are imported.
DJANGO_PROJECT = "the Django project"


class Code:
    """Imports the modules of an application and knows its task functions.

    Arguments:
        app: The App whose decorators the modules use.
        application: What the application has told of itself.
        store: Tells which errors were shown.
        served: Tells the names of its modules, and of starts by new processes.
        clock: Measures when an import that has failed is tried again.
    """

    def __init__(
        self, app: App, application: Application, store: Store, served: Served, clock: Clock
    ) -> None:
        self.app = app
        self._application = application
        self._store = store
        self._served = served
        self._start: Optional[Tuple[int, int]] = None
        self._clock = clock
        self._missing: Set[str] = set()
        # The names of task functions that are not known, and of which that was said.
        self._strangers: Set[str] = set()
        # Those that could not be imported, and when that is tried again.
        self._failed: Dict[str, float] = {}
        # The files in which those imports ended: where they change, so may that.
        self._blamed: Dict[str, Optional[Tuple[int, int]]] = {}
        self.has_mended = False
        self._modules_seen = 0
        # Those that are of the standard library are not looked at, which would write to memory that
        # is shared with other workers; before Python 3.10 nothing tells them by name.
        standard: FrozenSet[str] = getattr(sys, "stdlib_module_names", frozenset())
        self._names_seen = {name for name in sys.modules if name.partition(".")[0] in standard}
        self._told: Dict[str, Optional[Tuple[int, int]]] = {}
        # As sysconfig says, too, which is slow to load, and large.
        self._standard = os.path.join(os.path.dirname(os.__file__), "")

    # -- loading ------------------------------------------------------------------------------

    def load(self) -> None:
        """Take over import path and directory, and import the modules in which tasks live.

        A module that can not be imported is reported. Tasks of functions that stand above the error
        run; the others wait for better code.
        """
        sys.path[:] = self._application.sys_path
        self.return_to_directory()
        if self._application.django is not None:
            self._set_django_up()
        main_name, main_file = self._application.main_name, self._application.main_file
        if main_name is not None and main_file is not None:
            self._guarded(main_name, lambda: _import_script(main_name, main_file))
        for name in self._modules():
            if name != main_name:
                self._import(name)
        if self._application.app is not None:
            self._find_own_app(self._application.app)
        self._import_urls()
        if self._application.is_apart and not self.broken and not self.app.registry.all():
            logger.warning(
                "no task functions were found in %s: name the modules with functions that are "
                "decorated with @autocron.delay or @autocron.cron",
                ", ".join(self._modules()),
            )

    def _modules(self) -> List[str]:
        return self._served.modules

    def _set_django_up(self) -> None:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", self._application.django or "")
        self._guarded(DJANGO_PROJECT, lambda: importlib.import_module("django").setup())

    def _import_urls(self) -> None:
        """Import Django's URLs, if it is set up: so cron functions in views are known."""
        urls = getattr(django_settings(), "ROOT_URLCONF", None)
        if urls:
            self._guarded(DJANGO_PROJECT, lambda: importlib.import_module(urls))

    def _find_own_app(self, name: str) -> None:
        """Look for the App of ``MODULE:APP``."""
        from autocron.app import App

        module, _, attribute = name.partition(":")
        self._import(module)
        found = getattr(sys.modules.get(module), attribute, None)
        if isinstance(found, App):
            self.app = found
        elif module not in self.broken:
            self._failed[name] = math.inf
            logger.error(
                "%s is no autocron App (it is %r); name the module alone if its tasks are "
                "decorated with @autocron.delay and @autocron.cron",
                name,
                found,
            )

    @property
    def broken(self) -> List[str]:
        """What could not be imported."""
        return sorted({*self._missing, *self._failed})

    def _import(self, name: str) -> None:
        if name not in sys.modules:
            self._guarded(name, lambda: importlib.import_module(name))

    def _guarded(self, name: str, load: Callable[[], object]) -> None:
        """Import something; user code may do anything then, SystemExit included."""
        try:
            load()
        except BaseException as error:
            if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
                self._missing.add(name)
                logger.warning("the module %s is gone; its tasks can not run", name)
                return
            self._failed[name] = self._clock.monotonic() + UNKNOWN_PAUSE_SECONDS
            self._blame(error)
            told = _from_user_code(error)
            if self._is_news(name, told):
                logger.error(
                    "a worker could not import %s; tasks that are defined below the error wait "
                    "until it can be imported:\n%s",
                    name,
                    told,
                )
            return
        if self._failed.pop(name, None) is not None:
            self.has_mended = True
            logger.warning("%s can be imported again", name)

    def _blame(self, error: BaseException) -> None:
        """Note in which files an import has ended; a change of one of them is new code."""
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        if isinstance(error, SyntaxError) and error.filename:
            files.append(error.filename)
        for file in files:
            if os.path.isfile(file) and not self._is_standard(file):
                self._blamed[file] = fingerprint(file)

    def _is_news(self, name: str, told: str) -> bool:
        """Tell whether no worker of this period of service has shown that traceback yet."""
        import hashlib  # slow to import, and all is well mostly

        with self._store.transaction():
            settings = self._store.settings()
            shown: Dict[str, str] = {}
            with contextlib.suppress(ValueError, RecursionError):
                found = json.loads(settings.get(IMPORT_ERRORS, "{}"))
                shown = found if isinstance(found, dict) else {}
            text = f"{settings.get(SERVICE)}\n{told}"
            digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
            if shown.get(name) == digest:
                return False
            self._store.put_settings({IMPORT_ERRORS: json.dumps({**shown, name: digest})})
            return True

    def declare(self, backend: Backend, now: datetime) -> None:
        """Declare the schedules that were found, and forget those that are no longer written."""
        stored = {s.name.partition(":")[0] for s in self._store.schedules()}
        seen = {name for name in stored if name in sys.modules or name in self._missing}
        # Of a script whose import failed nobody knows what is written below the error.
        seen -= set(self._failed)
        backend.declare(self.app.declared(now), complete_for=seen)
        if self._missing:
            with alone(self._store):
                known, modules = self._served.read()
                if known is not None:
                    self._served.write(known, set(modules) - self._missing)

    # -- finding ------------------------------------------------------------------------------

    def find(self, name: str) -> Union[TaskFunction, Unknown, str]:
        """Return the task function of a name, or why there is none.

        Only decorated functions are found. A module that was announced after this worker began is
        imported now, and so is one that could not be imported before.
        """
        known = self.app.registry.get(name)
        module = name.partition(":")[0]
        if known is None and self._may_import(module):
            self._import(module)
            known = self.app.registry.get(name)
        if known is not None:
            return known
        if module in self._failed:
            return Unknown(f"the module {module} can not be imported", is_broken=True)
        reason = self._why_unknown(name, module)
        if name not in self._strangers:
            self._strangers.add(name)
            seconds = int(UNKNOWN_PATIENCE_SECONDS)
            logger.warning(
                "%s; newer code may know it, and after %d seconds the task fails", reason, seconds
            )
        return reason

    def _why_unknown(self, name: str, module: str) -> str:
        if module not in sys.modules:
            return (
                f"no task function {name} is known to the workers: the module {module} can not be "
                "imported; see the workers' output, or discard the task"
            )
        return (
            f"no task function {name} is known to the workers: {module} has no decorated function "
            "of that name; if it was renamed, keep a decorated function of the old name until its "
            "tasks have run"
        )

    def _may_import(self, module: str) -> bool:
        if module in sys.modules or module not in self._modules():
            return False
        # Many tasks may ask, one after the other.
        return self._clock.monotonic() >= self._failed.get(module, 0.0)

    # -- the process --------------------------------------------------------------------------

    def return_to_directory(self) -> None:
        """Go to the directory of the application."""
        try:
            os.chdir(self._application.directory)
        except OSError as error:
            logger.warning("the application's directory can not be entered: %s", error)

    def is_outdated(self) -> bool:
        """Tell whether a process has started whose code may be another than what is imported here.

        It is looked into once for each start by a new process.
        """
        start = self._served.mark()
        if start == self._start:
            return False
        self._start = start
        latest = self._served.application
        return (
            latest is None
            or not self._application.runs_like(latest)
            or any(fingerprint(file) != known for file, known in self._told.items())
        )

    def changed_files(self) -> Dict[str, Optional[Tuple[int, int]]]:
        """Return the fingerprints of the files imported since the last call, as first seen.

        Files of the standard library are left out.
        """
        if not self._blamed and len(sys.modules) == self._modules_seen:
            return {}
        found = {file: known for file, known in self._blamed.items() if file not in self._told}
        self._blamed = {}
        self._told.update(found)
        self._modules_seen = len(sys.modules)
        names = [name for name in list(sys.modules) if name not in self._names_seen]
        self._names_seen.update(names)
        for name in names:
            file = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(file, str) and file not in self._told and not self._is_standard(file):
                found[file] = self._told[file] = fingerprint(file)
        return found

    def _is_standard(self, file: str) -> bool:
        is_site = f"{os.sep}site-packages{os.sep}" in file
        return not is_site and file.startswith(self._standard)


def _import_script(name: str, file: str) -> None:
    """Import the application's main script under its module name, not as ``__main__``."""
    # A script need not have a name by which it could be imported: "serve", "my-script.2.py".
    loader = importlib.machinery.SourceFileLoader(name, file)
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)


def _from_user_code(error: BaseException) -> str:
    """Return the traceback of an error during an import, without the way there."""
    frames = error.__traceback__
    while frames is not None and _is_way(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def _is_way(file: str) -> bool:
    return file == __file__ or "importlib" in file
