"""What `octa-provider doctor` asks about Prefect, by `python -m prefect_blocks.doctor`: no money, and no key shows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import prefect
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from octa_provider.cli.output.orchestrator_findings import Told, tell_doctor, version_findings
from octa_provider.errors import OctaError
from octa_provider.text.command_line import operand_words, option_words
from octa_provider.wire.money import octa_text

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

__all__ = ["prefect_findings"]

ASK_S = 15.0
REAPER = "octa-reap-orphans"
BLOCK = "octaspace-credentials"
SERVE_REAPER = (
    'python -c "from prefect_blocks.flows import reap_orphans_flow as r; '
    "r.serve('reaper', cron='*/15 * * * *')\", and let it run"
)


def prefect_findings() -> Iterator[Told]:
    """Whether Prefect is in place: versions, its API, accounts, work pools with their workers, the reaper."""
    yield from version_findings("Prefect", "prefect")
    url = PREFECT_API_URL.value()
    if not url:
        yield (
            None,
            "PREFECT_API_URL is not set, so that each flow starts a server of its own, and nothing is scheduled: "
            "prefect server start, and prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api",
        )
        return
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: ASK_S}),
        get_client(sync_client=True) as client,
    ):
        for look in (_api, _accounts, _pools, _reaper):
            try:
                yield from look(client)
            except httpx.HTTPStatusError as error:
                if error.response.status_code in (401, 403):
                    yield (
                        False,
                        f"the API at {_shown(url)} refuses the key: prefect cloud login, or set PREFECT_API_KEY, or "
                        "PREFECT_API_AUTH_STRING for a server of your own",
                    )
                else:
                    yield False, f"the API at {_shown(url)} answers {error.response.status_code}: look at its log"
                return
            except (httpx.HTTPError, PrefectException) as error:
                yield (
                    False,
                    f"the API at {_shown(url)} can't be asked ({type(error).__name__}): prefect server start, or "
                    "prefect config set PREFECT_API_URL=...",
                )
                return


def _shown(url: str) -> str:
    """A URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _api(client: SyncPrefectClient) -> Iterator[Told]:
    client.read_work_pools(limit=1)
    yield True, f"the API at {_shown(PREFECT_API_URL.value() or '')} answers, Prefect {prefect.__version__} is here"


def _accounts(client: SyncPrefectClient) -> Iterator[Told]:
    from prefect_blocks.credentials import credentials_named

    try:
        blocks = client.read_block_documents_by_type(BLOCK, include_secrets=False)
    except ObjectNotFound:
        yield None, "its blocks are not registered there: prefect block register -m prefect_blocks"
        return
    names = sorted(block.name for block in blocks if block.name and not block.is_anonymous)
    if not names:
        yield (
            None,
            "no account is saved as a block, so that OCTA_API_KEY counts where flows run and workers rent: save an "
            "OctaSpace Credentials block in the UI under Blocks",
        )
    for name in names:
        try:
            with credentials_named(name).get_client() as octa:
                wei = octa.accounts.balance().balance_wei
        except (OctaError, ValueError) as error:
            # Prefect's own error may show what it could not read.
            why = str(error) if isinstance(error, OctaError) else f"can't be read ({type(error).__name__})"
            yield False, f"the account {name!r} has to be corrected in the UI under Blocks: {why}"
        else:
            yield True, f"the account {name!r} answers{'' if wei is None else f', balance {octa_text(wei, 2)}'}"


def _pools(client: SyncPrefectClient) -> Iterator[Told]:
    from prefect_blocks.secret_values import SCHEMA_OF_NAMED

    pools = client.read_work_pools(work_pool_filter=WorkPoolFilter(type=WorkPoolFilterType(any_=["octa"])))
    if not pools:
        yield None, "no work pool runs flows on rented machines: prefect work-pool create machines --type octa"
    for pool in pools:
        named = shlex.join(operand_words(pool.name))
        if pool.base_job_template.get("variables", {}).get("if") != SCHEMA_OF_NAMED["if"]:
            yield (
                False,
                f"the work pool {pool.name!r} has the form of another release, which lets secrets be stored in clear: "
                "prefect work-pool get-default-base-job-template --type octa --file octa.json && prefect work-pool "
                f"update --base-job-template octa.json {named}",
            )
        workers = client.read_workers_for_work_pool(pool.name)
        online = [one.name for one in workers if str(one.status).upper().endswith("ONLINE")]
        if pool.is_paused:
            yield None, f"the work pool {pool.name!r} is paused: prefect work-pool resume {named}"
        if online:
            yield (
                True,
                f"the work pool {pool.name!r} has {'a worker' if len(online) == 1 else f'{len(online)} workers'}",
            )
        else:
            yield False, f"the work pool {pool.name!r} has no worker: {_start_worker(pool.name)}"


def _start_worker(pool: str) -> str:
    return shlex.join(["prefect", "worker", "start", *option_words("--pool", pool)])


def _reaper(client: SyncPrefectClient) -> Iterator[Told]:
    served = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[REAPER])))
    told = [_look_at_reaper(client, one) for one in served]
    if not told:
        yield False, f"nothing stops what a flow that was killed leaves: {SERVE_REAPER}"
        return
    # One that works is enough.
    yield from [one for one in told if one[0]][:1] or told


def _look_at_reaper(client: SyncPrefectClient, served: DeploymentResponse) -> Told:
    name = f"{REAPER}/{served.name}"
    if served.paused or not any(one.active for one in served.schedules):
        return (
            False,
            f"the reaper {name} has no schedule that is active: prefect deployment schedule create "
            f"{shlex.quote(name)} --cron '*/15 * * * *'",
        )
    if served.status is None or served.status.value != "READY":
        return False, f"the reaper {name} is served by nobody: start again what serves it, or {SERVE_REAPER}"
    next_runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[served.id])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.RUNNING]))
        ),
        limit=1,
    )
    if not next_runs:
        return (
            False,
            f"the reaper {name} is scheduled, and the server makes no run of it: does it have sqlalchemy 2.1? There: "
            "pip install 'sqlalchemy<2.1'",
        )
    return True, f"the reaper {name} is served and scheduled"


if __name__ == "__main__":
    tell_doctor(prefect_findings)
