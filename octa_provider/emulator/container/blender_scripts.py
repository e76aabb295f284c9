"""Python that Blender's command line runs: files, expressions, texts of the blend file, add-ons.

This file imports nothing from the rest of the package: the interpreter that has `bpy` does not have the package.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .blender_arguments import Stop, number
from .blender_output import complain, flush


class BlenderScripts:
    """Runs scripts; one that raises ends Blender if an exit code was set, and else not.

    Args:
        bpy: Blender's module.
        ran: called after each script, which may have opened another file.
    """

    def __init__(self, bpy: Any, ran: Callable[[], None]) -> None:
        self._bpy = bpy
        self._ran = ran
        self._exit_code = 0

    def set_exit_code(self, text: str) -> None:
        """End with this code when a script raises; 0 goes on."""
        self._exit_code = number(text, 0, 255)

    def run_file(self, path: str) -> None:
        """Run a file."""
        try:
            source = Path(path).read_bytes()
        except OSError as error:
            complain(f"Python: cannot read {path}: {error.strerror}")
            self._failed("file", path)
        else:
            self._execute(source, path, "file")

    def run_expression(self, expression: str) -> None:
        """Run what stands on the command line."""
        self._execute(expression.encode(), "<string>", "expr", expression)

    def run_text(self, name: str) -> None:
        """Run a text of the blend file."""
        text = self._bpy.data.texts.get(name)
        if text is None:
            complain(f"\nError: text block not found {name}.")
            self._failed("text", name)
        else:
            self._execute(text.as_string().encode(), name, "text")

    def run_console(self, _: str) -> None:
        """Run what comes through the standard input."""
        self._execute(b"__import__('code').interact()", "<console>", "expr")

    def enable_addons(self, names: str) -> None:
        """Enable add-ons: names with commas between them."""
        import addon_utils  # type: ignore[import-not-found]

        for name in names.split(","):
            # It prints what went wrong, and Blender goes on.
            addon_utils.enable(name)

    def _execute(self, source: bytes, name: str, kind: str, called: str = "") -> None:
        try:
            exec(compile(source, name, "exec"), {"__name__": "__main__", "__file__": name})
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            raise Stop(code) from None
        except Exception as error:  # noqa: BLE001 - a user's script may raise anything, and Blender goes on
            flush()
            traceback.print_exception(type(error), error, error.__traceback__ and error.__traceback__.tb_next)
            self._failed(kind, called or name)
        # The script may have opened another file, which ends the life of the scene we knew.
        self._ran()

    def _failed(self, kind: str, name: str) -> None:
        if self._exit_code:
            complain(f"\nError: script failed, {kind}: '{name}', exiting.")
            raise Stop(self._exit_code)
