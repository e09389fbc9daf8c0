"""Tasks whose results are awaited; also those of the Tornado application."""

import asyncio
import time

import autocron


@autocron.delay
async def add(a, b):
    await asyncio.sleep(0.3)
    return a + b


@autocron.delay
def fail():
    raise ValueError("as it was asked to")


@autocron.delay
def hold():
    time.sleep(3)
    return "held"
