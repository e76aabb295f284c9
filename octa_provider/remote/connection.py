"""One SSH connection to a rented machine: which address, asked how long, and whose key must answer.

A machine that is ready may be seconds ahead of its sshd, and that of its keys; a firewall may close the direct port.
So each address is asked in turn, and all of them again, until the deadline.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING

from octa_provider.errors import OctaSshError
from octa_provider.files.local_files import shown
from octa_provider.remote.target import SshTarget, client_keys
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.backoff import grown_s

if TYPE_CHECKING:
    import asyncssh

log = plain_logger("octa_provider.remote.connection")

CONNECT_TIMEOUT_S = 20.0
#: An address is given up sooner where there is another one.
FIRST_ADDRESS_S = 8.0
KEEPALIVE_S = 15.0
#: Unanswered so often, the connection is lost.
KEEPALIVE_COUNT = 3
#: Between two rounds of the addresses; each that fails makes it longer by half.
FIRST_PAUSE_S, LONGEST_PAUSE_S, PAUSE_FACTOR = 0.5, 5.0, 1.5
#: A window of SSH's own default, 2 MB, is 20 MB/s at 100 ms.
WINDOW_BYTES = 8 * 1024 * 1024
#: Those with hardware behind them first; the rest as the library has them.
QUICK_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"


class SshConnection:
    """The connection of a `RemoteMachine`; lives on `ssh_loop`.

    Args:
        target: where to connect, and as whom.

    Attributes:
        host_key: the machine's public key, once it was seen.
        trouble: why there is no connection, while it is tried again; empty otherwise.
    """

    def __init__(self, target: SshTarget) -> None:
        self.target = target
        self.host_key = target.host_key
        self._keys = client_keys(target)
        self._addresses = list(target.addresses)
        self._connection: asyncssh.SSHClientConnection | None = None
        self.trouble = ""
        self._pid = 0
        self._opening = asyncio.Lock()

    @property
    def where(self) -> str:
        """The machine, for messages."""
        host, port = self._addresses[0]
        return shown(f"{self.target.username}@{host}:{port}")

    @property
    def is_open(self) -> bool:
        """Whether there is a connection of this process to close."""
        return self._connection is not None and self._pid == os.getpid()

    @property
    def alive(self) -> asyncssh.SSHClientConnection | None:
        """The connection that there is; None when this process has none, or it was lost."""
        connection = self._connection if self.is_open else None
        return None if connection is None or connection.is_closed() else connection

    async def get(self, within_s: float) -> asyncssh.SSHClientConnection:
        """The connection, made when there is none or it was lost.

        Args:
            within_s: seconds until which a machine that refuses, or does not answer, is asked again.

        Raises:
            OctaSshError: no connection, or another machine answers.
        """
        if self._pid != os.getpid():
            # A connection of the process that we were forked from is that one's.
            self._connection, self._pid, self._opening = None, os.getpid(), asyncio.Lock()
        async with self._opening:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._made(time.monotonic() + within_s)
            return self._connection

    def close(self) -> None:
        """Drop the connection; commands that were started detached go on."""
        if self._connection is not None and self.is_open:
            self._connection.abort()
        self._connection = None

    async def _made(self, until: float) -> asyncssh.SSHClientConnection:
        failures, self.trouble = 0, ""
        while True:
            last: OctaSshError | None = None
            for address in tuple(self._addresses):
                try:
                    made = await self._try(*address)
                except OctaSshError as error:
                    if not error.lost:
                        raise
                    last = last or error
                    continue
                self.trouble = ""
                # What has answered is asked first the next time.
                self._addresses.sort(key=lambda one, best=address: one != best)  # type: ignore[misc]
                return made
            assert last is not None
            pause_s = grown_s(FIRST_PAUSE_S, failures, LONGEST_PAUSE_S, factor=PAUSE_FACTOR)
            if time.monotonic() + pause_s > until:
                raise last
            if str(last) != self.trouble:
                self.trouble = str(last)
                log.info("%s; asked again", last)
            await asyncio.sleep(pause_s)
            failures += 1

    async def _try(self, host: str, port: int) -> asyncssh.SSHClientConnection:
        import asyncssh

        # At INFO asyncssh logs every command line, and ours may carry the values of environment variables.
        if logging.getLogger("asyncssh").level == logging.NOTSET:
            asyncssh.set_log_level(logging.WARNING)
        where, pinning = shown(f"{self.target.username}@{host}:{port}"), self
        timeout_s = FIRST_ADDRESS_S if len(self._addresses) > 1 else CONNECT_TIMEOUT_S

        class Pinning(asyncssh.SSHClient):
            def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
                return pinning._is_pinned(key)

        try:
            made, _ = await asyncio.wait_for(
                asyncssh.create_connection(
                    Pinning,
                    host,
                    port,
                    username=self.target.username,
                    client_keys=self._keys,
                    known_hosts=([], [], []),
                    config=None,
                    keepalive_interval=KEEPALIVE_S,
                    keepalive_count_max=KEEPALIVE_COUNT,
                    connect_timeout=timeout_s,
                    login_timeout=timeout_s,
                    # A small packet must not become a large one here.
                    compression_algs=["none"],
                    encryption_algs=QUICK_CIPHERS,
                    window=WINDOW_BYTES,
                ),
                timeout_s * 1.5,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise OctaSshError(
                f"{where} shows another host key than before: this is not the machine that was rented"
            ) from error
        except asyncssh.PermissionDenied as error:
            raise OctaSshError(
                f"{where} refused the key: give the private key whose public half is in the OctaSpace account",
                lost=True,
                refused=True,
            ) from error
        except (TimeoutError, asyncio.TimeoutError) as error:
            raise OctaSshError(f"can't connect to {where}: no answer in {timeout_s:g} s", lost=True) from error
        except (OSError, ValueError, asyncssh.Error) as error:
            raise OctaSshError(
                f"can't connect to {where}: {shown(str(error)) or type(error).__name__}", lost=True
            ) from error
        return made

    def _is_pinned(self, key: asyncssh.SSHKey) -> bool:
        seen = key.export_public_key("openssh").decode().split()[:2]
        if self.host_key is None:
            self.host_key = " ".join(seen)
            log.info("pinned the host key of %s: %s", self.where, key.get_fingerprint())
        return self.host_key.split()[:2] == seen
