"""What a saved block gives to a plain environment variable of a flow run: a secret, wherever it was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prefect.utilities.templating import PlaceholderType, find_placeholders
from prefect.workers.base import BaseJobConfiguration
from pydantic import SecretStr

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

__all__ = ["HidesSecretsOfBlocks"]


class HidesSecretsOfBlocks(BaseJobConfiguration):
    """A configuration with `secret_envs`, which get what `env` takes from saved blocks."""

    @classmethod
    async def from_template_and_values(
        cls, base_job_template: dict[str, Any], values: dict[str, Any], client: PrefectClient | None = None
    ) -> Any:
        """As Prefect's, which puts a block's text where nobody can tell it from what was typed.

        Args:
            base_job_template: the work pool's.
            values: the job variables of a deployment or a flow run.
            client: Prefect's API.
        """
        made: Any = await super().from_template_and_values(base_job_template, values, client=client)
        for name in _env_names_from_blocks(base_job_template, values):
            if value := made.env.pop(name, None):
                made.secret_envs.setdefault(name, SecretStr(value))
        return made


def _env_names_from_blocks(base_job_template: Mapping[str, Any], values: Mapping[str, Any]) -> set[str]:
    """The variables whose text names a saved block, such as `{{ prefect.blocks.secret.NAME }}`; the last text wins."""
    of_pool = base_job_template.get("variables", {}).get("properties", {}).get("env", {}).get("default")
    dotted = {name.removeprefix("env."): text for name, text in values.items() if name.startswith("env.")}
    typed: dict[str, Any] = {}
    for env in (base_job_template.get("job_configuration", {}).get("env"), of_pool, dotted, values.get("env")):
        typed |= env if isinstance(env, Mapping) else {}
    return {name for name, text in typed.items() if isinstance(text, str) and _names_a_block(text)}


def _names_a_block(text: str) -> bool:
    return any(one.type is PlaceholderType.BLOCK_DOCUMENT for one in find_placeholders(text))
