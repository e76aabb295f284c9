"""A session as it travels between tasks: a small dict in XCom, and how the next task reads it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeAlias

from octa_provider.carried import carried_dict
from octa_provider.web_address import web_address

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from octa_provider import OctaClient, Rental
    from octa_provider.models import Endpoint, Session

__all__ = [
    "SessionArgument",
    "SessionReference",
    "json_safe",
    "rental_xcom",
    "session_details",
    "started_by",
    "with_integers",
]

#: What an operator takes as its `session`: a uuid, the start operator's dict, or another task's output.
SessionArgument: TypeAlias = "str | Mapping[str, Any] | XComArg"

_WHAT_TO_GIVE = "give the start task's output (session=start.output), or a uuid"


@dataclass(frozen=True)
class SessionReference:
    """Which session a task is about.

    Attributes:
        uuid: the session.
        state: what `Rental.to_dict` told of it, as far as it is known here.
    """

    uuid: str
    state: Mapping[str, Any]

    @classmethod
    def from_argument(cls, value: object) -> SessionReference | None:
        """Read an operator's rendered `session` argument.

        Args:
            value: the start operator's dict, or a uuid; None, empty or `None` as text when nothing was started.

        Returns:
            The reference; None when nothing was started.

        Raises:
            ValueError: it is something else.
        """
        if isinstance(value, Mapping):
            uuid = value.get("uuid")
            return cls(str(uuid), with_integers(value)) if uuid else None
        if value is None:
            return None
        if not isinstance(value, str):
            raise ValueError(f"session is a {type(value).__name__}; {_WHAT_TO_GIVE}.")
        text = value.strip()
        if text in {"", "None"}:
            return None
        if text.startswith(("{", "[")):
            raise ValueError(f"session was rendered to text that is no uuid; {_WHAT_TO_GIVE}.")
        return cls(text, {"uuid": text})

    def rental(self, client: OctaClient, key: str | None = None) -> Rental:
        """The core's handle on it; `key` counts when the reference came without one."""
        return client.rentals.restore({"key": key} | {k: v for k, v in self.state.items() if v is not None})


def started_by(session: object) -> str | None:
    """The id of the task whose output a `session` argument is; None when it is no task's output.

    Raises:
        ValueError: it is a sensor's output.
    """
    references = getattr(session, "iter_references", None)
    if references is None:
        return None
    for operator, _key in references():
        if getattr(operator, "poke_interval", None) is not None:
            raise ValueError(
                f"session is the output of the sensor {operator.task_id}, which is empty when the sensor fails: "
                "give the start task's output, or start_task_id."
            )
        return str(operator.task_id)
    return None


def session_details(session: Session) -> dict[str, Any]:
    """What other tasks may want of a session that is up: `urls`, `ssh`, `ssh_web`, each only when known."""
    details: dict[str, Any] = {}
    if session.urls:
        # XCom is JSON, where keys are text.
        pages = {str(port): web_address(url) for port, url in session.urls.items()}
        details["urls"] = {port: url for port, url in pages.items() if url is not None}
    endpoint: Endpoint | None = session.ssh_direct or session.ssh_proxy
    if endpoint is not None:
        details["ssh"] = {"host": endpoint.host, "port": endpoint.port}
    if (terminal := web_address(session.ssh_web)) is not None:
        details["ssh_web"] = terminal
    return carried_dict(details)


def rental_xcom(rental: Rental) -> dict[str, Any]:
    """A rental as XCom: its own dict, with amounts of wei as text, and a start time in any case."""
    state = json_safe(rental.to_dict())
    return state | {"started_at": state["started_at"] or datetime.now(timezone.utc).isoformat()}


def json_safe(values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a mapping with nothing in it that Airflow can't carry, and every amount of wei as text.

    Wei outgrow 64 bits (evidence B), and what carries XCom between a task and its supervisor on Airflow 3 cannot hold
    such integers, nor half a surrogate pair: see `octa_provider.carried`.
    """
    return carried_dict(values)


def with_integers(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `json_safe` made text of, as integers again."""
    return {
        name: int(value) if name.endswith("_wei") and isinstance(value, str) else value
        for name, value in values.items()
    }
