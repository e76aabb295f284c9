"""Faults of machines that render: a process on a machine asks what its next frame meets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from octa_provider.emulator.container.frame_faults import PORT_FILE
from octa_provider.emulator.faults.faults import Faults
from octa_provider.emulator.platform.platform import Platform

__all__ = ["RenderFaults"]


class RenderFaults:
    """Answers the processes of the emulated machines, on a port of its own: they have no key of the API.

    Args:
        platform: whose machines they are.
        faults: those in force.
    """

    def __init__(self, platform: Platform, faults: Faults) -> None:
        self._platform = platform
        self._faults = faults
        self._port_file = platform.state.root / PORT_FILE
        self._server: asyncio.Server | None = None
        self._port = 0

    async def open(self) -> None:
        """Listen, and let machines know it when a fault needs it."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        self.announce()

    async def close(self) -> None:
        """Listen no more."""
        self._port_file.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()

    def announce(self) -> None:
        """Let machines ask from now on if a fault is about rendering, and not if none is."""
        if not self._port:
            return
        if not any(fault.kind == "render" for fault in self._faults.active):
            self._port_file.unlink(missing_ok=True)
            return
        new = self._port_file.with_suffix(".new")
        new.write_text(json.dumps({"port": self._port}))
        new.replace(self._port_file)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):
            question = json.loads(await reader.readline())
            if not (isinstance(question, dict) and isinstance(question.get("session"), str)):
                raise ValueError("no question of a machine")
            writer.write(json.dumps(self._met(question)).encode() + b"\n")
            await writer.drain()
        writer.close()

    def _met(self, question: dict[str, Any]) -> dict[str, dict[str, Any]]:
        session = self._platform.ledger.sessions.get(question["session"])
        if session is None or not session.running:
            return {}
        node_id = session.order.node_id
        met: dict[str, dict[str, Any]] = {}
        for fault in self._faults.active:
            if fault.takes_frame(question, node_id):
                met[fault.spec["form"]] = fault.spec | {
                    "factor": fault.option("factor", 5),
                    "turn": fault.turn(session.uuid),
                }
        if "node_dies" in met:
            self._platform.in_background(self._platform.let_nodes_die([node_id], 0))
        return met
