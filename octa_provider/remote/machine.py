"""A rented machine over SSH: run commands, move files. Needs the extra `ssh` (asyncssh), imported when first used.

SSH is `root@host -p port` with the account's key (C). A machine that was rented a minute ago has a host key that nobody
knows yet: it is pinned when first seen, and a different one later ends the connection.

The calls are synchronous, for a worker thread; on an event loop, put them in `asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import queue
import re
import shlex
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from octa_provider.errors import OctaConfigError, OctaError, OctaSshError
from octa_provider.files.limits import TransferLimits
from octa_provider.files.local_files import LocalTree, expanded, shown
from octa_provider.files.placed import placed_name
from octa_provider.remote.connection import SshConnection
from octa_provider.remote.fetching import FileFetching
from octa_provider.remote.loop import wait_for
from octa_provider.remote.remote_files import RemoteFile, look_below
from octa_provider.remote.sending import FileSending
from octa_provider.remote.tail import Tail
from octa_provider.remote.target import SshTarget
from octa_provider.remote.transfer import OnTransfer, Transfer
from octa_provider.text.plain_log import plain_logger

if TYPE_CHECKING:
    import asyncssh

__all__ = ["CommandResult", "RemoteMachine", "SshTarget"]

log = plain_logger("octa_provider.remote.machine")

T = TypeVar("T")
KEPT_OUTPUT_CHARS = 64 * 1024
#: A line without an end comes in pieces.
LINE_CHARS = 64 * 1024
READ_BYTES = 64 * 1024
#: So much may wait for whoever reads it before the machine has to.
READS_WAITING = 8
COMMAND_WINDOW_BYTES = 256 * 1024
#: A transfer that lost its connection goes on over a new one, unless nothing moves any more.
TRANSFER_TRIES = 3
#: A machine that has just come up may be ahead of its sshd, and that of its keys.
CONNECT_WITHIN_S = 60.0
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
        connect_within_s: seconds until which a machine that does not answer, or refuses the key, is asked again: its
            sshd may come up after the session is ready, and the key be installed after that.

    Raises:
        OctaConfigError: asyncssh is not installed, or the private key can't be read.
    """

    def __init__(self, target: SshTarget, *, connect_within_s: float = CONNECT_WITHIN_S) -> None:
        self.target = target
        self._connection = SshConnection(target)
        self._connect_within_s = connect_within_s

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
            envs: environment variables for it.
            on_line: called with each line as it comes, both streams. A line of more than 64 kB comes in pieces.
            stdin: what it reads. A command that ends before it has read all of it has ended, no more.
            is_cancelled: asked again and again; when it says yes the command is ended.

        Returns:
            Its exit status, and the end of its output.

        Raises:
            OctaConfigError: a name in `envs` is none.
            OctaSshError: no connection, or it was lost: the command may go on.
            OctaCancelledError: `is_cancelled` said yes.
        """
        for name in envs or {}:
            if not _ENV_NAME.fullmatch(name):
                raise OctaConfigError(f"{shown(str(name))!r} is no name of an environment variable")
        line = "".join(f"export {name}={shlex.quote(value)}; " for name, value in (envs or {}).items()) + command
        calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        kept = Tail(KEPT_OUTPUT_CHARS)

        def tell(lines: list[str]) -> None:
            if on_line is not None:
                calls.put(lambda: [on_line(one) for one in lines])

        async def work() -> CommandResult:
            running = self._command(line, stdin, kept, tell, calls.qsize)
            exit_code = await (asyncio.wait_for(running, timeout_s) if timeout_s is not None else running)
            if exit_code is None:
                where = self._connection.where
                raise OctaSshError(f"the connection to {where} was lost while the command ran", lost=True)
            return CommandResult(exit_code, str(kept))

        return wait_for(self._told(work(), "run a command on"), is_cancelled=is_cancelled, calls=calls)

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
        """`put` of what has been looked at already."""
        calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        transfer = self._transfer(f"sending {shown(tree.path)}", limits, timeout_s, on_progress, calls)
        sending: FileSending | None = None

        async def work(connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient) -> None:
            nonlocal sending
            if sending is None:
                sending = FileSending(tree, await _place_there(sftp, tree, remote), transfer)
            await sending.over(sftp)

        self._moved(work, transfer, f"send {shown(tree.path)} to", is_cancelled, calls)

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
            is_wanted: asked for each file of a folder; what it says no to is left there.

        Returns:
            The files that were written.

        Raises:
            OctaLocalFileError: this machine's disk or folder refused.
            OctaUnfetchedError: some files could not be fetched; the others are here.
            OctaSshError: the machine can't be reached, or refused.
            OctaCancelledError: `is_cancelled` said yes.
        """
        calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        transfer = self._transfer(f"fetching {shown(remote)}", limits, timeout_s, on_progress, calls)
        fetching: FileFetching | None = None

        async def work(connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient) -> None:
            nonlocal fetching
            tree = await look_below(
                sftp,
                os.fsencode(remote),
                transfer.limits,
                within=None if within is None else os.fsencode(within),
                moved=transfer.moved,
            )
            if fetching is None:
                target = place_here(local, remote, is_folder=tree.is_folder)
                fetching = FileFetching(target, transfer, is_wanted)
            await fetching.over(connection, sftp, tree)

        self._moved(work, transfer, f"fetch {shown(remote)} from", is_cancelled, calls)
        return () if fetching is None else fetching.fetched

    async def _command(
        self, line: str, stdin: str, kept: Tail, tell: Callable[[list[str]], object], waiting: Callable[[], int]
    ) -> int | None:
        import asyncssh

        connection = await self._connection.get(self._connect_within_s)
        try:
            return await _command(connection, line, stdin, kept, tell, waiting)
        except asyncssh.ChannelOpenError as error:
            # The machine had hung up meanwhile, which the connection may not know yet: nothing has been asked of it.
            if not connection.is_closed() and "closed" not in error.reason:
                raise
            self._connection.close()
        connection = await self._connection.get(self._connect_within_s)
        return await _command(connection, line, stdin, kept, tell, waiting)

    # -- transfers -------------------------------------------------------------------------------------------------

    def _transfer(
        self,
        what: str,
        limits: TransferLimits | None,
        timeout_s: float | None,
        on_progress: OnTransfer | None,
        calls: queue.SimpleQueue[Callable[[], object]],
    ) -> Transfer:
        if on_progress is None:
            return Transfer(what, limits or TransferLimits(), timeout_s)
        return Transfer(
            what, limits or TransferLimits(), timeout_s, lambda progress: calls.put(lambda: on_progress(progress))
        )

    def _moved(
        self,
        work: Callable[[asyncssh.SSHClientConnection, asyncssh.SFTPClient], Coroutine[Any, Any, None]],
        transfer: Transfer,
        what: str,
        is_cancelled: Callable[[], bool],
        calls: queue.SimpleQueue[Callable[[], object]],
    ) -> None:
        """A transfer, gone on with after a lost connection: it can be repeated without harm."""
        left = TRANSFER_TRIES
        while True:
            furthest = transfer.furthest
            try:
                wait_for(self._told(self._once(work, transfer), what), is_cancelled=is_cancelled, calls=calls)
            except OctaSshError as error:
                left = TRANSFER_TRIES if transfer.furthest > furthest else left
                left -= 1
                if not error.lost or left <= 0 or transfer.left_s <= 0:
                    raise
                log.warning("%s; trying again", error)
            else:
                return

    async def _once(
        self,
        work: Callable[[asyncssh.SSHClientConnection, asyncssh.SFTPClient], Coroutine[Any, Any, None]],
        transfer: Transfer,
    ) -> None:
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

    async def _told(self, work: Awaitable[T], what: str) -> T:
        """What asyncssh raises becomes one sentence."""
        import asyncssh

        where = self._connection.where
        try:
            return await work
        except OctaError:
            raise
        except asyncssh.SFTPError as error:
            lost = isinstance(error, (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection))
            raise OctaSshError(f"can't {what} {where}: {shown(error.reason)}", lost=lost) from error
        except (TimeoutError, asyncio.TimeoutError) as error:
            why = self._connection.trouble
            raise OctaSshError(f"can't {what} {where}: {why or 'it took too long'}", lost=True) from error
        except (OSError, asyncssh.Error, ValueError, MemoryError) as error:
            said = shown(str(error)) or type(error).__name__
            raise OctaSshError(f"can't {what} {where}: {said}", lost=True) from error


