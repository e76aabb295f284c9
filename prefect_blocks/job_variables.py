"""Job variables, looked at before Prefect's server stores them: it checks those of deployments, and no bound flow's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from octa_provider.errors import OctaConfigError
from octa_provider.text.plain_text import plain_words
from prefect_blocks.secret_values import refuse_in_clear
from prefect_blocks.worker_configuration import OctaJobConfiguration, check_variables

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import WorkPool

__all__ = ["check_for_pool", "check_names", "check_values"]

#: Of the work pools that rent machines.
TYPE = "octa"


async def check_for_pool(pool_name: str, values: Mapping[str, Any]) -> None:
    """Refuse what a flow run in a work pool can't have, as `check_values` does.

    Args:
        pool_name: the work pool's.
        values: job variables.

    Raises:
        OctaConfigError: as of `check_values`.
        ObjectNotFound: there is no such work pool.
    """
    refuse_in_clear(values)
    async with get_client() as client:
        await check_values(await client.read_work_pool(pool_name), values, client)


async def check_values(pool: WorkPool, values: Mapping[str, Any], client: PrefectClient) -> None:
    """Refuse what a flow run in a work pool can't have: nothing is stored of it then.

    Args:
        pool: the work pool.
        values: job variables.
        client: Prefect's API, which is asked for the blocks and variables that are named.

    Raises:
        OctaConfigError: a name that the work pool does not have, an account or a secret that is a value, which is not
            told, a value that can't work, a block that there is not, or a work pool of another type.
    """
    refuse_in_clear(values)
    if pool.type != TYPE:
        raise OctaConfigError(
            f"the work pool {plain_words(pool.name)} is of type {plain_words(pool.type)}: @octa takes one of type octa"
        )
    try:
        # Unknown names are refused here.
        made = await OctaJobConfiguration.from_template_and_values(pool.base_job_template, dict(values), client)
    except ValidationError as error:
        raise OctaConfigError(_told(error)) from None
    made.checked()


async def check_names(pool_name: str, values: Mapping[str, Any]) -> None:
    """Refuse what a deployment can't have, where its work pool is one of ours; of what type values are its server sees.

    Args:
        pool_name: the work pool's.
        values: job variables.

    Raises:
        OctaConfigError: a name that the work pool does not have, or an account or a secret that is a value.
    """
    async with get_client() as client:
        try:
            pool = await client.read_work_pool(pool_name)
        except ObjectNotFound:
            # Prefect says so in its own words.
            return
    if pool.type == TYPE:
        refuse_in_clear(values)
        check_variables(pool.base_job_template, values)


def _told(error: ValidationError) -> str:
    """What is wrong, without what was given: it may be a secret."""
    wrong = [
        f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
        for one in error.errors(include_input=False)
    ]
    return f"job variables that can't work: {plain_words('; '.join(wrong))}"
