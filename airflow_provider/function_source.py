"""What of a function goes to a rented machine: its source alone, and so nothing that stands around it."""

from __future__ import annotations

import ast
import builtins
import inspect
import symtable
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["refuse_unknown_names", "script_that_calls"]

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


def script_that_calls(source: str, name: str) -> str:
    """The script that calls a function there, with what lies beside it, and leaves its result there.

    Args:
        source: of the function.
        name: of the function.
    """
    return _SCRIPT.format(source=source, name=name)


def refuse_unknown_names(function: Callable[..., Any]) -> None:
    """Refuse a function that uses a name which its source alone does not give it, when the DAG file is parsed.

    Args:
        function: what was decorated.

    Raises:
        ValueError: it uses what stands around it in the DAG file, or nowhere.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        # What has no source of its own is told when it is wanted.
        return
    defined = next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)
    if defined is None:
        return
    # Airflow leaves the decorator out of the source.
    defined.decorator_list = []
    script = script_that_calls(ast.unparse(defined), defined.name)
    module = symtable.symtable(script, defined.name, "exec")
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
            f"@task.octa sends the source of {defined.name} alone to the machine, where {', '.join(unknown)} would be "
            "unknown: import or define it inside the function, or pass it as an argument."
        )


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)
