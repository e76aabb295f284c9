"""Whether pictures are whole, where users find it: see `octa_provider.render.pictures`."""

from octa_provider.render.pictures import BrokenPictureError, broken_frames, flaw_of, png_size

__all__ = ["BrokenPictureError", "broken_frames", "flaw_of", "png_size"]
