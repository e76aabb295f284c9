"""The emulator as a process of its own."""

from __future__ import annotations

import json
import os
import selectors
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from demo.child_processes import Child, ChildProcesses
from demo.market_clock import SPEED
from octa_provider import OctaClient

START_DEADLINE_S = 30.0
#: What a machine takes to come up, in the market's time.
START_S = 60.0


class EmulatorError(Exception):
    """The emulator does not do what it must; the text says what happened."""


@dataclass(frozen=True)
class Emulator:
    """An emulator that serves.

    Attributes:
        base_url: of the API.
        api_key: what it accepts.
        ssh_private_key: path of the key that opens its machines.
        state: folder of its sessions.
    """

    base_url: str
    api_key: str
    ssh_private_key: str
    state: Path

    def ledger(self) -> dict[str, Any]:
        """What was started, stopped and billed.

        Raises:
            EmulatorError: it does not answer.
        """
        try:
            answer = requests.get(
                f"{self.base_url}/_emulator/ledger",
                params={"requests": "false"},
                headers={"Authorization": self.api_key},
                timeout=10,
            )
            answer.raise_for_status()
            ledger: dict[str, Any] = answer.json()
        except requests.RequestException as error:
            raise EmulatorError(f"the emulator's ledger cannot be read: {error}") from error
        return ledger

    def running(self) -> dict[str, int]:
        """The sessions that run, with the node of each.

        Raises:
            EmulatorError: it does not answer.
        """
        ledger = self.ledger()
        running = set(ledger["running_uuids"])
        return {one["uuid"]: one["node_id"] for one in ledger["sessions"] if one["uuid"] in running}

    def frames_of(self, uuid: str) -> int:
        """How many frames a session has begun."""
        return sum(1 for _ in (self.state / "sessions" / uuid).glob("**/*.png"))

    def end_session(self, uuid: str, reason: str) -> None:
        """Have the platform end a session.

        Args:
            uuid: which.
            reason: what the API tells of it.

        Raises:
            EmulatorError: it does not.
        """
        try:
            requests.post(
                f"{self.base_url}/_emulator/sessions/{uuid}/end",
                json={"reason": reason},
                headers={"Authorization": self.api_key},
                timeout=10,
            ).raise_for_status()
        except requests.RequestException as error:
            raise EmulatorError(f"the emulator did not end a machine: {error}") from error

    def gpus(self) -> dict[int, str]:
        """The GPU model of each node, as its catalogue tells it."""
        with OctaClient(self.api_key, base_url=self.base_url) as client:
            return {machine.node_id: machine.gpu_model or "" for machine in client.services.mr.available()}


def start_emulator(children: ChildProcesses, folder: Path, blender_python: Path | None, log: Path) -> Emulator:
    """Start it and wait until it serves.

    Args:
        children: what ends it.
        folder: for its state.
        blender_python: interpreter that has bpy; without one the emulator looks for an installed Blender.
        log: where its messages go.

    Raises:
        EmulatorError: it does not start.
    """
    command: list[str | Path] = [sys.executable, "-m", "octa_provider.emulator", "--port", "0", "--state", folder]
    # Its machines are alike, but for price and speed: one GPU, one session. They come up after a minute of the market's
    # time. Should the demo be killed, they still end.
    command += ["--room", "1", "--gpus", "1", "--speed", str(SPEED), "--start-delay", str(START_S / SPEED)]
    command += ["--parent", str(os.getpid())]
    if blender_python is not None:
        command += ["--blender-python", blender_python]
    child = children.start("the emulator", command, log, os.environ, pipe=True)
    line = first_line(child)
    try:
        told = json.loads(line)
        return Emulator(told["base_url"], told["api_key"], told["ssh_private_key"], folder)
    except (ValueError, KeyError, TypeError):
        raise EmulatorError(f"the emulator did not start: {line.strip() or child.log_tail() or 'no answer'}") from None


def first_line(child: Child) -> str:
    """The first line that it prints, or nothing when it takes too long."""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        if not selector.select(START_DEADLINE_S):
            return ""
    return child.stdout.readline().decode(errors="replace")
