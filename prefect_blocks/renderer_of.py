"""What renders a batch, and when a frame is whole, from the mappings that flows and forms are given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from octa_provider.batch.check import Check
from octa_provider.batch.renderers.blender import blender
from octa_provider.batch.renderers.log_rule import LogRule
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.errors import OctaConfigError

__all__ = ["check_of", "renderer_of"]

T = TypeVar("T")


def renderer_of(given: Mapping[str, Any]) -> Renderer:
    """The renderer that a mapping describes.

    Args:
        given: with `command` the fields of the core's `Renderer`, each of its `log_rules` a mapping too; else arguments
            of the core's `blender`, such as `{"image": "blender:4.5", "samples": 64}`.

    Raises:
        OctaConfigError: a name that it does not have, or a value that can't work.
    """
    if "command" not in given:
        return _made("renderer", blender, given)
    rules = given.get("log_rules") or ()
    if not isinstance(rules, (list, tuple)) or not all(isinstance(rule, Mapping) for rule in rules):
        raise OctaConfigError(f"log_rules must be a list of mappings with pattern and kind, not {rules!r}")
    made = tuple(_made("log_rules", LogRule, rule) for rule in rules)
    return _made("renderer", Renderer, {**given, "log_rules": made})


def check_of(given: Mapping[str, Any]) -> Check:
    """The check that a mapping describes.

    Args:
        given: fields of the core's `Check`, such as `{"size": [1920, 1080]}`.

    Raises:
        OctaConfigError: a name that it does not have, or a value that can't work.
    """
    return _made("check", Check, given)


def _made(what: str, make: Callable[..., T], given: Mapping[str, Any]) -> T:
    known = inspect.signature(make).parameters
    if unknown := sorted(set(map(str, given)) - set(known)):
        raise OctaConfigError(f"{what} has no {', '.join(unknown)}: choose from {', '.join(sorted(known))}")
    try:
        return make(**given)
    except TypeError as error:
        raise OctaConfigError(f"{what} can't be made of that: {error}") from error
