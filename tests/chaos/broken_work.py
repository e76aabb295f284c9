"""Our rental with one of its rules taken out: the campaign must notice each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from octa_provider.api.api import Api
from octa_provider.models import Session
from octa_provider.rental import caps as caps_module
from octa_provider.rental import giving_up as giving_up_module
from octa_provider.rental import of_key as of_key_module
from octa_provider.rental import signals as signals_module
from octa_provider.rental import start_try as start_try_module
from octa_provider.rental import stop as stopping_module
from octa_provider.rental import the_only_one as the_only_one_module
from octa_provider.rental import under_key as under_key_module
from octa_provider.rental import wait as waiting_module
from octa_provider.rental.asking_machines import AskingMachines
from octa_provider.rental.giving_up import GivingUp
from octa_provider.rental.lost_answer import LostAnswers
from octa_provider.rental.under_key import UnderKey
from tests.chaos import rental_work
from tests.chaos.boundaries import Boundaries

#: Whatever stops sessions.
STOPPING = (
    stopping_module,
    of_key_module,
    start_try_module,
    under_key_module,
    the_only_one_module,
    giving_up_module,
    caps_module,
    waiting_module,
)


def without_adoption() -> None:
    """Step 1: no session is ever recognised as ours."""
    UnderKey.mine = lambda self, sessions: []  # type: ignore[method-assign]


def without_settling() -> None:
    """Step 3: an unclear answer counts as a refusal at once."""
    AskingMachines._look_for = lambda self, settle_s: None  # type: ignore[method-assign]


def without_seeing_it_gone() -> None:
    """Step 5: the stop is asked for once, and believed."""

    def ask_once(
        api: Api, *, uuids: Iterable[str], key: str | None, score: int | None = None, deadline_s: float, **leaves: bool
    ) -> dict[str, Session | None]:
        for uuid in uuids:
            api.services.session(uuid).stop(score=score)
        return {}

    for module in STOPPING:
        module.sweep = ask_once


def without_namespaces() -> None:
    """Both installations call the same work by the same name."""
    client_of = rental_work.client_of
    rental_work.client_of = lambda options: client_of(options | {"namespace": ""})


def without_leaving_others_alone() -> None:
    """A try that is refused everywhere stops the key, whoever has started its session."""
    GivingUp.adopted_after = lambda self, error: None  # type: ignore[method-assign]
    GivingUp.abandon = lambda self, error: self._start.stop_key()  # type: ignore[method-assign]


def without_comparing_prices() -> None:
    """What a session costs is what the catalogue said."""
    for module in (under_key_module, the_only_one_module, caps_module):
        module.too_dear = lambda session, max_price_usd: None


def without_what_was_written_down() -> None:
    """No earlier try is remembered."""
    LostAnswers.recall = lambda self, *args, **kwargs: None  # type: ignore[method-assign]


def without_hearing_signals() -> None:
    """Every signal ends the process as it does by itself."""
    signals_module._handlers_to_replace = dict


VARIANTS: dict[str, Callable[[], None]] = {
    "without adoption": without_adoption,
    "without settling": without_settling,
    "without seeing it gone": without_seeing_it_gone,
    "without namespaces": without_namespaces,
    "without leaving others alone": without_leaving_others_alone,
    "without comparing prices": without_comparing_prices,
    "without what was written down": without_what_was_written_down,
    "without hearing signals": without_hearing_signals,
}


def work(options: dict[str, Any], boundaries: Boundaries) -> dict[str, Any]:
    """One try of the variant that the key names; the process is its own, so nothing is put back."""
    VARIANTS[options["key"].split("/")[1].replace("-", " ")]()
    return rental_work.work(options, boundaries)
