"""Sessions of some work that a start stops since another one takes their place: on its bill, and off its cap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from octa_provider.errors import OctaBudgetError
from octa_provider.rental.cost import price_usd
from octa_provider.rental.elsewhere import cap_for_another
from octa_provider.rental.terms import Terms
from octa_provider.rental.tried_machine import TriedMachine, all_before
from octa_provider.rental.tried_mark import tried_before
from octa_provider.text.loggers import plain_logger
from octa_provider.wire.money import usd_text

if TYPE_CHECKING:
    from octa_provider.models import Session

__all__ = ["Replaced"]

log = plain_logger("octa_provider.rental.replaced")


class Replaced:
    """What one start, with all its tries, has stopped of its own work.

    Not what ran under the key for other work, whose bill is another one's.

    Args:
        known: machines before that whoever starts counts already.
    """

    def __init__(self, known: Iterable[TriedMachine] = ()) -> None:
        self._known = frozenset(one.uuid for one in known)
        self._machines: tuple[TriedMachine, ...] = ()

    @property
    def machines(self) -> tuple[TriedMachine, ...]:
        """The machines, and those that they themselves had before them."""
        return self._machines

    def add(self, session: Session, ended: Session | None, why: str, *, is_sure: bool = True) -> None:
        """Count a session that was stopped.

        Args:
            session: as it was last seen.
            ended: as the API tells it after its stop, if it does.
            why: it was stopped.
            is_sure: whether nothing else runs: then one of which nobody tells the cost leaves nothing of a cap. Else it
                is left out, so that it does not end the work of another one.
        """
        last = session if ended is None or (ended.charge_wei is None and ended.duration_s is None) else ended
        price = price_usd(last) or price_usd(session)
        terms = Terms(session.uuid, node_id=session.node_id, service=session.service, price_usd=price)
        one = TriedMachine.of(terms, terms.bill(last), why, replaced=True)
        if one.spent_usd is None and not is_sure:
            log.warning("what session %s has cost nobody tells: it is on no bill", session.uuid)
            return
        new = [machine for machine in (*tried_before(session), one) if machine.uuid not in self._known]
        self._machines = all_before(self._machines, new)

    def cap_usd(self, max_cost_usd: float | None) -> float | None:
        """The cap on cost of what is started in their place, in USD; None without a cap.

        Args:
            max_cost_usd: the cap on all of them.

        Raises:
            OctaBudgetError: it allows no other.
        """
        if not self._machines:
            return max_cost_usd
        try:
            return cap_for_another(max_cost_usd, self._machines)
        except OctaBudgetError as error:
            for one in self._machines:
                cost = "" if one.spent_usd is None else f" after {usd_text(one.spent_usd)}"
                error.also(f"Session {one.uuid} was stopped{cost}: {one.message}")
            raise
