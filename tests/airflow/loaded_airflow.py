"""What a process loads before tests fork others from it: all that `dag.test()` takes to run a task."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import dag_to_kill  # noqa: F401
import httpx
from sqlalchemy.orm import configure_mappers

with suppress(ImportError, AttributeError):
    from airflow.sdk.execution_time.supervisor import in_process_api_server

    async def _answered_once() -> None:
        """Airflow 3's server makes the most of what it needs for its first answer."""
        # In no thread, as it is when tasks use it: a fork would be without.
        transport = httpx.ASGITransport(app=in_process_api_server().app)
        async with httpx.AsyncClient(transport=transport, base_url="http://in-this-process") as client:
            await client.get("/health/ping")

    asyncio.run(_answered_once())
with suppress(ImportError):
    import airflow.dag_processing.dagbag
    import airflow.models.pool  # noqa: F401
configure_mappers()
