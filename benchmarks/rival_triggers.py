"""Triggers to compare ours with: one that polls its job alone, and one that only sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

__all__ = ["PollsAloneTrigger", "SleepsTrigger"]


class PollsAloneTrigger(BaseTrigger):
    """Asks for one session's state again and again, as dbt Cloud's does: with an HTTP session for each look.

    It reads no log, bounds no cost and stops nothing: the least that such a trigger can do.

    Args:
        octa_conn_id: the connection, read once.
        uuid: the session.
        poll_interval: seconds between two looks.
    """

    def __init__(self, *, octa_conn_id: str, uuid: str, poll_interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.octa_conn_id = octa_conn_id
        self.uuid = uuid
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow stores."""
        kept = {"octa_conn_id": self.octa_conn_id, "uuid": self.uuid, "poll_interval": self.poll_interval}
        return "benchmarks.rival_triggers.PollsAloneTrigger", kept

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the session is gone."""
        import aiohttp
        from airflow.providers.common.compat.connection import get_async_connection

        connection = await get_async_connection(self.octa_conn_id)
        headers = {"Authorization": connection.password}
        while True:
            async with (
                aiohttp.ClientSession(headers=headers) as http,
                http.get(f"{connection.host}/services/{self.uuid}/info") as answer,
            ):
                if answer.status == 200 and "finished_at" in await answer.json():
                    break
            await asyncio.sleep(self.poll_interval)
        yield TriggerEvent(self.uuid)


class SleepsTrigger(BaseTrigger):
    """Sleeps for so long that no bench sees it awake: what is left is Airflow's own work.

    Args:
        number: tells it from others.
    """

    def __init__(self, *, number: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.number = number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow stores."""
        return "benchmarks.rival_triggers.SleepsTrigger", {"number": self.number}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep."""
        await asyncio.sleep(1e6)
        yield TriggerEvent(self.number)
