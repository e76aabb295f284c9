"""A job over SSH: inputs up, the command begun, its status read."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaLocalFileError, OctaSshError
from octa_provider.files.local_files import LocalTree
from octa_provider.files.scratch import in_scratch
from octa_provider.job.log import NO_SHELL
from octa_provider.job.script import (
    ENDED,
    DetachedStatus,
    await_end_command,
    begin_command,
    keep_list_command,
    lacks_shell,
    look_command,
    read_status,
    staged_folder,
    staged_list,
)
from octa_provider.job.secret_envs import without_values
from octa_provider.remote.kept_machines import kept_machine
from octa_provider.remote.machine import RemoteMachine
from octa_provider.remote.target import SshTarget

if TYPE_CHECKING:
    from octa_provider.files.placed import Placed
    from octa_provider.job.spec import JobSpec
    from octa_provider.job.state import JobState
    from octa_provider.models import Session
    from octa_provider.remote.transfer import OnTransfer

__all__ = ["begin_detached", "job_machine", "look_at_detached"]

COMMAND_TIMEOUT_S = 60.0
#: What is longer goes as a file does, which takes a dozen round trips and has the time that its size needs.
SHORT_LIST_BYTES = 64 * 1024


def begin_detached(
    session: Session,
    state: JobState,
    spec: JobSpec,
    private_key: str | Path | None,
    *,
    on_progress: OnTransfer | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    on_end: Callable[[], object] | None = None,
) -> str | None:
    """Send the inputs and begin the command, once however often this is called; returns the machine's host key.

    A command that has been begun by somebody else is left alone: nothing is sent.

    Args:
        session: as the API tells it now.
        state: the job.
        spec: the same job, with its inputs and its secrets.
        private_key: as in `Jobs.run`.
        on_progress: called now and then with how far a transfer is.
        is_cancelled: asked again and again; when it says yes the transfer is given up.
        on_end: as in `Jobs.poll`.

    Raises:
        OctaConfigError: an input is not there any more.
        OctaSshError: the machine could not be reached, or could not begin it.
        OctaCancelledError: `is_cancelled` said yes.
    """
    with job_machine(session, state, private_key) as machine:
        if _look(machine, state.nonce).state != "absent":
            return machine.host_key
        placed = spec.check_inputs()
        token = _token(state) if placed else ""
        for one in placed:
            inside = not one.remote.startswith("/")
            place = posixpath.join(staged_folder(token), one.remote) if inside else one.remote
            machine.send(one.tree, place, on_progress=on_progress, is_cancelled=is_cancelled)
        if placed:
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
        _listen(machine, on_end)
        return machine.host_key


def look_at_detached(
    session: Session,
    state: JobState,
    private_key: str | Path | None,
    on_end: Callable[[], object] | None = None,
    then: Callable[[RemoteMachine], object] | None = None,
) -> DetachedStatus:
    """Ask the machine how the command is doing.

    Args:
        session: as the API tells it now.
        state: the job.
        private_key: as in `Jobs.run`.
        on_end: as in `Jobs.poll`.
        then: called with the machine once it has told of a command that has begun.

    Raises:
        OctaSshError: the machine can't be reached, or has no shell.
    """
    with job_machine(session, state, private_key) as machine:
        status = _look(machine, state.nonce)
        if status.state == "running":
            _listen(machine, on_end)
        if status.state != "absent" and then is not None:
            then(machine)
        return status


@contextmanager
def job_machine(session: Session, state: JobState, private_key: str | Path | None) -> Iterator[RemoteMachine]:
    """Hold the connection to a job's machine; others who come in this process get the same one.

    Args:
        session: as the API tells it now.
        state: the job, with the host key that the machine had before.
        private_key: as in `Jobs.run`.

    Raises:
        OctaSshError: the machine can't be reached. It is asked once: whoever calls looks again later.
    """
    with kept_machine(SshTarget.of(session, private_key=private_key, host_key=state.host_key)) as machine:
        yield machine


def _send_list(machine: RemoteMachine, placed: list[Placed], token: str) -> None:
    """Leave word of what was sent: who fetches may be another process, which must not take it for results."""
    sent = {
        posixpath.join(one.remote, os.fsdecode(file.name)) if file.name else one.remote: [file.size, file.mtime]
        for one in placed
        for file in one.tree.files
    }
    told = json.dumps(sent)
    if len(told) <= SHORT_LIST_BYTES:
        command = keep_list_command(token, len(told))
        if machine.run(command, stdin=told, timeout_s=COMMAND_TIMEOUT_S).exit_code == 0:
            return
    machine.run(f"mkdir -p {staged_folder(token)}", timeout_s=COMMAND_TIMEOUT_S)

    def send(folder: Path) -> None:
        path = folder / "sent"
        try:
            path.write_text(told)
        except OSError as error:
            raise OctaLocalFileError(f"can't write {path}: {error.strerror}") from error
        machine.send(LocalTree.at(path), staged_list(token))

    in_scratch(send)


def _listen(machine: RemoteMachine, on_end: Callable[[], object] | None) -> None:
    if on_end is not None:
        machine.listen(await_end_command(), lambda said: on_end() if said.strip() == ENDED else None)


def _look(machine: RemoteMachine, nonce: str) -> DetachedStatus:
    said = machine.run(look_command(), timeout_s=COMMAND_TIMEOUT_S).output
    if lacks_shell(said):
        raise OctaSshError(NO_SHELL)
    return read_status(said, nonce)


def _token(state: JobState) -> str:
    # The same for all that one process sends, so that what is there already need not be sent again.
    return hashlib.sha256(f"{state.nonce} {socket.gethostname()} {os.getpid()}".encode()).hexdigest()[:12]
