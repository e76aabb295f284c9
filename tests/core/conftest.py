"""What the client's tests share: a clock that stands still, a key that must never show, servers that misbehave."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from a_key import KEY
from held_clock import HeldClock
from odd_server import OddServer, Step

from octa_provider import OctaClient

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
ENVIRONMENT = ("OCTA_API_KEY", "OCTA_BASE_URL", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC", *PROXIES)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, proxy or certificate of the machine that runs the tests."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert "OCTA_API_KEY" not in os.environ


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def serve() -> Iterator[Callable[..., OddServer]]:
    """Starts scripted servers; all of them end with the test."""
    with ExitStack() as stack:

        def start(*steps: Step, **options: Any) -> OddServer:
            return stack.enter_context(OddServer(*steps, **options))

        yield start


@pytest.fixture
def connect(clock: HeldClock) -> Iterator[Callable[..., OctaClient]]:
    """Makes clients of a server (or of URLs) with the secret key and the held clock."""
    with ExitStack() as stack:

        def make(*where: OddServer | str, **options: Any) -> OctaClient:
            urls = [place if isinstance(place, str) else place.url for place in where]
            settings: dict[str, Any] = {"base_url": urls, "clock": clock, "timeout": 300.0, **options}
            return stack.enter_context(OctaClient(settings.pop("api_key", KEY), **settings))

        yield make


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection fails the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
