"""What is measured, one file each.

A subject has a ``TITLE``; ``PEERS``, who takes part; ``REFERENCES``, to what a figure is compared:
its name -> a peer (None is the same one) and the name of that one's figure; and a function::

    measure(name, quick) -> {"p50, µs": 12.3}

which is called in a process of its own for each peer and round, with a new folder.
"""

from __future__ import annotations

import importlib
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

NAMES = ["enqueue", "many", "drain", "latency", "idle", "scale", "cron", "start"]

Figures = Dict[str, float]
References = Mapping[str, Tuple[Optional[str], str]]


class Subject(NamedTuple):
    """What is measured."""

    title: str
    peers: Sequence[str]
    references: References
    measure: Callable[[str, bool], Figures]


def subject(name: str) -> Subject:
    """Return a subject of its name."""
    module = importlib.import_module(f"benchmarks.subjects.{name}")
    return Subject(module.TITLE, module.PEERS, module.REFERENCES, module.measure)


def quantile(values: List[float], part: float) -> float:
    """Return the value below which this part of the others lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
