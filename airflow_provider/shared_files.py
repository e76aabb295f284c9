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
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow_provider.secret_texts import is_shown_whole
from octa_provider.files.marks import claim_marks, lay_marks, marks_of, remove_marks
from octa_provider.text.quantities import counted, shown_duration

if TYPE_CHECKING:
    from octa_provider import JobSpec, JobState
    from octa_provider.files.placed import Placed

__all__ = [
    "begun_text",
    "claims_marks",
    "fetched_text",
    "files_to_share",
    "forget_marks",
    "inputs_to_send",
    "spec_to_begin",
]

#: Some databases keep no more than 64 kB of a trigger, and it is encrypted.
MOST_TEXT_BYTES = 16_000


def files_to_share(
    spec: JobSpec,
    state: JobState,
    log_path: str | None,
    *,
    value_of: str | None = None,
    texts: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> dict[str, Any] | None:
    """What a triggerer needs to move a job's files, as a JSON value; on the worker, which leaves its marks.

    Args:
        spec: the job.
        state: how far it is.
        log_path: where the command's output goes; a URL is the worker's.
        value_of: the output that is no file of anybody's, but a JSON value which travels back with the event.
        texts: inputs that are no files of anybody's, but JSON values or texts which travel with the trigger: local path
            to `text`, as it is sent, and `says`, what is in it, by name.

    Returns:
        The value for `spec_to_begin` and `claims_marks`; None when a worker has to move them.
    """
    if not spec.over_ssh:
        return None
    shared: dict[str, Any] = {"user": os.getuid(), "log_path": log_path}
    told = {"command": spec.command_line, "envs": dict(spec.envs)}
    if not spec.secret_envs and is_shown_whole(told) and _all_absolute(spec.inputs) and _may_travel(texts):
        # Secrets go into no database.
        inputs = {os.fspath(local): remote for local, remote in spec.inputs.items()}
        sent = {remote: str(texts[local]["text"]) for local, remote in inputs.items() if local in texts}
        files: dict[str | os.PathLike[str], str] = {n: remote for n, remote in inputs.items() if n not in texts}
        shared["begins"] = {
            "image": spec.image,
            **told,
            "inputs": files,
            "disk_gb": spec.disk_gb,
            "timeout_s": spec.timeout_s,
        }
        shared |= {"inputs": _seen(replace(spec, inputs=files).check_inputs()), "texts": sent}
    if value_of is not None:
        shared["value_of"] = value_of
    places = _places(spec, log_path, value_of)
    if _all_absolute(places):
        word = secrets.token_hex(8)
        shared |= {"marks": lay_marks(places, state.nonce, word), "word": word}
    return shared


def spec_to_begin(shared: Mapping[str, Any] | None, folder: Path | None = None) -> JobSpec | None:
    """The job to begin, in a triggerer that sees its inputs as the worker has; None where a worker has to begin it.

    Args:
        shared: from `files_to_share`.
        folder: a private one for texts that travelled, for as long as they are sent.
    """
    if shared is None or shared.get("begins") is None:
        return None
    begins, texts = shared["begins"], shared.get("texts") or {}
    if (begins.get("inputs") and shared.get("user") != os.getuid()) or (texts and folder is None):
        return None
    from octa_provider import JobSpec, OctaConfigError

    try:
        spec = JobSpec(via="ssh", **begins)
        if _seen(spec.check_inputs()) != shared["inputs"]:
            return None
        placed: dict[str | os.PathLike[str], str] = {}
        for number, (remote, text) in enumerate(texts.items()):
            assert folder is not None
            path = folder / str(number)
            path.write_text(text, encoding="utf-8")
            placed[path] = remote
        return replace(spec, inputs={**spec.inputs, **placed})
    except (OctaConfigError, OSError, TypeError):
        return None


def inputs_to_send(shared: Mapping[str, Any]) -> int:
    """How many inputs a triggerer sends.

    Args:
        shared: from `files_to_share`, of a job that may be begun there.
    """
    return len(shared["begins"]["inputs"]) + len(shared.get("texts") or ())


def claims_marks(shared: Mapping[str, Any] | None) -> bool:
    """Whether a triggerer sees all folders that the worker has marked; of two triggers of one task one does.

    Args:
        shared: from `files_to_share`.
    """
    if shared is None or shared.get("marks") is None:
        return False
    # Where nothing is written to, it is nobody's.
    if shared["marks"] and shared.get("user") != os.getuid():
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


def _may_travel(texts: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether texts may lie in a trigger's row of the database: short ones, of which Airflow would hide nothing."""
    if sum(len(str(one["text"]).encode("utf-8", "surrogatepass")) for one in texts.values()) > MOST_TEXT_BYTES:
        return False
    return all(is_shown_whole(one) for one in texts.values())


def _all_absolute(paths: Iterable[str | os.PathLike[str]]) -> bool:
    # Others are relative to where a process runs, or to whose home it has.
    return all(os.fspath(path).startswith("/") for path in paths)


def _places(spec: JobSpec, log_path: str | None, value_of: str | None = None) -> list[str]:
    """Where something is fetched to."""
    outputs = [os.fspath(local) for remote, local in spec.outputs.items() if remote != value_of]
    return [*outputs, *([] if log_path is None else [log_path])]


def _seen(placed: list[Placed]) -> str:
    """What inputs look like: names, sizes, permissions and times of change, as a digest."""
    whole = hashlib.sha256()
    for one in sorted(placed, key=lambda one: one.remote):
        whole.update(repr((one.remote, one.tree.is_folder, sorted(one.tree.folders))).encode())
        for file in sorted(one.tree.files, key=lambda file: file.name):
            whole.update(repr((file.name, file.size, file.mode, file.mtime)).encode())
    return whole.hexdigest()
