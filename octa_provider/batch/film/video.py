"""A video of rendered frames: made afterwards, of checked frames alone, as long as they are."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from octa_provider.batch.film.ffmpeg import counted_frames, encoder_options, find_ffmpeg
from octa_provider.batch.film.film_frames import FilmFrames, film_frames
from octa_provider.batch.film.shown_picture import fitted, shown_picture
from octa_provider.errors import OctaConfigError, OctaLocalFileError
from octa_provider.files.local_files import shown, unreadable
from octa_provider.render.frames import Frames
from octa_provider.render.picture import BrokenPictureError
from octa_provider.text.plain_text import plain_words

__all__ = ["FramesNotWholeError", "make_video", "video_of"]

DEFAULT_NAME = "preview.mp4"
SUFFIXES = (".mp4", ".mov", ".mkv")
#: Players take no more, and cameras that make more are no renderers.
MOST_FPS = 1000


class FramesNotWholeError(OctaConfigError):
    """A video was asked for, and not every frame is whole. Nothing was written.

    Attributes:
        frames: those that are not, as a range such as `17,90-95`.
    """

    def __init__(self, message: str = "", *, frames: str = "") -> None:
        super().__init__(message)
        self.frames = frames


def make_video(
    output: str | os.PathLike[str],
    *,
    target: str | os.PathLike[str] | None = None,
    fps: float | str | Fraction = 24,
    frames: str | Frames | Iterable[int] | None = None,
    pattern: str | None = None,
    width: int | None = None,
    allow_missing: bool = False,
    ffmpeg: str | os.PathLike[str] | None = None,
) -> Path:
    """Make a video of the frames in a folder: one picture for each frame, in their order, whatever their numbers.

    It takes frames / fps seconds, to the frame: the file is read back before it takes its place. The frames are
    decoded here, so ffmpeg is given pixels and no file of a stranger. Sides that are odd get one more line of pixels,
    which the format wants.

    Args:
        output: the folder with the frames.
        target: the .mp4, .mov or .mkv to write, whole or not at all; `preview.mp4` in the folder when left out.
        fps: frames a second, such as 24, 23.976 or `30000/1001`.
        frames: those that there should be: a range such as `1-240`, or numbers. Left out, those of the
            batch that was rendered into the folder, else all from the first to the last that is there.
        pattern: of the file that is shown of each frame; guessed when left out.
        width: shrink wider pictures to it, in pixels.
        allow_missing: let a frame that is not whole be shown as the one before it, so that those after it stay at
            their times.
        ffmpeg: the program; that of the system when left out, else the one of the package `imageio-ffmpeg`.

    Returns:
        The target.

    Raises:
        FramesNotWholeError: not every frame is whole, and `allow_missing` is not set.
        OctaConfigError: an argument that can't work, no frames, no ffmpeg, or the extra `pictures` is not installed.
        OctaLocalFileError: the video can't be written.
    """
    film = film_frames(output, frames, pattern)
    return video_of(film, target=target, fps=fps, width=width, allow_missing=allow_missing, ffmpeg=ffmpeg)


def video_of(
    film: FilmFrames,
    *,
    target: str | os.PathLike[str] | None = None,
    fps: float | str | Fraction = 24,
    width: int | None = None,
    allow_missing: bool = False,
    ffmpeg: str | os.PathLike[str] | None = None,
) -> Path:
    """The same of frames that have been checked; the arguments are those of `make_video`."""
    rate = _rate(fps)
    if width is not None and (isinstance(width, bool) or not isinstance(width, int) or not 2 <= width <= 16384):
        raise OctaConfigError(f"width must be a whole number from 2 to 16384, not {width!r}")
    path = film.target(target, DEFAULT_NAME, SUFFIXES)
    if not film.whole:
        raise OctaConfigError(
            f"none of the {len(film.numbers)} frames in {shown(film.folder)} is whole: nothing to show"
        )
    if film.broken and not allow_missing:
        raise FramesNotWholeError(
            f"{len(film.broken)} of {len(film.numbers)} frames are not whole ({film.not_whole}): render them first, "
            "or let each be shown as the frame before it (allow_missing=True)",
            frames=film.not_whole,
        )
    program = find_ffmpeg(ffmpeg)
    encoder = encoder_options(program)
    final = Path(os.path.realpath(path))
    try:
        with tempfile.TemporaryDirectory(prefix=".octa-video-", dir=final.parent) as folder:
            part = Path(folder) / f"video{path.suffix.lower()}"
            _encode(program, encoder, film, rate, width, part, allow_missing=allow_missing)
            made = counted_frames(program, part)
            if made != len(film.numbers):
                raise OctaLocalFileError(
                    f"ffmpeg made {made} of {len(film.numbers)} frames: {shown(path)} is as it was"
                )
            part.replace(final)
    except OSError as error:
        raise unreadable(path, error) from error
    return path


def _rate(fps: object) -> Fraction:
    try:
        rate = Fraction(fps if isinstance(fps, (Fraction, int)) and not isinstance(fps, bool) else str(fps).strip())
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= MOST_FPS or rate.denominator > 10**6 or rate.numerator > 10**9:
        raise OctaConfigError(f"fps must be a number above 0, such as 24, 23.976 or 30000/1001, not {fps!r}")
    return rate


def _encode(
    program: str,
    encoder: list[str],
    film: FilmFrames,
    rate: Fraction,
    width: int | None,
    part: Path,
    *,
    allow_missing: bool,
) -> None:
    one = next(iter(film.whole.values())).picture
    assert one is not None
    size = fitted(one, width)
    wide, high = (side + side % 2 for side in size)
    words = [program, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{wide}x{high}"]
    words += ["-framerate", f"{rate.numerator}/{rate.denominator}", "-i", "-", "-an"]
    # Said in the file too: what is not said, players guess by the size, and the colours shift.
    said_colours = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    words += ["-vf", f"scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,{said_colours}"]
    words += [*encoder, *([] if part.suffix == ".mkv" else ["-movflags", "+faststart"]), str(part)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=said, stderr=said)
        assert process.stdin is not None
        try:
            with suppress(BrokenPipeError):
                for pixels in _pictures(film, size, (wide, high), allow_missing=allow_missing):
                    process.stdin.write(pixels)
            with suppress(BrokenPipeError):
                process.stdin.close()
            status = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()
            raise
        if status != 0:
            raise OctaLocalFileError(f"ffmpeg can't write the video: {_last_words(said)}")


def _pictures(film: FilmFrames, size: tuple[int, int], room: tuple[int, int], *, allow_missing: bool) -> Iterator[Any]:
    """The bytes of each frame's picture; of a frame that is not there those of the one before, at first the next."""
    np = import_module("numpy")
    edges = ((0, room[1] - size[1]), (0, room[0] - size[0]), (0, 0))
    waiting, last = 0, b""
    for number in film.numbers:
        file, pixels = film.whole.get(number), None
        if file is not None and file.picture is not None:
            try:
                pixels = shown_picture(film.folder / file.name, file.picture, size)
            except BrokenPictureError as error:
                if not allow_missing:
                    text = f"frame {number} is not whole: {shown(file.name)} {error.flaw}"
                    raise FramesNotWholeError(text, frames=str(number)) from error
        if pixels is not None:
            last = np.pad(pixels, edges, mode="edge").tobytes()
            yield from [last] * waiting
            waiting = 0
            yield last
        elif last:
            yield last
        else:
            waiting += 1
    if waiting:
        raise FramesNotWholeError("not one frame can be decoded", frames=str(Frames(film.numbers)))


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    return plain_words(said.read(100_000).decode("utf-8", "replace").strip())[-300:] or "it does not say why"
