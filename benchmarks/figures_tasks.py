"""The tasks that are measured."""

from __future__ import annotations

import time

import autocron


@autocron.delay
def nothing() -> None:
    """Do nothing."""


@autocron.delay
def stamp() -> float:
    """Tell when it began."""
    return time.time()
