"""The lines of ``autocron demo``: when, which process, what; written by several processes."""

from __future__ import annotations

import os

from autocron.shell.clock import SystemClock

# The instant from which the demo counts; its processes inherit it.
BEGAN_VARIABLE = "AUTOCRON_DEMO_BEGAN"

APPLICATION, SUPERVISOR, WORKER = "application", "supervisor", "worker"

HEADING = f"  {'seconds':>7}  {'process':11}  {'pid':>7}  what happens"


def begin() -> None:
    """Let the seconds of the demo begin now, in this process and those that it starts."""
    os.environ[BEGAN_VARIABLE] = str(SystemClock().monotonic())


def say(process: str, what: str, pid: int = 0) -> None:
    """Write one line of the timeline.

    Arguments:
        process: The role of the process.
        what: What happens; at most 47 characters fit on a line.
        pid: Its process id; 0 is that of this process.
    """
    now = SystemClock().monotonic()
    seconds = now - float(os.environ.get(BEGAN_VARIABLE, now))
    # In one write, so that lines of two processes never mix.
    print(f"  {seconds:7.2f}  {process:11}  {pid or os.getpid():7}  {what}\n", end="", flush=True)
