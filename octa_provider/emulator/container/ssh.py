"""The SSH server of a session: the account's key opens it, commands run in the session's folder."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncssh

from octa_provider.emulator.container.free_port import free_port
from octa_provider.emulator.container.proxy import DistantPort
from octa_provider.emulator.container.sftp import FolderSftp
from octa_provider.emulator.container.ssh_conditions import SshWeather

#: The only account of a session, as the API notes say: `root@host -p port`.
USERNAME = "root"

#: Starts a command (None is a login shell) and returns its process, or the text and status of a refusal.
Runner = Callable[[str | None], Coroutine[Any, Any, "RunningCommand | tuple[str, int]"]]


class RunningCommand:
    """A command over SSH and its three pipes.

    Made by hand rather than by `create_subprocess_exec`, which has no way to close an output pipe: as with OpenSSH, a
    command whose connection is gone keeps running, and gets SIGPIPE only when it writes.
    """

    def __init__(self, transport: asyncio.SubprocessTransport, process: asyncio.subprocess.Process) -> None:
        self._transport = transport
        self.process = process

    @classmethod
    async def start(cls, argv: tuple[str, ...], cwd: Path, env: dict[str, str]) -> RunningCommand:
        """Start `argv` in its own process group.

        Raises:
            OSError: it cannot be started.
        """
        loop = asyncio.get_running_loop()
        pipe = asyncio.subprocess.PIPE
        transport, protocol = await loop.subprocess_exec(
            lambda: asyncio.subprocess.SubprocessStreamProtocol(limit=65536, loop=loop),
            *argv,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        return cls(transport, asyncio.subprocess.Process(transport, protocol, loop))

    @property
    def pid(self) -> int:
        """The process id, also its group's."""
        return self.process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.process.returncode is not None

    async def carry(self, channel: asyncssh.SSHServerProcess[bytes]) -> int:
        """Carry its streams until it has ended and closed its outputs. Returns its exit code, -N for signal N."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        feeding = asyncio.create_task(self._feed(channel))
        try:
            await asyncio.gather(
                self._pump(1, self.process.stdout, channel.stdout),
                self._pump(2, self.process.stderr, channel.stderr),
            )
            return await self.process.wait()
        finally:
            feeding.cancel()

    async def _feed(self, channel: asyncssh.SSHServerProcess[bytes]) -> None:
        stdin = self.process.stdin
        assert stdin is not None
        # A client that hangs up is the end of the input; a command that closed its input wants no more.
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await channel.stdin.read(65536):
                stdin.write(data)
                await stdin.drain()
        stdin.close()

    async def _pump(self, number: int, reader: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (OSError, asyncssh.Error):
            pipe = self._transport.get_pipe_transport(number)
            if pipe is not None:
                pipe.close()


class SessionSsh:
    """One listener for one session: the port tells which one is meant.

    Args:
        host_key: the session's host key.
        client_key: the account's public key.
        folder: the session's folder.
        run: starts a command in the session.
        weather: how it answers.

    Attributes:
        proxy_port: where it answers when its own port is closed; 0 when there is no such port.
    """

    def __init__(
        self,
        host_key: asyncssh.SSHKey,
        client_key: asyncssh.SSHKey,
        folder: Path,
        run: Runner,
        weather: SshWeather | None = None,
    ) -> None:
        self._host_key = host_key
        self._client_key = client_key
        self._folder = folder
        self._run = run
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._weather = weather or SshWeather()
        self._distant: DistantPort | None = None
        self._listening: asyncio.Task[None] | None = None
        self._knows_key_from: float | None = None
        self.proxy_port = 0

    async def start(self, port: int = 0) -> int:
        """Listen on `port`, or on a free one when it is 0 or taken. Returns the port."""
        conditions = self._weather.now
        if conditions.listens_after_s:
            port = port or free_port()
            self._listening = asyncio.create_task(self._listen_later(port, conditions.listens_after_s))
            return port
        if conditions.direct_is_closed or conditions.round_trip_s:
            self._acceptor = await self._listen(0)
            self._distant = DistantPort(int(self._acceptor.get_port()), conditions.round_trip_s)
            taken = await self._distant.start(port)
            if not conditions.direct_is_closed:
                return taken
            self.proxy_port = taken
            return free_port()
        try:
            self._acceptor = await self._listen(port)
        except OSError:
            self._acceptor = await self._listen(0)
        return int(self._acceptor.get_port())

    async def _listen_later(self, port: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._acceptor = await self._listen(port)

    def knows_key(self) -> bool:
        """Whether the account's key opens it now."""
        if self._knows_key_from is None:
            self._knows_key_from = time.monotonic() + self._weather.now.knows_key_after_s
        return time.monotonic() >= self._knows_key_from and not self._weather.refuses()

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._listening is not None:
            self._listening.cancel()
        if self._distant is not None:
            await self._distant.close()
        if self._acceptor is not None:
            self._acceptor.close()
        for connection in tuple(self._connections):
            connection.abort()

    async def _listen(self, port: int) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            port,
            server_host_keys=[self._host_key],
            server_factory=lambda: _Gate(self._client_key, self._connections, self.knows_key),
            process_factory=self._serve,
            sftp_factory=lambda channel: FolderSftp(channel, self._folder, self._weather),
            allow_scp=True,
            encoding=None,
            password_auth=False,
            kbdint_auth=False,
            gss_host=None,
        )

    async def _serve(self, channel: asyncssh.SSHServerProcess[bytes]) -> None:
        started = await self._run(channel.command)
        if isinstance(started, tuple):
            text, status = started
            channel.stderr.write(text.encode())
            channel.exit(status)
            return
        status = await started.carry(channel)
        if status < 0:
            channel.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            channel.exit(status)


class _Gate(asyncssh.SSHServer):
    """Lets in `root` with the account's key."""

    def __init__(
        self,
        client_key: asyncssh.SSHKey,
        connections: set[asyncssh.SSHServerConnection],
        knows_key: Callable[[], bool],
    ) -> None:
        self._client_key = client_key
        self._knows_key = knows_key
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USERNAME and key == self._client_key and self._knows_key()
