"""`octa-provider frames`: is every frame there and whole, and if not, which and why. Without an account."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from octa_provider.cli.output.listing import add_json_option, print_json
from octa_provider.cli.output.wording import shown_text
from octa_provider.files.limits import shown_size
from octa_provider.text.quantities import counted

if TYPE_CHECKING:
    from octa_provider.render.frames_check import FramesCheck

NOT_WHOLE = 3

EXAMPLES = """examples:
  octa-provider frames out
  octa-provider frames out --frames 1-240
  octa-provider frames out --frames 1-240 --pattern beauty_####.exr --pattern depth/####.exr --json

A folder that `octa-provider render` has rendered into knows its frames. Else, without --frames, those from the first to
the last that is there are asked for, so gaps are told, and a frame that is missing at either end is not. Needs no key
and no network.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "frames",
        help="check that rendered frames are all there and whole",
        description="Check that the frames in a folder are all there and whole: PNG, EXR, JPEG and TIFF, from the "
        "first byte to the last. Exit status 0 when they are, 3 when not.",
        epilog=EXAMPLES,
    )
    parser.add_argument("folder", metavar="OUT", help="the folder with the frames")
    parser.add_argument("--frames", metavar="RANGE", help="those that there should be: 1-240, 1-240x2, 1,5,10-20")
    parser.add_argument(
        "--pattern",
        action="append",
        metavar="NAME",
        help="a file that each frame has, such as frame_{frame:04d}.png or beauty/####.exr; give it once for each file "
        "(default: guessed from what is there)",
    )
    parser.add_argument(
        "--decode", action="store_true", help="decode the pixels too: one colour throughout, NaN (extra: pictures)"
    )
    add_json_option(parser)
    parser.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check and say what was found. Returns 3 when not every frame is whole."""
    from octa_provider.batch.folder.asked import asked_of
    from octa_provider.render.frames_check import check_frames

    frames, patterns = arguments.frames, arguments.pattern
    asked = None if frames and patterns else asked_of(arguments.folder)
    if asked is not None:
        frames, patterns = frames or asked.frames, patterns or asked.files
    check = check_frames(
        arguments.folder,
        frames,
        patterns=patterns,
        hashes=arguments.json,
        decode=arguments.decode,
    )
    if arguments.json:
        print_json(check.to_dict())
    else:
        _print(check)
    return 0 if check.whole else NOT_WHOLE


def _print(check: FramesCheck) -> None:
    from octa_provider.render.frames import Frames

    whole = len(check.whole_frames)
    print(f"{whole} of {counted(len(check.frames), 'frame')} whole ({Frames(check.frames)}), {shown_size(check.bytes)}")
    for pattern in check.patterns:
        print(f"  {shown_text(pattern)}: {_kinds(check, pattern)}")
    if check.others:
        print(f"  no frames: {', '.join(shown_text(name) for name in check.others)}")
    for file, flaw, numbers in _grouped(check):
        print(f"{Frames(tuple(numbers))}: {shown_text(file)} {shown_text(flaw)}")


def _kinds(check: FramesCheck, pattern: str) -> str:
    """`1920x1080 EXR`, of the most of the whole files."""
    at = check.patterns.index(pattern)
    kinds = Counter(
        f"{file.picture.width}x{file.picture.height} {file.picture.format}"
        for file in check.files[at :: len(check.patterns)]
        if file.picture and not file.flaw
    )
    return kinds.most_common(1)[0][0] if kinds else "none is whole"


def _grouped(check: FramesCheck) -> list[tuple[str, str, list[int]]]:
    """Frames with the same flaw in the file of the same pattern, by their first frame."""
    groups: dict[tuple[int, str], list[int]] = {}
    names: dict[tuple[int, str], str] = {}
    for number, file in enumerate(check.files):
        if file.flaw:
            key = (number % len(check.patterns), file.flaw)
            groups.setdefault(key, []).append(file.frame)
            names.setdefault(key, file.name)
    return [
        (names[key] if len(numbers) == 1 else check.patterns[key[0]], key[1], numbers)
        for key, numbers in groups.items()
    ]
