"""What can happen to a task. Each event carries its instant, so that nobody has to ask a clock."""

from __future__ import annotations

from datetime import datetime
from typing import Optional, Union

from autocron.core.task import Failure
from autocron.core.values import frozen


@frozen
class Claimed:
    """A worker took the task and is about to run it."""

    worker: str
    at: datetime


@frozen
class Succeeded:
    """The function returned; ``result`` is the returned value as text."""

    result: str
    at: datetime


@frozen
class Failed:
    """The function raised, or the task was given up; ``charged`` if that is for a death seen."""

    failure: Failure
    at: datetime
    charged: bool = False


@frozen
class AttemptFailed:
    """The function raised, and the task will be tried again, not before ``run_at``."""

    failure: Failure
    at: datetime
    run_at: datetime


@frozen
class WorkerLost:
    """The worker that held the task is gone; ``charged`` if a living supervisor saw it die.

    ``how`` says what ended it, as far as that is known: ``"was ended by SIGSEGV"``.
    """

    charged: bool
    at: datetime
    how: str = ""


@frozen
class HandedBack:
    """A living worker gave the task back, as if it had never claimed it.

    ``run_at`` puts it off; ``unknown_since_at`` notes that its function was not known.
    """

    run_at: Optional[datetime] = None
    unknown_since_at: Optional[datetime] = None


@frozen
class Cancelled:
    """The task is not run, or not any more; ``failure`` says why, if there is something to say."""

    at: datetime
    failure: Optional[Failure] = None


@frozen
class CancelAsked:
    """Somebody asked for a running task to be cancelled.

    ``is_cut_short``: it is to be ended if it does not end by itself.
    """

    at: datetime
    is_cut_short: bool = False


@frozen
class Progressed:
    """The running function told how far it is, as text."""

    progress: str


@frozen
class Released:
    """What the task was held for has ended; ``given`` is what came of it, as text."""

    given: str
    at: datetime


@frozen
class Retried:
    """Somebody asked for a task that had failed, or was cancelled, to be run after all."""

    at: datetime


Event = Union[
    Claimed,
    Succeeded,
    Failed,
    AttemptFailed,
    WorkerLost,
    HandedBack,
    Cancelled,
    CancelAsked,
    Progressed,
    Released,
    Retried,
]
