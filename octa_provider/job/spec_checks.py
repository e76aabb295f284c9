"""What can be a job, checked before any money is spent.

Apart from `JobSpec` itself: a DAG file that is parsed checks by this what is known of its jobs, and makes none.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from octa_provider import errors
from octa_provider.job.secret_envs import checked_secret_envs
from octa_provider.market.request_checks import checked_machine
from octa_provider.timing.limits import MIN_RUN_S, checked_cap, checked_seconds
from octa_provider.wire.labels import LABELS_ENV
from octa_provider.wire.session_envs import JOB_ENV, RENTAL_KEY_ENV, RENTAL_MARK_ENV, REPLACES_ENV, TRIED_ENV

__all__ = ["VIAS", "checked_job", "command_line_of"]

VIAS = ("auto", "container", "ssh")
#: What carries more than the user's own variables.
_OURS = (JOB_ENV, RENTAL_KEY_ENV, RENTAL_MARK_ENV, REPLACES_ENV, TRIED_ENV, LABELS_ENV)
#: Of a machine, what a job says of it.
_OF_MACHINE = ("image", "disk_gb", "envs", "ports", "http_ports", "entrypoint", "app", "labels")


def command_line_of(command: str | Sequence[str]) -> str:
    """A command as the shell reads it.

    Args:
        command: a shell command line, or a sequence of arguments.
    """
    return command if isinstance(command, str) else shlex.join(command)


def checked_job(given: Mapping[str, Any], *, node_id: int | None) -> dict[str, Any]:
    """What there is to check of a `JobSpec` but its requirements.

    Args:
        given: its fields by name; what is left out is as `JobSpec` has it.
        node_id: the one machine that its requirements allow; None for any.

    Returns:
        Those that are kept in another form than they were given in.

    Raises:
        OctaConfigError: a value that can't work.
    """
    command, via = given["command"], given.get("via", "auto")
    envs, inputs, outputs = (given.get(name, {}) for name in ("envs", "inputs", "outputs"))
    secret_envs, result_file = given.get("secret_envs", {}), given.get("result_file")
    _refuse_other_types(given, command, envs, inputs, outputs)
    if not isinstance(command, str) and not all(isinstance(word, str) for word in command):
        raise errors.OctaConfigError("command must be a string or a sequence of strings: turn numbers into text")
    command_line = command_line_of(command)
    if not command_line.strip():
        raise errors.OctaConfigError("command must not be empty: give the shell command line that is to run")
    if "\0" in command_line:
        raise errors.OctaConfigError("command must not hold a NUL character")
    if via not in VIAS:
        raise errors.OctaConfigError(f"via must be one of {', '.join(VIAS)}, not {via!r}")
    if via == "container" and (inputs or outputs):
        raise errors.OctaConfigError("inputs and outputs move over SSH: use via='ssh' or 'auto'")
    if via == "container" and secret_envs:
        raise errors.OctaConfigError("secret_envs needs SSH, which keeps it from the API: use via='ssh' or 'auto'")
    if via == "container" and result_file is not None:
        raise errors.OctaConfigError("result_file is read over SSH: use via='ssh' or 'auto'")
    for name in ("timeout_s", "ready_timeout_s"):
        checked_seconds(name, given.get(name, MIN_RUN_S), least_s=MIN_RUN_S)
    for name in ("max_cost_usd", "max_duration_s"):
        checked_cap(name, given.get(name))
    if (keep_failed_s := given.get("keep_failed_s")) is not None:
        checked_seconds("keep_failed_s", keep_failed_s, least_s=MIN_RUN_S)
    if type(attempts := given.get("start_attempts", 1)) is not int or attempts != 1:
        from octa_provider.rental.start_attempts import check_start_attempts

        check_start_attempts(attempts, node_id)
    if JOB_ENV in envs:
        raise errors.OctaConfigError(f"envs must not set {JOB_ENV}: it carries the job's nonce")
    if TRIED_ENV in envs:
        raise errors.OctaConfigError(f"envs must not set {TRIED_ENV}: it carries the machines that were tried before")
    for remote in (*inputs.values(), *outputs):
        _check_remote(remote)
    for remote in outputs:
        if remote.startswith("/"):
            raise errors.OctaConfigError(
                f"outputs: {remote!r} is absolute, and outputs are what lies in the command's folder there: give "
                "{'path there, relative': 'path here'}, and have the command write into its own folder"
            )
    for local in (*inputs, *outputs.values()):
        _check_local(local)
    kept = {"secret_envs": checked_secret_envs(secret_envs, envs, _OURS)}
    if result_file is not None:
        from octa_provider.job.return_value import checked_result_file

        checked_result_file(result_file, inputs.values())
    machine = checked_machine({name: given[name] for name in _OF_MACHINE if name in given})
    return kept | {"labels": machine["labels"]}


def _refuse_other_types(
    given: Mapping[str, Any], command: object, envs: object, inputs: object, outputs: object
) -> None:
    """What is no text, mapping or path would be found out when the machine is rented, and bills."""
    if not isinstance(command, Sequence):
        raise errors.OctaConfigError(f"command must be a string or a sequence of strings, not {command!r}")
    for name, files, locals_of in (("inputs", inputs, Mapping.keys), ("outputs", outputs, Mapping.values)):
        if not isinstance(files, Mapping):
            raise errors.OctaConfigError(f"{name} must be a mapping of paths to paths, not {type(files).__name__}")
        for path in locals_of(files):
            if not isinstance(path, (str, os.PathLike)) or not os.fspath(path) or "\0" in str(os.fspath(path)):
                raise errors.OctaConfigError(f"{name}: {path!r} is not a path of this machine")
    if not isinstance(envs, Mapping):
        raise errors.OctaConfigError(f"envs must be a mapping of names to texts, not {type(envs).__name__}")
    for name in ("ports", "http_ports"):
        if not isinstance(ports := given.get(name, ()), (tuple, list, set, frozenset)):
            raise errors.OctaConfigError(f"{name} must be port numbers, not {ports!r}")


def _check_local(local: object) -> None:
    if not isinstance(local, (str, os.PathLike)) or not os.fspath(local) or "\0" in str(os.fspath(local)):
        raise errors.OctaConfigError(f"{local!r} is no path of this machine")


def _check_remote(remote: object) -> None:
    if isinstance(remote, str) and remote.split("/", 1)[0].startswith("~"):
        raise errors.OctaConfigError(
            f"{remote!r} begins with '~', which only a shell knows: give a relative or absolute path"
        )
    if not isinstance(remote, str) or not remote or "\0" in remote or ".." in remote.split("/"):
        raise errors.OctaConfigError(f"{remote!r} is not a path to send to or fetch from: leave out '..'")
