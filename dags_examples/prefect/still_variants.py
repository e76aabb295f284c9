"""A still in many variants: one batch, in which the number of the frame is the number of the variant.

A Python file of this flow sets in Blender what a variant changes, before its frame is rendered: any value that Blender
knows by a path. So a hundred variants are planned, shared by machines, checked and billed like a hundred frames.
The scene must not move by itself, since each variant is another frame to it.

    export OCTA_API_KEY=... OCTA_SSH_KEY_FILE=~/.ssh/id_ed25519
    python still_variants.py /data/bottle.blend /data/bottles
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from prefect import flow

from prefect_blocks import stop_left_sessions
from prefect_blocks.flows import render_animation_flow

#: Runs in Blender, on each machine.
SCRIPT = """
import json
import bpy

VARIANTS = json.loads({text!r})


def vary(scene, *_):
    for path, value in VARIANTS[(scene.frame_current - 1) % len(VARIANTS)].items():
        owner, _, name = path.rpartition(".")
        setattr(bpy.data.path_resolve(owner), name, value)


bpy.app.handlers.frame_change_pre.append(vary)
"""

COLOURS = [[1.0, 0.1, 0.1, 1.0], [0.1, 1.0, 0.1, 1.0], [0.1, 0.1, 1.0, 1.0]]
#: Each variant: what is set, by its path below `bpy.data`.
EXAMPLE = [{'worlds["World"].color': colour[:3]} for colour in COLOURS]


@flow(on_crashed=[stop_left_sessions], on_cancellation=[stop_left_sessions])
def still_variants(
    scene: str,
    output: str,
    variants: list[dict[str, Any]],
    max_cost_usd: float = 5.0,
    more: dict[str, Any] | None = None,
) -> list[str]:
    """Render each variant of a still; returns their files, in the order of the variants.

    Args:
        scene: a .blend file here.
        output: folder here for the pictures. Other variants need another folder: each is part of what is rendered.
        variants: what each sets in Blender, by paths below `bpy.data`, such as `lights["Key"].energy`.
        max_cost_usd: for all of them.
        more: further arguments of the render, such as `max_machines` or `credentials`.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "variants.py"
        script.write_text(SCRIPT.format(text=json.dumps(variants)))
        totals = render_animation_flow(
            scene,
            f"1-{len(variants)}",
            output,
            renderer={"image": "blender:4.5", "python": [str(script)]},
            max_cost_usd=max_cost_usd,
            **(more or {}),
        )
    return [str(Path(totals["output"]) / f"frame_{number:04d}.png") for number in range(1, len(variants) + 1)]


if __name__ == "__main__":
    still_variants(sys.argv[1], sys.argv[2], EXAMPLE)
