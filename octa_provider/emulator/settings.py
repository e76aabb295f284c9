"""What an emulator is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octa_provider.errors import OctaConfigError
from octa_provider.wire.money import WEI_PER_OCTA

#: The environment variable with the key to accept: a command line can be read by every user of the computer.
API_KEY_VARIABLE = "OCTA_EMULATOR_API_KEY"


@dataclass(frozen=True)
class EmulatorSettings:
    """The options of one emulator.

    Attributes:
        state: folder of the API key, the SSH keys, the ledger and the sessions' folders; made when missing.
        host: address that the API listens on; sessions listen on 127.0.0.1 always.
        port: port to listen on; 0 takes a free one.
        machines: number of machines in the catalogue.
        seed: the same seed and number of machines give the same catalogue and the same oddities.
        quirks: whether the oddities of the live API (evidence B in the API notes) appear in the answers.
        start_delay_s: seconds from a session's start until it is ready.
        stop_delay_s: seconds that a stopped session stays listed (and billed) after the stop was answered.
        stop_grace_s: seconds between SIGTERM and SIGKILL for a session's processes.
        speed: how much faster than real time the billing clock runs.
        balance_wei: the account's balance when the state folder is new.
        api_key: the key to accept; None takes the one in the state folder, or makes one.
        room: sessions that fit on each node; None takes the number of its GPUs.
        gpus: GPUs of each node; None draws them by the seed.
        faults: faults from the start, as `octa_provider.emulator.faults.faults.parse_fault` takes them.
        blender_python: interpreter that can import `bpy`; None looks for one.
        log_limit_bytes: serve only this much of the end of a container's log, as a platform that rotates logs does.
        allow_any_host: accept a host that other machines can reach.
    """

    state: Path
    host: str = "127.0.0.1"
    port: int = 0
    machines: int = 12
    seed: int = 7
    quirks: bool = True
    start_delay_s: float = 2.0
    stop_delay_s: float = 0.0
    stop_grace_s: float = 0.5
    speed: float = 1.0
    balance_wei: int = 10_000 * WEI_PER_OCTA
    api_key: str | None = None
    room: int | None = None
    gpus: int | None = None
    faults: tuple[dict[str, Any], ...] = ()
    blender_python: str | None = None
    log_limit_bytes: int | None = None
    allow_any_host: bool = False

    def __post_init__(self) -> None:
        if not self.allow_any_host and not is_loopback(self.host):
            raise OctaConfigError(
                f"{self.host} can be reached from other machines, and whoever has the key runs commands here: "
                "use 127.0.0.1, or add --i-know-this-runs-commands."
            )
        limits = (
            ("machines", self.machines, 1),
            ("start_delay_s", self.start_delay_s, 0),
            ("stop_delay_s", self.stop_delay_s, 0),
            ("stop_grace_s", self.stop_grace_s, 0),
            ("speed", self.speed, 0),
            ("balance_wei", self.balance_wei, 0),
            ("room", self.room, 0),
            ("gpus", self.gpus, 1),
            ("log_limit_bytes", self.log_limit_bytes, 1),
        )
        for name, value, least in limits:
            if value is not None and value < least:
                raise OctaConfigError(f"{name} is {value}: give {least} or more.")
        if self.api_key is not None and (not self.api_key.isascii() or not self.api_key.isprintable()):
            raise OctaConfigError("api_key travels in a header: use printable ASCII characters.")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
