"""Judge what a run has found: enough is killed, and what survives is listed."""

from __future__ import annotations

from collections import Counter
from typing import Iterable, Mapping, Set, Union

from spec.mutation.mutants import Change, Mutant, Planted

WANTED_PERCENT = 95.0
KILLED = {"killed", "timeout"}


def is_among(mutant: Union[Mutant, Planted], changes: Set[Change]) -> bool:
    """Tell whether a mutant is one of these changes, without reading most mutants."""
    if isinstance(mutant, Planted):
        return False
    return (
        any(mutant.function == change.function for change in changes) and mutant.change in changes
    )


def judge(
    mutants: Iterable[Union[Mutant, Planted]],
    verdicts: Mapping[str, str],
    listed: Set[Change],
    name: str,
) -> int:
    """Print the share that was killed, and what survives although it is not listed.

    Arguments:
        mutants: All that there are, and the planted bugs.
        verdicts: What became of those that were tested, by name.
        listed: What is known to survive; it counts as such whether it was tested or not.
        name: Where it is listed.

    Returns:
        0, or 1 if something is not listed, or listed in vain, or too few were killed.
    """
    counts: Counter[tuple[str, str]] = Counter()
    surviving: Set[Change] = set()
    for mutant in mutants:
        verdict = verdicts.get(mutant.name, "not tested")
        if verdict in KILLED:
            kind = "killed"
        elif is_among(mutant, listed):
            kind = "listed"
            surviving.add(mutant.change)
        elif verdict == "not tested":
            kind = verdict
        else:
            kind = "not listed"
            print(f"\n{verdict}: {mutant.name}\n{mutant.change}")
        counts[mutant.module, kind] += 1
    stale = listed - surviving
    for change in sorted(stale):
        print(f"\nIt is listed, but it is killed, or is no mutant any more:\n{change}")

    # Of part of a module the counts say nothing.
    modules = sorted({module for module, _ in counts})
    whole = [module for module in modules if not counts[module, "not tested"]]
    print(f"\n{'module':28}{'mutants':>9}{'killed':>9}{'listed':>9}{'not listed':>12}")
    total: Counter[str] = Counter()
    for module in whole:
        of_module = {kind: counts[module, kind] for kind in ("killed", "listed", "not listed")}
        print("{:28}{:9}{:9}{:9}{:12}".format(module, sum(of_module.values()), *of_module.values()))
        if module != Planted.module:
            total.update(of_module)
    percent = 100.0 * total["killed"] / max(sum(total.values()), 1)
    print(
        f"\n{total['killed']} of {sum(total.values())} mutants killed: {percent:.1f} % (wanted: "
        f"{WANTED_PERCENT:.0f} %); {total['listed']} survive that are listed in {name}, "
        f"{total['not listed']} that are not"
    )
    # Of a few modules the share says little: they may have few mutants, and those that survive.
    too_few = percent < WANTED_PERCENT and len(whole) == len(modules)
    has_unlisted = any(kind == "not listed" for _, kind in counts)
    return 1 if has_unlisted or stale or too_few else 0
