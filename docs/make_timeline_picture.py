"""Make the picture of ``docs/simulate.md``: the simulator draws it, as it does for users.

Run it with ``python docs/make_timeline_picture.py``; it writes ``docs/timeline.svg``.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from autocron.app import App
from autocron.testing.simulator import simulate
from autocron.testing.timeline import Timeline


def weekend() -> Timeline:
    """Play the weekend of the documentation: the clock goes back, and the machine is off."""
    app = App()

    def nightly(): ...

    def backup(): ...

    def poll_orders(): ...

    for name, function in (("nightly", nightly), ("backup", backup), ("poll_orders", poll_orders)):
        function.__module__, function.__qualname__ = "shop.tasks", name
    app.cron("30 2 * * *")(nightly)
    app.cron("0 4 * * *")(backup)
    app.cron("*/20 * * * *")(poll_orders)
    return simulate(
        app,
        start="2026-10-24",
        days=3,
        tz="Europe/Berlin",
        durations={"nightly": timedelta(hours=2), "backup": timedelta(minutes=50)},
        outages=[("2026-10-25 01:00", "2026-10-25 05:00")],
        crashes=["2026-10-26 04:40"],
    )


if __name__ == "__main__":
    picture = Path(__file__).resolve().parent / "timeline.svg"
    picture.write_text(weekend().to_svg() + "\n", encoding="utf-8")
    print(weekend().to_text())
