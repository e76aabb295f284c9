"""ffmpeg, a program of its own: where it is, what it can write, and how many frames a video of it has."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import expanded, shown
from octa_provider.text.plain_text import plain_words

__all__ = ["counted_frames", "encoder_options", "find_ffmpeg"]

#: Best first, with what makes it look as good as a preview should.
_ENCODERS = {
    "libx264": ("-preset", "medium", "-crf", "18"),
    "libopenh264": ("-b:v", "20M"),
    "mpeg4": ("-q:v", "2"),
}
#: Asking it takes a moment, reading a video through longer; a program that never answers is none.
ANSWER_S = 60.0
READ_S = 3600.0


def find_ffmpeg(given: str | os.PathLike[str] | None = None) -> str:
    """The ffmpeg to run: the one that is named, else the system's, else the one of the package `imageio-ffmpeg`.

    Args:
        given: its path, or its name on the PATH.

    Raises:
        OctaConfigError: there is none.
    """
    if given is not None:
        found = shutil.which(expanded(given))
        if found is None:
            raise OctaConfigError(f"there is no program {shown(given)}: name the ffmpeg to use, or leave it out")
        return found
    found = shutil.which("ffmpeg")
    if found is None and find_spec("imageio_ffmpeg") is not None:
        try:
            found = str(import_module("imageio_ffmpeg").get_ffmpeg_exe())
        except RuntimeError:
            # It is installed without the program, as on a platform that it has none for.
            found = None
    if found is None:
        raise OctaConfigError(
            "a video needs ffmpeg, and there is none: install it with the system's packages "
            "(apt install ffmpeg, brew install ffmpeg), or run: pip install imageio-ffmpeg"
        )
    return found


def encoder_options(ffmpeg: str) -> list[str]:
    """What chooses the best encoder that this ffmpeg has: H.264 where it can.

    Raises:
        OctaConfigError: it has none that will do, or is no ffmpeg.
    """
    listed = _said_by([ffmpeg, "-hide_banner", "-encoders"])
    names = {words[1] for line in listed.splitlines() if len(words := line.split()) > 1}
    for encoder, options in _ENCODERS.items():
        if encoder in names:
            return ["-c:v", encoder, *options]
    raise OctaConfigError(f"{shown(ffmpeg)} has none of the encoders {', '.join(_ENCODERS)}: install another ffmpeg")


def counted_frames(ffmpeg: str, video: Path) -> int:
    """How many frames a video has, read from the file.

    Raises:
        OctaConfigError: it can't be read.
    """
    listed = _said_by(
        [ffmpeg, "-v", "error", "-i", str(video), "-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-"], READ_S
    )
    return sum(1 for line in listed.splitlines() if line and not line.startswith("#"))


def _said_by(words: list[str], within_s: float = ANSWER_S) -> str:
    try:
        ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=within_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OctaConfigError(f"{shown(words[0])} can't be run: {plain_words(str(error))[:300]}") from error
    if ended.returncode != 0:
        said = plain_words(ended.stderr.decode("utf-8", "replace").strip())[-300:]
        raise OctaConfigError(f"{shown(words[0])} is no ffmpeg that works: {said or 'it says nothing'}")
    return ended.stdout.decode("utf-8", "replace")
