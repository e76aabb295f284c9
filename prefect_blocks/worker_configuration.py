"""The form of a work pool of type `octa`, and what it comes to for one flow run."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from prefect.settings import get_current_settings
from prefect.utilities.dockerutils import get_prefect_image_name
from prefect.utilities.templating import find_placeholders
from prefect.workers.base import BaseJobConfiguration, BaseVariables
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from octa_provider.errors import OctaConfigError
from octa_provider.job.spec import JobSpec
from octa_provider.market.request_checks import is_env_name
from octa_provider.rental.key import NAMESPACE_ENV
from octa_provider.text.loggers import plain_logger
from prefect_blocks.cap_fields import Cap, CapOrNone, StartAttempts
from prefect_blocks.container_fields import ContainerFields
from prefect_blocks.credentials import OctaCredentials, account_of, acredentials_named
from prefect_blocks.infrastructure_pid import VIA_ENV
from prefect_blocks.known_names import refuse_unknown
from prefect_blocks.machine_output import LINES_PER_S, MOST_LINES
from prefect_blocks.namespace import namespace_here
from prefect_blocks.own_settings import KEYS_TO_API, goes_along, is_secret
from prefect_blocks.requirement_fields import RequirementFields
from prefect_blocks.secret_values import (
    SCHEMA_OF_NAMED,
    env_names_from_blocks,
    is_named_plainly,
    refuse_typed_secrets,
    shown_values,
    typed_secrets,
    values_of_blocks,
)

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun
    from typing_extensions import Self

__all__ = ["OctaJobConfiguration", "OctaJobVariables", "check_variables"]

log = plain_logger("prefect_blocks.worker_configuration")


class OctaAccountAndImage(BaseModel):
    """A base of its own because forms show the fields of the last base first."""

    credentials: OctaCredentials | str | None = Field(
        default=None,
        title="Account",
        description="The account that pays: the name of a saved block, or the block; left out, the worker's "
        "environment (OCTA_API_KEY).",
    )
    image: str = Field(
        default_factory=get_prefect_image_name,
        description="Container image with Prefect 3 and what the flow needs; it needs /bin/sh. Left out, Prefect's "
        "own, of the versions of Prefect and Python that the worker has.",
    )


class OctaMachine(ContainerFields, RequirementFields, OctaAccountAndImage):
    """What the form and the configuration share: the account, the machine, and its limits."""

    # A value that is refused may be a secret.
    model_config = ConfigDict(hide_input_in_errors=True)

    disk_gb: int = Field(default=10, ge=1, title="Disk (GB)", description="Disk in GB.")
    max_cost_usd: CapOrNone = Field(
        default=None, gt=0, title="Cost Cap (USD)", description="A flow run is stopped when it has cost so much."
    )
    max_duration_s: Cap = Field(
        default=86_400.0,
        gt=0,
        title="Time Limit",
        description="Seconds that a flow run may take; then its machine ends it, also when no worker watches.",
    )
    ready_timeout_s: Cap = Field(
        default=900.0, gt=0, title="Ready Timeout", description="Seconds that the machine may take to come up."
    )
    wait_for_machine_s: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        title="Wait for a Machine",
        description="Seconds to wait for a machine when none fits or all are taken; 0 fails at once. A worker that "
        "takes the flow run over waits anew.",
    )
    start_attempts: StartAttempts = 1
    cancel_grace_s: float = Field(
        default=60.0,
        ge=0,
        title="Grace",
        description="Seconds that the process has to end itself once its flow run is cancelled, or over.",
    )
    via: Literal["auto", "container", "ssh"] = Field(
        default="auto",
        description="How the flow run is begun. Over SSH it also gets the worker's key to Prefect's API; auto takes "
        "SSH when there are secrets.",
    )
    secret_envs: dict[str, SecretStr] = Field(
        default_factory=dict,
        title="Secret Environment Variables",
        description="Environment variables that go to the machine over SSH alone, never to OctaSpace's API. Each names "
        "a saved block, as prefect.blocks.secret.NAME; a value is refused, since Prefect would store it. What env "
        "takes from a saved block goes the same way.",
    )
    poll_s: float = Field(default=5.0, gt=0, title="Poll Interval", description="Seconds between two looks.")
    stream_output: bool = Field(
        default=True,
        description="Whether the machine's output also goes to the worker's standard output, each line behind the name "
        "of its flow run.",
    )
    log_output: bool = Field(
        default=False,
        title="Log Output",
        description="Whether the machine's output also goes to the flow run's log in Prefect: at most "
        f"{LINES_PER_S:g} lines a second, and {MOST_LINES:,} in all. What the flow itself logs is there anyway, and "
        "comes twice then.",
    )


class OctaJobVariables(OctaMachine, BaseVariables):
    """The fields of the form."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As Prefect's, but for what its server is to refuse instead of storing it: unknown variables, keys in clear.

        It takes a saved block, `{"$ref": {"block_document_id": ...}}`, only if that is no block itself. Keys in clear
        are what `prefect deploy` writes where `{{ prefect.blocks... }}` stands; the condition is apart, since the words
        of any other refusal would have them.
        """
        schema = super().model_json_schema(*args, **kwargs)
        schema["definitions"][OctaCredentials.__name__]["additionalProperties"] = False
        # Not as "required", which the server leaves out of account for deployments.
        in_clear = {name: ["$ref"] for name in ("api_key", "ssh_private_key")}
        schema["properties"]["credentials"]["dependentRequired"] = in_clear
        # Names with dots, such as env.NAME, are Prefect's own way to say one of many.
        dotted: dict[str, Any] = {r"^(env|labels|secret_envs)\.": {}}
        return schema | {"additionalProperties": False, "patternProperties": dotted} | SCHEMA_OF_NAMED


class OctaJobConfiguration(OctaMachine, BaseJobConfiguration):
    """What a flow run is given: the form's values, and Prefect's command and environment."""

    _lacking: str = PrivateAttr(default="")
    _needs_key: bool = PrivateAttr(default=False)
    _own_labels: dict[str, str] | None = PrivateAttr(default=None)
    _typed_secrets: list[str] = PrivateAttr(default_factory=list)

    @classmethod
    async def from_template_and_values(
        cls, base_job_template: dict[str, Any], values: dict[str, Any], client: PrefectClient | None = None
    ) -> Self:
        """As Prefect's, but refusing variables that are none, and loading the account that is named.

        What a saved block gives to a plain environment variable is a secret from here on. Only here are the blocks
        read that are named without braces: whoever stores job variables stores the name.

        Args:
            base_job_template: the work pool's.
            values: the job variables of deployment and flow run.
            client: Prefect's API.

        Raises:
            OctaConfigError: a variable that the work pool does not have, or a block that there is not.
        """
        check_variables(base_job_template, values)
        made: Self = await super().from_template_and_values(base_job_template, values, client=client)
        if isinstance(made.credentials, str):
            made.credentials = await acredentials_named(made.credentials, client)
        made._hide(env_names_from_blocks(base_job_template, values))
        secrets = shown_values(made.secret_envs)
        named = {name: text for name, text in secrets.items() if is_named_plainly(text)}
        made.secret_envs |= await values_of_blocks(named, client)
        # Refused where something is to be rented: a machine that there is already has to be found and stopped.
        made._typed_secrets = typed_secrets(base_job_template, values)
        return made

    def prepare_for_flow_run(self, flow_run: FlowRun, *args: Any, **kwargs: Any) -> None:
        """Add what Prefect wants to travel in, of the worker's own only what a list of ours allows.

        Args:
            flow_run: the flow run.
            args: Prefect's: its deployment, flow, work pool and worker name.
            kwargs: the same by name.
        """
        asked = set(self.env)
        if self._own_labels is None:
            # Prefect adds names of its own, which a stranger's machine has no need of.
            self._own_labels = dict(self.labels)
        super().prepare_for_flow_run(flow_run, *args, **kwargs)
        own = {name: value for name, value in self.env.items() if name not in asked}
        # What is asked for as a secret is not to be had in the open as well, unless it is asked for twice.
        self.env = {
            name: value
            for name, value in self.env.items()
            if name not in own or (goes_along(name) and name not in self.secret_envs)
        }
        self._hide_secrets()
        self._hand_over_keys_to_api({name: value for name, value in own.items() if value and name in KEYS_TO_API})
        if NAMESPACE_ENV not in self.secret_envs:
            # What the flow itself rents there is this installation's too, also where its API has another address.
            self.env.setdefault(NAMESPACE_ENV, namespace_here(self.account().namespace))

    def spec(self) -> JobSpec:
        """The job for the core.

        Raises:
            OctaConfigError: a value that can't work, before any money is spent.
        """
        refuse_typed_secrets(self._typed_secrets)
        self._refuse_unreachable_api()
        if self._needs_key:
            raise OctaConfigError(f"without a key Prefect's API refuses the flow run: {self._lacking}")
        return self.checked()

    def checked(self) -> JobSpec:
        """The job as far as the job variables alone tell, also where it is not a worker that asks.

        Raises:
            OctaConfigError: a value that can't work.
        """
        if self.via == "container" and self.secret_envs:
            names = ", ".join(name for name in sorted(self.secret_envs) if is_env_name(name))
            raise OctaConfigError(
                f"only SSH keeps secrets ({names}) from OctaSpace's API: choose auto or ssh for the job variable via"
            )
        return JobSpec(
            image=self.image,
            command=self.command or self._base_flow_run_command(),
            envs={name: value for name, value in self.env.items() if value is not None}
            | ({VIA_ENV: "ssh"} if self.over_ssh else {}),
            secret_envs=shown_values(self.secret_envs),
            disk_gb=self.disk_gb,
            requirements=self.requirements(),
            timeout_s=self.max_duration_s,
            ready_timeout_s=self.ready_timeout_s,
            via=self.via,
            max_cost_usd=self.max_cost_usd,
            start_attempts=self.start_attempts,
            http_ports=tuple(self.http_ports),
            ports=tuple(self.ports),
            entrypoint=self.entrypoint,
            app=self.app,
            labels=self.labels if self._own_labels is None else self._own_labels,
        )

    @property
    def over_ssh(self) -> bool:
        """Whether the flow run is begun over SSH."""
        return self.via == "ssh" or (self.via == "auto" and bool(self.secret_envs))

    @property
    def lacking(self) -> str:
        """What the prepared flow run is not given, in a sentence for whoever asks why it failed; empty for nothing."""
        return self._lacking

    def account(self) -> OctaCredentials:
        """The account that pays."""
        return account_of(self.credentials)

    def _hide_secrets(self) -> None:
        """A key among the plain variables is a secret all the same: it must not reach OctaSpace's API."""
        self._hide({name for name, value in self.env.items() if is_secret(name, value)})

    def _hide(self, names: Iterable[str]) -> None:
        for name in names:
            if value := self.env.pop(name, None):
                self.secret_envs.setdefault(name, SecretStr(value))

    def _hand_over_keys_to_api(self, own: dict[str, str]) -> None:
        """The worker's own key goes along over SSH, unless the flow run has been given one."""
        if not own or KEYS_TO_API & self.secret_envs.keys():
            return
        if self.over_ssh:
            self.secret_envs |= {name: SecretStr(value) for name, value in own.items()}
            return
        self._lacking = (
            "the worker's key to Prefect's API stays here, since the machine is a stranger's and this flow run is not "
            "begun over SSH: where it needs one, set the job variable via to ssh, which hands it over, or better "
            f"secret_envs.{min(own)} to prefect.blocks.secret.NAME, a saved block with one made for such flow runs"
        )
        # Nobody tells a worker of an authentication string but for a server that asks for it.
        self._needs_key = "PREFECT_API_AUTH_STRING" in own or self._is_api_of_cloud()
        if not self._needs_key:
            log.warning("%s", self._lacking)

    def _api_url(self) -> str:
        """Of Prefect's API, as the flow run is told it."""
        secret = self.secret_envs.get("PREFECT_API_URL")
        return (secret.get_secret_value() if secret is not None else self.env.get("PREFECT_API_URL")) or ""

    def _is_api_of_cloud(self) -> bool:
        return self._api_url().startswith(get_current_settings().cloud.api_url)

    def _refuse_unreachable_api(self) -> None:
        api = self._api_url()
        with self.account().get_client() as client:
            # Machines of an emulator on this machine do reach it.
            if not _is_loopback(api) or _is_loopback(client.base_url):
                return
        raise OctaConfigError(
            f"a rented machine can't reach the Prefect API at {api}: set the job variable env.PREFECT_API_URL to an "
            "address that it can reach"
        )


def check_variables(base_job_template: dict[str, Any], values: Iterable[str]) -> None:
    """Refuse job variables that are none: they would vanish.

    Args:
        base_job_template: the work pool's.
        values: names of job variables; of one with dots the first part counts.

    Raises:
        OctaConfigError: the work pool does not have one of them.
    """
    known = set(base_job_template["variables"].get("properties", {}))
    known |= {one.name.partition(".")[0] for one in find_placeholders(base_job_template["job_configuration"])}
    refuse_unknown("the work pool", [name for name in values if name.partition(".")[0] not in known], known)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
