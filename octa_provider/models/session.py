"""A session: what runs, where, how to reach it, what it costs."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

import msgspec

from octa_provider.errors import OctaDecodeError
from octa_provider.models.hardware import NodeHardware, decode_hardware
from octa_provider.models.session_progress import means_ready, means_starting, means_stopping
from octa_provider.wire.exact_json import require_object, shown
from octa_provider.wire.fields import (
    amount,
    count,
    flag,
    integer,
    label,
    mapping,
    moment,
    number,
    port_map,
    port_number,
    string_map,
    strings,
    text,
    url_map,
    usd_from_ten_thousandths,
)
from octa_provider.wire.labels import read_labels
from octa_provider.wire.model import Model
from octa_provider.wire.session_envs import RENTAL_KEY_ENV

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Endpoint", "Proxy", "Session", "SessionPhase", "SessionPrices"]

_TERMINATIONS = {"0": "normal end", "1": "idle limit"}


class SessionPhase(str, Enum):
    """Where a session is in its life."""

    STARTING = "starting"
    READY = "ready"
    #: Active, and billed, but being stopped: nothing may be begun on it.
    STOPPING = "stopping"
    #: Active, with a progress text that the API does not document.
    UNKNOWN = "unknown"
    FINISHED = "finished"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A host and its TCP port."""

    host: str
    port: int


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a VPN session of the kind `http_proxy`."""

    ip: str
    port: int


class SessionPrices(Model, frozen=True, kw_only=True):
    """The prices a session was started at.

    Attributes:
        base_usd: USD per hour, from 1/10,000 USD on the wire.
        currency_usd: whether the prices are in USD.
        market_price: USD for one OCTA.
        gpu_hour, cpu_hour: what an hour of its GPU or CPU costs, in the API's unit (evidence C: the Ruby SDK).
    """

    base_usd: float | None = None
    currency_usd: bool | None = None
    market_price: float | None = None
    gpu_hour: float | None = None
    cpu_hour: float | None = None


class Session(Model, frozen=True, kw_only=True):
    """`GET /services/{uuid}/info`, or an item of `GET /sessions` (evidence C, B).

    Attributes:
        uuid: the session.
        service: `mr`, `render` or `vpn`; another word when the API knows more; empty when it says nothing.
        kind: the VPN's kind, or the API's word for others.
        app_name, app_logo: the app it was started from, and the URL of its picture.
        node_id: the node it runs on.
        progress: free text; the `status` where there is none.
        status: one word, where the API tells that (evidence C: the Ruby SDK).
        is_ready: the API's flag, or a progress text that means the same; see `phase`.
        duration_s: seconds it has run.
        started_at, finished_at: aware, UTC.
        termination_reason: why it ended, as the API has it; a number on the wire is text here. See `ended_because`.
        public_ip: its address.
        ip: its private address, or that in its VPN.
        country, country_iso, city: where it runs.
        ports: container port to public port.
        urls: container port, or the service's name, to URL.
        ssh_direct, ssh_proxy: where SSH answers, for root with the account's key.
        ssh_web: URL of a terminal in the browser.
        config: a VPN's configuration text, or the proxy's address.
        tx_bytes, rx_bytes: traffic.
        charge_wei: what it has cost, exact.
        user_envs: the environment it was started with; None when the API does not echo it. Not in the repr.
        container_ids: its containers.
        hardware: the node's hardware.
        prices: the prices it was started at.
    """

    hidden: ClassVar[tuple[str, ...]] = ("raw", "user_envs", "config")

    uuid: str
    service: str = ""
    kind: str | None = None
    app_name: str | None = None
    app_logo: str | None = None
    node_id: int | None = None
    progress: str | None = None
    status: str | None = None
    is_ready: bool = False
    duration_s: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    termination_reason: str | None = None
    public_ip: str | None = None
    ip: str | None = None
    country: str | None = None
    country_iso: str | None = None
    city: str | None = None
    ports: dict[int, int] = msgspec.field(default_factory=dict)
    urls: dict[int | str, str] = msgspec.field(default_factory=dict)
    ssh_direct: Endpoint | None = None
    ssh_proxy: Endpoint | None = None
    ssh_web: str | None = None
    config: str | Proxy | None = None
    tx_bytes: int | None = None
    rx_bytes: int | None = None
    charge_wei: int | None = None
    user_envs: dict[str, str] | None = None
    container_ids: tuple[str, ...] = ()
    hardware: NodeHardware | None = None
    prices: SessionPrices | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object or has no `uuid`."""
        raw = require_object(payload, "session")
        get = raw.get
        uuid = text(get("uuid"))
        if uuid is None:
            raise OctaDecodeError(
                "session: no uuid, so it cannot be told from others. Look at .body.",
                what="session",
                body=shown(raw),
            )
        progress, status, is_ready = label(get("progress")), text(get("status")), flag(get("is_ready"))
        # A status alone makes a session ready only where nothing else tells of that.
        told = status if progress is None and is_ready is None else progress
        return cls(
            raw=raw,
            uuid=uuid,
            service=text(get("service")) or "",
            kind=label(get("kind")),
            app_name=text(get("app_name")),
            app_logo=text(get("app_logo")),
            node_id=count(get("node_id")),
            progress=progress or status,
            status=status,
            is_ready=is_ready is True or means_ready(told),
            duration_s=count(get("duration")),
            started_at=moment(get("started_at")),
            finished_at=moment(get("finished_at")),
            termination_reason=label(get("termination_reason")),
            public_ip=text(get("public_ip")),
            ip=text(get("ip")),
            country=text(get("country")),
            country_iso=text(get("country_iso")),
            city=text(get("city")),
            ports=port_map(get("ports_matrix")),
            urls=url_map(get("urls")),
            ssh_direct=read_endpoint(get("ssh_direct")),
            ssh_proxy=read_endpoint(get("ssh_proxy")),
            ssh_web=text(get("ssh_web")),
            config=read_config(get("config")),
            tx_bytes=count(get("tx")),
            rx_bytes=count(get("rx")),
            charge_wei=integer(get("charge_amount")),
            user_envs=read_envs(get("user_envs")),
            container_ids=strings(get("container_id")),
            hardware=decode_hardware(get("node_hw")),
            prices=read_prices(get("prices")),
        )

    @property
    def phase(self) -> SessionPhase:
        """Where the session is, by the documented rule.

        `finished_at` is set: FINISHED, and nothing else means that. A progress that says it is being stopped, such as
        `stop requested`: STOPPING, also while `is_ready` is still true. `is_ready`, or a progress of exactly
        `service configured`, `configured`, `running` or `ready` in any case: READY. A progress that contains one of
        the words for coming up: STARTING. Anything else: UNKNOWN. Without a progress, the `status` is read like one.
        """
        if self.finished_at is not None:
            return SessionPhase.FINISHED
        if means_stopping(self.progress):
            return SessionPhase.STOPPING
        if self.is_ready:
            return SessionPhase.READY
        return SessionPhase.STARTING if means_starting(self.progress) else SessionPhase.UNKNOWN

    @property
    def ended_because(self) -> str | None:
        """Why it ended, in words: the API counts 0 for a normal end, 1 for its idle limit, others for errors (C)."""
        reason = self.termination_reason
        if reason is None or not reason.lstrip("-").isdecimal():
            return reason
        return _TERMINATIONS.get(reason, f"error {reason}")

    @property
    def rental_key(self) -> str | None:
        """The rental key it was started under; None when it has none or the API does not echo the environment."""
        return self.user_envs.get(RENTAL_KEY_ENV) if self.user_envs else None

    @property
    def labels(self) -> dict[str, str]:
        """The labels it was started with, made plain; empty when it has none or the environment is not echoed."""
        return read_labels(self.user_envs)


