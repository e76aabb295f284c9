"""The answer to a start: a uuid, a 2xx that is a refusal, or neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaDecodeError, OctaRejectedError
from octa_provider.wire.exact_json import shown
from octa_provider.wire.fields import count, label, text
from octa_provider.wire.model import Model

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["StartedSession"]

# No refusal, whatever else the answer lacks: the session may run, so the caller must look for it.
_GOOD_WORDS = frozenset(
    {"0", "200", "201", "202", "ok", "success", "succeeded", "created", "accepted", "started", "true"}
)

_WORDS = ("reason", "message", "error", "detail")
#: The fields of an answer to an order; somebody in front of the API doesn't know them.
_OF_AN_ORDER = frozenset({"uuid", "id", "node_id"})


class StartedSession(Model, frozen=True, kw_only=True):
    """The answer to `POST /services/...`: `[{uuid}]` or `{uuid}` (evidence S, C).

    Attributes:
        uuid: the session that was started.
    """

    uuid: str

    @classmethod
    def from_payload(cls, payload: object, *, node_id: int | None = None) -> Self:
        """Decode.

        Args:
            payload: the decoded answer.
            node_id: the node that was asked, for the error.

        Raises:
            OctaRejectedError: no uuid, but a reason, message or status that refuses (evidence B): nothing runs.
            OctaDecodeError: neither, so the session may or may not run: list the sessions before asking again.
        """
        answers: list[dict[str, Any]] = [
            entry for entry in (payload if isinstance(payload, list) else [payload]) if isinstance(entry, dict)
        ]
        for answer in answers:
            uuid = text(answer.get("uuid"))
            if uuid is not None:
                return cls(raw=answer, uuid=uuid.strip())
        for answer in answers:
            reason = _refusal(answer)
            if reason is not None:
                asked = count(answer.get("node_id")) if node_id is None else node_id
                node = "the node" if asked is None else f"node {asked}"
                raise OctaRejectedError(
                    f"{node} started nothing: {reason.strip().rstrip('.')}. Try another machine.",
                    reason=reason,
                    node_id=asked,
                    body=shown(payload),
                )
        raise OctaDecodeError(
            "start: the answer has neither a uuid nor a reason, so a session may or may not run. "
            "List the sessions before starting again.",
            what="start",
            body=shown(payload),
        )


def _refusal(answer: dict[str, Any]) -> str | None:
    """Why nothing was started, in the API's own words: a `reason`, a `status` that is no good one, or an order's form.

    Any other text alone, such as `{"message": "Please log in"}`, may be somebody's who stands in front of the API.
    """
    status = label(answer.get("status"))
    if status is not None and status.strip().lower() in _GOOD_WORDS:
        return None
    for key in _WORDS if status is not None or answer.keys() & _OF_AN_ORDER else _WORDS[:1]:
        said = text(answer.get(key))
        if said is not None and said.strip().lower() not in _GOOD_WORDS:
            return said[:500]
    return None if status is None else f"status {status[:100]}"
