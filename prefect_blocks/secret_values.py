"""Secrets as Prefect has them, on their way to the core, and the other way round."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prefect.blocks.system import Secret
from prefect.exceptions import ObjectNotFound
from prefect.utilities.templating import PlaceholderType, find_placeholders, resolve_block_document_references
from pydantic import SecretStr

from octa_provider.errors import OctaConfigError
from octa_provider.job.secret_envs import checked_secret_envs
from octa_provider.market.request_checks import is_env_name
from octa_provider.text.plain_text import plain_words

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

__all__ = [
    "SCHEMA_OF_NAMED",
    "env_names_from_blocks",
    "hidden_values",
    "is_named_plainly",
    "refuse_in_clear",
    "refuse_typed_secrets",
    "secrets_named",
    "shown_values",
    "typed_secrets",
    "values_of_blocks",
]

#: How a saved block is named where `prefect deploy` would put the value itself in place of braces.
_NAME = r"prefect\.blocks\.[\w-]+\.[\w.\-\[\]$]+"
_PLAIN_NAME = re.compile(r"prefect\.blocks\.[\w-]+\.[\w.\-\[\]$]+")
_INSTEAD = "prefect.blocks.secret.NAME, without braces, of a saved block, instead of the value"
#: One variable that names a saved block, with braces or without. ECMA's words, which JSON schemas are in.
_NAMED = {"type": "string", "pattern": rf"^\s*{_NAME}\s*$|\{{\{{\s*{_NAME}\s*\}}\}}"}
#: Has Prefect's server refuse values in `secret_envs`, which it would keep in clear. No word of the refusal is a value:
#: what does not fit is the variable's name, whatever the value.
SCHEMA_OF_NAMED: dict[str, Any] = {
    "if": {
        "properties": {"secret_envs": {"type": "object", "additionalProperties": _NAMED}},
        "patternProperties": {r"^secret_envs\.": _NAMED},
    },
    "else": {"propertyNames": {"not": {"pattern": "^secret_envs", "description": f"write {_INSTEAD}"}}},
}


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
    typed = _typed("env", base_job_template, values)
    return {name for name, text in typed.items() if isinstance(text, str) and _names_a_block(text)}


def typed_secrets(base_job_template: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """The variables of `secret_envs` that hold a value, which Prefect's server has kept in clear, and name no block.

    Args:
        base_job_template: the work pool's; may be empty.
        values: the job variables of a deployment or a flow run; they win over the pool's.
    """
    typed = _typed("secret_envs", base_job_template, values)
    return sorted(name for name, text in typed.items() if not (isinstance(text, str) and _names_a_block(text)))


def refuse_typed_secrets(names: Iterable[str]) -> None:
    """Refuse secrets that are values.

    Args:
        names: the variables, from `typed_secrets`.

    Raises:
        OctaConfigError: there is one; no value is told.
    """
    told = ", ".join(plain_words(name) if is_env_name(name) else "one that is no name" for name in names)
    if told:
        raise OctaConfigError(
            f"the job variable secret_envs has values ({told}), which Prefect's server keeps in clear: write {_INSTEAD}"
        )


def refuse_in_clear(values: Mapping[str, Any]) -> None:
    """Refuse job variables with an account or a secret itself, where Prefect stores them and checks nothing.

    Args:
        values: the job variables of a flow run without a deployment.

    Raises:
        OctaConfigError: `credentials` is neither a name nor a reference, or `secret_envs` has a value; none is told.
    """
    for name, value in values.items():
        # Each by itself: of two that say the same, Prefect stores both.
        refuse_typed_secrets(typed_secrets({}, {name: value}))
        if name == "secret_envs" and not isinstance(value, Mapping | None):
            refuse_typed_secrets([""])
        if name.startswith("credentials.") or (name == "credentials" and not _is_name_or_reference(value)):
            raise OctaConfigError(
                "the job variable credentials has an account itself, whose keys Prefect's server would keep in clear: "
                "write the name of a saved block of type OctaSpace Credentials instead"
            )


def _is_name_or_reference(account: object) -> bool:
    if isinstance(account, Mapping):
        block = account.get("$ref")
        return set(account) == {"$ref"} and isinstance(block, Mapping) and set(block) == {"block_document_id"}
    return account is None or isinstance(account, str)


def is_named_plainly(text: str | None) -> bool:
    """Whether a text names a saved block without braces.

    Args:
        text: of a variable.
    """
    return text is not None and _PLAIN_NAME.fullmatch(text.strip()) is not None


async def values_of_blocks(named: Mapping[str, str], client: PrefectClient | None) -> dict[str, SecretStr]:
    """What the blocks hold that are named without braces.

    Args:
        named: environment variable to `prefect.blocks.TYPE.NAME`.
        client: Prefect's API; a new one when left out.

    Raises:
        OctaConfigError: there is no such block, or what it holds is no text.
    """
    found: dict[str, SecretStr] = {}
    for variable, text in named.items():
        name = text.strip()
        try:
            value: object = await resolve_block_document_references("{{ " + name + " }}", client=client)
        except (ObjectNotFound, ValueError) as error:
            raise OctaConfigError(
                f"secret_envs.{variable}: there is no {plain_words(name)}: save that block, or name another"
            ) from error
        if isinstance(value, dict | list) or value is None:
            raise OctaConfigError(
                f"secret_envs.{variable}: {plain_words(name)} is no text: add the name of a field of it that is one"
            )
        found[variable] = SecretStr(str(value))
    return found


def _typed(variable: str, base_job_template: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What was written for each name of a job variable that has many, before Prefect puts anything in its place."""
    of_pool = base_job_template.get("variables", {}).get("properties", {}).get(variable, {}).get("default")
    of_template = base_job_template.get("job_configuration", {}).get(variable)
    dotted = {name.partition(".")[2]: text for name, text in values.items() if name.startswith(f"{variable}.")}
    typed: dict[str, Any] = {}
    for envs in (of_template, of_pool, dotted, values.get(variable)):
        typed |= envs if isinstance(envs, Mapping) else {}
    return typed


def _names_a_block(text: str) -> bool:
    return is_named_plainly(text) or any(one.type is PlaceholderType.BLOCK_DOCUMENT for one in find_placeholders(text))


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
