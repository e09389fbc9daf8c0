"""A function is ended from outside only while it runs, and its result is never lost for that."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import signal
import threading
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from autocron.core.errors import TaskCancelled, TaskTimeout
from autocron.core.policy import Policy
from autocron.core.task import Message, Task, new_task
from autocron.shell.clock import SystemClock
from autocron.shell.interrupt import Interrupter

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
FOREVER_SECONDS = 60.0


def a_task(timeout: Optional[float] = None, name: str = "a") -> Task:
    message = Message("m:f", "[[], {}]", policy=Policy(timeout_seconds=timeout))
    return replace(new_task(message, name, NOW), attempt=1)


class Bench:
    """An interrupter, and what it has told."""

    def __init__(self) -> None:
        self.told: List[Dict[str, Any]] = []
        self.interrupter = Interrupter(SystemClock(), lambda **told: self.told.append(told))
        self.interrupter.listen()

    def call(self, function: Callable[..., Any], timeout: Optional[float] = None) -> Any:
        return self.interrupter.call(a_task(timeout), function, (), {})

    def cut_short_soon(self, is_begun: Callable[[], bool]) -> threading.Thread:
        """Cut the task short, from another thread, once it has begun."""

        def cut() -> None:
            while not is_begun():
                time.sleep(0.001)
            self.interrupter.cut_short("a", 1)

        thread = threading.Thread(target=cut)
        thread.start()
        return thread


@pytest.fixture
def bench() -> Iterator[Bench]:
    before = signal.getsignal(signal.SIGALRM)
    yield Bench()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    signal.signal(signal.SIGALRM, before)


# -- what it interrupts ------------------------------------------------------


def sleeps() -> None:
    time.sleep(FOREVER_SECONDS)


def computes() -> None:
    until = time.monotonic() + FOREVER_SECONDS
    while time.monotonic() < until:
        pass


def waits_for_a_queue() -> None:
    queued: queue.Queue[None] = queue.Queue()
    queued.get()


def waits_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def reads_a_pipe() -> None:
    reader, _ = os.pipe()
    os.read(reader, 1)


async def awaits() -> None:
    await asyncio.sleep(FOREVER_SECONDS)


async def awaits_several() -> None:
    await asyncio.gather(asyncio.sleep(FOREVER_SECONDS), asyncio.sleep(FOREVER_SECONDS))


async def awaits_nothing_again_and_again() -> None:
    while True:
        await asyncio.sleep(0)


async def sleeps_in_a_coroutine() -> None:
    time.sleep(FOREVER_SECONDS)


async def computes_in_a_coroutine() -> None:
    computes()


BUSY = [
    sleeps,
    computes,
    waits_for_a_queue,
    waits_for_a_lock,
    reads_a_pipe,
    awaits,
    awaits_several,
    awaits_nothing_again_and_again,
    sleeps_in_a_coroutine,
    computes_in_a_coroutine,
]


@pytest.mark.parametrize("function", BUSY)
def test_a_timeout_is_raised_in_whatever_the_function_does(
    bench: Bench, function: Callable[..., Any]
) -> None:
    began = time.monotonic()
    with pytest.raises(TaskTimeout, match=r"it did not end within 0\.05 seconds"):
        bench.call(function, timeout=0.05)
    assert 0.04 < time.monotonic() - began < FOREVER_SECONDS / 2
    assert bench.told == [{"begins": "a", "attempt": 1, "seconds": 0.05}, {"ends": "a"}]


@pytest.mark.parametrize("function", BUSY)
def test_so_is_a_cancel(bench: Bench, function: Callable[..., Any]) -> None:
    begun: List[bool] = []
    is_async = asyncio.iscoroutinefunction(function)

    async def in_loop() -> None:
        begun.append(True)
        await function()

    def plainly() -> None:
        begun.append(True)
        function()

    thread = bench.cut_short_soon(lambda: bool(begun))
    with pytest.raises(TaskCancelled):
        bench.call(in_loop if is_async else plainly)
    thread.join()
    # A plain task tells nothing unless it was cut short.
    assert bench.told == [{"ends": "a"}]


def test_a_coroutine_sees_the_timeout_where_it_awaits_and_may_clean_up(bench: Bench) -> None:
    seen: List[BaseException] = []

    async def cleans_up() -> None:
        try:
            await asyncio.sleep(FOREVER_SECONDS)
        except TaskTimeout as error:
            seen.append(error)
            await asyncio.sleep(0)
            raise

    with pytest.raises(TaskTimeout):
        bench.call(cleans_up, timeout=0.02)
    assert len(seen) == 1


def test_a_coroutine_that_is_cancelled_by_its_own_code_sees_that(bench: Bench) -> None:
    async def gives_up() -> str:
        try:
            await asyncio.wait_for(asyncio.sleep(FOREVER_SECONDS), 0.01)
        except asyncio.TimeoutError:
            return "gave up"
        return "never"

    assert bench.call(gives_up, timeout=FOREVER_SECONDS) == "gave up"


# -- what it leaves alone ------------------------------------------------------


def test_a_function_that_ends_in_time_is_left_alone(bench: Bench) -> None:
    assert bench.call(lambda: 7, timeout=FOREVER_SECONDS) == 7

    async def eight() -> int:
        await asyncio.sleep(0)
        return 8

    assert bench.call(eight, timeout=FOREVER_SECONDS) == 8


def test_a_plain_task_tells_nobody_and_sets_no_timer(bench: Bench) -> None:
    assert bench.call(lambda: signal.getitimer(signal.ITIMER_REAL)) == (0.0, 0.0)
    assert bench.told == []


def test_whoever_catches_it_is_not_told_twice(bench: Bench) -> None:
    """What has not ended a grace later is ended by the supervisor."""

    def goes_on() -> str:
        try:
            time.sleep(FOREVER_SECONDS)
        except TaskTimeout:
            time.sleep(0.05)
        return "done"

    assert bench.call(goes_on, timeout=0.01) == "done"


def test_a_result_is_kept_or_the_time_was_over_and_nothing_in_between(bench: Bench) -> None:
    """The signal comes at every moment about the end of the function."""
    found: Dict[str, int] = {"returned": 0, "timed out": 0}
    marks: List[int] = []

    def works(number: int, seconds: float) -> int:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        marks.append(number)
        return number

    for number in range(600):
        seconds = 0.0008 + number % 20 * 0.00002
        marks.clear()
        try:
            value = bench.interrupter.call(a_task(0.001, str(number)), works, (number, seconds), {})
        except TaskTimeout:
            found["timed out"] += 1
        else:
            assert value == number
            assert marks == [number]
            found["returned"] += 1
    assert len(bench.told) == 1200
    assert min(found.values()) > 0, found


def test_a_late_signal_does_nothing(bench: Bench) -> None:
    bench.call(lambda: None, timeout=FOREVER_SECONDS)
    os.kill(os.getpid(), signal.SIGALRM)
    bench.interrupter.cut_short("a", 1)
    assert bench.interrupter.call(a_task(name="b"), lambda: 7, (), {}) == 7


def test_an_attempt_that_was_cancelled_before_it_began_does_not_begin(bench: Bench) -> None:
    begun: List[bool] = []
    bench.interrupter.cut_short("a", 1)
    with pytest.raises(TaskCancelled):
        bench.call(lambda: begun.append(True))
    assert begun == []
    # The next attempt of the same task is another one.
    again = replace(a_task(), attempt=2)
    assert bench.interrupter.call(again, lambda: 7, (), {}) == 7


def test_what_is_being_logged_is_logged_to_its_end(bench: Bench) -> None:
    """A handler that is left half done would keep its lock."""
    written: List[str] = []

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            until = time.monotonic() + 0.1
            while time.monotonic() < until:
                pass
            written.append(record.getMessage())

    log = logging.getLogger("test_interrupt")
    log.addHandler(Slow())
    log.propagate = False

    def logs() -> None:
        log.warning("whole")
        time.sleep(FOREVER_SECONDS)

    with pytest.raises(TaskTimeout):
        bench.call(logs, timeout=0.02)
    assert written == ["whole"]


def test_a_signal_of_the_function_itself_is_its_own(bench: Bench) -> None:
    heard: List[int] = []

    def uses_the_signal() -> None:
        signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        while not heard:
            time.sleep(0.001)

    bench.call(uses_the_signal)
    assert heard
    # The next timeout works again.
    with pytest.raises(TaskTimeout):
        bench.call(sleeps, timeout=0.01)
