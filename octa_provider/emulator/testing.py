"""The emulator for tests: a pytest fixture, and the context manager behind it.

from octa_provider.emulator.testing import octa_emulator  # in conftest.py

def test_my_flow(octa_emulator):
    with OctaClient(octa_emulator.api_key, base_url=octa_emulator.base_url) as client:
        ...
    assert octa_emulator.ledger()["running"] == 0
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import requests

from octa_provider.emulator.container.process import end_leftovers
from octa_provider.emulator.server import Emulator, serve_until
from octa_provider.emulator.settings import API_KEY_VARIABLE, EmulatorSettings
from octa_provider.emulator.warm_start import WarmChild, can_start_warm, start_warm
from octa_provider.wire.money import WEI_PER_OCTA, wei_of_octa

#: On a machine that is busy: what has failed is told at once, and only what hangs takes so long.
_STARTED_WITHIN_S = 300.0
_ANSWERED_WITHIN_S = 300.0
_STOPPED_WITHIN_S = 120.0
_PROGRAM = (sys.executable, "-m", "octa_provider.emulator")


class EmulatorHandle:
    """A running emulator, as a test sees it.

    Attributes:
        base_url: where it serves.
        api_key: the key that it accepts.
        ssh_private_key: path of the account's private key.
        pid: its process; our own when it runs in process.
        state: its state folder.
    """

    def __init__(self, announcement: dict[str, Any], state: Path) -> None:
        self.base_url: str = announcement["base_url"]
        self.api_key: str = announcement["api_key"]
        self.ssh_private_key = Path(announcement["ssh_private_key"])
        self.pid: int = announcement["pid"]
        self.state = state
        self._http = requests.Session()
        # Proxies and .netrc of the developer have no say here, and looking for them costs a third of a request.
        self._http.trust_env = False
        self._http.headers["Authorization"] = self.api_key

    def __repr__(self) -> str:
        return f"EmulatorHandle({self.base_url})"

    def __enter__(self) -> EmulatorHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request with the key; `options` as `requests` takes them. Errors do not raise."""
        return self._http.request(method, self.base_url + path, **({"timeout": _ANSWERED_WITHIN_S} | options))

    def ledger(self, *, requests: bool = True) -> dict[str, Any]:
        """What was started, stopped, billed and requested; quicker without the requests."""
        ledger: dict[str, Any] = self._ask("GET", "/_emulator/ledger" + ("" if requests else "?requests=false"))
        return ledger

    def faults(self, *specs: dict[str, Any]) -> None:
        """Put faults in force, after those that are. See `octa_provider.emulator.faults.faults`."""
        if specs:
            self._ask("POST", "/_emulator/faults", list(specs))

    def clear_faults(self) -> None:
        """Lift every fault."""
        self._ask("DELETE", "/_emulator/faults")

    def advance_clock(self, seconds: float) -> None:
        """Let billing time pass at once: running sessions become that much older and dearer."""
        self._ask("POST", "/_emulator/clock", {"advance_s": seconds})

    def ssh(self, **conditions: Any) -> None:
        """How machines answer over SSH from now on: the fields of `SshConditions`; none is as they should."""
        self._ask("POST", "/_emulator/ssh", conditions)

    def let_traffic_flow(self, uuid: str, *, tx_bytes: int = 0, rx_bytes: int = 0) -> None:
        """Let so many bytes go through a session: a VPN is billed by them."""
        self._ask("POST", f"/_emulator/sessions/{uuid}/traffic", {"tx_bytes": tx_bytes, "rx_bytes": rx_bytes})

    def end_session(self, uuid: str, reason: str | int | None = None) -> None:
        """Have the platform end a session; the API tells a reason that is given, and else the number of an error."""
        self._ask("POST", f"/_emulator/sessions/{uuid}/end", {} if reason is None else {"reason": reason})

    def env(self) -> dict[str, str]:
        """The environment variables that point a client here."""
        return {"OCTA_API_KEY": self.api_key, "OCTA_BASE_URL": self.base_url}

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        response = self.request(method, path, json=body)
        if not response.ok:
            raise ValueError(f"the emulator answered {response.status_code}: {response.text}")
        return response.json()


