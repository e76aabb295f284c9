"""Frame ranges, where users find them: see `octa_provider.render.frames`."""

from octa_provider.render.frames import MAX_FRAMES, Frames, chunks, parse

__all__ = ["MAX_FRAMES", "Frames", "chunks", "parse"]
