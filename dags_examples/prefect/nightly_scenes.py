"""Every night, every scene of a folder, under one budget: what one scene leaves of it is there for the next.

A scene that can't be rendered costs two start-ups, and the others are rendered all the same. What the budget had no
room for is left for the next night: frames that are there are not rendered again.

    export OCTA_API_KEY=... OCTA_SSH_KEY_FILE=~/.ssh/id_ed25519
    python nightly_scenes.py /data/scenes /data/frames
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from octa_provider import OctaBudgetError, OctaConfigError
from prefect_blocks import FramesMissingError, stop_left_sessions
from prefect_blocks.flows import render_animation_flow


@flow(on_crashed=[stop_left_sessions], on_cancellation=[stop_left_sessions])
def nightly_scenes(
    scenes: str,
    output: str,
    frames: str = "1-24",
    budget_usd: float = 20.0,
    pattern: str = "*.blend",
    more: dict[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Render each scene of a folder into a folder of its own; returns what each came to.

    Args:
        scenes: the folder with the scenes.
        output: gets a folder for each, by the scene's name.
        frames: of each scene.
        budget_usd: for all of them, in this night.
        pattern: which files are scenes.
        more: further arguments of each render, such as `renderer`, `max_machines` or `credentials`.
    """
    logger = get_run_logger()
    came_to: dict[str, dict[str, Any]] = {}
    left_usd = budget_usd
    for scene in sorted(Path(scenes).glob(pattern)):
        folder = Path(output) / scene.stem
        before_usd = spent(folder)
        try:
            # The cap is the batch's, with what earlier nights have paid for it.
            totals = render_animation_flow(
                str(scene), frames, str(folder), **{**(more or {}), "max_cost_usd": before_usd + left_usd}
            )
        except FramesMissingError as error:
            logger.warning("%s: %s", scene.name, error)
            totals = error.totals
        except (OctaBudgetError, OctaConfigError) as error:
            # Nothing was rented.
            logger.warning("%s: %s", scene.name, error)
            totals = {"outcome": "refused", "message": str(error), "cost_usd": before_usd}
        came_to[scene.name] = totals
        left_usd -= max(0.0, (totals["cost_usd"] or 0.0) - before_usd)
        if left_usd <= 0:
            logger.warning("the budget of this night is spent")
            break
    missing = [name for name, totals in came_to.items() if totals["outcome"] not in ("whole", "late")]
    if missing:
        raise RuntimeError(f"not whole: {', '.join(missing)}; see the log. The next night goes on with them")
    return came_to


def spent(folder: Path) -> float:
    """What earlier nights have paid for a scene, in USD."""
    try:
        return float(json.loads((folder / "manifest.json").read_text())["cost_usd"] or 0.0)
    except FileNotFoundError:
        return 0.0


if __name__ == "__main__":
    nightly_scenes.serve(name="octa", cron="0 22 * * *", parameters={"scenes": sys.argv[1], "output": sys.argv[2]})
