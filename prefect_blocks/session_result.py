"""A session as it travels between tasks: a small JSON value, and how the next task reads it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from octa_provider.errors import OctaConfigError
from octa_provider.http.web_address import web_address
from octa_provider.text.carried import carried, carried_dict

if TYPE_CHECKING:
    from octa_provider import OctaClient, Rental
    from octa_provider.models import Session

__all__ = ["SessionArgument", "rental_of", "session_result", "wei_as_text"]

#: What a task takes as its `session`: what a start task returned, or a uuid.
SessionArgument: TypeAlias = "str | Mapping[str, Any]"


def session_result(rental: Rental, session: Session | None = None) -> dict[str, Any]:
    """The rental, and of a session that is up what others may want: `urls`, `ssh`, `ssh_web`, each when known."""
    result = wei_as_text(rental.to_dict())
    if session is None:
        return result
    if session.urls:
        pages = {str(port): web_address(url) for port, url in session.urls.items()}
        result["urls"] = {port: url for port, url in pages.items() if url is not None}
    endpoint = session.ssh_direct or session.ssh_proxy
    if endpoint is not None:
        result["ssh"] = carried({"host": endpoint.host, "port": endpoint.port})
    if (terminal := web_address(session.ssh_web)) is not None:
        result["ssh_web"] = terminal
    return result


def rental_of(client: OctaClient, session: SessionArgument) -> Rental:
    """The core's handle on what `session_result` told of, or on a uuid."""
    if isinstance(session, str) and session:
        return client.rentals.open(session)
    if isinstance(session, Mapping) and session.get("uuid"):
        return client.rentals.restore(
            {
                name: int(value) if name.endswith("_wei") and isinstance(value, str) else value
                for name, value in session.items()
            }
        )
    raise OctaConfigError("session must be what a start task returned, or a session's uuid")


def wei_as_text(values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a mapping with nothing in it that Prefect's API can't hold: wei are text, and all text is sound."""
    return carried_dict(values)
