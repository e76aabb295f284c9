"""`octa-provider emulator` and `python -m octa_provider.emulator`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from decimal import InvalidOperation
from pathlib import Path
from typing import Any

from octa_provider.cli.options.durations import seconds
from octa_provider.cli.options.numbers import number, port, whole_number
from octa_provider.emulator.container.process import wait_for_exit
from octa_provider.emulator.server import Emulator, serve_until
from octa_provider.emulator.settings import API_KEY_VARIABLE, EmulatorSettings
from octa_provider.errors import OctaConfigError
from octa_provider.wire.money import wei_of_octa


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the emulator's options; `run` takes what it parsed."""
    defaults = EmulatorSettings(state=Path())
    add = parser.add_argument
    add("--host", default=defaults.host, help="address to listen on (default: %(default)s)")
    add("--port", type=port, default=8787, help="port to listen on; 0 takes a free one (default: %(default)s)")
    add(
        "--machines",
        type=whole_number,
        default=defaults.machines,
        metavar="N",
        help="machines on offer (default: %(default)s)",
    )
    add(
        "--seed",
        type=whole_number,
        default=defaults.seed,
        help="repeats a catalogue and its oddities (default: %(default)s)",
    )
    add(
        "--quirks",
        action=argparse.BooleanOptionalAction,
        default=defaults.quirks,
        help="show the documented oddities of the live API (default: yes)",
    )
    add(
        "--start-delay",
        type=seconds,
        default=defaults.start_delay_s,
        metavar="DURATION",
        help="from a session's start until it is ready (default: %(default)s)",
    )
    add(
        "--stop-delay",
        type=seconds,
        default=defaults.stop_delay_s,
        metavar="DURATION",
        help="how long a stopped session stays listed and billed (default: %(default)s)",
    )
    add(
        "--stop-grace",
        type=seconds,
        default=defaults.stop_grace_s,
        metavar="DURATION",
        help="between SIGTERM and SIGKILL for a session's processes (default: %(default)s)",
    )
    add(
        "--speed",
        type=number,
        default=defaults.speed,
        metavar="FACTOR",
        help="how much faster than real time sessions are billed (default: %(default)s)",
    )
    add("--state", type=Path, metavar="DIR", help="folder that outlives the emulator (default: a temporary one)")
    add("--balance", type=_octa, default=defaults.balance_wei, metavar="OCTA", help="the balance of a new account")
    add("--fault", type=_fault, action="append", default=[], metavar="JSON", help="a fault from the start; repeatable")
    add("--room", type=whole_number, metavar="N", help="sessions that fit on a node (default: the number of its GPUs)")
    add("--gpus", type=whole_number, metavar="N", help="GPUs of each node (default: drawn by the seed)")
    add("--log-limit", type=whole_number, metavar="BYTES", help="serve only the end of a container's log")
    add("--api-key", help=f"the key to accept (default: {API_KEY_VARIABLE}, else the state folder's)")
    add("--blender-python", metavar="PATH", help="interpreter that has bpy, for blender images")
    add("--parent", type=whole_number, metavar="PID", help="end when this process has ended")
    add("--until-stdin-closes", action="store_true", help="end when standard input closes")
    add(
        "--i-know-this-runs-commands",
        action="store_true",
        dest="allow_any_host",
        help="allow a --host that other machines can reach",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the emulator until SIGTERM or SIGINT. Returns the exit status: 0, or 2 for settings that cannot be."""
    parser = argparse.ArgumentParser(
        prog="octa-provider emulator",
        description="Serve the OctaSpace API on this machine: sessions are real local processes.",
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Run the emulator with parsed arguments. Returns the exit status."""
    with contextlib.ExitStack() as stack:
        state = arguments.state
        if state is None:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="octa-emulator-")))
        try:
            asyncio.run(_serve(settings_of(arguments, state), arguments.parent, arguments.until_stdin_closes))
        except (OctaConfigError, OSError) as error:
            print(f"octa-provider emulator: {error}", file=sys.stderr)
            return 2
    return 0


def settings_of(arguments: argparse.Namespace, state: Path) -> EmulatorSettings:
    """What the parsed arguments amount to.

    Args:
        arguments: as `add_arguments` describes them.
        state: the state folder; those that the arguments name may be none.
    """
    return EmulatorSettings(
        state=state,
        host=arguments.host,
        port=arguments.port,
        machines=arguments.machines,
        seed=arguments.seed,
        quirks=arguments.quirks,
        start_delay_s=arguments.start_delay,
        stop_delay_s=arguments.stop_delay,
        stop_grace_s=arguments.stop_grace,
        speed=arguments.speed,
        balance_wei=arguments.balance,
        api_key=arguments.api_key or os.environ.get(API_KEY_VARIABLE) or None,
        room=arguments.room,
        gpus=arguments.gpus,
        faults=tuple(arguments.fault),
        blender_python=arguments.blender_python,
        log_limit_bytes=arguments.log_limit,
        allow_any_host=arguments.allow_any_host,
    )


async def _serve(settings: EmulatorSettings, parent: int | None, until_stdin_closes: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for stopping in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stopping, stop.set)
    emulator = Emulator(settings)
    await emulator.start()
    print(json.dumps(emulator.announcement()), flush=True)
    watchers = []
    if parent is not None:
        watchers.append(asyncio.create_task(_stop_without(parent, stop)))
    if until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), _read_stdin, loop, stop)
    try:
        await serve_until(emulator, stop)
    finally:
        for watcher in watchers:
            watcher.cancel()


async def _stop_without(parent: int, stop: asyncio.Event) -> None:
    await wait_for_exit(parent)
    stop.set()


def _read_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()


def _octa(text: str) -> int:
    try:
        wei = wei_of_octa(text)
    except (InvalidOperation, OverflowError, ValueError):
        raise argparse.ArgumentTypeError(f"{text} is not an amount of OCTA, such as 12.5") from None
    return wei


def _fault(text: str) -> dict[str, Any]:
    try:
        spec = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not JSON: {error}") from None
    if not isinstance(spec, dict):
        raise argparse.ArgumentTypeError(f"{text} is not a JSON object")
    return spec
