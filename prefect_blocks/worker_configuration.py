"""The form of a work pool of type `octa`, and what it comes to for one flow run."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prefect.workers.base import BaseJobConfiguration, BaseVariables
from pydantic import BaseModel, Field

from octa_provider.errors import OctaConfigError
from octa_provider.job.spec import JobSpec
from octa_provider.rental.key import NAMESPACE_ENV
from octa_provider.text.plain_log import plain_logger
from prefect_blocks.caps import Cap, CapOrNone
from prefect_blocks.credentials import OctaCredentials
from prefect_blocks.machine_choice import MachineChoice
from prefect_blocks.namespace import namespace_here

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

__all__ = ["OctaJobConfiguration", "OctaJobVariables"]

log = plain_logger("prefect_blocks.worker_configuration")

#: What a flow run on a machine needs of the worker's own settings, and what harms nobody there. The machine is a
#: stranger's, and OctaSpace stores and echoes what it is told: everything else stays here, unless a job variable asks
#: for it.
_GOES_ALONG = frozenset(
    {
        "PREFECT_API_URL",
        "PREFECT_API_REQUEST_TIMEOUT",
        "PREFECT_API_ENABLE_HTTP2",
        "PREFECT_CLIENT_MAX_RETRIES",
        "PREFECT_CLOUD_API_URL",
        "PREFECT_CLOUD_UI_URL",
        "PREFECT_DEBUG_MODE",
        "PREFECT_LOGGING_LEVEL",
        "PREFECT_LOGGING_LOG_PRINTS",
        "PREFECT_LOGGING_EXTRA_LOGGERS",
        "PREFECT_LOGGING_TO_API_ENABLED",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER",
        "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT",
        "PREFECT_UI_URL",
    }
)
#: Names of one flow run, which Prefect makes up for it; `PREFECT_FLOWS_` and `PREFECT_TASKS_` hold retries and pauses.
_GOES_ALONG_BEGINS = ("PREFECT__", "PREFECT_FLOWS_", "PREFECT_TASKS_")
#: Without these a flow run can't ask an API that wants them.
_KEYS_TO_API = frozenset({"PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"})


class OctaAccountAndImage(BaseModel):
    """A base of its own because forms show the fields of the last base first."""

    credentials: OctaCredentials | None = Field(
        default=None,
        title="Account",
        description="The account that pays; left out, the worker's environment (OCTA_API_KEY).",
    )
    image: str = Field(
        default="prefecthq/prefect:3-latest",
        description="Container image with Prefect 3 and what the flow needs; it needs /bin/sh.",
    )


class OctaMachine(MachineChoice, OctaAccountAndImage):
    """What the form and the configuration share: the account, the machine, and its limits."""

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
    cancel_grace_s: float = Field(
        default=60.0,
        ge=0,
        title="Grace",
        description="Seconds that the process has to end itself once its flow run is cancelled, or over.",
    )
    poll_s: float = Field(default=5.0, gt=0, title="Poll Interval", description="Seconds between two looks.")
    stream_output: bool = Field(
        default=True, description="Whether the machine's output also goes to the worker's standard output."
    )


class OctaJobVariables(OctaMachine, BaseVariables):
    """The fields of the form."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As Prefect's, but saying that a block has no other fields than its own.

        Prefect's server takes a saved block, `{"$ref": {"block_document_id": ...}}`, only if that is no block itself,
        and without a required field it would be one.
        """
        schema = super().model_json_schema(*args, **kwargs)
        schema["definitions"][OctaCredentials.__name__]["additionalProperties"] = False
        return schema


class OctaJobConfiguration(OctaMachine, BaseJobConfiguration):
    """What a flow run is given: the form's values, and Prefect's command and environment."""

    def prepare_for_flow_run(self, flow_run: FlowRun, *args: Any, **kwargs: Any) -> None:
        """Add what Prefect wants to travel in, of the worker's own only what a list of ours allows."""
        asked = set(self.env)
        super().prepare_for_flow_run(flow_run, *args, **kwargs)
        withheld = {name for name in self.env.keys() - asked if not _goes_along(name)}
        self.env = {name: value for name, value in self.env.items() if name not in withheld}
        if withheld & _KEYS_TO_API and not asked & _KEYS_TO_API:
            log.warning(
                "the worker's key to Prefect's API stays here, since the machine is a stranger's: a flow run that "
                "needs one gets it by the job variable env.PREFECT_API_KEY or env.PREFECT_API_AUTH_STRING; make one "
                "for it"
            )
        # What the flow itself rents there is this installation's too, also where its API has another address.
        self.env.setdefault(NAMESPACE_ENV, namespace_here(self.account().namespace))

    def spec(self) -> JobSpec:
        """The job for the core.

        Raises:
            OctaConfigError: a value that can't work, before any money is spent.
        """
        self._refuse_unreachable_api()
        return JobSpec(
            image=self.image,
            command=self.command or self._base_flow_run_command(),
            envs={name: value for name, value in self.env.items() if value is not None},
            disk_gb=self.disk_gb,
            requirements=self.requirements(),
            timeout_s=self.max_duration_s,
            ready_timeout_s=self.ready_timeout_s,
            via="container",
            max_cost_usd=self.max_cost_usd,
        )

    def account(self) -> OctaCredentials:
        """The account that pays."""
        return self.credentials or OctaCredentials()

    def _refuse_unreachable_api(self) -> None:
        api = self.env.get("PREFECT_API_URL") or ""
        with self.account().get_client() as client:
            # Machines of an emulator on this machine do reach it.
            if not _is_loopback(api) or _is_loopback(client.base_url):
                return
        raise OctaConfigError(
            f"a rented machine can't reach the Prefect API at {api}: set the job variable env.PREFECT_API_URL to an "
            "address that it can reach"
        )


def _goes_along(name: str) -> bool:
    return name in _GOES_ALONG or name.startswith(_GOES_ALONG_BEGINS)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
