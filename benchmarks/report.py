"""The figures of one run as tables."""

from __future__ import annotations

import statistics
from typing import Dict, List, Mapping, Optional

from benchmarks.subjects import References

# Peer -> figure -> one value for each round.
Rounds = Mapping[str, Mapping[str, List[float]]]


def ratio(rounds: Rounds, references: References, peer: str, figure: str) -> Optional[float]:
    """Return the median of a figure's ratios to its reference, each within one round."""
    if figure not in references:
        return None
    other, other_figure = references[figure]
    other = other or peer
    own, others = rounds[peer].get(figure, []), rounds.get(other, {}).get(other_figure, [])
    if not others or (other, other_figure) == (peer, figure):
        return None
    return statistics.median(mine / its for mine, its in zip(own, others))


def table(rounds: Rounds, references: References) -> str:
    """Return a Markdown table for each figure that several peers have, one for each peer's own."""
    figures: Dict[str, None] = {}
    for values in rounds.values():
        figures.update(dict.fromkeys(name for name in values if ": " not in name or "ms" in name))
    lines = ["| | " + " | ".join(_heading(figure, references) for figure in figures) + " |"]
    lines.append("|---|" + "---|" * len(figures))
    for peer in rounds:
        cells = [_cell(rounds, references, peer, figure) for figure in figures]
        lines.append(f"| {peer} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _heading(figure: str, references: References) -> str:
    if figure not in references:
        return figure.strip()
    other, other_figure = references[figure]
    to = other_figure if other is None else other
    return f"{figure.strip()} (x {to})"


def _cell(rounds: Rounds, references: References, peer: str, figure: str) -> str:
    values = rounds[peer].get(figure)
    if not values:
        return ""
    text = f"{number(statistics.median(values))}"
    if len(values) > 1:
        text += f" [{number(min(values))} to {number(max(values))}]"
    found = ratio(rounds, references, peer, figure)
    return text if found is None else f"{text} **x {number(found)}**"


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
