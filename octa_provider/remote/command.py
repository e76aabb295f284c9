"""A command on a rented machine: its output while it comes, in bounded memory, and its exit status."""

from __future__ import annotations

import asyncio
import secrets
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError
from octa_provider.market.request_checks import is_env_name, is_sendable_text
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
#: Of a command whose environment variables were cut off on their way; it has not begun.
_LOST_CODE = 91


@dataclass(frozen=True)
class CommandResult:
    """A command that ended on the machine.

    Attributes:
        exit_code: its exit status; 128 + n when signal n ended it.
        output: the last part of what it printed, both streams, when it was not followed line by line.
    """

    exit_code: int
    output: str = ""


def with_envs(command: str, envs: Mapping[str, str]) -> tuple[str, str]:
    """The command line that sets environment variables first, and what it reads for that before its own input.

    No name and no value is in the line: process lists on the machine, and logs of SSH libraries here, show that.

    Args:
        command: as the shell reads it.
        envs: the variables.

    Raises:
        OctaConfigError: a name in `envs` is none, or a value is no text. Neither is quoted: they may be secrets.
    """
    if not envs:
        return command, ""
    for name, value in envs.items():
        if not is_env_name(name):
            raise OctaConfigError(
                "one of the names in envs is no name of an environment variable: letters, digits and _, no digit first"
            )
        if not is_sendable_text(value):
            raise OctaConfigError(
                f"envs: the value of {name} must be text, without NUL characters and halves of surrogate pairs"
            )
    # Nobody else knows it, so no value can look like the end of what has come only in part.
    end = f"# {secrets.token_hex(8)}"
    exports = [f"export {name}={shlex.quote(value)}" for name, value in envs.items()]
    script = "\n".join(["unset octa_r", *exports, end, ""])
    # Byte by byte, since what follows is the command's own input.
    read = f"octa_r=$(dd bs=1 count={len(script.encode())} 2>/dev/null)"
    lost = f"*) echo 'its environment variables did not arrive' >&2; exit {_LOST_CODE};;"
    return f'{read}; case $octa_r in *"{end}") eval "$octa_r";; {lost} esac; {command}', script


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
