"""Whether a triggerer sees the files of a worker, so that it can move them itself and nobody waits for a worker's slot.

A machine bills while its task waits for a worker, only to send inputs or to fetch outputs. Where both have the same
files, as on one computer or on a studio's server, the triggerer can do that at once. What it is sure of it has seen: of
inputs the same sizes and times, of each output's folder a mark that the worker laid there a moment before. Everything
else is the worker's, as before. This file imports neither an HTTP library nor SSH.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.secret_texts import is_shown_whole
from octa_provider.files.marks import claim_marks, lay_marks, marks_of, remove_marks
from octa_provider.text.quantities import counted, shown_duration

if TYPE_CHECKING:
    from octa_provider import JobSpec, JobState
    from octa_provider.files.placed import Placed

__all__ = ["begun_text", "claims_marks", "fetched_text", "files_to_share", "forget_marks", "spec_to_begin"]


def files_to_share(spec: JobSpec, state: JobState, log_path: str | None) -> dict[str, Any] | None:
    """What a triggerer needs to move a job's files, as a JSON value; on the worker, which leaves its marks.

    Args:
        spec: the job.
        state: how far it is.
        log_path: where the command's output goes; a URL is the worker's.

    Returns:
        The value for `spec_to_begin` and `claims_marks`; None when a worker has to move them.
    """
    if not spec.over_ssh:
        return None
    shared: dict[str, Any] = {"user": os.getuid(), "log_path": log_path}
    told = {"command": spec.command_line, "envs": dict(spec.envs)}
    if not spec.secret_envs and is_shown_whole(told) and _all_absolute(spec.inputs):
        # Secrets go into no database.
        shared["begins"] = {
            "image": spec.image,
            **told,
            "inputs": {os.fspath(local): remote for local, remote in spec.inputs.items()},
            "disk_gb": spec.disk_gb,
            "timeout_s": spec.timeout_s,
        }
        shared["inputs"] = _seen(spec.check_inputs())
    places = _places(spec, log_path)
    if _all_absolute(places):
        word = secrets.token_hex(8)
        shared |= {"marks": lay_marks(places, state.nonce, word), "word": word}
    return shared


def spec_to_begin(shared: Mapping[str, Any] | None) -> JobSpec | None:
    """The job to begin, in a triggerer that sees its inputs as the worker has; None where a worker has to begin it.

    Args:
        shared: from `files_to_share`.
    """
    if shared is None or shared.get("begins") is None or shared.get("user") != os.getuid():
        return None
    from octa_provider import JobSpec, OctaConfigError

    try:
        spec = JobSpec(via="ssh", **shared["begins"])
        return spec if _seen(spec.check_inputs()) == shared["inputs"] else None
    except (OctaConfigError, TypeError):
        return None


def claims_marks(shared: Mapping[str, Any] | None) -> bool:
    """Whether a triggerer sees all folders that the worker has marked; of two triggers of one task one does.

    Args:
        shared: from `files_to_share`.
    """
    if shared is None or shared.get("marks") is None or shared.get("user") != os.getuid():
        return False
    return claim_marks(shared["marks"], shared["word"])


def forget_marks(spec: JobSpec, state: JobState, log_path: str | None) -> None:
    """Take away what `files_to_share` has left, on the worker that has come back.

    Args:
        spec, state, log_path: as there.
    """
    places = _places(spec, log_path)
    if spec.over_ssh and _all_absolute(places):
        remove_marks(marks_of(places, state.nonce))


def begun_text(inputs: int, took_s: float) -> str:
    """What the log says of a command that has begun.

    Args:
        inputs: how many were sent.
        took_s: seconds that it took.
    """
    sent = counted(inputs, "input") if inputs else "no inputs"
    return f"Ready: sent {sent} and began the command within {shown_duration(took_s)}"


def fetched_text(files: int, took_s: float) -> str:
    """What it says of outputs.

    Args:
        files: how many were fetched.
        took_s: seconds that it took.
    """
    return f"Fetched {counted(files, 'file')} within {shown_duration(took_s)}"


def _all_absolute(paths: Iterable[str | os.PathLike[str]]) -> bool:
    # Others are relative to where a process runs, or to whose home it has.
    return all(os.fspath(path).startswith("/") for path in paths)


def _places(spec: JobSpec, log_path: str | None) -> list[str]:
    """Where something is fetched to."""
    return [*(os.fspath(local) for local in spec.outputs.values()), *([] if log_path is None else [log_path])]


def _seen(placed: list[Placed]) -> str:
    """What inputs look like: names, sizes, permissions and times of change, as a digest."""
    whole = hashlib.sha256()
    for one in sorted(placed, key=lambda one: one.remote):
        whole.update(repr((one.remote, one.tree.is_folder, sorted(one.tree.folders))).encode())
        for file in sorted(one.tree.files, key=lambda file: file.name):
            whole.update(repr((file.name, file.size, file.mode, file.mtime)).encode())
    return whole.hexdigest()
