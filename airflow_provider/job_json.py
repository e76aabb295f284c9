"""A job's state between worker, triggerer and XCom, where integers of more than 64 bits do not get through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from octa_provider.text.carried import carried_dict

if TYPE_CHECKING:
    from octa_provider import JobState

__all__ = ["job_from_json", "job_to_json"]


def job_to_json(state: JobState) -> dict[str, Any]:
    """A job's state as a small JSON value; it holds no secret."""
    values = state.to_dict()
    return carried_dict(values) | {"rental": carried_dict(values["rental"])}


def job_from_json(values: Mapping[str, Any]) -> JobState:
    """The state that `job_to_json` made the value of.

    Raises:
        OctaConfigError: it is something else.
    """
    from octa_provider.errors import OctaConfigError
    from octa_provider.job.state import JobState

    if not isinstance(values.get("rental"), Mapping):
        raise OctaConfigError("this is not the state of a job: give the output of an OctaRunJobOperator")
    return JobState.from_dict(values)
