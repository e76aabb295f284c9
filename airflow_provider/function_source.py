"""What of a function goes to a rented machine: its source alone, and so nothing that stands around it."""

from __future__ import annotations

import ast
import builtins
import inspect
import symtable
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["keys_read_from", "refuse_unknown_names", "script_that_calls"]

#: What an indented function stands under there: to move it to the left would change the text of its strings.
_AROUND = "if True:\n"

_SCRIPT = """from __future__ import annotations
{source}
if __name__ == "__main__":
    import json
    import pathlib

    _folder = pathlib.Path(__file__).parent
    _given = json.loads((_folder / "arguments.json").read_text(encoding="utf-8"))
    _value = {name}(*_given["args"], **_given["kwargs"])
    (_folder / "result.json").write_text(json.dumps(_value), encoding="utf-8")
"""
_KNOWN = frozenset(dir(builtins)) | {"__file__", "__name__", "__doc__", "__builtins__", "__spec__", "__package__"}


def script_that_calls(function: Callable[..., Any]) -> str:
    """The script that calls a function there, with what lies beside it, and leaves its result there.

    Args:
        function: what is called.

    Raises:
        ValueError: its source can't be found, or holds no function of its name.
    """
    lines, defined = _defined(function)
    # Whatever its decorators are called, they stay here.
    source = "".join(lines[defined.lineno - 1 : defined.end_lineno])
    return _SCRIPT.format(source=(_AROUND if lines[0] == _AROUND else "") + source, name=defined.name)


def refuse_unknown_names(function: Callable[..., Any]) -> None:
    """Refuse a function that uses a name which its source alone does not give it, when the DAG file is parsed.

    Args:
        function: what was decorated.

    Raises:
        ValueError: it uses what stands around it in the DAG file, or nowhere; or there is no source to send.
    """
    name = function.__name__
    module = symtable.symtable(script_that_calls(function), name, "exec")
    tables = list(_tables(module))
    made = {name.get_name() for name in module.get_symbols() if name.is_assigned() or name.is_imported()}
    made |= {name.get_name() for table in tables for name in table.get_symbols() if name.is_declared_global()}
    used = {
        name.get_name()
        for table in tables
        for name in table.get_symbols()
        if name.is_referenced() and (name.is_global() or table is module)
    }
    if unknown := sorted(used - made - _KNOWN):
        raise ValueError(
            f"@task.octa sends the source of {name} alone to the machine, where {', '.join(unknown)} would be "
            "unknown: import or define it inside the function, or pass it as an argument."
        )


def keys_read_from(function: Callable[..., Any], mapping: str) -> dict[str, bool]:
    """The keys that a function reads from a mapping by a text of its source, such as `context["run_id"]`.

    Args:
        function: what is called.
        mapping: what it calls the mapping.

    Returns:
        By key whether it is needed; one that is read by `.get` alone is not.
    """
    found: dict[str, bool] = {}
    for node in ast.walk(_defined(function)[1]):
        match node:
            case ast.Subscript(ast.Name(name), ast.Constant(str(key)), ast.Load()) if name == mapping:
                found[key] = True
            case ast.Call(ast.Attribute(ast.Name(name), "get"), [ast.Constant(str(key)), *_]) if name == mapping:
                found.setdefault(key, False)
    return found


def _defined(function: Callable[..., Any]) -> tuple[list[str], ast.FunctionDef]:
    """The lines of a function's source, and its definition among them."""
    try:
        lines, _ = inspect.getsourcelines(function)
        if lines[0][:1].isspace():
            lines = [_AROUND, *lines]
        tree = ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError) as error:
        raise ValueError(
            f"@task.octa sends the source of {function.__name__}, which can't be found: {error}. Write it as a def in "
            "a file."
        ) from error
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == function.__name__:
            return lines, node
    raise ValueError(f"@task.octa sends the source of {function.__name__}, which is no def: write it as one.")


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)
