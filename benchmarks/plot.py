"""Draws the figures of one run as SVGs: ``python -m benchmarks.plot figures.json docs``."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

# The same file for the same figures.
matplotlib.rcParams["svg.hashsalt"] = "autocron"
matplotlib.rcParams["svg.fonttype"] = "none"

OWN, OTHERS, FLOORS = "#2f6fab", "#a9b4c0", "#d9a441"


class Plot(NamedTuple):
    """One picture: a bar for each peer."""

    file: str
    subject: str
    figure: str
    title: str


PLOTS = (
    Plot("performance-drain", "drain", "1 worker, per s", "Tasks per second, one worker"),
    Plot("performance-latency", "latency", "p50, ms", "Idle to task start, median, ms"),
    Plot("performance-idle", "idle", "memory (PSS), MB", "Memory of two idle workers, MB"),
    Plot("performance-cron", "cron", "zone, µs", "Next occurrence in a zone, µs"),
)


def draw(plot: Plot, rounds: Dict[str, Dict[str, List[float]]], folder: Path) -> None:
    """Draw one picture; the whiskers are the least and the most of the rounds."""
    values = {peer: found[plot.figure] for peer, found in rounds.items() if plot.figure in found}
    names = list(values)[::-1]
    middles = [statistics.median(values[name]) for name in names]
    least = [middle - min(values[name]) for name, middle in zip(names, middles)]
    most = [max(values[name]) - middle for name, middle in zip(names, middles)]
    colours = [
        OWN if name.startswith("autocron") else FLOORS if name == "floor" else OTHERS
        for name in names
    ]
    figure, axes = pyplot.subplots(figsize=(7, 0.5 + 0.38 * len(names)))
    bars: Any = axes.barh(names, middles, color=colours, xerr=[least, most], ecolor="#555555")
    axes.bar_label(bars, [f"{value:,.{0 if value >= 100 else 2}f}" for value in middles], padding=6)
    if max(middles) > 50 * min(middles):
        axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_title(plot.title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / f"{plot.file}.svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Draw what there are figures for."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    results = json.loads(source.read_text())["results"]
    for plot in PLOTS:
        if plot.subject in results:
            draw(plot, results[plot.subject], folder)


if __name__ == "__main__":
    main()
