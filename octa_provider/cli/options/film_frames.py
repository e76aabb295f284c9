"""Which frames of a folder a sheet or a video is made of."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from octa_provider.cli.output.listing import add_json_option

if TYPE_CHECKING:
    from octa_provider.batch.film.film_frames import FilmFrames

__all__ = ["add_film_options", "checked_film"]


def add_film_options(parser: argparse.ArgumentParser, target: str) -> None:
    """Give a parser the options; `checked_film` reads them.

    Args:
        parser: gets them.
        target: what is written, for the help of `--to`.
    """
    parser.add_argument("folder", metavar="OUT", help="the folder with the frames")
    parser.add_argument("--to", metavar="FILE", help=target)
    parser.add_argument("--frames", metavar="RANGE", help="those that there should be: 1-240, 1-240x2, 1,5,10-20")
    parser.add_argument(
        "--pattern",
        metavar="NAME",
        help="the file of each frame to show, such as beauty_####.exr (default: guessed from what is there)",
    )
    add_json_option(parser)
    parser.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def checked_film(arguments: argparse.Namespace) -> FilmFrames:
    """The frames, checked; OctaConfigError when there are none."""
    from octa_provider.batch.film.film_frames import film_frames

    return film_frames(arguments.folder, arguments.frames, arguments.pattern)
