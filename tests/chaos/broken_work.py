"""Our rental with one of its rules taken out: the campaign must notice each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from octa_provider import rental as rental_module
from octa_provider.client import OctaClient
from octa_provider.models import Session
from octa_provider.starting import Starting
from tests.chaos import rental_work
from tests.chaos.boundaries import Boundaries


def without_adoption() -> None:
    """Step 1: no session is ever recognised as ours."""
    Starting._mine = lambda self, sessions: []  # type: ignore[method-assign]


def without_settling() -> None:
    """Step 3: an unclear answer counts as a refusal at once."""
    Starting._look_for = lambda self: None  # type: ignore[method-assign]


def without_seeing_it_gone() -> None:
    """Step 5: the stop is asked for once, and believed."""

    def ask_once(
        client: OctaClient, *, uuids: Iterable[str], key: str | None, score: int | None = None, deadline_s: float
    ) -> dict[str, Session | None]:
        for uuid in uuids:
            client.services.session(uuid).stop(score=score)
        return {}

    rental_module.sweep = ask_once


VARIANTS: dict[str, Callable[[], None]] = {
    "without adoption": without_adoption,
    "without settling": without_settling,
    "without seeing it gone": without_seeing_it_gone,
}


def work(options: dict[str, Any], boundaries: Boundaries) -> dict[str, Any]:
    """One try of the variant that the key names; the process is its own, so nothing is put back."""
    VARIANTS[options["key"].split("/")[1].replace("-", " ")]()
    return rental_work.work(options, boundaries)
