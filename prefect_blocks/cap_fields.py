"""Caps and tries as fields of forms: a number that can hold, or one clear sentence before any money is spent."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo

from octa_provider.rental.start_attempts import MOST_START_ATTEMPTS
from octa_provider.timing.limits import checked_cap

__all__ = ["Cap", "CapOrNone", "StartAttempts"]


def _checked(value: object, info: ValidationInfo) -> float | None:
    # Pydantic alone takes True for 1 and "5" for 5, and lets infinity through.
    return checked_cap(info.field_name or "the cap", value)


Cap = Annotated[float, BeforeValidator(_checked)]
CapOrNone = Annotated[float | None, BeforeValidator(_checked)]
StartAttempts = Annotated[
    int,
    Field(
        ge=1,
        le=MOST_START_ATTEMPTS,
        title="Machines to Try",
        description="How many machines are tried, one after the other, when one does not come up within the ready "
        "timeout. What each has cost is on the bill, and counts towards the cost cap.",
    ),
]
