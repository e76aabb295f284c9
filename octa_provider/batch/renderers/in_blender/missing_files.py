"""The files that a scene needs, and which of them are not there or are not sent with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import bpy  # type: ignore[import-not-found]

MOST_NAMED = 100
# Of each kind, what holds the path; all else is found by `blend_paths`, without a name.
_KINDS = (
    ("library", "libraries"),
    ("image", "images"),
    ("sound", "sounds"),
    ("movie clip", "movieclips"),
    ("volume", "volumes"),
    ("font", "fonts"),
    ("cache", "cache_files"),
)


def file_problems(sent: str | None) -> list[str]:
    """A sentence for each file that is missing, or lies outside of what is sent.

    Args:
        sent: the folder or the single file that is sent, where this runs before it is; None where it was sent.
    """
    problems: list[str] = []
    seen: set[str] = set()
    for what, path in _needed():
        full = os.path.normpath(path)
        if full in seen or _is_blenders(full):
            continue
        seen.add(full)
        if not os.path.exists(full):  # noqa: PTH110
            where = "missing" if not os.path.isabs(path) or _is_here(full) else "an absolute path, which is not sent"  # noqa: PTH117
            problems.append(f"{what} is {where}: {full}")
        elif sent is not None and not _is_within(full, sent):
            problems.append(f"{what} lies outside of what is sent: {full}")
    if len(problems) > MOST_NAMED:
        problems[MOST_NAMED:] = [f"and {len(problems) - MOST_NAMED} files more"]
    return problems


def _needed() -> Iterator[tuple[str, str]]:
    for kind, collection in _KINDS:
        for block in getattr(bpy.data, collection):
            if not block.filepath or getattr(block, "packed_file", None) or _is_unused(kind, block):
                continue
            if kind == "font" and block.filepath == "<builtin>":
                continue
            library = None if kind == "library" else block.library
            path = bpy.path.abspath(block.filepath, library=library)
            what = f"the {kind} {block.name!r}"
            if kind == "image":
                if block.source not in ("FILE", "SEQUENCE", "MOVIE", "TILED"):
                    continue
                if block.source == "TILED":
                    for tile in block.tiles:
                        yield what, path.replace("<UDIM>", str(tile.number))
                    continue
            yield what, path
    fluids = {
        os.path.normpath(bpy.path.abspath(modifier.domain_settings.cache_directory)): (thing, modifier.domain_settings)
        for thing in bpy.data.objects
        for modifier in thing.modifiers
        if modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN"
    }
    for path, (thing, domain) in fluids.items():
        # One that is not baked has a place all the same, which nobody needs.
        if domain.cache_type != "REPLAY" and domain.has_cache_baked_data:
            yield f"the baked fluid of {thing.name!r}", path
    named = {os.path.normpath(bpy.path.abspath(b.filepath)) for _, c in _KINDS for b in getattr(bpy.data, c)}
    for path in bpy.utils.blend_paths(absolute=True, packed=False):
        # The place of caches that are on disk; whether they are there is said of each simulation.
        if os.path.basename(os.path.normpath(path)).startswith("blendcache_"):  # noqa: PTH119
            continue
        if os.path.normpath(path) not in named | set(fluids) and "<UDIM>" not in path:
            yield "a file of the scene", path


def _is_unused(kind: str, block: Any) -> bool:
    return kind != "library" and block.users - int(block.use_fake_user) <= 0


def _is_blenders(path: str) -> bool:
    """Whether it came with Blender, as the brushes did, wherever the one lay that saved the scene."""
    if "/datafiles/assets/" in path.replace("\\", "/"):
        return True
    own = bpy.utils.resource_path("LOCAL")
    return bool(own) and _is_within(path, own)


def _is_here(path: str) -> bool:
    folder = os.path.dirname(bpy.data.filepath)  # noqa: PTH120
    return _is_within(path, folder)


def _is_within(path: str, folder: str) -> bool:
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    return path == folder or path.startswith(folder.rstrip("/") + "/")
