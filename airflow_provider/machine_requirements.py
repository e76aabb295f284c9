"""Which machine an operator rents: its arguments turned into the core's `Requirements`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.templated import as_float, as_int, as_ints, as_names, as_text, is_known, refuse_empty_cap
from octa_provider.market.requirement_checks import REQUIREMENT_NAMES as REQUIREMENT_FIELDS
from octa_provider.market.requirement_checks import checked_requirements

if TYPE_CHECKING:
    from octa_provider.market.requirements import Requirements

__all__ = ["REQUIREMENT_FIELDS", "check_requirements", "to_requirements"]

#: What may stand beside `node_id`: caps that the one node must keep. Everything else would choose a second time.
_BESIDE_NODE_ID = frozenset({"node_id", "max_price_usd", "disk_gb"})
_WHOLE = frozenset({"node_id", "gpu_count", "cpu_cores"})
_NAMES = frozenset({"gpu_model", "country"})


def check_requirements(requirements: object, arguments: Mapping[str, Any]) -> None:
    """Refuse a choice that can never work, as far as it is known when the DAG file is parsed.

    Args:
        requirements: the operator's `requirements` argument.
        arguments: its other choosing arguments, by name; those not given are None.

    Raises:
        ValueError: naming the argument and what to do.
    """
    # A mapping may hold templates in some of its values only; what is text or a task's output is all unknown.
    given = _merged(requirements if isinstance(requirements, Mapping) or is_known(requirements) else None, arguments)
    _refuse_second_choice(given)
    checked_requirements(_final({name: value for name, value in given.items() if is_known(value)}))


def to_requirements(requirements: object, arguments: Mapping[str, Any]) -> Requirements:
    """The core's requirements, from values that are final.

    Args:
        requirements: a `Requirements`, or a mapping of its fields, or None.
        arguments: single fields; they win over `requirements`.

    Raises:
        ValueError: naming the argument and what to do.
    """
    from octa_provider.market.requirements import Requirements

    return Requirements(**_final(_merged(requirements, arguments)))


def _final(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Requirements` from rendered values."""
    converted = {name: _converted(name, value) for name, value in given.items()}
    converted = {name: value for name, value in converted.items() if value is not None}
    _refuse_second_choice(converted)
    return converted


def _merged(requirements: object, arguments: Mapping[str, Any]) -> dict[str, Any]:
    if requirements is None or requirements == "":
        merged: dict[str, Any] = {}
    elif isinstance(requirements, Mapping):
        merged = dict(requirements)
    else:
        from octa_provider.market.requirements import Requirements

        if not isinstance(requirements, Requirements):
            raise ValueError(
                f"requirements={requirements!r} is neither a mapping nor a Requirements; give one of them."
            )
        defaults = Requirements()
        merged = {name: getattr(requirements, name) for name in REQUIREMENT_FIELDS}
        merged = {name: value for name, value in merged.items() if value != getattr(defaults, name)}
    if unknown := sorted(str(name) for name in merged.keys() - set(REQUIREMENT_FIELDS)):
        raise ValueError(f"requirements has no {', '.join(unknown)}; choose among {', '.join(REQUIREMENT_FIELDS)}.")
    merged.update((name, value) for name, value in arguments.items() if value is not None)
    return {name: value for name, value in merged.items() if value is not None}


def _refuse_second_choice(given: Mapping[str, Any]) -> None:
    if "node_id" in given and (others := sorted(given.keys() - _BESIDE_NODE_ID)):
        raise ValueError(
            f"node_id already chooses the machine: remove {', '.join(others)}, "
            "or remove node_id to choose by requirements."
        )


def _converted(name: str, value: Any) -> Any:
    if name == "exclude_nodes":
        return as_ints(name, value)
    if name in _NAMES:
        return as_names(name, value)
    if name == "max_price_usd":
        refuse_empty_cap(name, value)
    if name == "order_by":
        return as_text(name, value)
    return as_int(name, value) if name in _WHOLE else as_float(name, value)
