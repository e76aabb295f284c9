"""`client.accounts`: who pays, and how much is left."""

from __future__ import annotations

from octa_provider.http.transport import Transport
from octa_provider.http.urls import path_of
from octa_provider.models import Account, Balance, Wallet


class Accounts:
    """The account that the key belongs to."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, *, retries: int | None = None, timeout: float | None = None) -> Account:
        """The account: `GET /accounts`.

        Args:
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.

        Raises:
            OctaError: see `octa_provider.errors`.
        """
        return Account.from_payload(self._transport.get("/accounts", retries=retries, timeout=timeout).json())

    def balance(self, *, retries: int | None = None, timeout: float | None = None) -> Balance:
        """The balance in wei: `GET /accounts/balance`.

        Args:
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.

        Raises:
            OctaError: see `octa_provider.errors`.
        """
        answer = self._transport.get(path_of("accounts", "balance"), retries=retries, timeout=timeout)
        return Balance.from_payload(answer.json())

    def generate_wallet(self, *, timeout: float | None = None) -> Wallet:
        """Make a new deposit wallet: `POST /accounts`. Not repeatable, so never retried (S).

        Args:
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        return Wallet.from_payload(self._transport.send("POST", "/accounts", timeout=timeout).json())
