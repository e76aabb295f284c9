"""A job over SSH: inputs up, the command begun, its status read, outputs down."""

from __future__ import annotations

import logging
import os
import posixpath
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaSshError
from octa_provider.job_log import NO_SHELL, save_fetched_log
from octa_provider.job_script import (
    LOG_FILE,
    WORK_FOLDER,
    DetachedStatus,
    begin_command,
    lacks_shell,
    look_command,
    read_status,
)
from octa_provider.ssh import RemoteMachine, SshTarget

if TYPE_CHECKING:
    from octa_provider.job_spec import JobSpec
    from octa_provider.job_state import JobState
    from octa_provider.models import Session

log = logging.getLogger("octa_provider.job_machine")

COMMAND_TIMEOUT_S = 60.0


def begin_detached(session: Session, state: JobState, spec: JobSpec, private_key: str | Path | None) -> str | None:
    """Send the inputs and begin the command, once however often this is called; returns the machine's host key.

    Raises:
        OctaSshError: the machine could not be reached, or could not begin it.
    """
    with _machine(session, state, private_key) as machine:
        for local, remote in spec.inputs.items():
            machine.put(Path(local), _in_work_folder(remote))
        command, script = begin_command(spec.command_line, spec.timeout_s, state.nonce, spec.envs)
        answer = machine.run(command, stdin=script, timeout_s=COMMAND_TIMEOUT_S)
        if lacks_shell(answer.output):
            raise OctaSshError(NO_SHELL)
        if answer.exit_code != 0 or answer.output.strip() not in {"begun", "already"}:
            said = answer.output.strip()[-500:]
            raise OctaSshError(f"the machine could not begin the command (exit code {answer.exit_code}): {said}")
        return machine.host_key


def look_at_detached(session: Session, state: JobState, private_key: str | Path | None) -> DetachedStatus:
    """How the command is doing. Raises OctaSshError when the machine can't be reached."""
    with _machine(session, state, private_key) as machine:
        return read_status(machine.run(look_command(), timeout_s=COMMAND_TIMEOUT_S).output, state.nonce)


def fetch_outputs(
    session: Session, state: JobState, private_key: str | Path | None, log_path: str | os.PathLike[str] | None
) -> tuple[Path, ...]:
    """Fetch the outputs, and the whole log when a path is given.

    Of a command that failed, what is there is fetched; of one that succeeded, everything must be.

    Raises:
        OctaSshError: the machine can't be reached, or an output of a successful command is missing.
    """
    files: list[Path] = []
    with _machine(session, state, private_key) as machine:
        if log_path is not None:
            _fetch_log(machine, state, log_path)
        for remote, local in state.outputs.items():
            try:
                found = machine.get(_in_work_folder(remote), local)
            except OctaSshError as error:
                if error.lost:
                    raise
                if state.exit_code == 0:
                    # The user's path, not ours, and not as if the command had failed.
                    missing = "No such file" in str(error)
                    why = f"left no {remote}" if missing else f"{remote} can't be fetched: {error}"
                    raise OctaSshError(f"the command succeeded but {why}") from error
                log.warning("the command failed, and left no %s: %s", remote, error)
                continue
            if not found and state.exit_code == 0:
                raise OctaSshError(f"the command succeeded but left nothing in {remote}")
            files += found
    return tuple(files)


def _fetch_log(machine: RemoteMachine, state: JobState, log_path: str | os.PathLike[str]) -> None:
    try:
        with tempfile.TemporaryDirectory() as folder:
            fetched = Path(folder) / "job.log"
            machine.get(LOG_FILE, fetched)
            save_fetched_log(fetched, state, log_path)
    except OctaSshError as error:
        if error.lost:
            raise
        # What the command did to its log is not what became of it.
        log.warning("the log of %s can't be fetched: %s", state.key, error)
    except OSError as error:
        log.warning("the log of %s can't be written: %s", state.key, error)


def _machine(session: Session, state: JobState, private_key: str | Path | None) -> RemoteMachine:
    return RemoteMachine(SshTarget.of(session, private_key=private_key, host_key=state.host_key))


def _in_work_folder(remote: str) -> str:
    return remote if remote.startswith("/") else posixpath.join(WORK_FOLDER, remote)
