"""A coordinator in a process of its own, to be killed; it is told what to render by a JSON object on stdin."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from octa_provider import OctaClient
from octa_provider.batch.batch import Batch
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.run.parts import Pacing
from tests.core.batch.run.fast_clock import FastClock
from tests.core.batch.run.quick_renderer import command

#: Seconds that pass in a real one.
SPEED = 20.0
KEY = "test/killed"


def _renderer(told: dict[str, Any]) -> Renderer:
    """The one that is named, else the quick one."""
    if "renderer" in told:
        return Renderer.from_dict(told["renderer"])
    return Renderer("python:3.12", command(told["frame_s"]))


def main() -> int:
    """Render, and print how it ended."""
    told = json.load(sys.stdin)
    batch = Batch(
        told["scene"],
        told["frames"],
        told["output"],
        main=told.get("main", "shot.py"),
        renderer=_renderer(told),
        max_machines=told["max_machines"],
        finish_within_s=told["within_s"],
        seconds_per_frame=told.get("seconds_per_frame"),
    )
    clock = FastClock(told.get("speed", SPEED), told["base_url"])
    with OctaClient(told["api_key"], base_url=told["base_url"], clock=clock) as octa:
        result = octa.batches.run(
            batch, KEY, private_key=Path(told["private_key"]), pacing=Pacing(poll_s=4.0, quiet_s=4.0)
        )
    print(json.dumps(result.to_dict()), flush=True)
    return 0 if result.is_whole else 3


if __name__ == "__main__":
    raise SystemExit(main())
