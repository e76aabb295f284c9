"""The fields of blocks and of job variables, on the pages of the site: these are their arguments.

The source has each as `name: type = Field(default=..., description=...)`; its page shows type, default and description.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from griffe import (
    AliasResolutionError,
    Attribute,
    Class,
    Docstring,
    Expr,
    ExprCall,
    ExprKeyword,
    ExprName,
    Extension,
    Module,
)


class BlockFields(Extension):
    """Gives each field its description for a docstring, and its default for a value."""

    def on_package(self, *, pkg: Module, **kwargs: Any) -> None:
        """Read a package's fields, once all of it is known.

        Args:
            pkg: the package.
            kwargs: griffe's.
        """
        for attribute in list(_attributes(pkg)):
            call = attribute.value if _is_field(attribute.value) else _field_of_type(attribute)
            if call is None:
                continue
            said = {one.name: one.value for one in call.arguments if isinstance(one, ExprKeyword)}
            if attribute.docstring is None and "description" in said:
                attribute.docstring = Docstring(_value(said["description"], attribute.module), parent=attribute)
            if call is attribute.value:
                is_made = "default_factory" in said
                attribute.value = f"{said['default_factory']}()" if is_made else said.get("default")


def _is_field(value: object) -> bool:
    return isinstance(value, ExprCall) and str(value.function) == "Field"


def _field_of_type(attribute: Attribute) -> Any:
    """What an alias such as `StartAttempts` says of each field that is annotated with it."""
    if not isinstance(attribute.annotation, ExprName):
        return None
    try:
        alias = attribute.modules_collection[attribute.annotation.canonical_path]
    except (KeyError, AliasResolutionError):
        return None
    return next((one for one in _parts(getattr(alias, "value", None)) if _is_field(one)), None)


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, Expr):
        yield value
        for part in () if isinstance(value, ExprName) else value.iterate(flat=False):
            yield from _parts(part)


def _attributes(inside: Module | Class) -> Iterator[Attribute]:
    for member in inside.members.values():
        if isinstance(member, Attribute) and isinstance(inside, Class):
            yield member
        elif isinstance(member, Module | Class):
            yield from _attributes(member)


def _value(source: Expr | str, module: Module) -> Any:
    """What an expression of our own source says: a text in several pieces, or one with numbers that have a name."""
    return eval(str(source), {}, _Named(module))


class _Named(dict[str, Any]):
    def __init__(self, module: Module) -> None:
        super().__init__()
        self._module = module

    def __missing__(self, name: str) -> Any:
        if name not in self._module.members:
            raise KeyError(name)
        found = self._module.modules_collection[self._module.resolve(name)]
        return _value(found.value, found.module)
