"""Secrets as Prefect has them, on their way to the core, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping

from prefect.blocks.system import Secret
from pydantic import SecretStr

from octa_provider.errors import OctaConfigError
from octa_provider.job.secret_envs import checked_secret_envs

__all__ = ["hidden_values", "secrets_named", "shown_values"]


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
