"""A rented machine over SSH: run commands, move files. Needs the extra `ssh` (asyncssh), imported when first used.

SSH is `root@host -p port` with the account's key (C). A machine that was rented a minute ago has a host key that nobody
knows yet: it is pinned when first seen, and a different one later ends the connection.

The calls are synchronous, for a worker thread; on an event loop, put them in `asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import logging
import posixpath
import shlex
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from octa_provider.errors import OctaConfigError, OctaSshError
from octa_provider.plain_log import plain_logger
from octa_provider.remote_files import files_below, sha256_of
from octa_provider.ssh_target import SshTarget, client_keys
from octa_provider.tail import Tail

if TYPE_CHECKING:
    import asyncssh

__all__ = ["CommandResult", "RemoteMachine", "SshTarget"]

log = plain_logger("octa_provider.ssh")

T = TypeVar("T")
CONNECT_TIMEOUT_S = 20.0
KEEPALIVE_S = 15.0
KEPT_OUTPUT_CHARS = 64 * 1024
TRANSFER_TRIES = 3
#: Prints `<sha256>  <path>` a line, by whichever of three programs the image has.
HASHES = (
    "if command -v sha256sum >/dev/null 2>&1; then sha256sum -- {paths}; "
    "elif command -v shasum >/dev/null 2>&1; then shasum -a 256 -- {paths}; "
    "else openssl dgst -sha256 -r {paths}; fi"
)


@dataclass(frozen=True)
class CommandResult:
    """A command that ended on the machine.

    Attributes:
        exit_code: its exit status; 128 + n when signal n ended it.
        output: the last part of what it printed, both streams, when it was not followed line by line.
    """

    exit_code: int
    output: str = ""


class RemoteMachine:
    """A rented machine over SSH. One connection, made when first needed and again when it was lost.

    Use it in one thread, and close it: `with RemoteMachine(target) as machine: ...`.

    Args:
        target: where to connect, and as whom.

    Raises:
        OctaConfigError: asyncssh is not installed, or the private key can't be read.
    """

    def __init__(self, target: SshTarget) -> None:
        self.target = target
        self._pinned: str | None = target.host_key
        self._keys = client_keys(target)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: asyncssh.SSHClientConnection | None = None

    def __enter__(self) -> RemoteMachine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def host_key(self) -> str | None:
        """The machine's public key, once it was seen: store it, to be sure of the same machine next time."""
        return self._pinned

    def close(self) -> None:
        """Close the connection; commands that were started detached go on."""
        if self._loop is None:
            return
        if self._connection is not None:
            self._connection.abort()
            self._loop.run_until_complete(self._connection.wait_closed())
            self._connection = None
        self._loop.close()
        self._loop = None

    def run(
        self,
        command: str,
        *,
        timeout_s: float | None = None,
        envs: Mapping[str, str] | None = None,
        on_line: Callable[[str], object] | None = None,
        stdin: str = "",
    ) -> CommandResult:
        """Run a command line in the machine's shell and wait for its end. Never repeated: it may have side effects.

        Args:
            command: as the shell reads it; quote arguments with `shlex.join`.
            timeout_s: seconds after which it is ended; None waits for ever.
            envs: environment variables for it.
            on_line: called with each line as it comes, both streams.
            stdin: what it reads.

        Returns:
            Its exit status, and the end of its output.

        Raises:
            OctaSshError: no connection, or it was lost: the command may go on.
        """
        line = "".join(f"export {name}={shlex.quote(value)}; " for name, value in (envs or {}).items()) + command

        async def work() -> CommandResult:
            connection = await self._connected()
            kept = Tail(KEPT_OUTPUT_CHARS)
            async with connection.create_process(line, stderr=_merged(), encoding="utf-8", errors="replace") as process:
                try:
                    process.stdin.write(stdin)
                    process.stdin.write_eof()
                    async for text in process.stdout:
                        kept.add(text)
                        # At the end asyncssh gives an empty text, which is no line.
                        if on_line is not None and text:
                            on_line(text.rstrip("\n"))
                    ended = await process.wait(check=False)
                except BaseException:
                    # Closing the channel alone leaves a command that prints nothing running.
                    with suppress(OSError):
                        process.kill()
                    raise
            if ended.exit_signal is not None:
                return CommandResult(128 + _signal_number(ended.exit_signal[0]), str(kept))
            if ended.exit_status is None:
                raise OctaSshError(f"the connection to {self._where} was lost while the command ran", lost=True)
            return CommandResult(ended.exit_status, str(kept))

        return self._do(asyncio.wait_for(work(), timeout_s) if timeout_s is not None else work(), "run a command on")

    def put(self, local: str | Path, remote: str) -> int:
        """Copy a file, or a folder with all in it, to the machine; returns the bytes sent.

        Args:
            local: what to copy.
            remote: its name there, relative to the login folder or absolute; folders on the way are made.
        """
        source = Path(local)
        if not source.exists():
            raise OctaConfigError(f"{source} does not exist: nothing to send")
        files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())

        async def work() -> int:
            connection = await self._connected()
            async with connection.start_sftp_client() as sftp:
                for path in files:
                    name = remote if path == source else posixpath.join(remote, path.relative_to(source).as_posix())
                    await sftp.makedirs(posixpath.dirname(name) or ".", exist_ok=True)
                    await sftp.put(str(path), name)
                    sent = await sftp.stat(name)
                    if sent.size != path.stat().st_size:
                        raise OctaSshError(f"{path} arrived with {sent.size} of {path.stat().st_size} bytes", lost=True)
            return sum(path.stat().st_size for path in files)

        return self._again(work, f"send {source} to")

    def get(self, remote: str, local: str | Path) -> tuple[Path, ...]:
        """Copy a file, or the files of a folder with all below it, from the machine.

        Links are not followed and names that would leave the target are refused: what runs there may be hostile. Each
        file is whole or absent, and checked by size and SHA-256.

        Args:
            remote: what to copy.
            local: its name here; folders on the way are made.

        Returns:
            The files that were written.
        """
        target = Path(local)

        async def work() -> tuple[Path, ...]:
            connection = await self._connected()
            async with connection.start_sftp_client() as sftp:
                found = await files_below(sftp, remote, target)
                for name, path, size in found:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    part = path.with_name(f".{path.name}.part")
                    try:
                        # Followed over there it can only read what is there; not followed, a file that became a link
                        # since it was listed would be made into a link here.
                        await sftp.get(name, str(part), follow_symlinks=True)
                        if part.stat().st_size != size:
                            raise OctaSshError(f"{name} arrived with {part.stat().st_size} of {size} bytes", lost=True)
                        part.replace(path)
                    finally:
                        part.unlink(missing_ok=True)
            await self._compare_hashes(connection, [(name, path) for name, path, _ in found])
            return tuple(path for _, path, _ in found)

        return self._again(work, f"fetch {remote} from")

    # -- the connection ------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return f"{self.target.username}@{self.target.host}:{self.target.port}"

    async def _connected(self) -> asyncssh.SSHClientConnection:
        connection = self._connection
        if connection is not None:
            # Our loop stands still between calls: let it see whether the machine hung up meanwhile. Closing takes it
            # several rounds, and on a busy host a single sleep can be over after the first one.
            for _ in range(10):
                await asyncio.sleep(0.001)
        if connection is None or connection.is_closed():
            import asyncssh

            # At INFO asyncssh logs every command line, and ours may carry the values of environment variables.
            if logging.getLogger("asyncssh").level == logging.NOTSET:
                asyncssh.set_log_level(logging.WARNING)
            pinning = self

            class Pinning(asyncssh.SSHClient):
                def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
                    return pinning._is_pinned(key)

            made, _ = await asyncio.wait_for(
                asyncssh.create_connection(
                    Pinning,
                    self.target.host,
                    self.target.port,
                    username=self.target.username,
                    client_keys=self._keys,
                    known_hosts=([], [], []),
                    config=None,
                    keepalive_interval=KEEPALIVE_S,
                    connect_timeout=CONNECT_TIMEOUT_S,
                ),
                CONNECT_TIMEOUT_S * 1.5,
            )
            self._connection = connection = made
        return connection

    def _is_pinned(self, key: asyncssh.SSHKey) -> bool:
        seen = key.export_public_key("openssh").decode().split()[:2]
        if self._pinned is None:
            self._pinned = " ".join(seen)
            log.info("pinned the host key of %s: %s", self._where, key.get_fingerprint())
        return self._pinned.split()[:2] == seen

    def _again(self, work: Callable[[], Coroutine[Any, Any, T]], what: str) -> T:
        """A transfer, tried again after a lost connection: it can be repeated without harm."""
        for left in reversed(range(TRANSFER_TRIES)):
            try:
                return self._do(work(), what)
            except OctaSshError as error:
                if not error.lost or left == 0:
                    raise
                log.warning("%s; trying again", error)
        raise AssertionError("unreachable: the last try returns or raises")

    def _do(self, work: Awaitable[T], what: str) -> T:
        """Run on our own loop; what asyncssh raises becomes one sentence."""
        import asyncssh

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        try:
            return self._loop.run_until_complete(work)
        except asyncssh.HostKeyNotVerifiable as error:
            raise OctaSshError(
                f"{self._where} shows another host key than before: this is not the machine that was rented"
            ) from error
        except asyncssh.PermissionDenied as error:
            raise OctaSshError(
                f"{self._where} refused the key: give the private key whose public half is in the OctaSpace account"
            ) from error
        except asyncssh.SFTPError as error:
            lost = isinstance(error, (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection))
            raise OctaSshError(f"can't {what} {self._where}: {error.reason}", lost=lost) from error
        except (TimeoutError, asyncio.TimeoutError) as error:
            raise OctaSshError(f"can't {what} {self._where}: it took too long", lost=True) from error
        except (OSError, asyncssh.Error) as error:
            raise OctaSshError(f"can't {what} {self._where}: {error or type(error).__name__}", lost=True) from error

    async def _compare_hashes(self, connection: asyncssh.SSHClientConnection, pairs: list[tuple[str, Path]]) -> None:
        """What came down is what lies there; a machine without any program for it leaves the size check."""
        for start in range(0, len(pairs), 100):
            batch = pairs[start : start + 100]
            paths = " ".join(shlex.quote(name if name.startswith("/") else f"./{name}") for name, _ in batch)
            answer = await connection.run(HASHES.format(paths=paths), check=False)
            lines = str(answer.stdout or "").splitlines()
            if len(lines) != len(batch):
                log.warning("%s can't tell SHA-256 sums: the files were checked by size alone", self._where)
                return
            for line, (name, path) in zip(lines, batch, strict=True):
                if line.lstrip("\\").split()[:1] != [sha256_of(path)]:
                    path.unlink()
                    raise OctaSshError(f"{name} changed on its way, or while it was fetched", lost=True)


def _merged() -> int:
    import asyncssh

    return int(asyncssh.STDOUT)


def _signal_number(name: str) -> int:
    import signal

    return int(getattr(signal, f"SIG{name}", 0))
