"""One emulator: a platform behind a listening socket, on the running event loop."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from aiohttp import web

from octa_provider.emulator.http.app import make_app
from octa_provider.emulator.platform.platform import Platform
from octa_provider.emulator.platform.state import StateFolder
from octa_provider.emulator.settings import EmulatorSettings

_SHUTDOWN_S = 0.1


class Emulator:
    """An emulator that serves between `start` and `close`.

    Args:
        settings: what to serve.
    """

    def __init__(self, settings: EmulatorSettings) -> None:
        self.settings = settings
        self.platform: Platform | None = None
        self._state: StateFolder | None = None
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> None:
        """Take the state folder, adopt what runs in it, and listen.

        Raises:
            OctaConfigError: the state folder is in use, or a fault or the Blender interpreter cannot be.
            OSError: the port is taken.
        """
        # Reading an old ledger and making keys takes milliseconds, and nobody is served yet.
        self._state = StateFolder(self.settings.state, self.settings.api_key)
        try:
            self.platform = Platform(self.settings, self._state)
            await self._listen(self.platform)
        except BaseException:
            await self.close()
            raise

    async def _listen(self, platform: Platform) -> None:
        app = make_app(platform)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port)
        await site.start()
        self._port = int(self._runner.addresses[0][1])
        await platform.open()

    @property
    def base_url(self) -> str:
        """Where it serves."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"http://{host}:{self._port}"

    def announcement(self) -> dict[str, Any]:
        """What a client needs to know: `base_url`, `api_key`, `ssh_private_key` (a path), `pid`."""
        assert self._state is not None
        return {
            "base_url": self.base_url,
            "api_key": self._state.api_key,
            "ssh_private_key": str(self._state.ssh_private_key),
            "pid": os.getpid(),
        }

    async def close(self) -> None:
        """Stop serving, and end every session with its processes."""
        await self._stop_serving()
        if self.platform is not None:
            await self.platform.close()
        self._let_go()

    async def abandon(self) -> None:
        """Stop serving as kill -9 would: sessions run on, for the next emulator on this state folder to adopt."""
        await self._stop_serving()
        if self.platform is not None:
            await self.platform.abandon()
        self._let_go()

    async def _stop_serving(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _let_go(self) -> None:
        if self._state is not None:
            self._state.close()
        self.platform = self._state = None


async def serve_until(emulator: Emulator, stop: asyncio.Event) -> None:
    """Keep a started emulator until `stop` is set, then close it."""
    try:
        await stop.wait()
    finally:
        await emulator.close()
