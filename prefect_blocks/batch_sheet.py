"""The contact sheet of a batch: a picture beside its frames, and a small one that travels in an artifact."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path

from octa_provider.batch.film.film_frames import film_frames
from octa_provider.batch.film.sheet import sheet_of
from octa_provider.render.frames import Frames
from octa_provider.text.plain_text import plain_words
from prefect_blocks.markdown import code

__all__ = ["BatchSheet", "make_sheet"]

#: Of the small one.
MOST_FRAMES, WIDTH = 24, 160
#: A larger one is not put into an artifact, which is stored, listed and searched.
MOST_BYTES = 200_000


@dataclass(frozen=True)
class BatchSheet:
    """A contact sheet.

    Attributes:
        path: the picture beside the frames.
        small: a JPEG of some of them; empty when even that is large.
    """

    path: str
    small: bytes

    def markdown(self, about: str) -> str:
        """The sheet in Markdown; the picture is within, since Prefect's UI can read no file of the worker.

        Args:
            about: what it shows, in words; whatever stands in it is shown as text.
        """
        told = f"The whole sheet: {code(self.path)}"
        if not self.small:
            return told
        alt = "".join(char for char in plain_words(about) if char.isalnum() or char in " .,-_")
        return f"![{alt}](data:image/jpeg;base64,{base64.b64encode(self.small).decode()})\n\n{told}"


def make_sheet(output: str, frames: Frames) -> BatchSheet:
    """Draw it.

    Args:
        output: the folder with the frames.
        frames: those that there should be; the missing ones are gaps.

    Raises:
        OctaConfigError: no frame is there, or the extra `pictures` is not installed.
        OctaLocalFileError: it can't be written.
    """
    film = film_frames(output, frames)
    path = sheet_of(film)
    with tempfile.TemporaryDirectory(prefix="octa-sheet-") as folder:
        small = sheet_of(film, target=Path(folder) / "sheet.jpg", most=MOST_FRAMES, width=WIDTH).read_bytes()
    return BatchSheet(str(path), small if len(small) <= MOST_BYTES else b"")