@contextlib.contextmanager
def start_emulator(*, in_process: bool = False, state: Path | None = None, **options: Any) -> Iterator[EmulatorHandle]:
    """Run an emulator for a `with` block; afterwards it is gone, and every process of its sessions too.

    Args:
        in_process: run it in a thread of this process: quicker to start, but it goes when the process is killed,
            and its sessions' processes may then be left over.
        state: its state folder; None takes a temporary one.
        options: the fields of `EmulatorSettings`: `machines`, `seed`, `quirks`, `start_delay_s`, `speed`, ... Also
            `balance_octa` instead of `balance_wei`.

    Raises:
        OctaConfigError: an option cannot be.
        RuntimeError: the child process did not start.
    """
    if "balance_octa" in options:
        options["balance_wei"] = wei_of_octa(options.pop("balance_octa"))
    with contextlib.ExitStack() as stack:
        if state is None:
            # Ours to remove: a session's commands may still be writing while they are being killed.
            state = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="octa-emulator-", ignore_cleanup_errors=True))
            )
        fields: dict[str, Any] = {"state": state, "start_delay_s": 0.1} | options
        settings = EmulatorSettings(**fields)
        stack.callback(end_leftovers, state)
        announcement = stack.enter_context(_thread(settings) if in_process else _child(settings))
        yield stack.enter_context(EmulatorHandle(announcement, state))


@pytest.fixture
def octa_emulator(tmp_path: Path) -> Iterator[EmulatorHandle]:
    """An emulator of its own for one test, in a child process; sessions are ready after 0.1 s."""
    with start_emulator(state=tmp_path / "octa-emulator") as emulator:
        yield emulator


def command_line(settings: EmulatorSettings) -> list[str]:
    """The command that runs an emulator with these settings; its key goes by the environment."""
    values = {
        "--state": settings.state,
        "--host": settings.host,
        "--port": settings.port,
        "--machines": settings.machines,
        "--seed": settings.seed,
        "--start-delay": settings.start_delay_s,
        "--stop-delay": settings.stop_delay_s,
        "--stop-grace": settings.stop_grace_s,
        "--speed": settings.speed,
        "--balance": f"{settings.balance_wei // WEI_PER_OCTA}.{settings.balance_wei % WEI_PER_OCTA:018d}",
        "--room": settings.room,
        "--gpus": settings.gpus,
        "--blender-python": settings.blender_python,
        "--log-limit": settings.log_limit_bytes,
    }
    command = [*_PROGRAM, "--quirks" if settings.quirks else "--no-quirks"]
    for name, value in values.items():
        if value is not None:
            command.append(f"{name}={value}")
    for fault in settings.faults:
        command.append(f"--fault={json.dumps(fault)}")
    if settings.allow_any_host:
        command.append("--i-know-this-runs-commands")
    return command


@contextlib.contextmanager
def _child(settings: EmulatorSettings) -> Iterator[dict[str, Any]]:
    with _started(settings) as child:
        assert child.stdout is not None
        # A hung child must not hang the tests: its end is the end of its output.
        watchdog = threading.Timer(_STARTED_WITHIN_S, child.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            line = child.stdout.readline()
            watchdog.cancel()
            if not line:
                raise RuntimeError(f"the emulator did not start: exit status {child.wait()}, see its error output")
            yield json.loads(line)
        finally:
            watchdog.cancel()
            child.terminate()
            try:
                child.wait(_STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()


def _started(settings: EmulatorSettings) -> subprocess.Popen[bytes] | WarmChild:
    # Both ways of noticing that we are gone: a process that we forked may hold the pipe open.
    command = [*command_line(settings), "--until-stdin-closes", f"--parent={os.getpid()}"]
    environment = dict(os.environ)
    environment.pop(API_KEY_VARIABLE, None)
    if settings.api_key is not None:
        environment[API_KEY_VARIABLE] = settings.api_key
    if can_start_warm():
        return start_warm(command[len(_PROGRAM) :], environment)
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=environment
    )


@contextlib.contextmanager
def _thread(settings: EmulatorSettings) -> Iterator[dict[str, Any]]:
    loop = asyncio.new_event_loop()
    emulator = Emulator(settings)
    stop = asyncio.Event()
    thread = threading.Thread(target=_run_loop, args=(loop, emulator, stop), name="octa-emulator", daemon=True)
    # Started from here, so that an error is raised here; then the thread takes the loop over.
    try:
        loop.run_until_complete(emulator.start())
    except BaseException:
        loop.close()
        raise
    announcement = emulator.announcement()
    thread.start()
    try:
        yield announcement
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_STOPPED_WITHIN_S)


def _run_loop(loop: asyncio.AbstractEventLoop, emulator: Emulator, stop: asyncio.Event) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(serve_until(emulator, stop))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
