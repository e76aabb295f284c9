"""A scene asked on this computer what it says of itself, before anything is rented."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from octa_provider.batch.renderers.preflight import Preflight
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import shown

__all__ = ["local_preflight"]

TIMEOUT_S = 900.0
#: The shell's status for a command that is not there, and for one that can't be started.
_NO_COMMAND = (126, 127)


def local_preflight(
    renderer: Renderer, scene: Path, main: str, *, blender: str = "blender", timeout_s: float = TIMEOUT_S
) -> Preflight:
    """Ask a scene with a renderer of this computer; nothing is rendered, and nothing rented.

    Scripts that the scene's file brings along do not run here, whatever the renderer says.

    Args:
        renderer: what would render.
        scene: the file or the folder that would be sent: what lies outside is told.
        main: the scene's file within it.
        blender: the command that starts Blender here.
        timeout_s: seconds until it must have answered.

    Raises:
        OctaConfigError: the renderer can't be asked, there is no such command, or it does not answer.
    """
    script = renderer.preflight_script(main)
    if script is None:
        raise OctaConfigError("this renderer can't be asked what a scene says of itself: only Blender can")
    # The account's key is none of Blender's business.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OCTA_")}
    environment = {**ours, "OCTA_SENT": os.path.abspath(scene), "OCTA_AUTOEXEC": "-Y"}  # noqa: PTH100
    try:
        done = subprocess.run(
            ["/bin/sh", "-s"],
            # On a rented machine it is the image's command of that name; here it may have that name too, and is not
            # the function then.
            input=f'blender() {{ command {shlex.quote(blender)} "$@"; }}\n{script}'.encode(errors="surrogateescape"),
            cwd=scene if scene.is_dir() else scene.parent,
            env=environment,
            capture_output=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise OctaConfigError(f"{shown(blender)} did not say within {timeout_s:.0f} s what the scene needs") from None
    if done.returncode in _NO_COMMAND:
        raise OctaConfigError(f"{shown(blender)} is not to be found here: give the path of Blender (--blender)")
    return renderer.read_preflight((done.stdout + b"\n" + done.stderr).decode(errors="replace"))
