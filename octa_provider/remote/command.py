"""A command on a rented machine: its output while it comes, in bounded memory, and its exit status."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import shown
from octa_provider.market.request import is_env_name
from octa_provider.remote.tail import Tail

if TYPE_CHECKING:
    import asyncssh

__all__ = ["KEPT_OUTPUT_CHARS", "CommandResult", "run_command", "with_envs"]

KEPT_OUTPUT_CHARS = 64 * 1024
#: A line without an end comes in pieces.
LINE_CHARS = 64 * 1024
READ_BYTES = 64 * 1024
#: So much may wait for whoever reads it before the machine has to.
READS_WAITING = 8
COMMAND_WINDOW_BYTES = 256 * 1024


@dataclass(frozen=True)
class CommandResult:
    """A command that ended on the machine.

    Attributes:
        exit_code: its exit status; 128 + n when signal n ended it.
        output: the last part of what it printed, both streams, when it was not followed line by line.
    """

    exit_code: int
    output: str = ""


def with_envs(command: str, envs: Mapping[str, str]) -> str:
    """The command line that sets environment variables first.

    Args:
        command: as the shell reads it.
        envs: the variables.

    Raises:
        OctaConfigError: a name in `envs` is none.
    """
    for name in envs:
        if not is_env_name(name):
            raise OctaConfigError(f"{shown(str(name))!r} is no name of an environment variable")
    return "".join(f"export {name}={shlex.quote(value)}; " for name, value in envs.items()) + command


async def run_command(
    connection: asyncssh.SSHClientConnection,
    line: str,
    stdin: str,
    kept: Tail,
    tell: Callable[[list[str]], object],
    waiting: Callable[[], int],
) -> int | None:
    """Run a command to its end; its exit status, or None when the connection was lost.

    Args:
        connection: to the machine.
        line: as the machine's shell reads it.
        stdin: what it reads.
        kept: gets what it prints, both streams.
        tell: called with the lines as they come; one without an end comes in pieces.
        waiting: how many calls of `tell` nobody has dealt with yet: when too many wait the machine has to.
    """
    import asyncssh

    process = await connection.create_process(
        line, stderr=asyncssh.STDOUT, encoding="utf-8", errors="replace", window=COMMAND_WINDOW_BYTES
    )
    try:
        # A command may end before it has read what it is given, or without wanting any of it: no lost connection.
        with suppress(OSError):
            process.stdin.write(stdin)
            process.stdin.write_eof()
        rest = ""
        while text := await process.stdout.read(READ_BYTES):
            kept.add(text)
            *whole, rest = (rest + text).split("\n")
            if len(rest) >= LINE_CHARS:
                # A progress bar, however long it goes on: what is drawn anew is the same line.
                drawn = rest.rstrip("\r")
                rest = drawn[drawn.rfind("\r") + 1 :] + rest[len(drawn) :][:1]
            if len(rest) >= LINE_CHARS:
                whole, rest = [*whole, rest], ""
            tell(whole)
            while waiting() > READS_WAITING:
                await asyncio.sleep(0.005)
        if rest:
            tell([rest])
        ended = await process.wait(check=False)
    except BaseException:
        # Closing the channel alone leaves a command that prints nothing running.
        with suppress(OSError):
            process.kill()
        raise
    finally:
        process.close()
    if ended.exit_signal is not None:
        return 128 + _signal_number(ended.exit_signal[0])
    return ended.exit_status


def _signal_number(name: str) -> int:
    import signal

    return int(getattr(signal, f"SIG{name}", 0))
