"""The user's own Python, run under the name of its file; what goes wrong in it is told in one line too."""

from __future__ import annotations

from octa_provider.batch.renderers.in_blender.scene_errors import SCENE_ERROR


def run_user_script(source: str, name: str) -> None:
    """Run it as Blender runs a file behind `-P`."""
    try:
        exec(compile(source, name, "exec"), {"__name__": "__main__", "__file__": name})
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        print("\n" + SCENE_ERROR + f"{name}: {' '.join(text.split())[:250]}", flush=True)
        raise
