"""`octa-provider sheet`: the frames of a folder on one picture. Without an account."""

from __future__ import annotations

import argparse
from typing import Any

from octa_provider.cli.options.film_frames import add_film_options, checked_film
from octa_provider.cli.options.numbers import whole_number
from octa_provider.cli.output.listing import print_json
from octa_provider.cli.output.wording import shown_text

EXAMPLES = """examples:
  octa-provider sheet out
  octa-provider sheet out --frames 1-240 --most 24 --width 480
  octa-provider sheet out --pattern beauty_####.exr --to review.jpg

Frames that are missing or not whole are gaps with a red edge, and red on the line at the bottom, which stands for all
frames. Needs the extra pictures; no key and no network.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "sheet",
        help="put rendered frames on one picture, gaps shown",
        description="Put the frames in a folder on one picture, at most 48 of them, as far apart as they can be. Each "
        "frame is checked first, as by `octa-provider frames`.",
        epilog=EXAMPLES,
    )
    add_film_options(parser, "the PNG or JPEG to write (default: sheet.png in OUT)")
    parser.add_argument("--columns", type=whole_number, metavar="N", help="pictures side by side (default: as fits)")
    parser.add_argument(
        "--most", type=whole_number, default=48, metavar="N", help="show at most so many frames (default: 48)"
    )
    parser.add_argument(
        "--width", type=whole_number, default=320, metavar="PIXELS", help="of each picture (default: 320)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the sheet, and say which frames are no part of it."""
    from octa_provider.batch.film.sheet import sheet_of

    film = checked_film(arguments)
    path = sheet_of(film, target=arguments.to, columns=arguments.columns, most=arguments.most, width=arguments.width)
    shown = min(len(film.numbers), arguments.most)
    if arguments.json:
        print_json({"file": str(path), "frames": len(film.numbers), "shown": shown, "not_whole": film.not_whole})
        return 0
    print(f"{shown_text(path)}: {shown} of {len(film.numbers)} frames")
    if film.broken:
        print(f"not whole: {film.not_whole}")
    return 0
