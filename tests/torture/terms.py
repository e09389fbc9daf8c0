"""How hard a run is, when it is enough, and what it is held to."""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple


class Terms(NamedTuple):
    """What a run asks of the machine, and what it asks of autocron.

    Attributes:
        kills: It is enough after so many kills (a group of processes counted once), and
        tasks: so many accepted calls; None where only time ends it.
        seconds: Enough in any case: nothing is broken if a slow machine has done less by then.
        between_seconds: The least and the most time between two strikes.
        window: How many calls of a process may be on their way at once.
        pause_seconds: How long a process of the application rests after twenty calls.
        patience_seconds: So long work may take to go on, before that is called broken.
        often: What is done more often than usual: as often as all else together.
        mix: Of which tasks: ``"torture"`` is some of all kinds, ``"brief"`` many that are short.
        is_timed: Whether it is held to the times that are promised, or they are only told.
    """

    kills: Optional[int]
    tasks: Optional[int]
    seconds: float
    between_seconds: Tuple[float, float]
    window: int
    pause_seconds: float
    patience_seconds: float
    is_timed: bool
    often: Optional[str] = None
    mix: str = "torture"


# As much as a machine can bear, for so many seconds as one likes.
LONG = Terms(
    kills=None,
    tasks=None,
    seconds=60.0,
    between_seconds=(0.02, 0.35),
    window=150,
    pause_seconds=0.0,
    patience_seconds=20.0,
    is_timed=True,
)
# Beside other tests, on a machine of which nothing is known: it ends by what has happened, mostly
# waits, and finds nothing broken because of time alone.
SHORT = Terms(
    kills=30,
    tasks=2500,
    seconds=480.0,
    between_seconds=(0.1, 0.9),
    window=60,
    pause_seconds=0.25,
    patience_seconds=180.0,
    is_timed=False,
)

# What the design promises; "background" is repaired by the next call, of which there are many.
LIMIT_SECONDS: Dict[str, float] = {
    "worker": 1.0,
    "orphaned worker": 5.0,
    "supervisor": 5.0,
    "everything": 2.0,
}
# An idle worker that is woken begins at once; one that is not looks after half a minute, or when
# the schedule's next second wakes it.
WAKE_SECONDS = 0.25