def read_endpoint(value: object) -> Endpoint | None:
    """Where SSH answers; None where that is not told whole."""
    raw = mapping(value)
    host, port = text(raw.get("host")), port_number(raw.get("port"))
    return None if host is None or port is None else Endpoint(host=host.strip(), port=port)


def read_config(value: object) -> str | Proxy | None:
    """The configuration of a VPN."""
    if isinstance(value, dict):
        ip, port = text(value.get("ip")), port_number(value.get("port"))
        return None if ip is None or port is None else Proxy(ip=ip.strip(), port=port)
    # Text stays text even when it is JSON: the configuration of a v2ray client is.
    return text(value)


def read_envs(value: object) -> dict[str, str] | None:
    """The environment, as it is echoed."""
    # An empty object is an echo of no environment; anything that is no object at all says nothing about ours.
    opened = mapping(value)
    return string_map(opened) if opened or value == {} or value == "{}" else None


def read_prices(value: object) -> SessionPrices | None:
    """The prices it was started at; None for what is no object, or an empty one."""
    raw = mapping(value)
    if not raw:
        return None
    return SessionPrices(
        raw=raw,
        base_usd=usd_from_ten_thousandths(raw.get("base_usd")),
        currency_usd=flag(raw.get("currency_usd")),
        market_price=number(raw.get("market_price")),
        gpu_hour=amount(raw.get("gpu_hour")),
        cpu_hour=amount(raw.get("cpu_hour")),
    )
