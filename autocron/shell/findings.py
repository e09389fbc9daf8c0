"""What is wrong with a database: where, what, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List

# More would not be read by anybody; the others are counted.
MAX_FINDINGS = 1000


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it has to be.

    Attributes:
        where: The file, table, task, schedule or setting.
        what: What is wrong with it.
        remedy: What to do.
    """

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


class Findings:
    """Findings in the order in which they are made, the first :data:`MAX_FINDINGS` of them kept.

    Attributes:
        kept: Those that are kept.
        count: How many there are.
    """

    def __init__(self) -> None:
        self.kept: List[Finding] = []
        self.count = 0

    def add(self, where: str, what: str, remedy: str) -> None:
        """Add a finding; the arguments are those of :class:`Finding`."""
        self.count += 1
        if self.count <= MAX_FINDINGS:
            self.kept.append(Finding(where, what, remedy))
