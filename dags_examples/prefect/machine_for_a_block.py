"""A machine for the length of a `with` block: look at it, work on it over SSH, and it is stopped on every way out."""

from __future__ import annotations

import sys
from pathlib import Path

from prefect import flow

from octa_provider import MachineRequest
from prefect_blocks import rented_machine


@flow(log_prints=True)
def preview(scene: str, picture: str, frame: int = 1) -> str:
    """Render one frame.

    Args:
        scene: a .blend file here.
        picture: where the PNG goes.
        frame: which frame.
    """
    request = MachineRequest("blender:4.5", start_command="sleep infinity")
    with (
        rented_machine(request, requirements={"gpu_count": 1, "max_price_usd": 1.5}) as machine,
        machine.ssh() as shell,
    ):
        print("on node", machine.session.node_id)
        shell.run("blender --version", on_line=print)
        shell.put(scene, "scene.blend")
        ended = shell.run(f"blender -b scene.blend -o //preview_#### -F PNG -x 1 -f {frame}", on_line=print)
        if ended.exit_code != 0:
            raise RuntimeError(f"Blender ended with exit code {ended.exit_code}; its last lines are above.")
        shell.get(f"preview_{frame:04d}.png", picture)
    return str(Path(picture).resolve())


if __name__ == "__main__":
    preview(sys.argv[1], "preview.png")
