"""One measurement in a process of its own: ``python -m benchmarks.drive SUBJECT PEER``."""

from __future__ import annotations

import json
import sys

from benchmarks.subjects import subject


def main() -> None:
    """Print the figures as the last line."""
    name, peer, pace = sys.argv[1:]
    figures = subject(name).measure(peer, pace == "quick")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
