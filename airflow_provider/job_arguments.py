"""The arguments that describe a job, turned into the core's `JobSpec`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.command_file import CommandFile, as_command, as_file
from airflow_provider.connection_form import DEFAULT_CONN_ID
from airflow_provider.machine_arguments import ChoosesMachine
from airflow_provider.secret_texts import SecretTexts, as_secrets, kept_secret, mask_in_logs
from airflow_provider.templated import (
    as_float,
    as_int,
    as_ints,
    as_text,
    as_texts,
    as_word,
    check_known,
    checked_cap,
    checked_wait,
    is_known,
    known_texts,
)
from octa_provider.job.spec_checks import checked_job

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from octa_provider.job.spec import JobSpec

__all__ = ["DescribesJob"]

_FIELDS = (
    "image",
    "command",
    "envs",
    "secret_envs",
    "inputs",
    "outputs",
    "disk_gb",
    "timeout_s",
    "ready_timeout_s",
    "via",
    "max_cost_usd",
    "http_ports",
    "ports",
    "result_file",
    "max_duration_s",
    "entrypoint",
    "app",
    "start_attempts",
    "labels",
)


class DescribesJob(ChoosesMachine):
    """What an operator that runs a job is told about it. Every argument is templated.

    Args:
        image: container image, such as `blender:4.5`; may be empty when `app` is given.
        command: a shell command line, a sequence of arguments, or the name of a file with it beside the DAG that ends
            in `.sh`, `.bash` or `.py`.
        envs: environment variables. The account's sessions show them: no secrets.
        secret_envs: environment variables that reach the command over SSH alone: OctaSpace never gets them, and neither
            Airflow's UI nor a log shows them. Give templates, such as
            `{"HF_TOKEN": "{{ conn.huggingface.password }}"}`: a value in the DAG file is no secret. The machine's owner
            can read them.
        inputs: files and folders of the worker to send: local path to remote path. Needs SSH.
        outputs: files and folders to fetch to the worker: remote path to local path. Needs SSH.
        disk_gb: disk in GB.
        timeout_s: seconds that the command may run; the machine ends it itself.
        ready_timeout_s: seconds that the session may take to come up.
        via: `container`, `ssh`, or `auto` (default): `ssh` when there are files to move or secrets to hand over.
        max_cost_usd: the job is stopped when it has cost so much.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 fails at once.
        http_ports: ports to publish as URLs while it runs.
        ports: TCP ports to expose while it runs.
        result_file: a JSON file that the command writes, relative to its folder: its value is what the job returns.
            Needs SSH. At most 256 kB.
        max_duration_s: the job is stopped when its session has run so long, whatever it does; machines that the balance
            can't pay for that long are refused.
        entrypoint: the container's: a program that runs what it is given. A command over SSH does not go through it.
        app: uuid of an app of the catalogue.
        start_attempts: how many machines are tried, one after the other, when one does not come up within
            `ready_timeout_s`. What each has cost is on the bill, and counts towards `max_cost_usd`.
        labels: words of your own on the session, such as `{"project": "atlas"}`, to find it and to split a bill by.
            Whoever has the account's key, and the machine's owner, read them: no secrets.
        octa_conn_id: the connection.
        kwargs: which machine, as of `ChoosesMachine`; and as of every operator.
    """

    template_fields: Sequence[str] = (*ChoosesMachine.template_fields, *_FIELDS, "wait_for_machine_s", "octa_conn_id")
    mapping_fields: ClassVar[frozenset[str]] = ChoosesMachine.mapping_fields | {"envs", "inputs", "labels", "outputs"}
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "command": "bash",
        "envs": "json",
        "inputs": "json",
        "labels": "json",
        "outputs": "json",
        "requirements": "json",
    }

    def __init__(
        self,
        *,
        image: str,
        command: str | Sequence[str],
        envs: Mapping[str, str] | None = None,
        secret_envs: Mapping[str, str] | None = None,
        inputs: Mapping[str | os.PathLike[str], str] | None = None,
        outputs: Mapping[str, str | os.PathLike[str]] | None = None,
        disk_gb: int | str = 10,
        timeout_s: float | str = 3600.0,
        ready_timeout_s: float | str = 900.0,
        via: str = "auto",
        max_cost_usd: float | str | None = None,
        wait_for_machine_s: float | str = 0.0,
        http_ports: Sequence[int | str] | str = (),
        ports: Sequence[int | str] | str = (),
        result_file: str | None = None,
        max_duration_s: float | str | None = None,
        entrypoint: str = "",
        app: str = "",
        start_attempts: int | str = 1,
        labels: Mapping[str, str] | None = None,
        octa_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image = image
        self.command = command
        self.envs = envs
        self.secret_envs = secret_envs
        self.inputs = inputs
        self.outputs = outputs
        self.disk_gb = disk_gb
        self.timeout_s = timeout_s
        self.ready_timeout_s = ready_timeout_s
        self.via = via
        self.max_cost_usd = max_cost_usd
        self.wait_for_machine_s = wait_for_machine_s
        self.http_ports = http_ports
        self.ports = ports
        self.result_file = result_file
        self.max_duration_s = max_duration_s
        self.entrypoint = entrypoint
        self.app = app
        self.start_attempts = start_attempts
        self.labels = labels
        self.octa_conn_id = octa_conn_id

    def check_known_arguments(self) -> None:
        """As of every operator that rents; and of the job what is known of it."""
        super().check_known_arguments()
        check_known(self, wait_for_machine_s=checked_wait)
        # What is not known yet is left at what always works.
        known = {name: getattr(self, name) for name in _FIELDS if is_known(getattr(self, name))}
        if "app" not in known:
            # Which may make up for an image that is left empty.
            known.pop("image", None)
        known["labels"] = known_texts("labels", self.labels)
        if isinstance(self.secret_envs, Mapping):
            # Their names are known, and settle much.
            known["secret_envs"] = dict.fromkeys(self.secret_envs, "known later")
        if isinstance(self.outputs, Mapping):
            # Those that are templates too, as far as they are: a path is told by how it begins.
            known["outputs"] = {path: "known/later" for path in self.outputs if is_known(path) or str(path)[:1] == "/"}
        # The one thing about the machine that the job itself has a say in.
        node_id = as_int("node_id", self.machine_node_id) if is_known(self.machine_node_id) else None
        checked_job(self._converted(known), node_id=node_id)

    @property
    def command(self) -> str | Sequence[str]:
        """The command, or the name of the file that holds it."""
        return self._command

    @command.setter
    def command(self, value: str | Sequence[str]) -> None:
        self._command: str | Sequence[str] = as_file(value)

    @property
    def secret_envs(self) -> Mapping[str, str] | None:
        """The secrets, or their templates; as text only their names."""
        return self._secret_envs

    @secret_envs.setter
    def secret_envs(self, value: Mapping[str, str] | None) -> None:
        self._secret_envs = kept_secret(value)

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """As of every operator that rents; what is secret stays hidden, the keys of files are templates too, and the
        command may be written in a file."""
        seen = self.known_data(context, seen_oids)
        if isinstance(content, CommandFile):
            # Another task's text must not choose a file here.
            if id(content.given) in seen:
                return content.given
            environment = jinja_env or self.get_template_env()
            text = self.render_template(content.source(environment), context, environment, seen)
            return as_command(content, text) if isinstance(text, str) else text
        if isinstance(content, SecretTexts):
            if id(content.given) in seen:
                return content
            # What is no text any more is refused, since its text might not be what it was.
            with self.giving_objects():
                return SecretTexts(
                    {name: self.render_template(text, context, jinja_env, seen) for name, text in content.items()}
                )
        if isinstance(content, dict) and (content is self.inputs or content is self.outputs):
            if id(content) in seen:
                return content
            content = {
                self.render_template(os.fspath(path), context, jinja_env, seen): where
                for path, where in content.items()
            }
        return super().render_template(content, context, jinja_env, seen)

    def resolve_template_files(self) -> None:
        """Refuse a file with the command that is not there, when the DAG file is parsed; it is read by the task.

        Raises:
            OctaConfigError: naming the file and what to do.
        """
        if isinstance(self.command, CommandFile):
            self.command.source(self.get_template_env())
        super().resolve_template_files()

    def job_spec(self, context: Context) -> JobSpec:
        """The core's description, from rendered arguments.

        Args:
            context: of the task that runs.

        Raises:
            ValueError: naming the argument and what to do.
        """
        from octa_provider.job.spec import JobSpec

        mask_in_logs(as_secrets("secret_envs", self.secret_envs))
        given = {name: getattr(self, name) for name in _FIELDS}
        return JobSpec(**self._converted(given), requirements=self._requirements())

    @staticmethod
    def _converted(given: Mapping[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {"image": "known/later", "command": "known later"} | dict(given)
        for name in ("envs", "inputs", "labels", "outputs"):
            values[name] = as_texts(name, values.get(name))
        values["secret_envs"] = as_secrets("secret_envs", values.get("secret_envs"))
        for name in ("http_ports", "ports"):
            values[name] = as_ints(name, values.get(name))
        for name in ("timeout_s", "ready_timeout_s"):
            values[name] = as_float(name, values.get(name))
        for name in ("max_cost_usd", "max_duration_s"):
            values[name] = checked_cap(name, values.get(name))
        for name in ("entrypoint", "app"):
            values[name] = as_text(name, values.get(name)) or ""
        for name in ("disk_gb", "start_attempts"):
            values[name] = as_int(name, values.get(name))
        if not isinstance(values.get("result_file"), bool):
            # A flag would become the name of a file, which no command writes.
            values["result_file"] = as_text("result_file", values.get("result_file"))
        values["image"] = as_text("image", values["image"]) or ""
        if not isinstance(values["command"], str):
            values["command"] = [as_word("command", word) for word in values["command"] or ()]
        return {name: value for name, value in values.items() if value is not None}
