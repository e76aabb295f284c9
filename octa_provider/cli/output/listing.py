"""Lists on standard output: a table where it fits the terminal, plain columns elsewhere, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from octa_provider.cli.output.streams import takes_unicode
from octa_provider.cli.output.wording import shown_text

if TYPE_CHECKING:
    import argparse

#: Never listed: the payload as received, and what is likely to hold secrets.
_LEFT_OUT = frozenset({"raw", "user_envs", "config"})


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON; amounts in wei are strings, to stay exact")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table. Nothing is cut off: ids are there to be copied.

    In a terminal that is too narrow the headings fold, then each row becomes a paragraph. In a pipe a row is a line.

    Args:
        columns: the headings; one that begins with `>` is aligned to the right.
        rows: the cells; None is shown as `-`.
    """
    cells = [[shown_text(cell) for cell in row] for row in rows]
    names = [column.lstrip(">") for column in columns]
    widths = _widths([names, *cells])
    if not sys.stdout.isatty():
        _print_lines(columns, widths, [names, *cells], "  ")
        return
    room = shutil.get_terminal_size().columns
    if sum(widths) + len(widths) < room:
        _print_rich(columns, cells)
        return
    folded = _folded(names)
    widths = _widths([*folded, *cells])
    gap = "  " if sum(widths) + 2 * len(widths) - 2 <= room else " "
    if sum(widths) + len(gap) * (len(widths) - 1) <= room:
        _print_lines(columns, widths, [*folded, *cells], gap)
    else:
        for row in cells:
            _print_paragraph(names, row, room)


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _print_lines(columns: Sequence[str], widths: Sequence[int], rows: Sequence[Sequence[str]], gap: str) -> None:
    for row in rows:
        line = (
            cell.rjust(width) if column.startswith(">") else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        print(gap.join(line).rstrip())


def _folded(names: Sequence[str]) -> list[list[str]]:
    """The headings with each word on a line of its own, the last words beside each other."""
    words = [name.split(" ") for name in names]
    height = max(map(len, words))
    return [[([""] * (height - len(w)) + w)[line] for w in words] for line in range(height)]


def _print_paragraph(names: Sequence[str], row: Sequence[str], room: int) -> None:
    """The first cell, and below it the others with their names, as many on a line as fit."""
    print(row[0])
    line = ""
    for name, cell in zip(names[1:], row[1:], strict=True):
        if cell == "-":
            continue
        pair = f"{name}: {cell}"
        # With the comma that may come after it.
        if line and len(line) + len(pair) + 3 > room:
            print(line + ",")
            line = ""
        line = f"{line}, {pair}" if line else f"  {pair}"
    if line:
        print(line)


def _print_rich(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=box.SIMPLE_HEAD, padding=0)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    for row in cells:
        # As Text: what comes from outside may hold square brackets, which rich would read as markup.
        table.add_row(*(Text(cell) for cell in row))
    Console(file=sys.stdout).print(table)


def print_json(value: object) -> None:
    """A value as JSON, made of plain values, models and dataclasses."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=not takes_unicode(sys.stdout)))


def plain(value: object) -> Any:
    """A value as JSON knows it: models become objects without their payload, times ISO 8601, wei strings."""
    if isinstance(value, dict):
        return {
            str(key): str(item) if str(key).endswith("_wei") and isinstance(item, int) else plain(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, (str, int, float)):
        return value
    names: Iterable[str] = getattr(value, "__struct_fields__", ()) or getattr(value, "__dataclass_fields__", ())
    return plain({name: getattr(value, name) for name in names if name not in _LEFT_OUT and not name.startswith("_")})
