"""What a coroutine of a web application does with results; the same in both frameworks."""

import asyncio

from jobs import add, fail, hold

import autocron


async def beat(beats):
    while True:
        await asyncio.sleep(0.01)
        beats.append(1)


async def awaited():
    """Tell the result, and how often the event loop went round meanwhile."""
    beats = []
    beating = asyncio.ensure_future(beat(beats))
    value = await add(1, 2)
    beating.cancel()
    return f"{value} after {len(beats)}"


async def failed():
    try:
        await fail()
    except autocron.TaskFailed as error:
        return str(error).splitlines()[0]
    return "no failure"


async def in_time():
    return await asyncio.wait_for(hold(), 60)


async def too_late():
    result = hold()
    try:
        await asyncio.wait_for(result, 0.2)
    except asyncio.TimeoutError:
        return f"too late, it is {result.status}"
    return "in time"


async def many():
    """Several at once: gathered, in the order of the calls."""
    return str(await asyncio.gather(*(add(n, n) for n in range(3))))


ALL = {function.__name__: function for function in (awaited, failed, in_time, too_late, many)}
