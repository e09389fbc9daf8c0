"""Wakes a worker after a call; where all are gone, it has them started again."""

from __future__ import annotations

import logging
import math
from typing import Optional

from autocron.core.errors import AutocronError
from autocron.ports import Clock
from autocron.shell.launch import Launcher, launch_supervisor
from autocron.shell.ownership import RunFolder, holder
from autocron.shell.wakeup import Sender, Sent

logger = logging.getLogger("autocron")

# Where supervisors do not come to listen, however often one is launched, calls must not spend
# their time on launching.
_FUTILE_LAUNCHES = 3
_LAUNCH_PAUSE_SECONDS = 2.0
# A worker that is stuck in C code when its supervisor is killed can start no other, while it still
# listens; and who waits for a result may have all killed meanwhile. So calls and waiting callers
# look after the supervisor, but not each of them each time.
_LOOK_PAUSE_SECONDS = 2.0


class CallWaker:
    """Wakes a worker after a call; if nobody listens, all were killed, and are started again."""

    def __init__(self, folder: RunFolder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._worker = Sender(folder.wake)
        self._supervisor = Sender(folder.control)
        self._launched_at: Optional[float] = None
        self._looked_at = -math.inf
        self._futile = 0
        self.may_launch = False

    def wake(self) -> None:
        """Wake a worker; see :class:`autocron.ports.Waker`."""
        sent = self._worker.send()
        if sent is Sent.YES:
            self._futile = 0
            self.look_after()
        elif sent is Sent.NOBODY and self.may_launch:
            self._launch()

    def look_after(self) -> None:
        """Launch a supervisor if there is none; mostly it was looked at not long ago, though."""
        now = self._clock.monotonic()
        if self.may_launch and now - self._looked_at >= _LOOK_PAUSE_SECONDS:
            self._looked_at = now
            self._launch()

    def wake_supervisor(self) -> None:
        """Let the supervisor look around; see :class:`autocron.ports.Waker`."""
        self.tell_supervisor()

    def tell_supervisor(self) -> Sent:
        """Let the supervisor look at the application and the settings."""
        return self._supervisor.send()

    def have_supervisor(self, launcher: Optional[Launcher]) -> None:
        """Tell the supervisor that this process is here, launching one if none listens.

        Arguments:
            launcher: One that is ready, if there is one.
        """
        if self.tell_supervisor() is not Sent.YES:
            self._launch(launcher)

    def _launch(self, launcher: Optional[Launcher] = None) -> None:
        try:
            self._launch_unless_held(launcher)
        except (OSError, AutocronError) as error:
            # The call is stored; a later call, or start(), tries again.
            logger.error("the workers could not be started: %s", error)

    def _launch_unless_held(self, launcher: Optional[Launcher]) -> None:
        if holder(self._folder.supervisor) is not None:
            # One that does not listen yet will see what is stored; one that does not listen any
            # more will see our share, and stay.
            return
        now = self._clock.monotonic()
        if self._launched_at is None or now - self._launched_at >= _LAUNCH_PAUSE_SECONDS:
            self._futile = 0
        if self._futile >= _FUTILE_LAUNCHES:
            return
        self._futile += 1
        self._launched_at = now
        if launcher is not None:
            launcher.go()
        else:
            launch_supervisor(self._folder.database)
