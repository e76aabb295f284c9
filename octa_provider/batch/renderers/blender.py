"""Blender as a renderer."""

from __future__ import annotations

from octa_provider.batch.renderers.renderer import Renderer

__all__ = ["blender"]


def blender(image: str = "blender:4.5") -> Renderer:
    """Written by part R."""
    return Renderer(image)
