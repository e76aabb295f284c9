"""A job over SSH: inputs up, the command begun, its status read, outputs down."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaLocalFileError, OctaSshError, OctaUnfetchedError
from octa_provider.files.limits import TransferLimits
from octa_provider.files.local_files import LocalTree, shown
from octa_provider.job.log import NO_SHELL, save_fetched_log
from octa_provider.job.script import (
    LOG_FILE,
    SENT_FILE,
    WORK_FOLDER,
    DetachedStatus,
    begin_command,
    lacks_shell,
    look_command,
    read_status,
    staged_folder,
    staged_list,
)
from octa_provider.job.secret_envs import without_values
from octa_provider.remote.kept_machines import kept_machine
from octa_provider.remote.machine import RemoteMachine
from octa_provider.remote.remote_files import RemoteFile
from octa_provider.remote.target import SshTarget
from octa_provider.text.plain_log import plain_logger

if TYPE_CHECKING:
    from octa_provider.files.placed import Placed
    from octa_provider.job.spec import JobSpec
    from octa_provider.job.state import JobState
    from octa_provider.models import Session
    from octa_provider.remote.transfer import OnTransfer

log = plain_logger("octa_provider.job.over_ssh")

COMMAND_TIMEOUT_S = 60.0
#: The log of a command, and the list of what was sent: beyond that it is no log, and no list.
LOG_BYTES = 16 * 1024**3
LIST_BYTES = 64 * 1024**2


def begin_detached(
    session: Session,
    state: JobState,
    spec: JobSpec,
    private_key: str | Path | None,
    *,
    on_progress: OnTransfer | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> str | None:
    """Send the inputs and begin the command, once however often this is called; returns the machine's host key.

    A command that has been begun by somebody else is left alone: nothing is sent.

    Raises:
        OctaConfigError: an input is not there any more.
        OctaSshError: the machine could not be reached, or could not begin it.
        OctaCancelledError: `is_cancelled` said yes.
    """
    with _machine(session, state, private_key) as machine:
        if _look(machine, state.nonce).state != "absent":
            return machine.host_key
        placed = spec.check_inputs()
        token = _token(state) if placed else ""
        for one in placed:
            inside = not one.remote.startswith("/")
            place = posixpath.join(staged_folder(token), one.remote) if inside else one.remote
            machine.send(one.tree, place, on_progress=on_progress, is_cancelled=is_cancelled)
        if placed:
            machine.run(f"mkdir -p {staged_folder(token)}", timeout_s=COMMAND_TIMEOUT_S)
            _send_list(machine, placed, token)
        envs = {**spec.envs, **spec.secret_envs}
        command, script = begin_command(spec.command_line, spec.timeout_s, state.nonce, envs, token)
        answer = machine.run(command, stdin=script, timeout_s=COMMAND_TIMEOUT_S, is_cancelled=is_cancelled)
        if lacks_shell(answer.output):
            raise OctaSshError(NO_SHELL)
        if answer.exit_code != 0 or answer.output.strip() not in {"begun", "already"}:
            # A machine that does not do as it is told may repeat what it was sent.
            said = without_values(answer.output.strip(), spec.secret_envs)[-500:]
            raise OctaSshError(f"the machine could not begin the command (exit code {answer.exit_code}): {said}")
        return machine.host_key


def look_at_detached(session: Session, state: JobState, private_key: str | Path | None) -> DetachedStatus:
    """How the command is doing. Raises OctaSshError when the machine can't be reached."""
    with _machine(session, state, private_key) as machine:
        return _look(machine, state.nonce)


