"""What a job is: a value that a DAG file can hold.

This file imports no HTTP library, and what looks at files of this machine only when asked: DAG files are parsed often.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError
from octa_provider.job.spec_checks import checked_job, command_line_of
from octa_provider.market.request import MachineRequest
from octa_provider.market.requirements import Requirements

if TYPE_CHECKING:
    from octa_provider.files.placed import Placed


@dataclass(frozen=True)
class JobSpec:
    """A command to run to completion on a rented machine.

    Args:
        image: container image, such as `blender:4.5`; may be empty when `app` is given.
        command: a shell command line, or a sequence of arguments.
        envs: environment variables; the API stores them, and echoes them to whoever holds the account's key.
        secret_envs: environment variables that reach the command over SSH alone: the API never gets them, and nothing
            here shows them. The machine's owner can read them. A try that carries on with a command that has begun
            sends none; with the same names and other values it is the same job. Needs SSH.
        inputs: files and folders to send: local path to remote path. Needs SSH. A remote path that ends in `/`, or is
            `.`, is the folder that gets it under its own name, as with `scp`.
        outputs: files and folders to fetch when the command has ended: remote path to local path. Needs SSH. Remote
            paths are relative to the command's folder, never absolute. A local path that ends in `/`, or is `.`, is
            the folder that gets it under its own name; so is a folder that exists, for a file.
        disk_gb: disk in GB.
        requirements: which machine.
        timeout_s: seconds that the command may run; it is ended in the machine even when nobody watches.
        ready_timeout_s: seconds that the session may take to come up.
        via: `container` (the command is the container's own), `ssh` (over SSH, with files), or `auto`: `ssh` when there
            are files to move, secrets to hand over or a `result_file` to read, `container` otherwise.
        max_cost_usd: the job is stopped when it has cost so much.
        http_ports: ports to publish as URLs while it runs.
        ports: TCP ports to expose while it runs.
        max_duration_s: the job is stopped when its session has run so long, whatever it does; machines that the balance
            can't pay for that long are refused.
        entrypoint: the container's, such as `/opt/nvidia/nvidia_entrypoint.sh`: a program that runs what it is given.
            A command over SSH does not go through it.
        app: uuid of an app from `client.apps`.
        start_attempts: how many machines are tried, one after the other, when one does not come up within
            `ready_timeout_s`, or ends while it comes up. 1 tries no other. What each has cost counts towards
            `max_cost_usd`.
        result_file: a JSON file that the command writes, relative to its folder: its value is that of the job, in
            `JobResult.value`. A success that leaves none, or another text than JSON, is a failure. Needs SSH. At most
            256 kB.
        keep_failed_s: None stops the machine, however the job ends. Seconds keep that of a command that failed, or ran
            into `timeout_s`, for a look: it bills on, for so long at most, and no longer than its caps allow, where
            something of ours is there to stop it. See `octa_provider.job.keeping`.
        labels: words of your own on the session, such as `{"project": "atlas"}`, to find the machine and to split a
            bill by: at most 32, names of 63 characters, values of 128. No secrets: whoever has the account's key, and
            the machine's owner, read them. With other labels it is the same job: an adopted session keeps its own.

    Raises:
        OctaConfigError: a value that can't work, before any money is spent.
    """

    image: str
    command: str | Sequence[str]
    envs: Mapping[str, str] = field(default_factory=dict, repr=False)
    inputs: Mapping[str | os.PathLike[str], str] = field(default_factory=dict)
    outputs: Mapping[str, str | os.PathLike[str]] = field(default_factory=dict)
    disk_gb: int = 10
    requirements: Requirements = field(default_factory=Requirements)
    timeout_s: float = 3600.0
    ready_timeout_s: float = 900.0
    via: str = "auto"
    max_cost_usd: float | None = None
    http_ports: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()
    secret_envs: Mapping[str, str] = field(default_factory=dict, repr=False)
    result_file: str | None = None
    max_duration_s: float | None = None
    entrypoint: str = ""
    app: str = ""
    start_attempts: int = 1
    keep_failed_s: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.requirements, Requirements):
            raise OctaConfigError(f"requirements must be a Requirements, not {type(self.requirements).__name__}")
        for name, value in checked_job(vars(self), node_id=self.requirements.node_id).items():
            object.__setattr__(self, name, value)

    @property
    def command_line(self) -> str:
        """The command as the shell reads it."""
        return command_line_of(self.command)

    @property
    def over_ssh(self) -> bool:
        """True when the command is run over SSH."""
        needs = (self.inputs, self.outputs, self.secret_envs, self.result_file)
        return self.via == "ssh" or (self.via == "auto" and any(needs))

    @property
    def fingerprint(self) -> str:
        """Tells this job from another under the same key, without telling what is in it."""
        what = [self.image, self.command_line, sorted(self.envs.items()), self.over_ssh, self.timeout_s]
        # Not the local names: a try may keep its files elsewhere than the one before it.
        what += [sorted(self.inputs.values()), sorted(self.ports), sorted(self.http_ports)]
        if self.secret_envs:
            # Not their values, nor a hash of them: one can be guessed from the other.
            what.append(sorted(self.secret_envs))
        if self.entrypoint or self.app:
            what.append([self.entrypoint, self.app])
        text = json.dumps(what)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def fingerprint_of(self, placed: Sequence[Placed]) -> str:
        """As `fingerprint`, and with what is in the inputs: a changed scene is another job.

        Args:
            placed: what `check_inputs` returned.

        Raises:
            OctaConfigError: an input can't be read.
        """
        from octa_provider.files.placed import contents_of

        contents = contents_of(placed)
        if not contents:
            return self.fingerprint
        return hashlib.sha256(f"{self.fingerprint} {contents}".encode()).hexdigest()[:16]

    def check_inputs(self) -> list[Placed]:
        """What is to be sent, looked at before any money is spent.

        Raises:
            OctaConfigError: an input does not exist or can't be read, two would lie in the same place, or the disk that
                is to be rented is too small for them.
        """
        from octa_provider.files.placed import check_room_there, placed_inputs

        placed = placed_inputs(self.inputs)
        check_room_there(placed, self.disk_gb)
        return placed

    def check_outputs(self) -> None:
        """Raise OctaConfigError for an output that can't be written here: before any money is spent."""
        from octa_provider.files.placed import check_output_places

        check_output_places(self.outputs)

    def request(self, start_command: str, envs: Mapping[str, str] | None = None) -> MachineRequest:
        """What to rent for it.

        Args:
            start_command: what the container runs.
            envs: more environment variables for it.
        """
        return MachineRequest(
            image=self.image,
            disk_gb=self.disk_gb,
            envs={**self.envs, **(envs or {})},
            ports=tuple(self.ports),
            http_ports=tuple(self.http_ports),
            start_command=start_command,
            entrypoint=self.entrypoint,
            app=self.app,
            labels=self.labels,
        )
