"""Errors of a batch: what was asked for can't be rendered, or not on these terms."""

from __future__ import annotations

from octa_provider.errors.rental import OctaBudgetError
from octa_provider.errors.root import OctaError


class OctaSceneError(OctaError):
    """The scene can't be rendered, on whatever machine; the message says why. Nothing runs."""


class OctaPlanError(OctaBudgetError):
    """No plan meets the deadline or the budget that were asked for; the message says why. Nothing runs."""