class OutputFetch:
    """The outputs of a job on their way here; asked again, it fetches those that are not here yet.

    Args:
        state: the job.
        private_key: as in `Jobs.run`.
        log_path: the file that gets the whole log; None when nobody wants it.
        on_progress: called now and then with how far a transfer is.
        is_cancelled: asked again and again; when it says yes the transfer is given up.

    Attributes:
        errors: what can't be had, each as a sentence.
    """

    def __init__(
        self,
        state: JobState,
        private_key: str | Path | None,
        log_path: str | os.PathLike[str] | None,
        *,
        on_progress: OnTransfer | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._state = state
        self._private_key = private_key
        self._log_path = log_path
        self._on_progress = on_progress
        self._is_cancelled = is_cancelled
        self._fetched: dict[str, tuple[str, ...]] = {}
        self._instead: Path | None = None
        self.errors: list[str] = []

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are here."""
        return tuple(path for remote in self._state.outputs for path in self._fetched.get(remote, ()))

    def once(self, session: Session) -> None:
        """Fetch what is not here yet, and the whole log when a path is given.

        Of a command that failed, what is there is fetched; of one that succeeded, everything must be. What can't be
        written where it should go is saved elsewhere on this machine.

        Raises:
            OctaLocalFileError: nothing can be written anywhere here.
            OctaSshError: the machine can't be reached.
            OctaCancelledError: `is_cancelled` said yes.
        """
        with _machine(session, self._state, self._private_key) as machine:
            if self._log_path is not None:
                _fetch_log(machine, self._state, self._log_path, self._is_cancelled)
                self._log_path = None
            sent = _sent(machine) if set(self._state.outputs) - self._fetched.keys() else {}
            for remote, local in self._state.outputs.items():
                if remote not in self._fetched:
                    self._fetched[remote] = self._fetch(machine, remote, local, sent)

    def _fetch(
        self, machine: RemoteMachine, remote: str, local: str, sent: Mapping[str, tuple[int, int]]
    ) -> tuple[str, ...]:
        succeeded, inputs = self._state.exit_code == 0, 0

        def is_made(file: RemoteFile) -> bool:
            nonlocal inputs
            name = posixpath.normpath(posixpath.join(remote, os.fsdecode(file.name)))
            given = sent.get(name) == (file.size, file.mtime)
            inputs += given
            return not given

        def fetch(place: str | Path) -> tuple[str, ...]:
            found = machine.get(
                in_work_folder(remote),
                place,
                within=None if remote.startswith("/") else WORK_FOLDER,
                on_progress=self._on_progress,
                is_cancelled=self._is_cancelled,
                is_wanted=is_made,
            )
            return tuple(str(path) for path in found)

        try:
            try:
                found = fetch(local)
            except OctaLocalFileError as error:
                # What is wrong here won't pass while the machine bills; its results must not be lost for it.
                log.warning("%s; fetching %s to another place", error, shown(remote))
                place = self._another_place() / (posixpath.basename(remote.rstrip("/")) or "output")
                found = fetch(place)
                self.errors.append(f"{error}: what the job made was saved as {shown(place)} instead")
        except OctaUnfetchedError as error:
            self._fail(succeeded, str(error))
            return error.fetched
        except OctaLocalFileError:
            raise
        except OctaSshError as error:
            if error.lost:
                raise
            said = f"the command succeeded but left no {shown(remote)}: {error}"
            self._fail(succeeded, said if "No such file" in str(error) else str(error))
            return ()
        if not found:
            only = " but what was sent" if inputs else ""
            self._fail(succeeded, f"the command succeeded but left nothing in {shown(remote)}{only}")
        return found

    def _fail(self, succeeded: bool, why: str) -> None:
        if succeeded:
            self.errors.append(why)
        else:
            log.warning("the command failed: %s", why)

    def _another_place(self) -> Path:
        """A folder of this user's own, on the first disk that takes one."""
        if self._instead is None:
            for folder in (tempfile.gettempdir, Path.home, Path.cwd):
                try:
                    self._instead = Path(tempfile.mkdtemp(prefix="octa-results-", dir=folder()))
                    break
                except (OSError, RuntimeError):
                    # Full, or read-only; or a user without a home folder.
                    continue
            else:
                raise OctaLocalFileError("no folder of this machine can be written to")
        return self._instead


def _send_list(machine: RemoteMachine, placed: list[Placed], token: str) -> None:
    """Leave word of what was sent: who fetches may be another process, which must not take it for results."""
    sent = {
        posixpath.join(one.remote, os.fsdecode(file.name)) if file.name else one.remote: [file.size, file.mtime]
        for one in placed
        for file in one.tree.files
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sent"
        path.write_text(json.dumps(sent))
        machine.send(LocalTree.at(path), staged_list(token))


def _sent(machine: RemoteMachine) -> dict[str, tuple[int, int]]:
    """What was sent: size and time of change, by name. Nothing where the machine does not know it any more."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sent"
            machine.get(SENT_FILE, path, limits=TransferLimits(max_bytes=LIST_BYTES))
            sent = json.loads(path.read_text())
        return {str(name): (int(size), int(mtime)) for name, (size, mtime) in sent.items()}
    except OctaLocalFileError:
        return {}
    except OctaSshError as error:
        if error.lost:
            raise
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        # The command may do with it what it likes.
        return {}


def _look(machine: RemoteMachine, nonce: str) -> DetachedStatus:
    said = machine.run(look_command(), timeout_s=COMMAND_TIMEOUT_S).output
    if lacks_shell(said):
        raise OctaSshError(NO_SHELL)
    return read_status(said, nonce)


def _fetch_log(
    machine: RemoteMachine,
    state: JobState,
    log_path: str | os.PathLike[str],
    is_cancelled: Callable[[], bool],
) -> None:
    try:
        with tempfile.TemporaryDirectory() as folder:
            fetched = Path(folder) / "job.log"
            machine.get(LOG_FILE, fetched, limits=TransferLimits(max_bytes=LOG_BYTES), is_cancelled=is_cancelled)
            save_fetched_log(fetched, state, log_path)
    except OctaSshError as error:
        if error.lost:
            raise
        # What the command did to its log is not what became of it.
        log.warning("the log of %s can't be fetched: %s", state.key, error)
    except OSError as error:
        log.warning("the log of %s can't be written: %s", state.key, error)


@contextmanager
def _machine(session: Session, state: JobState, private_key: str | Path | None) -> Iterator[RemoteMachine]:
    # Asked once: whoever calls looks again later, as for any outage.
    with kept_machine(SshTarget.of(session, private_key=private_key, host_key=state.host_key)) as machine:
        yield machine


def in_work_folder(remote: str) -> str:
    """Where an output is, from the login folder."""
    return remote if remote.startswith("/") else posixpath.join(WORK_FOLDER, remote)


def _token(state: JobState) -> str:
    # The same for all that one process sends, so that what is there already need not be sent again.
    return hashlib.sha256(f"{state.nonce} {socket.gethostname()} {os.getpid()}".encode()).hexdigest()[:12]
