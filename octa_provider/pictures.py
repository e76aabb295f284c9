"""Whether pictures are whole, where users find it: see `octa_provider.render`."""

from octa_provider.render.picture import BrokenPictureError
from octa_provider.render.pictures import broken_frames, flaw_of, png_size

__all__ = ["BrokenPictureError", "broken_frames", "flaw_of", "png_size"]
