"""Which simulations of a scene are not baked: then a frame needs all those before it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import bpy  # type: ignore[import-not-found]


def unbaked(scene: Any) -> list[str]:
    """Their names, such as `cloth of 'Flag'`."""
    found = [what for thing in scene.objects for what in _of(thing)]
    world = scene.rigidbody_world
    if world is not None and world.enabled and world.collection is not None and len(world.collection.objects) > 0:
        moving = any(one.rigid_body and one.rigid_body.type == "ACTIVE" for one in world.collection.objects)
        if moving and not _is_kept(world.point_cache):
            found.append("the rigid bodies")
    return sorted(set(found))


def _of(thing: Any) -> Iterator[str]:
    for modifier in getattr(thing, "modifiers", ()):
        if not modifier.show_render:
            continue
        kind = modifier.type
        if kind in ("CLOTH", "SOFT_BODY") and not _is_kept(modifier.point_cache):
            yield f"{kind.lower().replace('_', ' ')} of {thing.name!r}"
        elif kind == "FLUID" and modifier.fluid_type == "DOMAIN":
            domain = modifier.domain_settings
            if domain.cache_type == "REPLAY" or not domain.has_cache_baked_data:
                yield f"fluid of {thing.name!r}"
        elif kind == "PARTICLE_SYSTEM" and _moves(modifier.particle_system):
            yield f"particles of {thing.name!r}"
        elif kind == "DYNAMIC_PAINT" and modifier.canvas_settings is not None:
            for surface in modifier.canvas_settings.canvas_surfaces:
                if surface.is_active and not _is_kept(surface.point_cache):
                    yield f"dynamic paint of {thing.name!r}"
        elif kind == "NODES" and _simulates(modifier.node_group, set()) and not _is_baked(modifier):
            yield f"simulation nodes of {thing.name!r}"


def _is_kept(cache: Any) -> bool:
    """Whether a cache is baked, and what it has on disk, beside the blend file, is there."""
    folder, name = os.path.split(bpy.data.filepath)
    beside = os.path.join(folder, f"blendcache_{os.path.splitext(name)[0]}")  # noqa: PTH118, PTH122
    return bool(cache.is_baked) and (not cache.use_disk_cache or os.path.isdir(beside))  # noqa: PTH112


def _moves(system: Any) -> bool:
    settings = system.settings
    if settings.type == "HAIR":
        return bool(system.use_hair_dynamics) and not _is_kept(system.point_cache)
    return settings.physics_type != "NO" and not _is_kept(system.point_cache)


def _simulates(tree: Any, seen: set[str]) -> bool:
    if tree is None or tree.name in seen:
        return False
    seen.add(tree.name)
    for node in tree.nodes:
        if node.mute:
            continue
        if node.bl_idname == "GeometryNodeSimulationOutput":
            return True
        inner = getattr(node, "node_tree", None)
        if inner is not None and _simulates(inner, seen):
            return True
    return False


def _is_baked(modifier: Any) -> bool:
    """Whether every simulation of the nodes has a bake on disk or in the file."""
    for bake in modifier.bakes:
        if bake.node is None or bake.node.bl_idname != "GeometryNodeSimulationOutput":
            continue
        if len(bake.data_blocks) > 0:
            continue
        folder = bake.directory if bake.use_custom_path else modifier.bake_directory
        path = bpy.path.abspath(folder) if folder else ""
        if not path or not os.path.isdir(path) or not os.listdir(path):  # noqa: PTH112, PTH208
            return False
    return len(modifier.bakes) > 0
