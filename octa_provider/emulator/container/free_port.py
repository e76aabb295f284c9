"""A port for a program that will listen on it a moment later."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from pathlib import Path

__all__ = ["free_port"]

#: Where Linux says which ports it gives to whoever connects without naming one.
_GIVEN_BY_THE_SYSTEM = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 50


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, and that the system gives to no connection meanwhile.

    A port out of the system's own range may be any program's outgoing connection by the time somebody listens on it:
    the program then ends with "Address already in use".
    """
    for _ in range(_TRIES):
        port = random.randrange(*_below_the_systems())
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _below_the_systems() -> tuple[int, int]:
    try:
        lowest = int(_GIVEN_BY_THE_SYSTEM.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        lowest = 32768
    return (lowest // 2, lowest) if lowest > 4096 else (20000, 32768)
