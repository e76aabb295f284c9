"""The API as one installation uses it: with the namespace of its rental keys, and its store of intents."""

from __future__ import annotations

from functools import cached_property

from octa_provider.api.api import Api
from octa_provider.http.transport import Transport
from octa_provider.rental.intents import FolderIntents, Intents, state_folder

__all__ = ["RentalApi"]


class RentalApi(Api):
    """What starting, waiting and stopping need.

    Args:
        transport: what sends the requests.
        namespace: what stands in front of every rental key; empty for none.
        intents: where it is written down what is about to be rented; a folder of this user when left out.
        payer: the organisation that pays, and its project; None and None for the account itself.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        namespace: str = "",
        intents: Intents | None = None,
        payer: tuple[int | str | None, int | str | None] = (None, None),
    ) -> None:
        super().__init__(transport)
        self._namespace = namespace
        self._intents = intents
        self._payer = payer

    @property
    def namespace(self) -> str:
        """What stands in front of every rental key; empty for none."""
        return self._namespace

    @property
    def payer(self) -> tuple[int | str | None, int | str | None]:
        """The organisation that pays, and its project; None and None for the account itself."""
        return self._payer

    @cached_property
    def intents(self) -> Intents:
        """Where it is written down what is about to be rented."""
        return FolderIntents(state_folder(self.account)) if self._intents is None else self._intents
