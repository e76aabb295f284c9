"""The account, its balance, its deposit wallets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.wire.exact_json import require_object
from octa_provider.wire.fields import integer, label, text
from octa_provider.wire.model import Model

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Account", "Balance", "Wallet"]


class Account(Model, frozen=True, kw_only=True):
    """`GET /accounts` (evidence S).

    Attributes:
        account_uuid: the account.
        email: its owner's address.
        uid: its short id; number or text on the wire, text here.
        wallet: its deposit address.
        balance_wei: what is left, exact.
        ref_code: its referral code.
        avatar: the URL of its picture.
    """

    account_uuid: str | None = None
    email: str | None = None
    uid: str | None = None
    wallet: str | None = None
    balance_wei: int | None = None
    ref_code: str | None = None
    avatar: str | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object."""
        raw = require_object(payload, "account", ("account_uuid", "email", "uid", "wallet", "balance"))
        return cls(
            raw=raw,
            account_uuid=text(raw.get("account_uuid")),
            email=text(raw.get("email")),
            uid=label(raw.get("uid")),
            wallet=text(raw.get("wallet")),
            balance_wei=integer(raw.get("balance")),
            ref_code=label(raw.get("ref_code")),
            avatar=text(raw.get("avatar")),
        )


class Balance(Model, frozen=True, kw_only=True):
    """`GET /accounts/balance` (evidence S).

    Attributes:
        balance_wei: what is left, exact; number or text on the wire (evidence B).
        currency: its name, when the API gives one.
    """

    balance_wei: int | None = None
    currency: str | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object."""
        raw = require_object(payload, "balance", ("balance",))
        return cls(raw=raw, balance_wei=integer(raw.get("balance")), currency=text(raw.get("currency")))


class Wallet(Model, frozen=True, kw_only=True):
    """`POST /accounts`: a new deposit wallet (evidence S).

    Attributes:
        address: where to send OCTA, also from `wallet` (evidence C); None when the answer named none.
        network: of which chain it is, when the API says so.
    """

    address: str | None = None
    network: str | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object."""
        raw = require_object(payload, "wallet", ("address", "wallet"))
        address = text(raw.get("address")) or text(raw.get("wallet"))
        return cls(raw=raw, address=address, network=text(raw.get("network")))
