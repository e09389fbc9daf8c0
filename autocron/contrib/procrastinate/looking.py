"""How procrastinate's worker looks for a ticket: what is announced while it looks is not forgotten.

It forgets, when its look has ended, that something was announced meanwhile, which that look may not
have seen any more; then a ticket waits for the next look, a second later. So a look that has found
nothing, and during which there was news, is done once more.
"""

from __future__ import annotations

from typing import Any, Iterable

from procrastinate import PsycopgConnector


class Connector(PsycopgConnector):
    """Connects procrastinate's worker; arguments are those of its own connector."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._news = 0

    async def listen_notify(self, on_notification: Any, channels: Iterable[str]) -> None:
        """Listen, and count what is heard."""

        async def hear(*, channel: str, payload: str) -> None:
            self._news += 1
            await on_notification(channel=channel, payload=payload)

        await super().listen_notify(hear, channels)

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> Any:
        """Ask for one row; for a job once more, if there was none, and news meanwhile."""
        while True:
            before = self._news
            row = await super().execute_query_one_async(query, **arguments)
            is_look = arguments.keys() == {"queues", "worker_id"}
            if not is_look or row["id"] is not None or self._news == before:
                return row
