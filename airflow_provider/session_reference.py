"""A session as it travels between tasks: a small dict in XCom, and how the next task reads it back."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider.templated import is_known
from octa_provider.rental.json_values import rental_json

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from octa_provider import OctaClient, Rental

__all__ = [
    "SessionArgument",
    "SessionReference",
    "check_known_session",
    "rental_xcom",
    "started_by",
]

#: What an operator takes as its `session`: a uuid, the start operator's dict, or another task's output.
SessionArgument: TypeAlias = "str | Mapping[str, Any] | XComArg"

_WHAT_TO_GIVE = "give the start task's output (session=start.output), or a uuid"
#: What a template renders to when there is nothing.
_NOTHING = frozenset({"", "None"})


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
        """Read an operator's rendered `session` argument that means one session.

        Args:
            value: the start operator's dict, also as the text that a template made of it, or a uuid; None, empty or
                `None` as text when nothing was started.

        Returns:
            The reference; None when nothing was started.

        Raises:
            ValueError: it is something else.
        """
        found = cls.all_of(value)
        if len(found) > 1:
            raise ValueError(f"session is {len(found)} sessions, and this task is about one: map it over them.")
        return found[0] if found else None

    @classmethod
    def all_of(cls, value: object) -> tuple[SessionReference, ...]:
        """Read an operator's rendered `session` argument that may mean several sessions.

        Args:
            value: as `from_argument` takes it, or a sequence of these, such as the output of a mapped start.

        Returns:
            The references, in their order; what stands for nothing is left out.

        Raises:
            ValueError: it is something else.
        """
        if value is None:
            return ()
        if isinstance(value, str):
            return cls._of_text(value.strip())
        if isinstance(value, Mapping):
            uuid = value.get("uuid")
            return (cls(str(uuid), value),) if uuid else ()
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return tuple(reference for part in value for reference in cls.all_of(part))
        raise ValueError(f"session is a {type(value).__name__}; {_WHAT_TO_GIVE}.")

    @classmethod
    def _of_text(cls, text: str) -> tuple[SessionReference, ...]:
        if text in _NOTHING:
            return ()
        if not text.startswith(("{", "[", "(")):
            if not text.isprintable() or " " in text or "<" in text:
                raise ValueError(f"session was rendered to text that is no uuid ({text[:60]!r}); {_WHAT_TO_GIVE}.")
            return (cls(text, {"uuid": text}),)
        # Without native rendering a template makes Python's text of a dict; `| tojson` makes JSON.
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            return cls.all_of(value)
        raise ValueError(f"session was rendered to text that is no uuid ({text[:60]!r}); {_WHAT_TO_GIVE}.")

    def rental(self, client: OctaClient, key: str | None = None, *, to_stop: bool = False) -> Rental:
        """The core's handle on it; `key` counts when the reference came without one.

        Args:
            client: the API.
            key: the rental key, where the reference tells none.
            to_stop: for a stop, which a damaged state must not keep from happening.
        """
        state = {"key": key} | {k: v for k, v in self.state.items() if v is not None}
        return client.rentals.restore(state, to_stop=to_stop)


def check_known_session(session: object) -> None:
    """Refuse a `session` that can never be one, as far as it is known when the DAG file is parsed.

    Args:
        session: an operator's `session` argument that means one session.

    Raises:
        ValueError: naming what to give.
    """
    if is_known(session):
        SessionReference.from_argument(session)


def started_by(session: object) -> tuple[str, ...]:
    """The ids of the tasks whose output a `session` argument is, also within a list; none when it is no task's output.

    Args:
        session: an operator's `session` argument, as it was given.

    Raises:
        ValueError: it is a sensor's output.
    """
    if isinstance(session, list | tuple):
        return tuple(dict.fromkeys(task_id for part in session for task_id in started_by(part)))
    references = getattr(session, "iter_references", None)
    if references is None:
        return ()
    found: dict[str, None] = {}
    for operator, _key in references():
        if _is_sensor(operator):
            raise ValueError(
                f"session is the output of the sensor {operator.task_id}, which is empty when the sensor fails: "
                "give the start task's output, or start_task_id."
            )
        found[str(operator.task_id)] = None
    return tuple(found)


def _is_sensor(operator: Any) -> bool:
    if getattr(operator, "poke_interval", None) is not None:
        return True
    # A mapped one has no attributes of its own.
    return hasattr(getattr(operator, "operator_class", None), "poke")


def rental_xcom(rental: Rental) -> dict[str, Any]:
    """A rental that was just started, as XCom: with a start time in any case, which the API may not have told yet.

    Args:
        rental: as the start returned it.
    """
    told = rental_json(rental)
    return told | {"started_at": told["started_at"] or datetime.now(timezone.utc).isoformat()}
