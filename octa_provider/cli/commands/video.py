"""`octa-provider video`: a video of the frames in a folder, once they are all whole. Without an account."""

from __future__ import annotations

import argparse
from typing import Any

from octa_provider.cli.options.connection import tell
from octa_provider.cli.options.film_frames import add_film_options, checked_film
from octa_provider.cli.options.numbers import whole_number
from octa_provider.cli.output.listing import print_json
from octa_provider.cli.output.shell_words import worded
from octa_provider.cli.output.wording import shown_text

NOT_WHOLE = 3

EXAMPLES = """examples:
  octa-provider video out
  octa-provider video out --frames 1-240 --fps 23.976 --to shot.mov
  octa-provider video out --pattern beauty_####.exr --width 1280 --allow-missing

The video takes frames / fps seconds, to the frame. It is written only when every frame is whole; with --allow-missing
the others are shown as the frame before them. Uses the system's ffmpeg, else that of the package imageio-ffmpeg, and
the extra pictures; no key and no network.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "video",
        help="make a video of rendered frames that are all whole",
        description="Make a video of the frames in a folder. Each is checked first, as by `octa-provider frames`. Exit "
        "status 0 when it was made, 3 when frames are missing or not whole.",
        epilog=EXAMPLES,
    )
    add_film_options(parser, "the .mp4, .mov or .mkv to write (default: preview.mp4 in OUT)")
    parser.add_argument(
        "--fps", default="24", metavar="N", help="frames a second: 24, 23.976, 30000/1001 (default: 24)"
    )
    parser.add_argument("--width", type=whole_number, metavar="PIXELS", help="shrink wider frames to it")
    parser.add_argument(
        "--allow-missing", action="store_true", help="show a frame that is not whole as the one before it"
    )
    parser.add_argument("--ffmpeg", metavar="PATH", help="the program to use (default: the system's)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the video. Returns 3 when not every frame is whole."""
    from octa_provider.batch.film.video import FramesNotWholeError, video_of
    from octa_provider.rental.clean_up import stop_signals_raise

    film = checked_film(arguments)
    try:
        # So that what was begun is removed, whatever ends it.
        with stop_signals_raise():
            path = video_of(
                film,
                target=arguments.to,
                fps=arguments.fps,
                width=arguments.width,
                allow_missing=arguments.allow_missing,
                ffmpeg=arguments.ffmpeg,
            )
    except FramesNotWholeError as error:
        tell(f"octa-provider: {worded(arguments, str(error))}")
        return NOT_WHOLE
    if arguments.json:
        print_json({"file": str(path), "frames": len(film.numbers), "fps": arguments.fps, "not_whole": film.not_whole})
        return 0
    print(f"{shown_text(path)}: {len(film.numbers)} frames, {arguments.fps} a second")
    if film.broken:
        print(f"not whole, shown as the frame before: {film.not_whole}")
    return 0
