"""Texts that Airflow may pass around, and never show: the values of `secret_envs`.

Airflow hides what it shows of an argument whose name says that it is secret, unless it is configured not to, or stores
it with the DAG. So the values are also kept from whatever turns an argument into text or JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from airflow_provider.templated import is_known
from octa_provider.job.secret_envs import MASK
from octa_provider.market.request_checks import is_env_name

__all__ = ["SHORTEST_MASKED", "SecretTexts", "as_secrets", "is_shown_whole", "kept_secret", "mask_in_logs", "mask_part"]

#: Where `redact` lies, by release: Airflow 3.1 and newer, 3.0, 2.
_REDACT_LIES_IN = ("airflow.sdk.log", "airflow.sdk.execution_time.secrets_masker", "airflow.utils.log.secrets_masker")

#: As Airflow 3 does: what is shorter stands in so many lines that these would not be readable any more. Airflow 2 masks
#: it too, and of a longer secret that begins with it then shows the rest.
SHORTEST_MASKED = 5


class SecretTexts(Mapping[str, str]):
    """A mapping whose text shows its names alone. No `dict`, since those are shown and stored as they are.

    Args:
        values: by name.

    Attributes:
        given: the mapping itself; Airflow remembers by it what came from another task, and is no template.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self.given = values
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self._values, MASK))


def kept_secret(value: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """An argument as it is kept: texts and templates as `SecretTexts`; what Airflow still has to resolve as it is.

    Args:
        value: what was given as `secret_envs`.
    """
    if not isinstance(value, Mapping) or isinstance(value, SecretTexts):
        return value
    # Airflow looks for the results of other tasks, which are no texts yet, in a dict alone.
    parts: list[object] = list(value.values())
    return SecretTexts(value) if all(isinstance(part, str) or is_known(part) for part in parts) else value


def as_secrets(name: str, values: object) -> dict[str, str]:
    """Rendered secrets; empty for none.

    Args:
        name: the argument's, for the error.
        values: a mapping of names to texts.

    Raises:
        ValueError: it is something else; no value is quoted.
    """
    if values is None or values == "":
        return {}
    if not isinstance(values, Mapping):
        raise ValueError(f"{name} is a {type(values).__name__}; give a mapping of names to texts.")
    for key, value in values.items():
        if not isinstance(value, str):
            # What is no name may be a value in the wrong place.
            which = f"{name}[{key!r}]" if is_env_name(key) else f"a value of {name}"
            raise ValueError(
                f"{which} is a {type(value).__name__}, and text was wanted: with render_template_as_native_obj "
                "a template's text may become something else; quote it there, as in {{ value | tojson }}."
            )
    return {str(key): value for key, value in values.items()}


def mask_in_logs(secrets: Mapping[str, str]) -> None:
    """Mask the values in every log of this process from here on, each of their lines too.

    Args:
        secrets: by name.
    """
    for value in secrets.values():
        # Logs come line by line.
        for part in (value, *value.splitlines()):
            mask_part(part.strip())


def mask_part(text: str) -> None:
    """Mask a secret, or a line of one, in every log of this process from here on, unless it is too short for that.

    Args:
        text: without space around it.
    """
    from airflow.providers.common.compat.sdk import mask_secret

    if len(text) >= SHORTEST_MASKED:
        mask_secret(text)


def is_shown_whole(value: Mapping[str, object]) -> bool:
    """Whether Airflow would hide nothing of a value in a rendered template: then it may lie where that is not hidden.

    The arguments of a trigger are shown as they are by Airflow's REST API.

    Args:
        value: texts, and mappings of texts.
    """
    for module in _REDACT_LIES_IN:
        try:
            redact = import_module(module).redact
        except (ImportError, AttributeError):
            continue
        return bool(redact(value) == value)
    return False
