"""`octa-provider`: the command line. Each command is a file of `octa_provider.cli.commands`.

Exit status: 0 when it went well, 1 when it did not, 2 when it was called wrongly, 130 after Ctrl-C. That of `run` is
the job's own, or 128 and a signal's number; that of `frames`, `video`, `plan` and `render` is 3 when frames are missing
or not whole, or can't be had in time; `render` has more, told by its help.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from octa_provider.cli.commands import (
    doctor,
    emulator,
    frames,
    logs,
    machines,
    plan,
    reap,
    render,
    run,
    sessions,
    sheet,
    stop,
    video,
)
from octa_provider.cli.options.connection import add_connection_options, masked_by, tell
from octa_provider.cli.options.parser import CommandParser
from octa_provider.cli.output.messages import LogMessages, end_quietly
from octa_provider.cli.output.shell_words import worded
from octa_provider.cli.output.streams import drop, open_closed_streams, settle, show_what_can_be_shown
from octa_provider.cli.output.wording import shown_lines
from octa_provider.errors import OctaConfigError, OctaError

PROGRAM = "octa-provider"
INTERRUPTED = 130

EXAMPLES = """examples:
  octa-provider doctor
  octa-provider machines --gpu-model 4090 --max-price-usd 0.6
  octa-provider run blender:4.5 --input scene.blend:scene.blend --output frames:frames -- \\
      blender -b scene.blend -o //frames/#### -a
  octa-provider render shot.blend --frames 1-240 --output out
  octa-provider sessions
  octa-provider reap --older-than 2h

The API key comes from the environment variable OCTA_API_KEY or from --api-key-file.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: its arguments, without the program's name; those of this process when left out.

    Returns:
        The exit status.
    """
    open_closed_streams()
    show_what_can_be_shown()
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    finally:
        settle()
        if argv is None and "--verbose" not in sys.argv:
            end_quietly()


def _run(words: list[str]) -> int:
    try:
        arguments = _parse(words)
    except SystemExit as ended:
        # argparse has said why.
        return ended.code if isinstance(ended.code, int) else 2
    verbose = getattr(arguments, "verbose", False)
    with LogMessages(PROGRAM, verbose=verbose, worded=partial(worded, arguments)):
        return _status(arguments, verbose=verbose)


def _status(arguments: argparse.Namespace, *, verbose: bool) -> int:
    try:
        status = int(arguments.run(arguments))
        # A pipe that was closed is noticed here, not by the interpreter on its way out.
        sys.stdout.flush()
    except OctaConfigError as error:
        return _fail(arguments, error, 2)
    except OctaError as error:
        return _fail(arguments, error, 1)
    except KeyboardInterrupt:
        tell(f"{PROGRAM}: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # `octa-provider machines | head`: whoever read has had enough. What is still buffered goes nowhere.
        drop(sys.stdout)
        return 1
    except OSError as error:
        return _fail(arguments, _reason(error), 1)
    except Exception as error:
        if verbose:
            raise
        text = shown_lines(masked_by(arguments, f"{type(error).__name__}: {error}"))
        tell(f"{PROGRAM}: this is a bug ({text}): please report it, with what --verbose shows")
        return 1
    return status


def _parse(words: list[str]) -> argparse.Namespace:
    parser = _parser(words)
    words, command = _split(words)
    parser.check(words, command)
    arguments = parser.parse_known_args(words)[0]
    if arguments.command is None:
        parser.print_help()
        parser.exit(2)
    if command is not None and arguments.command != "run":
        parser.error(f"only `{PROGRAM} run` takes a command after --")
    arguments.job_command = command
    return arguments


def _split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """The words before the first `--`, and those after it; None when there is none."""
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _parser(words: Sequence[str]) -> CommandParser:
    parser = CommandParser(
        prog=PROGRAM, description="GPU machines on the OctaSpace marketplace, from a shell.", epilog=EXAMPLES
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {_version()}")
    add_connection_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=CommandParser)
    for command in (machines, sessions, run, plan, render, frames, sheet, video, logs, stop, reap, doctor):
        command.add_parser(commands)
    emulator.add_parser(commands, chosen="emulator" in words)
    return parser


def _fail(arguments: argparse.Namespace, error: Exception | str, status: int) -> int:
    """One sentence on standard error, without the key and without what a terminal would obey."""
    text = str(error) or type(error).__name__
    tell(f"{PROGRAM}: {worded(arguments, text)}")
    return status


def _reason(error: OSError) -> str:
    """The system's own words for what went wrong."""
    if not error.strerror:
        return str(error) or "input or output failed"
    what = error.filename if isinstance(error.filename, str) else ""
    return f"{what}: {error.strerror}" if what else f"reading or writing failed: {error.strerror}"


def _version() -> str:
    try:
        return version("octa-provider")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
