"""Caps as fields of forms: a number that can hold, or one clear sentence before any money is spent."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo

from octa_provider.timing.limits import checked_cap

__all__ = ["Cap", "CapOrNone"]


def _checked(value: object, info: ValidationInfo) -> float | None:
    # Pydantic alone takes True for 1 and "5" for 5, and lets infinity through.
    return checked_cap(info.field_name or "the cap", value)


Cap = Annotated[float, BeforeValidator(_checked)]
CapOrNone = Annotated[float | None, BeforeValidator(_checked)]
