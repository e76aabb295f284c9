"""The events that Prefect's server has of a session, and what is in all of them."""

from __future__ import annotations

from typing import Any

from prefect_server import PrefectServer
from waiting_for import wait_for

#: What each event's payload has, and its resource, beside labels.
FIELDS = {"price_usd", "outcome", "reason", "cost_usd", "cost_wei", "duration_s"}
RESOURCE = {"prefect.resource.id", "prefect.resource.name", "octa.node-id", "octa.rental-key", "octa.outcome"}


def events_of(server: PrefectServer, uuid: str, *names: str) -> list[dict[str, Any]]:
    """The events of a session, oldest first, when all those names are there."""

    def seen() -> list[dict[str, Any]]:
        found = server.post("/events/filter", filter={"resource": {"id": [f"octa.session.{uuid}"]}}, limit=50)
        return sorted(found["events"], key=lambda event: event["occurred"])

    wanted = {f"octa.session.{name}" for name in names}
    wait_for(lambda: wanted <= {event["event"] for event in seen()}, f"{wanted}")
    return seen()


def names_of(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"].rpartition(".")[2] for event in events]


def related_to(event: dict[str, Any]) -> set[str]:
    return {one["prefect.resource.id"] for one in event["related"]}
