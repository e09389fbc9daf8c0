"""Lives of sites, side by side, each in steps; so that one wait for the next minute serves all.

A step that fails ends its life; the tests of the later steps say so.
"""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, Dict, List, Tuple

from tests.frameworks.site import Site, ancestors_of, listening_sockets, sockets_of
from tests.processes.world import eventually

LATER = "do this later"
CRON = "action from the cron job"
# What the functions of the examples take, at the least; an answer takes less.
_TASK_SECONDS = 2.0
# So many tasks are not all done while a server ends. They are asked for at once, for if one answer
# took as long as a task, none would ever wait.
_PENDING = 8
_AT_ONCE = 6
_BATCHES = 5


class Life:
    """What one site goes through, from the first request to the last."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._requests = 0

    # -- the steps, in their order --------------------------------------------------------------

    def answers_at_once(self) -> None:
        """The response is immediate and says that the result is waiting."""
        self.site.start()
        self._request_when_ready()
        # In place it would never be; and else not always, on a busy machine.
        eventually(self._is_answered_before_a_task_could_end, "an answer without delay")

    def _is_answered_before_a_task_could_end(self) -> bool:
        before = time.monotonic()
        self._request()
        return time.monotonic() - before < _TASK_SECONDS

    def runs_once_elsewhere(self) -> None:
        """Each call runs once, in a process that has nothing of the server's."""
        site = self.site
        worker = eventually(self._running_in, "a worker runs the task")
        servers = site.servers()
        assert worker not in servers
        assert not ancestors_of(worker) & {*servers}
        listening = listening_sockets(site.port)
        assert listening & sockets_of(servers)
        assert not listening & sockets_of(site.background())
        self._await_all_done()
        # One supervisor and one worker, however many processes the server has.
        assert sorted(site.background()) == sorted([worker, site.supervisor or 0])

    def _running_in(self) -> int:
        for task in self.site.tasks("do_this_later"):
            if task.worker is not None:
                for pid in self.site.workers:
                    return pid
        return 0

    def fires_once_a_minute(self) -> None:
        """The cron task runs once a minute."""
        eventually(self._has_fired, "the next minute", seconds=90, pause=0.2)
        (task,) = self.site.tasks("cronjob")
        assert task.occurrence_at is not None
        assert (task.occurrence_at.second, task.occurrence_at.microsecond) == (0, 0)
        assert task.attempt == 1
        assert self.site.times_said(CRON) == 1

    def _has_fired(self) -> bool:
        return [task.state.value for task in self.site.tasks("cronjob")] == ["succeeded"]

    def ends_by_sigterm(self) -> None:
        """SIGTERM to the server leaves no process behind, and what is not done is not lost."""
        self._leave_many_pending()
        self.site.signal(signal.SIGTERM)
        self.site.await_end()
        self._assert_pending()

    def runs_what_was_pending(self) -> None:
        """After a restart what was pending runs, though nobody asks for a page."""
        self.site.start()
        self._await_all_done()

    def ends_by_sigkill(self) -> None:
        """SIGKILL to the server leaves no process behind, and what is not done is not lost."""
        self._leave_many_pending()
        self.site.signal(signal.SIGKILL, group=True)
        self.site.await_end()
        self._assert_pending()
        self.site.start()
        self._await_all_done()

    def ends_by_sigint(self) -> None:
        """SIGINT, as a terminal sends it, leaves no process behind."""
        self._request_when_ready()
        self.site.signal(signal.SIGINT, group=True)
        self.site.await_end()

    def fired_no_minute_twice(self) -> None:
        """Also across the restarts no occurrence has two runs."""
        occurrences = [task.occurrence_at for task in self.site.tasks("cronjob")]
        assert len(occurrences) == len(set(occurrences))
        assert self.site.times_said(CRON) <= len(occurrences)

    def calls_in_place_when_locked(self) -> None:
        """With the lock on nothing is started, and the call runs in place."""
        site = self.site
        site.call("autocron", site.plan.database, "--set-autocron-lock", "on")
        stored, printed = len(site.tasks("do_this_later")), site.times_said(LATER)
        site.start()
        before = time.monotonic()
        assert site.get_when_ready().endswith("TaskResult is waiting: False")
        assert time.monotonic() - before >= _TASK_SECONDS
        assert site.background() == []
        assert len(site.tasks("do_this_later")) == stored
        eventually(lambda: site.times_said(LATER) == printed + 1, "the server prints it itself")
        site.signal(signal.SIGTERM)
        site.await_end()

    STEPS: Tuple[Callable[[Life], None], ...] = (
        answers_at_once,
        runs_once_elsewhere,
        fires_once_a_minute,
        ends_by_sigterm,
        runs_what_was_pending,
        ends_by_sigkill,
        ends_by_sigint,
        fired_no_minute_twice,
        calls_in_place_when_locked,
    )

    # -- what they have in common ---------------------------------------------------------------

    def _request(self) -> None:
        assert self.site.get().endswith("TaskResult is waiting: True")
        self._requests += 1

    def _request_when_ready(self) -> None:
        """Ask for the first page after a start; nothing is answered before the server is ready."""
        assert self.site.get_when_ready().endswith("TaskResult is waiting: True")
        self._requests = len(self.site.tasks("do_this_later"))

    def _await_all_done(self) -> None:
        for task in self.site.await_succeeded("do_this_later", self._requests):
            assert (task.attempt, task.deaths) == (1, 0), task

    def _leave_many_pending(self) -> None:
        self._request_when_ready()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in range(_BATCHES):
                for asked in [pool.submit(self._request) for _ in range(_AT_ONCE)]:
                    asked.result()
                if self._states().count("waiting") >= _PENDING:
                    break
        self._requests = len(self._states())

    def _assert_pending(self) -> None:
        states = self._states()
        assert len(states) == self._requests
        assert "waiting" in states
        assert "running" not in states

    def _states(self) -> List[str]:
        return [task.state.value for task in self.site.tasks("do_this_later")]


class LivesAtOnce:
    """Lets sites live side by side, and tells what became of each step.

    Arguments:
        sites: The sites by name.
    """

    def __init__(self, sites: Dict[str, Site]) -> None:
        self._steps: Dict[Tuple[str, str], Future[None]] = {
            (name, step.__name__): Future() for name in sites for step in Life.STEPS
        }
        self._sites: List[Site] = []
        self._threads: List[threading.Thread] = []
        for name, site in sites.items():
            thread = threading.Thread(target=self._live, args=(name, site), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _live(self, name: str, site: Site) -> None:
        life = Life(site)
        failed = ""
        self._sites.append(site)
        for step in Life.STEPS:
            future = self._steps[name, step.__name__]
            if failed:
                future.set_exception(AssertionError(f"not reached, since {failed} has failed"))
                continue
            try:
                step(life)
            except BaseException as error:
                failed = step.__name__
                said = AssertionError(f"{name}: {error!r}\n--- its log:\n{site.said()}")
                said.__cause__ = error
                future.set_exception(said)
            else:
                future.set_result(None)
        site.close()

    def close(self) -> None:
        """End what is left, should nobody have waited for all of them."""
        for site in self._sites:
            site.close()

    def await_step(self, name: str, step: Callable[[Life], None]) -> None:
        """Wait for a step of a site's life; fail if it has."""
        self._steps[name, step.__name__].result(timeout=600)
