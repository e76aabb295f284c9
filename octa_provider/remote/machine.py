"""A rented machine over SSH: run commands, move files. Needs the extra `ssh` (asyncssh), imported when first used.

SSH is `root@host -p port` with the account's key (C). A machine that was rented a minute ago has a host key that nobody
knows yet: it is pinned when first seen, and a different one later ends the connection.

The calls are synchronous, for a worker thread; on an event loop, put them in `asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import os
import queue
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from octa_provider.errors import OctaSshError
from octa_provider.files.limits import TransferLimits
from octa_provider.files.local_files import LocalTree, shown
from octa_provider.remote.command import KEPT_OUTPUT_CHARS, CommandResult, run_command, with_envs
from octa_provider.remote.connection import SshConnection
from octa_provider.remote.fetching import FileFetching
from octa_provider.remote.file_part import read_part
from octa_provider.remote.listening import Listening
from octa_provider.remote.loop import wait_for
from octa_provider.remote.moving import Moving
from octa_provider.remote.places import place_here, place_there
from octa_provider.remote.remote_files import RemoteFile, look_at_names, look_below
from octa_provider.remote.sending import FileSending
from octa_provider.remote.ssh_errors import with_ssh_errors
from octa_provider.remote.tail import Tail
from octa_provider.remote.target import SshTarget
from octa_provider.remote.transfer import OnTransfer
from octa_provider.text.stays_here import stays_here

if TYPE_CHECKING:
    import asyncssh

__all__ = ["RemoteMachine"]

#: A machine that has just come up may be ahead of its sshd, and that of its keys.
CONNECT_WITHIN_S = 60.0


class RemoteMachine:
    """A rented machine over SSH. One connection, made when first needed and again when it was lost.

    Use it in one thread, and close it: `with RemoteMachine(target) as machine: ...`.

    Args:
        target: where to connect, and as whom.
        connect_within_s: seconds until which a machine that does not answer, or refuses the key, is asked again: its
            sshd may come up after the session is ready, and the key be installed after that. It can be changed.

    Attributes:
        target, connect_within_s: the same. Who asks again anyway can set the latter to 0 once it has answered.

    Raises:
        OctaConfigError: asyncssh is not installed, or the private key can't be read.
    """

    def __init__(self, target: SshTarget, *, connect_within_s: float = CONNECT_WITHIN_S) -> None:
        self.target = target
        self._connection = SshConnection(target)
        self.connect_within_s = connect_within_s
        self._listening = Listening(self._connection)

    def __reduce__(self) -> tuple[object, ...]:
        return stays_here("an SSH connection stays where it was opened, so open one within the task")

    def __enter__(self) -> RemoteMachine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def host_key(self) -> str | None:
        """The machine's public key, once it was seen: store it, to be sure of the same machine next time."""
        return self._connection.host_key

    def close(self) -> None:
        """Close the connection; commands that were started detached go on."""

        async def work() -> None:
            self._connection.close()

        if self._connection.is_open:
            wait_for(work())

    def run(
        self,
        command: str,
        *,
        timeout_s: float | None = None,
        envs: Mapping[str, str] | None = None,
        on_line: Callable[[str], object] | None = None,
        stdin: str = "",
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> CommandResult:
        """Run a command line in the machine's shell and wait for its end. Never repeated: it may have side effects.

        Args:
            command: as the shell reads it; quote arguments with `shlex.join`.
            timeout_s: seconds after which it is ended; None waits for ever.
            envs: environment variables for it. They go through its standard input: no process list, log or error shows
                them, and the API never gets them. The machine's owner can read them.
            on_line: called with each line as it comes, both streams. A line of more than 64 kB comes in pieces.
            stdin: what it reads. A command that ends before it has read all of it has ended, no more.
            is_cancelled: asked again and again; when it says yes the command is ended.

        Returns:
            Its exit status, and the end of its output.

        Raises:
            OctaConfigError: a name in `envs` is none, or a value is no text.
            OctaSshError: no connection, or it was lost: the command may go on.
            OctaCancelledError: `is_cancelled` said yes.
        """
        line, read_first = with_envs(command, envs or {})
        calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        kept = Tail(KEPT_OUTPUT_CHARS)

        def tell(lines: list[str]) -> None:
            if on_line is not None:
                calls.put(lambda: [on_line(one) for one in lines])

        async def work() -> CommandResult:
            running = self._command(line, read_first + stdin, kept, tell, calls.qsize)
            exit_code = await (asyncio.wait_for(running, timeout_s) if timeout_s is not None else running)
            if exit_code is None:
                where = self._connection.where
                raise OctaSshError(f"the connection to {where} was lost while the command ran", lost=True)
            return CommandResult(exit_code, str(kept))

        return wait_for(
            with_ssh_errors(work(), "run a command on", self._connection), is_cancelled=is_cancelled, calls=calls
        )

    def listen(self, command: str, told: Callable[[str], object]) -> None:
        """Have a command wait on the machine for something, over the connection of the last call, while others come.

        One at a time: while an earlier one runs it goes on, and tells this caller instead. It ends with the connection.

        Args:
            command: as the machine's shell reads it; it should end by itself some time.
            told: called with what it printed once it has ended with exit code 0, in a thread of ours: be quick. Of one
                that fails, or whose connection is lost, nothing is told.
        """
        self._listening.listen(command, told)

    def read_part(
        self, remote: str, offset: int, *, is_cancelled: Callable[[], bool] = lambda: False
    ) -> tuple[int, bytes]:
        """Read a file from an offset on, as far as 4 MB and half a minute go: of a log, what is new in it.

        Args:
            remote: the file, relative to the login folder or absolute.
            offset: bytes from its beginning.
            is_cancelled: asked again and again; when it says yes it is given up.

        Returns:
            The size of the file as it was, and the bytes from the offset up to there.

        Raises:
            OctaSshError: no connection, or there is no such file.
            OctaCancelledError: `is_cancelled` said yes.
        """

        async def work() -> tuple[int, bytes]:
            return await read_part(await self._connection.get(self.connect_within_s), remote, offset)

        reading = with_ssh_errors(work(), f"read {shown(remote)} on", self._connection)
        return wait_for(reading, is_cancelled=is_cancelled)

    def put(
        self,
        local: str | os.PathLike[str],
        remote: str,
        *,
        timeout_s: float | None = None,
        limits: TransferLimits | None = None,
        on_progress: OnTransfer | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> int:
        """Copy a file, or a folder with all in it, to the machine; returns the bytes sent.

        Contents travel: what a link leads to is sent, not the link. Folders, permissions and times of change are kept.
        Each file is whole or absent.

        Args:
            local: what to copy.
            remote: its name there, relative to the login folder or absolute; folders on the way are made. One that
                ends in `/`, or is `.`, is the folder that gets it under its own name; so is a folder that exists there,
                for a file.
            timeout_s: seconds that it may take; None takes what `limits` allow for its size.
            limits: how much may be sent.
            on_progress: called now and then with how far it is.
            is_cancelled: asked again and again; when it says yes the transfer is given up.

        Raises:
            OctaConfigError: there is nothing to send, or it can't be read.
            OctaLocalFileError: a file could not be read any more, or has changed meanwhile.
            OctaSshError: the machine can't be reached, or refused.
            OctaCancelledError: `is_cancelled` said yes.
        """
        tree = LocalTree.at(local, limits)
        self.send(tree, remote, timeout_s=timeout_s, limits=limits, on_progress=on_progress, is_cancelled=is_cancelled)
        return tree.size

    def send(
        self,
        tree: LocalTree,
        remote: str,
        *,
        timeout_s: float | None = None,
        limits: TransferLimits | None = None,
        on_progress: OnTransfer | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """`put` of what has been looked at already.

        Args:
            tree: what to copy.
            remote: its name there; one that ends in `/`, or is `.`, is the folder that gets it under its own name.
            timeout_s: seconds that it may take; None takes what `limits` allow for its size.
            limits: how much may be sent.
            on_progress: called now and then with how far it is.
            is_cancelled: asked again and again; when it says yes the transfer is given up.
        """
        moving = self._moving(f"sending {shown(tree.path)}", limits, timeout_s, on_progress)
        sending: FileSending | None = None

        async def work(connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient) -> None:
            nonlocal sending
            if sending is None:
                sending = FileSending(tree, await place_there(sftp, tree, remote), moving.transfer)
            await sending.over(sftp)

        moving.do(work, f"send {shown(tree.path)} to", is_cancelled)

    def get(
        self,
        remote: str,
        local: str | os.PathLike[str],
        *,
        timeout_s: float | None = None,
        limits: TransferLimits | None = None,
        on_progress: OnTransfer | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        within: str | None = None,
        is_wanted: Callable[[RemoteFile], bool] = lambda file: True,
        names: Sequence[str] | None = None,
        checks_pictures: bool = True,
    ) -> tuple[Path, ...]:
        """Copy a file, or the files of a folder with all below it, from the machine.

        What runs there may be hostile: nothing leaves the target, nothing that is not a file or folder is made, links
        that lead out of a folder are left there. Each file is whole or absent, and checked by size and SHA-256, and a
        picture for being one, before it takes its place.

        Args:
            remote: what to copy.
            local: its name here; folders on the way are made. One that ends in `/`, or is `.`, is the folder that gets
                it under its own name; so is a folder that exists here, for a file. A folder's files are laid into a
                folder that exists.
            timeout_s: seconds that it may take; None takes what `limits` allow for its size.
            limits: how much may be fetched.
            on_progress: called now and then with how far it is.
            is_cancelled: asked again and again; when it says yes the transfer is given up.
            within: links that lead out of this folder of the machine are left there; None takes that of `remote`.
            is_wanted: asked for each file, also for one that is fetched by its own name, which has no name below it;
                what it says no to is left there.
            names: only these files of a folder, by their names below it, which is not listed then; what is not there
                is left out.
            checks_pictures: whether a picture that is not whole is left there.

        Returns:
            The files that were written.

        Raises:
            OctaLocalFileError: this machine's disk or folder refused.
            OctaUnfetchedError: some files could not be fetched; the others are here.
            OctaSshError: the machine can't be reached, or refused.
            OctaCancelledError: `is_cancelled` said yes.
        """
        moving = self._moving(f"fetching {shown(remote)}", limits, timeout_s, on_progress)
        fetching: FileFetching | None = None

        async def work(connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient) -> None:
            nonlocal fetching
            limits, folder = moving.transfer.limits, os.fsencode(remote)
            if names is not None:
                tree = await look_at_names(sftp, folder, names, limits)
            else:
                inside = None if within is None else os.fsencode(within)
                tree = await look_below(sftp, folder, limits, within=inside, moved=moving.transfer.moved)
            if fetching is None:
                target = place_here(local, remote, is_folder=tree.is_folder)
                fetching = FileFetching(target, moving.transfer, is_wanted, checks_pictures=checks_pictures)
            await fetching.over(connection, sftp, tree)

        moving.do(work, f"fetch {shown(remote)} from", is_cancelled)
        return () if fetching is None else fetching.fetched

    async def _command(
        self, line: str, stdin: str, kept: Tail, tell: Callable[[list[str]], object], waiting: Callable[[], int]
    ) -> int | None:
        import asyncssh

        connection = await self._connection.get(self.connect_within_s)
        try:
            return await run_command(connection, line, stdin, kept, tell, waiting)
        except asyncssh.ChannelOpenError as error:
            # The machine had hung up meanwhile, which the connection may not know yet: nothing has been asked of it.
            if not connection.is_closed() and "closed" not in error.reason:
                raise
            self._connection.close()
        connection = await self._connection.get(self.connect_within_s)
        return await run_command(connection, line, stdin, kept, tell, waiting)

    def _moving(
        self, what: str, limits: TransferLimits | None, timeout_s: float | None, on_progress: OnTransfer | None
    ) -> Moving:
        return Moving(
            self._connection,
            what,
            limits or TransferLimits(),
            connect_within_s=self.connect_within_s,
            timeout_s=timeout_s,
            on_progress=on_progress,
        )
