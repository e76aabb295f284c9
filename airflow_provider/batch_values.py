"""What renders, which machines, and when a frame is whole: given to an operator as objects, or as mappings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.templated import as_flag, as_int, as_text, is_known
from octa_provider.errors import OctaConfigError

if TYPE_CHECKING:
    from octa_provider.batch.check import Check
    from octa_provider.batch.renderers.renderer import Renderer

__all__ = ["check_check", "known_renderer", "to_check", "to_renderer"]

_WHOLE = frozenset({"samples", "max_frames_per_process", "max_frame_bytes"})
_FLAGS = frozenset({"can_skip", "scripts_of_the_file", "allow_missing", "decode"})
_LISTS = frozenset({"files", "python", "addons", "view_layers", "log_rules", "size"})
#: Of any command; a mapping without a command is of Blender.
_COMMANDS = frozenset(
    {"image", "command", "files", "progress", "log_rules", "can_skip", "max_frames_per_process"},
)
_BLENDERS = frozenset(
    {
        *("image", "scene", "device", "format", "python", "addons", "view_layers", "engine", "samples", "ocio"),
        *("files", "scripts_of_the_file", "allow_missing", "max_frames_per_process"),
    }
)
_CHECKS = frozenset({"size", "decode", "one_colour", "max_frame_bytes"})


def known_renderer(value: object) -> Renderer:
    """Refuse a renderer that can never work, as far as it is known when the DAG file is parsed.

    Args:
        value: the operator's `renderer` argument.

    Returns:
        The renderer, or one that takes any frame where it is known later.

    Raises:
        ValueError: naming the argument and what to do.
    """
    if isinstance(value, Mapping):
        _refuse_unknown("renderer", value, _COMMANDS if "command" in value else _BLENDERS)
        # Files that Blender runs first lie where the task runs, perhaps not where the DAG file is parsed.
        value = {name: part for name, part in value.items() if name != "python"}
    if is_known(value):
        return to_renderer(value)
    return to_renderer({"image": "known/later", "command": "known-later {scene} {frame} {output}"})


def to_renderer(value: object) -> Renderer:
    """What renders, from a value that is final.

    Args:
        value: a `Renderer`; or a mapping: with `command` the arguments of `Renderer`, without those of `blender`; None
            or an empty text for Blender as it is.

    Raises:
        ValueError: naming the argument and what to do.
    """
    from octa_provider.batch.renderers.blender import blender
    from octa_provider.batch.renderers.renderer import Renderer

    if isinstance(value, Renderer):
        return value
    if value is None or (isinstance(value, str) and as_text("renderer", value) is None):
        return blender()
    if not isinstance(value, Mapping):
        raise OctaConfigError(
            f"renderer={value!r}: give blender(...), Renderer(...), or a mapping of the arguments of either."
        )
    is_command = "command" in value
    _refuse_unknown("renderer", value, _COMMANDS if is_command else _BLENDERS)
    given = _given("renderer", value)
    if not is_command:
        return blender(**given)
    if not {"image", "command"} <= given.keys():
        raise OctaConfigError("renderer: a command needs both, image and command.")
    return Renderer(**given | {"log_rules": tuple(map(_log_rule, given.get("log_rules", ())))})


def check_check(value: object) -> None:
    """Refuse a check that can never work, as far as it is known when the DAG file is parsed.

    Args:
        value: the operator's `check` argument.

    Raises:
        ValueError: naming the argument and what to do.
    """
    if isinstance(value, Mapping):
        _refuse_unknown("check", value, _CHECKS)
    if is_known(value):
        to_check(value)


def to_check(value: object) -> Check:
    """When a frame is whole, from a value that is final.

    Args:
        value: a `Check`, a mapping of its arguments, or None.

    Raises:
        ValueError: naming the argument and what to do.
    """
    from octa_provider.batch.check import Check

    if isinstance(value, Check):
        return value
    if value is None or (isinstance(value, str) and as_text("check", value) is None):
        return Check()
    if not isinstance(value, Mapping):
        raise OctaConfigError(f"check={value!r}: give Check(...), or a mapping of its arguments.")
    _refuse_unknown("check", value, _CHECKS)
    given = _given("check", value)
    if "size" in given:
        given["size"] = tuple(as_int("check['size']", side) for side in given["size"])
    return Check(**given)


def _log_rule(value: object) -> Any:
    from octa_provider.batch.renderers.log_rule import LogRule

    if isinstance(value, Mapping):
        _refuse_unknown("log_rules", value, frozenset({"pattern", "kind"}))
        return LogRule(str(value.get("pattern", "")), str(value.get("kind", "")))
    return value


def _given(of: str, value: Mapping[Any, Any]) -> dict[str, Any]:
    """The arguments, without those that rendered to nothing."""
    given = {str(name): _converted(of, str(name), part) for name, part in value.items()}
    return {name: part for name, part in given.items() if part is not None}


def _converted(of: str, name: str, value: object) -> object:
    called = f"{of}[{name!r}]"
    convert: Callable[[str, Any], Any] | None = as_int if name in _WHOLE else as_flag if name in _FLAGS else None
    if convert is not None:
        return convert(called, value)
    if name in _LISTS or name == "command":
        if isinstance(value, str):
            text = as_text(called, value)
            return text if text is None or name == "command" else (text,)
        if value is not None and not isinstance(value, list | tuple):
            raise OctaConfigError(f"{called}={value!r}: give a list.")
        return value
    return as_text(called, value)


def _refuse_unknown(of: str, value: Mapping[Any, Any], known: frozenset[str]) -> None:
    if unknown := sorted(str(name) for name in value if name not in known):
        raise OctaConfigError(f"{of} has no {', '.join(unknown)}; choose among {', '.join(sorted(known))}.")
