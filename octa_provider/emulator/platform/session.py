"""One session: what was ordered, how far it is, what it costs."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from typing import Any

from octa_provider.emulator.platform.billing import (
    IDLE_RX_BYTES_PER_S,
    IDLE_TX_BYTES_PER_S,
    MS_PER_HOUR,
    charge_wei,
    traffic_wei,
)
from octa_provider.wire.session_envs import RENTAL_KEY_ENV


@dataclass(frozen=True)
class Order:
    """What a caller asked for.

    Attributes:
        service: `mr`, `render` or `vpn`.
        node_id: the node.
        image: the image's name; empty for render and vpn.
        app_name: the app's name; empty without one.
        disk_gb: disk in GB.
        envs: the environment, echoed as `user_envs`.
        ports: TCP ports to publish.
        http_ports: ports to publish behind a URL.
        start_command: what runs in the container.
        entrypoint: the program that gets the start command as arguments; empty for a shell.
        subkind: the kind of a VPN.
        protocol: the protocol of a v2ray VPN.
        organization_id: who pays, as it came; None for the account itself. The emulator has one purse.
        project_id: what for, as it came.
    """

    service: str
    node_id: int
    image: str = ""
    app_name: str = ""
    disk_gb: float = 0
    envs: dict[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    http_ports: tuple[int, ...] = ()
    start_command: str = ""
    entrypoint: str = ""
    subkind: str = ""
    protocol: str = ""
    organization_id: int | str | None = None
    project_id: int | str | None = None

    @property
    def argv(self) -> tuple[str, ...] | None:
        """The command to run; None when the container idles.

        Raises:
            ValueError: quotes in the entrypoint or the start command do not close.
        """
        if not self.entrypoint:
            return ("/bin/sh", "-c", self.start_command) if self.start_command else None
        entrypoint = shlex.split(self.entrypoint)
        # `sh -c` wants the command as one argument, as a user means who writes these two fields.
        if entrypoint[-1:] == ["-c"]:
            return (*entrypoint, self.start_command)
        return (*entrypoint, *shlex.split(self.start_command))


@dataclass
class Session:
    """One session, from its start to after its end. Times: `_ns` is Unix time, `billed_*_ms` is billing time.

    Attributes:
        uuid: its id.
        ordinal: its number in this account, from 0: decides its oddities.
        order: what was asked for.
        price_wei: price of an hour; 0 for a VPN.
        traffic_price_wei: price of a GB, of a VPN; 0 for the others.
        tx_flowed, rx_flowed: bytes that a test let flow, beside what flows by itself.
        started_ns: when it started.
        billed_from_ms: billing time of its start.
        advanced_ms: how far the billing clock had been advanced then.
        never_ready: a fault keeps it in its startup phase.
        listed_from_ns: a fault hides it from the list until then.
        progress: the progress text.
        is_ready: whether its service is configured.
        ready_ns: since when; 0 before.
        ssh_port: where its SSH server listens; 0 before it is ready.
        ssh_proxy_port: the same for the proxy's address.
        ports_matrix: published port to local port.
        urls: http port to URL.
        http_targets: http port to the local port that its process must bind.
        pid: the command's process; 0 without one.
        system: the system log, `(Unix ms, text)` each.
        stopped_ns: when it ended, or None.
        billed_until_ms: billing time of its end, or None.
        advanced_at_stop_ms: how far the billing clock had been advanced at its end.
        stopped_by: `api`, `platform` or `fault`.
        termination_reason: why it ended, in the words of the ledger, or as a test gave it.
        score: the caller's rating at the stop.
    """

    uuid: str
    ordinal: int
    order: Order
    price_wei: int
    started_ns: int
    billed_from_ms: int
    traffic_price_wei: int = 0
    tx_flowed: int = 0
    rx_flowed: int = 0
    advanced_ms: int = 0
    never_ready: bool = False
    listed_from_ns: int = 0
    progress: str = "queued"
    is_ready: bool = False
    ready_ns: int = 0
    ssh_port: int = 0
    ssh_proxy_port: int = 0
    ports_matrix: dict[str, int] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    http_targets: dict[str, int] = field(default_factory=dict)
    pid: int = 0
    system: list[tuple[int, str]] = field(default_factory=list)
    stopped_ns: int | None = None
    billed_until_ms: int | None = None
    advanced_at_stop_ms: int = 0
    stopped_by: str | None = None
    termination_reason: str | int | None = None
    score: int | None = None

    @property
    def running(self) -> bool:
        """Whether it is billed."""
        return self.stopped_ns is None

    @property
    def rental_key(self) -> str | None:
        """The name of the work it was rented for, if the caller gave one."""
        return self.order.envs.get(RENTAL_KEY_ENV)

    def billed_ms(self, now_ms: int) -> int:
        """Billing time from its start until its end, or until now."""
        return max(0, (now_ms if self.billed_until_ms is None else self.billed_until_ms) - self.billed_from_ms)

    def tx_bytes(self, now_ms: int) -> int:
        """What it has sent until its end, or until now."""
        return self.tx_flowed + self.billed_ms(now_ms) * IDLE_TX_BYTES_PER_S // 1000

    def rx_bytes(self, now_ms: int) -> int:
        """What it has received until its end, or until now."""
        return self.rx_flowed + self.billed_ms(now_ms) * IDLE_RX_BYTES_PER_S // 1000

    def charge_wei(self, now_ms: int) -> int:
        """What it has cost until its end, or until now: exact. A VPN costs its traffic, anything else its time."""
        moved = self.tx_bytes(now_ms) + self.rx_bytes(now_ms)
        return charge_wei(self.price_wei, self.billed_ms(now_ms)) + traffic_wei(self.traffic_price_wei, moved)

    @property
    def idle_hour_wei(self) -> int:
        """What an hour costs while nobody uses it."""
        idle_bytes = (IDLE_TX_BYTES_PER_S + IDLE_RX_BYTES_PER_S) * MS_PER_HOUR // 1000
        return self.price_wei + traffic_wei(self.traffic_price_wei, idle_bytes)

    def record(self) -> dict[str, Any]:
        """Everything about it, for the ledger's file."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Session:
        """The session that `record` described."""
        order = record["order"] | {name: tuple(record["order"][name]) for name in ("ports", "http_ports")}
        system = [(int(ts), str(text)) for ts, text in record["system"]]
        return cls(**(record | {"order": Order(**order), "system": system}))
