"""What a renderer does after one frame was saved and before the next begins is part of what they take."""

from __future__ import annotations

import json
import time

from studio import Studio

from octa_provider.batch.renderers.renderer import Renderer

#: Real seconds after each frame, as an add-on that tidies up once it was saved.
BETWEEN_S = 2.0
RENDERS_ALL = f"""
import os, runpy, sys, time
ranges, output = [part.split("..") for part in sys.argv[1].split(",")], sys.argv[2]
for number in (number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1)):
    target = f"{{output}}/frame_{{number:04d}}.png"
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        continue
    sys.argv = ["one.py", str(number), target, "0.1"]
    runpy.run_path(os.path.join(os.path.dirname(__file__), "one.py"))
    time.sleep({BETWEEN_S})
"""


def test_what_is_done_after_a_frame_was_saved_counts(studio: Studio) -> None:
    (studio.scene / "shot.py").rename(studio.scene / "one.py")
    (studio.scene / "shot.py").write_text(RENDERS_ALL)
    renderer = Renderer("python:3.12", "python3 {scene} {frames} {output}", can_skip=True)
    # Long frames: one process a machine.
    clock = studio.octa.clock
    began, began_at = clock.monotonic(), time.monotonic()
    result = studio.run(studio.batch("1-4", renderer=renderer, seconds_per_frame=64.0, max_machines=1))
    assert result.is_whole, result.message
    told = [json.loads(line)["seconds"] for line in (studio.output / "frames.jsonl").read_text().splitlines()]
    # On a busy computer less passes on the studio's clock than it is made for.
    speed = (clock.monotonic() - began) / (time.monotonic() - began_at)
    assert all(seconds > 0.6 * BETWEEN_S * speed for seconds in told[1:]), (told, speed)
