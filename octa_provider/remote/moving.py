"""A transfer, gone on with over a new connection when it has lost one: it can be repeated without harm."""

from __future__ import annotations

import queue
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaSshError
from octa_provider.files.limits import TransferLimits
from octa_provider.remote.connection import SshConnection
from octa_provider.remote.loop import wait_for
from octa_provider.remote.ssh_errors import with_ssh_errors
from octa_provider.remote.transfer import OnTransfer, Transfer
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Moving"]

log = plain_logger("octa_provider.remote.moving")

#: A transfer that lost its connection goes on over a new one, unless nothing moves any more.
TRANSFER_TRIES = 3


class Moving:
    """One transfer over a machine's connection.

    Args:
        connection: to the machine.
        what: what moves, such as `sending scene.blend`.
        limits: how much may be moved.
        connect_within_s: seconds until which a machine that does not answer is asked again.
        timeout_s: seconds that it may take; None takes what the limits allow for its size.
        on_progress: called now and then, in the thread that waits, with how far it is.

    Attributes:
        transfer: how far it is.
    """

    def __init__(
        self,
        connection: SshConnection,
        what: str,
        limits: TransferLimits,
        *,
        connect_within_s: float,
        timeout_s: float | None,
        on_progress: OnTransfer | None,
    ) -> None:
        self._connection = connection
        self._connect_within_s = connect_within_s
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        tell = None if on_progress is None else lambda progress: self._calls.put(lambda: on_progress(progress))
        self.transfer = Transfer(what, limits, timeout_s, tell)

    def do(
        self,
        work: Callable[[asyncssh.SSHClientConnection, asyncssh.SFTPClient], Coroutine[Any, Any, None]],
        what: str,
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Move it, over as many connections as it takes.

        Args:
            work: moves what has not been moved yet.
            what: the same in words, up to the machine's name: `send scene.blend to`.
            is_cancelled: asked again and again; when it says yes the transfer is given up.

        Raises:
            OctaSshError: the machine can't be reached, or refused, or nothing moves any more.
            OctaCancelledError: `is_cancelled` said yes.
        """
        transfer, left = self.transfer, TRANSFER_TRIES
        while True:
            furthest = transfer.furthest
            try:
                moved = with_ssh_errors(self._once(work), what, self._connection)
                wait_for(moved, is_cancelled=is_cancelled, calls=self._calls)
            except OctaSshError as error:
                left = TRANSFER_TRIES if transfer.furthest > furthest else left
                left -= 1
                if not error.lost or left <= 0 or transfer.left_s <= 0:
                    raise
                log.warning("%s; trying again", error)
            else:
                return

    async def _once(
        self, work: Callable[[asyncssh.SSHClientConnection, asyncssh.SFTPClient], Coroutine[Any, Any, None]]
    ) -> None:
        transfer = self.transfer
        connection = await self._connection.get(max(0.0, min(self._connect_within_s, transfer.left_s)))

        async def over_sftp() -> None:
            sftp = await connection.start_sftp_client(path_encoding=None)
            transfer.moved()
            try:
                await work(connection, sftp)
            finally:
                # Not waited for: a machine that does not answer would not answer this.
                sftp.exit()

        try:
            await transfer.guarded(over_sftp())
        except OctaSshError as error:
            if error.lost:
                self._connection.close()
            raise
