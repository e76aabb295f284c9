"""What Blender's log says about why it failed; 4.5 and 5.2 say most of it in the same words."""

from __future__ import annotations

from octa_provider.batch.renderers.log_rule import LogRule

__all__ = ["BLENDER_RULES"]

# Searched for within a line: Blender 5 writes when and what in front. None looks back over what it has seen.
BLENDER_RULES = (
    LogRule(r"\bocta-scene-error: ", "scene error"),
    LogRule(r"Out of memory|out of GPU|out of memory|std::bad_alloc|Failed to allocate", "out of memory"),
    LogRule(r"No space left on device", "disk full"),
    LogRule(r"No such device|no GPU device|Found no Cycles device|Failed to create CUDA context", "no device"),
    LogRule(r"Cycles device .{0,60} not found", "no device"),
    LogRule(r"Error: script failed, ", "scene error"),
    LogRule(r"Error: Cannot read file |Error: Cannot render, |Error: No camera |No camera found", "scene error"),
    LogRule(r"Error: engine not found ", "scene error"),
)
