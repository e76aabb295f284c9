"""What Blender's log says about why it failed: real lines of 4.5 and 5.2, and what Cycles has in its code."""

from __future__ import annotations

from octa_provider.batch.renderers.log_rule import LogRule

__all__ = ["BLENDER_RULES"]

# Searched for within a line, since Blender 5 writes when and what in front. What is the machine's comes before what is
# the scene's: a scene is given up for all machines.
BLENDER_RULES = (
    LogRule(r"is out of GPU(?: and shared host)? memory|out of GPU memory|Out of memory in \w", "out of memory"),
    LogRule(r"Failed allocate render result|Failed to create (?:CUDA|HIP) context \(Out of memory", "out of memory"),
    LogRule(r"Found no Cycles device of the specified type|is not a valid Cycles device", "no device"),
    LogRule(r"Failed to (?:create|configure) (?:CUDA|HIP) context|OptiX initialization failed", "no device"),
    LogRule(r"OPTIX_ERROR_[A-Z]|Failed to load OptiX kernel|Failed to create OptiX", "no device"),
    LogRule(r"No space left on device|Disk quota exceeded", "disk full"),
    LogRule(r"^octa-scene-error: ", "scene error"),
    LogRule(r"Error: script failed, ", "scene error"),
    LogRule(r"Error: Cannot read file |Error: Cannot render, no camera|No camera found in scene", "scene error"),
    LogRule(r"Error: engine not found |Error: Loading \"|Error: File format is not supported", "scene error"),
)
