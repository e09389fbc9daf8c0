"""What ``start()`` sets up in a process of the application.

It opens the database, takes a share in the application *first*, and then looks whether a supervisor
lives; so a supervisor that is just leaving sees the share and stays. The host process is left
alone: no thread, no timer, no signal handler, no child.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import weakref
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Collection,
    List,
    Mapping,
    Optional,
    TypeVar,
    Union,
)

from autocron.core.errors import AutocronError, StartError
from autocron.core.settings import InvalidSetting, Settings, check_number
from autocron.core.values import changed
from autocron.core.workforce import InvalidWorkers, Workers, check_workers
from autocron.firing import SERVICE
from autocron.shell.agreement import Attached, check_agreement, files_of
from autocron.shell.application import Application, describe, differences
from autocron.shell.call_waker import CallWaker
from autocron.shell.chance import new_id
from autocron.shell.kinds import Kind, opened, prepared, stored_backend
from autocron.shell.launch import Launcher, getting_ready
from autocron.shell.local import KeptStore
from autocron.shell.mode import WORKER_VARIABLE, Mode, Process, decide
from autocron.shell.moved import check_not_moved
from autocron.shell.nameless import warn_of_nameless
from autocron.shell.ownership import RunFolder, Share, holder, is_shared
from autocron.shell.paths import database_path
from autocron.shell.printable_log import make_log_printable
from autocron.shell.remote import is_url, shown
from autocron.shell.served import Served, alone
from autocron.shell.terms import Terms

if TYPE_CHECKING:
    from autocron.app import App

logger = logging.getLogger("autocron")

S = TypeVar("S")

STOP_PATIENCE_SECONDS = 10.0
_shares: weakref.WeakSet[Share] = weakref.WeakSet()
_hooked: List[bool] = []


class AppService:
    """The service of one process: the engine that takes its calls, and its share."""

    def __init__(self, app: App, folder: RunFolder, kind: Kind, store: KeptStore) -> None:
        self.clock = kind.clock
        self._app = app
        self._folder = folder
        self._kind = kind
        self._served = Served(folder)
        self._waker = CallWaker(folder, self.clock)
        self.backend = stored_backend(kind, store, waker=self._waker, observer=app.hooks)
        self.is_serving = False
        self._share: Optional[Share] = None
        self._is_stopped = False

    # -- what the App asks --------------------------------------------------------------------

    def matches(self, database: Union[str, os.PathLike[str]]) -> bool:
        """Tell whether a further ``start()`` is the same again; see :class:`autocron.app.Service`.

        Raises:
            StartError: It names another database.
        """
        path = database_path(database, make_folder=False)
        if path != self._folder.database and not self._is_stopped:
            raise StartError(
                f"autocron is started with {self._kind.shown!r} in this process, and can not "
                f"also be started with {_shown(database, path)!r}: one application has one database"
            )
        return self._share is not None and path == self._folder.database

    def announce(self) -> None:
        """Make known what has been decorated up to now, by one write."""
        _add_modules(self.backend.store, self._served, self._app.registry.modules())
        self.backend.declare(self._app.declared(self.clock.now()))
        self._waker.tell_supervisor()

    def look_after(self) -> None:
        """Have all started again that were killed since the call; else it would be for ever."""
        self._waker.look_after()

    def check_wait(self, what: str, status: str) -> None:
        """Workers run it meanwhile."""

    def stop(self) -> None:
        """Give up the share; the last process waits until the workers are gone."""
        self._is_stopped = True
        if self._share is None:
            return
        self._share.release()
        self._share = None
        self.is_serving = self._waker.may_launch = False
        deadline = self.clock.monotonic() + self._patience_seconds()
        while not is_shared(self._folder.application) and is_anyone_alive(self._folder):
            if self.clock.monotonic() > deadline:
                logger.warning("workers of %s are still ending", self._kind.shown)
                return
            time.sleep(0.02)

    def _patience_seconds(self) -> float:
        try:
            settings = Settings.read(self.backend.store.settings())
            application = self._served.application
        except AutocronError:
            application = None
        if application is None:
            return STOP_PATIENCE_SECONDS
        stop_grace = Terms.of(application, settings).stop_grace
        return max(STOP_PATIENCE_SECONDS, stop_grace + STOP_PATIENCE_SECONDS / 2)

    # -- serving ------------------------------------------------------------------------------

    def take_share(self) -> None:
        """Take a share in the application."""
        self._share = Share(self._folder.application)
        _shares.add(self._share)
        if not _hooked:
            os.register_at_fork(after_in_child=_renew_shares)
            _hooked.append(True)

    def serve(self, launcher: Optional[Launcher]) -> None:
        """Have a supervisor; after the share was taken."""
        self.is_serving = self._waker.may_launch = True
        self._waker.have_supervisor(launcher)


def _renew_shares() -> None:
    for share in _shares:
        share.renew()


def is_anyone_alive(folder: RunFolder) -> bool:
    """Tell whether a supervisor or a worker of a database lives."""
    return holder(folder.supervisor) is not None or any(
        holder(folder.worker(name)) is not None for name in folder.workers()
    )


def _shown(database: object, path: str) -> str:
    return shown(str(database)) if is_url(database) else path


def start_service(
    app: App,
    database: Union[str, os.PathLike[str]],
    *,
    caller: Mapping[str, Any],
    workers: Union[int, Mapping[str, int], None],
    tz: Optional[str],
    serializer: str,
    durability: str,
    terms: Mapping[str, Optional[float]],
) -> Optional[AppService]:
    """Do what :meth:`autocron.app.App.start` says; None is "in place".

    Arguments and errors are those of ``start``; ``caller`` holds the global names of its caller,
    and ``terms`` those arguments that say when workers are replaced, and how they leave.
    """
    wanted = check_options(workers, serializer, durability, terms)
    make_log_printable()
    path = database_path(database, make_folder=False)
    decision = decide(path, wanted, Process(sys.argv, os.environ, sys.modules))
    if decision.mode is Mode.IN_PLACE:
        app.default_zone, app.serializer = tz or app.default_zone, serializer
        logger.info("calls run here at once, nothing is stored: %s", decision.reason)
        return None
    path = database_path(database)
    app.check_reachable()
    kind = prepared(database, path)
    folder = RunFolder(path)
    with getting_ready(folder, decision.mode is Mode.SERVE) as launcher:
        app.get_ready(serializer)
        store = opened(kind, durability)
        if Settings.read(store.settings()).autocron_lock:
            store.close()
            app.default_zone, app.serializer = tz or app.default_zone, serializer
            logger.info(
                "calls run here at once, in place: %s is locked (--set-autocron-lock on)",
                kind.shown,
            )
            return None
        folder.make()
        service = AppService(app, folder, kind, store)
        if decision.mode is Mode.ATTACH:
            if os.environ.get(WORKER_VARIABLE) != path:
                attached = Attached(
                    serializer, tz or app.zone_name, files_of(app.registry.modules())
                )
                try:
                    _agree(kind, folder, attached, app.system_zone_name)
                except AutocronError:
                    store.close()
                    raise
            app.default_zone, app.serializer = tz or app.default_zone, serializer
            Served(folder).touch()
            service.announce()
            logger.info(
                "attached to %s: calls are stored, and no workers are started here: %s",
                kind.shown,
                decision.reason,
            )
            return service
        application = describe(
            caller,
            app.registry.modules(),
            serializer=serializer,
            durability=durability,
            tz=tz or app.zone_name,
            workers=wanted,
            terms=terms,
        )
        if application.main_file is not None:
            from autocron.shell.main_script import warn_if_unguarded  # It takes a parser.

            warn_if_unguarded(application.main_file)
        warn_of_nameless(app.registry.modules(), application.main_name)
        try:
            begin_service(kind, store, folder, application, service.take_share)
        except AutocronError:
            service.stop()
            store.close()
            raise
        app.default_zone, app.serializer = tz or app.default_zone, serializer
        service.announce()
        service.serve(launcher)
        logger.info("serving %s: calls run in worker processes: %s", kind.shown, decision.reason)
        return service


def _agree(kind: Kind, folder: RunFolder, attached: Attached, default_tz: str) -> None:
    """Check a process that attaches against the application that is being served, if one is."""
    served = Served(folder).application
    if served is None or not is_shared(folder.application):
        return
    for warning in check_agreement(kind.shown, attached, served, default_tz):
        logger.warning("%s: %s", kind.shown, warning)


def begin_service(
    kind: Kind,
    store: KeptStore,
    folder: RunFolder,
    application: Application,
    take_share: Callable[[], S],
    modules: Collection[str] = (),
) -> S:
    """Write down which application is served, and take a share in it.

    Arguments:
        kind: The database.
        store: Its store.
        folder: Its run folder.
        application: The application.
        take_share: Takes the share.
        modules: Modules that its workers are to import.

    Returns:
        The share.

    Raises:
        StartError: Another application is being served, or the database was moved just now.
    """
    with alone(store):
        # Who moves it looks for shares in a transaction, too.
        check_not_moved(store.settings(), kind.shown)
        # The first one begins a period of service, for all.
        is_served = is_shared(folder.application)
        served = Served(folder)
        _register(kind, served, application, is_served)
        if not (is_served or any(not host.is_this for host in kind.hosts(store))):
            store.put_settings({SERVICE: new_id()})
        _add_modules(store, served, modules)
        return take_share()


def _add_modules(store: KeptStore, served: Served, modules: Collection[str]) -> None:
    with alone(store):
        application, known = served.read()
        if application is not None and not set(known).issuperset(modules):
            served.write(application, {*known, *modules})


def _register(kind: Kind, served: Served, application: Application, is_served: bool) -> None:
    """Write down which application this is; refuse if another one is being served."""
    known, modules = served.read()
    is_same = known is not None and known.is_same_as(application)
    if known is not None and is_served and not is_same:
        raise StartError(
            f"{kind.shown!r} is in use by another application, in {known.root!r}; this one is "
            f"in {application.root!r}: give each its own database"
        )
    if known is not None and is_same and is_served:
        for difference in differences(application, known):
            logger.warning("%s: %s", kind.shown, difference)
    if known is not None and is_same and application.main_name is None:
        # Another process of the same application may have tasks in its main script.
        application = changed(application, main_name=known.main_name, main_file=known.main_file)
    # Whatever another application has left behind is not importable here.
    served.write(application, modules if is_same else ())


def check_options(
    workers: object, serializer: object, durability: object, terms: Mapping[str, Any]
) -> Optional[Workers]:
    """Check what ``start()`` was given; return the workers that are wanted."""
    try:
        wanted = None if workers is None else check_workers(workers)
        for name, value in terms.items():
            if value is not None:
                check_number(name, value)
    except InvalidWorkers as error:
        raise StartError(f"workers: {error}") from None
    except InvalidSetting as error:
        raise StartError(str(error)) from None
    if serializer not in ("json", "pickle"):
        raise StartError(f"serializer: {serializer!r} is not one of json, pickle")
    if durability not in ("full", "normal"):
        raise StartError(f"durability: {durability!r} is not one of full, normal")
    return wanted
