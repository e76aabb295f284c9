"""The files that a scene's File Output nodes write besides the frame, and how they come below the same folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import bpy  # type: ignore[import-not-found]

_NUMBER = re.compile(r"#{1,9}")
_ENDINGS = {
    **{"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "OPEN_EXR": ".exr", "OPEN_EXR_MULTILAYER": ".exr"},
    **{"BMP": ".bmp", "TARGA": ".tga", "TARGA_RAW": ".tga", "HDR": ".hdr", "WEBP": ".webp", "IRIS": ".rgb"},
    **{"DPX": ".dpx", "CINEON": ".cin", "JPEG2000": ".jp2"},
}


def output_nodes(scene: Any) -> list[Any]:
    """The File Output nodes that write when the scene is rendered."""
    if not scene.render.use_compositing:
        return []
    if hasattr(scene, "compositing_node_group"):
        tree = scene.compositing_node_group
    else:
        tree = scene.node_tree if scene.use_nodes else None
    return list(_nodes_of(tree, 0))


def _nodes_of(tree: Any, depth: int) -> Iterator[Any]:
    for node in tree.nodes if tree is not None and depth < 50 else ():
        if node.mute:
            continue
        if node.bl_idname == "CompositorNodeOutputFile":
            yield node
        elif getattr(node, "node_tree", None) is not None:
            yield from _nodes_of(node.node_tree, depth + 1)


def files_of(node: Any) -> list[str]:
    """The names of the files that a node writes for a frame, below the folder of the frames: `depth/z_{frame:04d}.exr`.

    A folder beside the blend file keeps its way from there, one anywhere else its last part.
    """
    return [_pattern(path, ending) for path, ending in _paths(node)]


def redirect(node: Any, out: str) -> None:
    """Let a node write below the folder of the frames."""
    if hasattr(node, "directory"):
        node.directory = os.path.join(out, _below(node.directory))  # noqa: PTH118
    else:
        node.base_path = os.path.join(out, _below(node.base_path))  # noqa: PTH118


def _paths(node: Any) -> Iterator[tuple[str, str]]:
    linked = [slot.is_linked for slot in node.inputs]
    many = node.format.file_format == "OPEN_EXR_MULTILAYER"
    if hasattr(node, "directory"):
        folder = os.path.join(_below(node.directory), "")  # noqa: PTH118
        slots = [
            (node.file_name + item.name, item.format if item.override_node_format else node.format)
            for item in node.file_output_items
        ]
        one, with_ending = folder + node.file_name, node.use_file_extension
    else:
        one = _below(node.base_path)
        folder, with_ending = os.path.join(one, ""), bpy.context.scene.render.use_file_extension  # noqa: PTH118
        slots = [(slot.path, node.format if slot.use_node_format else slot.format) for slot in node.file_slots]
    if many:
        if any(linked):
            yield one, ".exr" if with_ending else ""
        return
    for (name, written), is_linked in zip(slots, linked):  # noqa: B905
        if is_linked:
            yield folder + name, _ENDINGS.get(written.file_format, "") if with_ending else ""


def _below(path: str) -> str:
    if path.startswith("//"):
        parts = [part for part in path[2:].replace("\\", "/").split("/") if part not in ("", ".")]
        return "/".join(parts[-1:] if ".." in parts else parts).replace("..", "")
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _pattern(path: str, ending: str) -> str:
    blend = os.path.splitext(os.path.basename(bpy.data.filepath))[0]  # noqa: PTH119, PTH122
    path = path.lstrip("/").replace("{blend_name}", blend).replace("{scene_name}", bpy.context.scene.name)
    folder, slash, name = path.rpartition("/")
    number = _NUMBER.search(name)
    if number is None:
        name += "{frame:04d}"
    else:
        width = len(number[0])
        place = f"{{frame:0{width}d}}" if width > 1 else "{frame}"
        name = name[: number.start()] + place + name[number.end() :]
    return folder + slash + name + ("" if ending and name.lower().endswith(ending) else ending)
