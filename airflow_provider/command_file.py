"""A command that is written in a file beside the DAG: `command="render.sh"`, as `BashOperator` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from octa_provider import errors

if TYPE_CHECKING:
    import jinja2

__all__ = ["COMMAND_EXT", "CommandFile", "as_command", "as_file"]

#: What the name of such a file ends with.
COMMAND_EXT = (".sh", ".bash", ".py")
#: A command goes through one argument of a program, of which Linux takes 128 KiB.
MOST_BYTES = 100_000


class CommandFile(str):
    """The name of a file with the command, as it was given. It is read when the task is about to run.

    Attributes:
        given: the very text that was given: who wrote it is told by its identity.
    """

    given: str

    def source(self, environment: jinja2.Environment) -> str:
        """What the file says, which is a template as well.

        Args:
            environment: the DAG's, which knows its folder and its `template_searchpath`.

        Raises:
            OctaConfigError: there is no such file, or it is no command.
        """
        try:
            if environment.loader is None:
                raise FileNotFoundError(self)
            text = environment.loader.get_source(environment, str(self))[0]
        except UnicodeDecodeError:
            raise errors.OctaConfigError(f"command={str(self)!r}: the file is no UTF-8 text.") from None
        # What jinja2 raises is an OSError by its kind; a folder of that name is one too.
        except (OSError, LookupError):
            raise errors.OctaConfigError(
                f"command={str(self)!r} is the name of a file, and there is none of that name in the DAG's folder or "
                "its template_searchpath. For a program of that name on the machine put a blank behind it: "
                f"{str(self) + ' '!r}."
            ) from None
        if not text.strip():
            raise errors.OctaConfigError(f"command={str(self)!r}: the file is empty.")
        # As Jinja leaves it out of what it renders.
        return text.rstrip("\n")


def as_file(command: Any) -> Any:
    """A `command`; where it is the name of a file, as that.

    Args:
        command: as it was given.
    """
    if isinstance(command, CommandFile) or not isinstance(command, str):
        return command
    # One word, which is no path of the machine and no template: `bash run.sh`, `./run.sh`, `/srv/run.sh` are commands.
    if (
        not command.endswith(COMMAND_EXT)
        or command[0] in ".+@/"
        or not all(c.isalnum() or c in "_-.+@/" for c in command)
    ):
        return command
    file = CommandFile(command)
    file.given = command
    return file


def as_command(name: str, text: str) -> str | Sequence[str]:
    """What runs the text of a file: `sh`; `bash` for `.bash` and behind `#!/bin/bash`; `python3` for `.py`.

    Args:
        name: of the file.
        text: what it says, rendered.

    Raises:
        OctaConfigError: it is too long for a command.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise errors.OctaConfigError(
            f"command={str(name)!r}: the file is longer than {MOST_BYTES} bytes. Send it with inputs, and call it."
        )
    if name.endswith(".py"):
        return ["python3", "-c", text]
    first = text.partition("\n")[0]
    if name.endswith(".bash") or (first.startswith("#!") and "bash" in first):
        return ["bash", "-c", text]
    return text
