"""Awaiting results in an event loop: no thread for it, and the loop stays free for others."""

from __future__ import annotations

import asyncio
import weakref
from typing import Iterable

from autocron.ports import Clock

# However many results are awaited, a loop spends its time on other things, too: it looks at one
# every so often. To look takes some 0.05 ms.
_SPACING_SECONDS = 0.0005

# Loop -> when its next look is free to be taken.
_free_at: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, float] = weakref.WeakKeyDictionary()


async def pause_between(pauses: Iterable[float], clock: Clock) -> None:
    """Sleep through pauses, each followed by a look at a result.

    Arguments:
        pauses: They, in seconds; the look is made when the next one is asked for.
        clock: Measures when the looks of a loop are made.
    """
    loop = asyncio.get_running_loop()
    for pause_seconds in pauses:
        now = clock.monotonic()
        turn_at = max(_free_at.get(loop, now), now)
        _free_at[loop] = turn_at + _SPACING_SECONDS
        await asyncio.sleep(max(pause_seconds, turn_at - now))
