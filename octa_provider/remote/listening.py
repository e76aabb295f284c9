"""A command that waits on the machine for something, so that who waits for it here need not ask again and again."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from octa_provider.errors import OctaSshError
from octa_provider.remote.command import run_command
from octa_provider.remote.loop import ssh_loop
from octa_provider.remote.ssh_errors import with_ssh_errors
from octa_provider.remote.tail import Tail
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.remote.connection import SshConnection

__all__ = ["Listening"]

log = plain_logger("octa_provider.remote.listening")

#: A machine that says as much is listened to no further: what it says is a stranger's, and others wait to be heard.
KEPT_CHARS = 1024


class Listening:
    """Runs one such command over a machine's connection, beside what else uses that; nobody's thread waits for it.

    Args:
        connection: of the machine, which is open already: a lost one is not made anew for this.
    """

    def __init__(self, connection: SshConnection) -> None:
        self._connection = connection
        self._told: Callable[[str], object] = lambda said: None
        self._running: concurrent.futures.Future[None] | None = None
        self._pid = 0

    def listen(self, command: str, told: Callable[[str], object]) -> None:
        """Have the machine run a command, and be told what it printed once it has ended with exit code 0.

        While an earlier one runs it goes on, and tells this caller instead. Of one that fails, or whose connection is
        lost, nothing is told: who waits asks at times all the same.

        Args:
            command: as the machine's shell reads it.
            told: called in the thread of the connections, so it must be quick.
        """
        self._told = told
        if self._running is not None and not self._running.done() and self._pid == os.getpid():
            return
        self._pid = os.getpid()
        self._running = asyncio.run_coroutine_threadsafe(self._run(command), ssh_loop())

    async def _run(self, command: str) -> None:
        said = Tail(KEPT_CHARS)

        def refuse_length(lines: list[str]) -> None:
            if len(str(said)) == KEPT_CHARS:
                raise OctaSshError(f"{self._connection.where} says more than it was asked for")

        async def work() -> int | None:
            connection = self._connection.alive
            if connection is None:
                raise OctaSshError(f"there is no connection to {self._connection.where} to listen over", lost=True)
            return await run_command(connection, command, "", said, refuse_length, lambda: 0)

        try:
            exit_code = await with_ssh_errors(work(), "listen to", self._connection)
        except Exception as error:  # noqa: BLE001 - a look will find out what is wrong
            log.debug("%s", error)
            return
        if exit_code == 0:
            try:
                self._told(str(said))
            except Exception:
                log.exception("whoever was told that a command has ended raised")
