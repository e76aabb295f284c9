"""Secrets as Prefect has them, on their way to the core, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.blocks.system import Secret
from prefect.utilities.templating import PlaceholderType, find_placeholders
from pydantic import SecretStr

from octa_provider.errors import OctaConfigError
from octa_provider.job.secret_envs import checked_secret_envs

__all__ = ["env_names_from_blocks", "hidden_values", "secrets_named", "shown_values"]


def hidden_values(values: Mapping[str, str | SecretStr] | None) -> dict[str, SecretStr]:
    """Values that no repr shows any more.

    Args:
        values: environment variable to value.

    Raises:
        OctaConfigError: they can't be set; no value is told.
    """
    given: object = values or {}
    if isinstance(given, Mapping):
        given = shown_values(given)
    return {name: SecretStr(value) for name, value in checked_secret_envs(given, {}, ()).items()}


def shown_values(values: Mapping[str, str | SecretStr]) -> dict[str, str]:
    """The values themselves, for the core, which shows them to nobody.

    Args:
        values: environment variable to value.
    """
    return {name: one.get_secret_value() if isinstance(one, SecretStr) else one for name, one in values.items()}


def env_names_from_blocks(base_job_template: Mapping[str, Any], values: Mapping[str, Any]) -> set[str]:
    """The environment variables whose text names a saved block, such as `{{ prefect.blocks.secret.NAME }}`.

    Prefect puts the block's text there before anybody can tell it from what was typed.

    Args:
        base_job_template: the work pool's.
        values: the job variables of a deployment or a flow run; they win over the pool's.
    """
    of_pool = base_job_template.get("variables", {}).get("properties", {}).get("env", {}).get("default")
    typed: dict[str, Any] = {}
    for env in (base_job_template.get("job_configuration", {}).get("env"), of_pool, _dotted(values), values.get("env")):
        typed |= env if isinstance(env, Mapping) else {}
    return {name for name, text in typed.items() if isinstance(text, str) and _names_a_block(text)}


def _dotted(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("env."): text for name, text in values.items() if name.startswith("env.")}


def _names_a_block(text: str) -> bool:
    return any(one.type is PlaceholderType.BLOCK_DOCUMENT for one in find_placeholders(text))


def secrets_named(names: Mapping[str, str] | None) -> dict[str, SecretStr]:
    """What saved blocks of Prefect's type Secret hold.

    Args:
        names: environment variable to name of the block.

    Raises:
        OctaConfigError: there is no such block, or it holds no text.
    """
    found: dict[str, SecretStr] = {}
    for variable, name in (names or {}).items():
        try:
            # Whatever kind of flow this thread works for, a plain call is wanted here.
            block = Secret.load(name, _sync=True)  # type: ignore[call-arg]
        except ValueError as error:
            raise OctaConfigError(
                f"secret_envs: there is no Secret block named {name!r}: save one: Secret(value=...).save({name!r})"
            ) from error
        value = block.get()  # type: ignore[union-attr]
        if not isinstance(value, str):
            raise OctaConfigError(f"secret_envs: the Secret block {name!r} holds no text: save one that does")
        found[variable] = SecretStr(value)
    return found
