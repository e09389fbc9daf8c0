"""The workers of a supervisor: hired, heard, replaced, dismissed and buried."""

from __future__ import annotations

import logging
import signal
import socket
from typing import Any, Callable, Collection, Dict, List, Mapping, Optional, Sequence, Tuple

from autocron.core.task import Task
from autocron.core.workforce import Group
from autocron.shell.application import Application
from autocron.shell.channel import FINISH, LOOK, STOP, Channel
from autocron.shell.clock import SystemClock
from autocron.shell.launch import Recruit, spawn_worker
from autocron.shell.member import CUT_SECONDS, Gone, Limit, Member
from autocron.shell.news import News
from autocron.shell.ownership import RunFolder, remove
from autocron.shell.served import fingerprint
from autocron.shell.terms import Terms

logger = logging.getLogger("autocron")

# A worker whose Python is stuck in C code can not leave by itself; it is ended so long after its
# grace.
_KILL_MARGIN_SECONDS = 1.5
# An import that takes longer is worth a word: perhaps it never ends.
LATE_SECONDS = 15.0
# If nobody is ready yet, the first one has the processors to itself: so work begins sooner, and if
# the application can not be imported, one process has found out and not all of them.
_HEAD_START_SECONDS = 5.0
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 0.5, 30.0


class Crew:
    """Keeps as many workers alive as are wanted, all with the current code.

    Arguments:
        folder: The run folder of the database.
        clock: Measures graces and rests.
        wake: The socket on which the workers are woken.
        news: What the hooks of the application are to be told by a worker.
        draw_name: Draws the name of a new worker.
        recruits: Workers that are started already; the first ones to be hired.
    """

    def __init__(
        self,
        folder: RunFolder,
        clock: SystemClock,
        wake: socket.socket,
        news: News,
        draw_name: Callable[[], str],
        recruits: Sequence[Recruit] = (),
    ) -> None:
        self._folder = folder
        self._recruits = list(recruits)
        self._draw_name = draw_name
        self._news = news
        self._clock = clock
        self._wake = wake
        self._members: List[Member] = []
        self._application: Optional[Application] = None
        self._terms = Terms()
        # Queues -> how many workers for them.
        self._wanted: Dict[Optional[Tuple[str, ...]], int] = {}
        # Consecutive workers that died before they were ready; they rest longer each time.
        self._stillborn = 0
        self._rest_until: Optional[float] = None
        self._head_start_until: Optional[float] = None
        # Whether a worker has imported the application, and so declared the schedules that its
        # code has now; or has taken so long that one must not wait for that.
        self.has_declared = False
        # What the latest one could not import; None before the first has told.
        self.broken: Optional[Collection[str]] = None

    # -- who is wanted --------------------------------------------------------------------------

    def serve(self, application: Application, wanted: Sequence[Group], terms: Terms) -> None:
        """Serve an application with so many workers; replace those that have other code.

        Replaced workers first end the task in hand; the new ones begin at once.

        Arguments:
            application: The application.
            wanted: How many workers, for which queues.
            terms: When they are replaced, and how long they have to leave.
        """
        before, self._application = self._application, application
        is_other = before is not None and not before.runs_like(application)
        if is_other or self._has_changed_files():
            logger.info("the code has changed: workers are replaced")
            self._stillborn, self._rest_until = 0, None
            for member in self._active():
                self._let_go(member, FINISH)
        self._wanted = {group.queues: group.size for group in wanted}
        for queues in {member.queues for member in self._active()}:
            for member in self._active(queues)[self._wanted.get(queues, 0) :]:
                self._let_go(member, FINISH)
        if terms != self._terms:
            self._terms = terms
            for member in self._members:
                member.channel.send(do=LOOK, terms=terms.told())

    def look(self, other_than: Optional[Member] = None) -> None:
        """Let the workers look again, at the settings and for work."""
        for member in self._active():
            if member is not other_than:
                member.channel.send(do=LOOK)

    def _has_changed_files(self) -> bool:
        known: Dict[str, Optional[Sequence[int]]] = {}
        for member in self._active():
            known.update(member.files)
        return any(
            list(fingerprint(path) or ()) != list(before or ()) for path, before in known.items()
        )

    def keep_up(self) -> None:
        """Hire workers until there are as many as wanted; the first one has a head start."""
        if self._application is None:
            return
        if self._rest_until is not None and self._clock.monotonic() >= self._rest_until:
            self._rest_until = None
        for queues, size in self._wanted.items():
            while self._may_hire() and len(self._active(queues)) < size:
                self._hire(self._application, queues)
        if self._recruits and self._may_hire():
            # There are enough.
            self._dismiss_recruits()

    def _may_hire(self) -> bool:
        if self._head_start_until is not None:
            now, members = self._clock.monotonic(), self._active()
            if members and not any(m.is_ready for m in members) and now < self._head_start_until:
                return False
            self._head_start_until = None
        return self._rest_until is None

    def _hire(self, application: Application, queues: Optional[Tuple[str, ...]]) -> None:
        recruit = self._recruits.pop(0) if self._recruits else None
        if recruit is not None and recruit.executable != application.executable:
            recruit.dismiss()
            recruit = None
        try:
            hired = recruit or spawn_worker(
                application.executable, self._folder.database, self._draw_name(), self._wake
            )
        except OSError as error:
            self._rest(f"a worker could not be started: {error}")
            return
        channel = Channel(hired.connection)
        channel.send(application=application.to_json(), queues=queues, terms=self._terms.told())
        hired.connection.setblocking(False)
        member = Member(hired.name, queues, hired.process, channel)
        now = self._clock.monotonic()
        member.late_at = now + LATE_SECONDS
        if not self._active():
            self._head_start_until = now + _HEAD_START_SECONDS
        self._members.append(member)

    def _rest(self, why: str) -> None:
        rest_seconds = min(_FIRST_REST_SECONDS * 2**self._stillborn, _LONGEST_REST_SECONDS)
        self._stillborn += 1
        self._rest_until = self._clock.monotonic() + rest_seconds
        logger.error("%s; the next try is in %g seconds", why, rest_seconds)

    # -- hearing and ending ---------------------------------------------------------------------

    def channels(self) -> List[Channel]:
        """Return the channels to listen to."""
        return [member.channel for member in self._members if member.channel.is_open]

    def hear(self, ready: Sequence[Any]) -> None:
        """Read what workers have said."""
        for member in self._members:
            if member.channel in ready:
                for message in member.channel.receive():
                    try:
                        self._heed(member, message)
                    except (LookupError, TypeError, ValueError) as error:
                        # A task has written into the channel, by whatever mistake.
                        logger.error("worker %s has said nonsense: %s", member.name, error)

    def _heed(self, member: Member, message: Mapping[str, Any]) -> None:
        if "hooks" in message:
            member.hooks = frozenset(message["hooks"])
        if "files" in message:
            member.is_ready, member.late_at = True, None
            self.has_declared = True
            member.files.update(message["files"])
            self.broken = message["broken"]
            self._stillborn = 0
        elif "begins" in message:
            at = self._clock.monotonic() + message["seconds"] + CUT_SECONDS
            member.limit = Limit(message["begins"], message["attempt"], at)
        elif "ends" in message:
            member.limit = None
        elif "told" in message:
            member.untold.popleft()
        elif "passes" in message:
            # A wake-up has come to a worker that has not the queues for what there is to do.
            self.look(other_than=member)

    def buried(self) -> List[Gone]:
        """Take leave of the workers that have ended; also ends those whose grace is over."""
        now = self._clock.monotonic()
        gone = []
        for member in list(self._members):
            if member.kill_at is not None and now >= member.kill_at and not member.was_killed:
                member.was_killed = True
                member.process.send_signal(signal.SIGKILL)
            code = member.process.poll()
            if code is None:
                self._say_if_late(member, now)
                continue
            self.hear([member.channel])
            member.channel.close()
            self._members.remove(member)
            if not member.is_ready and not member.is_leaving:
                self._rest(f"a worker ended with exit code {code} before it was ready")
            self._news.take_back(member)
            gone.append(member.gone)
            remove(self._folder.worker(member.name))
        return gone

    def _say_if_late(self, member: Member, now: float) -> None:
        if member.late_at is not None and now >= member.late_at:
            member.late_at = None
            self.has_declared = True
            logger.warning(
                "a worker (pid %d) has been importing the application for %g seconds; if its main "
                "script starts a server when it is imported, put that under "
                "\"if __name__ == '__main__':\"",
                member.process.pid,
                LATE_SECONDS,
            )

    def pass_news(self, busy: Collection[str]) -> None:
        """Have the hooks told what has happened; see :class:`autocron.shell.news.News`."""
        self._news.pass_on(self._members, busy)

    def cut_short(self, task: Task, has_begun: bool) -> None:
        """Have a running task ended that somebody has cancelled; it may be told again.

        Arguments:
            task: The task.
            has_begun: False if it is claimed behind another one: then it is only given back.
        """
        for member in self._members:
            if member.name == task.worker:
                at = self._clock.monotonic() + CUT_SECONDS if has_begun else None
                member.cut_short(task, at)

    def end_late(self, is_held: Callable[[str, Limit], bool]) -> None:
        """End the workers that have not ended a task in time.

        Arguments:
            is_held: Tells whether a worker still holds it.
        """
        now = self._clock.monotonic()
        # What they have said meanwhile comes first.
        self.hear([member.channel for member in self._members if member.is_late(now)])
        for member in self._members:
            if member.limit is not None and member.is_late(now):
                if is_held(member.name, member.limit):
                    member.end()
                else:
                    member.limit = None

    def knows(self, name: str) -> bool:
        """Tell whether a worker is one of ours and has not been buried."""
        is_recruit = any(recruit.name == name for recruit in self._recruits)
        return is_recruit or any(member.name == name for member in self._members)

    def next_seconds(self) -> Optional[float]:
        """Return the seconds until there is something to do unasked, or None."""
        times = [self._rest_until, self._head_start_until]
        times += [member.late_at for member in self._members]
        times += [member.kill_at for member in self._members if not member.was_killed]
        times += [member.limit.at for member in self._members if member.limit is not None]
        known = [at for at in times if at is not None]
        return min(known) - self._clock.monotonic() if known else None

    def dismiss(self) -> None:
        """Tell all workers to leave within their grace."""
        self._wanted = {}
        # Nobody is hired when that is over.
        self._rest_until = self._head_start_until = None
        self._dismiss_recruits()
        for member in self._members:
            if member.is_dismissed:
                continue
            self._let_go(member, STOP)
            member.is_dismissed = True
            member.kill_at = self._clock.monotonic() + self.leaving_seconds

    def _dismiss_recruits(self) -> None:
        while self._recruits:
            self._recruits.pop().dismiss()

    def hurry(self) -> bool:
        """End all workers at once; tell whether there was one to end."""
        living = [member for member in self._members if not member.was_killed]
        for member in living:
            member.was_killed = True
            member.process.send_signal(signal.SIGKILL)
        return bool(living)

    @property
    def pids(self) -> List[int]:
        """The process ids of the workers that have not been buried."""
        return [member.process.pid for member in self._members]

    @property
    def stop_grace(self) -> float:
        """How many seconds tasks in hand have when workers are told to leave."""
        return self._terms.stop_grace

    @property
    def leaving_seconds(self) -> float:
        """How long a worker that is told to leave may take."""
        return self._terms.stop_grace + _KILL_MARGIN_SECONDS

    def is_anyone_left(self) -> bool:
        """Tell whether a worker has not ended."""
        return bool(self._members)

    def _let_go(self, member: Member, how: str) -> None:
        member.is_leaving = True
        member.channel.send(do=how)

    def _active(self, *queues: Optional[Tuple[str, ...]]) -> List[Member]:
        """Return the workers that are to stay: all of them, or those for the given queues."""
        return [
            member
            for member in self._members
            if not member.is_leaving and (not queues or member.queues in queues)
        ]