def place_here(local: str | os.PathLike[str], remote: str, *, is_folder: bool) -> Path:
    """Where something that is fetched goes: see `RemoteMachine.get`.

    Args:
        local: the target, as given.
        remote: what is fetched.
        is_folder: whether that is a folder.
    """
    text = os.fspath(local)
    target, name = expanded(text), posixpath.basename(remote.rstrip("/"))
    into = text.endswith(os.sep) or Path(text) == Path() or text.endswith(f"{os.sep}.")
    if into or (not is_folder and target.is_dir()):
        return target if name in {"", ".", "..", "~"} else target / name
    return target


async def _place_there(sftp: asyncssh.SFTPClient, tree: LocalTree, remote: str) -> bytes:
    """Where something that is sent goes: see `RemoteMachine.put`."""
    import asyncssh

    place = placed_name(tree.path, remote)
    if tree.is_folder or place != posixpath.normpath(remote):
        return os.fsencode(place)
    with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure):
        if await sftp.isdir(os.fsencode(place)):
            place = posixpath.join(place, tree.path.name)
    return os.fsencode(place)


async def _command(
    connection: asyncssh.SSHClientConnection,
    line: str,
    stdin: str,
    kept: Tail,
    tell: Callable[[list[str]], object],
    waiting: Callable[[], int],
) -> int | None:
    """Run a command to its end; its exit status, or None when the connection was lost."""
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
