"""Frames that a job was asked for and did not bring: its outputs tell them from those of an earlier render."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from job_bench import Bench, bench, emulator
from test_pictures import png

from octa_provider import JobSpec
from octa_provider.render.pictures import broken_frames

__all__ = ["bench", "emulator"]


@pytest.mark.parametrize("written", ["{}/frames", "{}/x/../frames"])
def test_a_job_that_brings_seven_of_ten_frames_lacks_three_whatever_lay_in_the_folder(
    bench: Bench, tmp_path: Path, written: str
) -> None:
    (tmp_path / "x").mkdir()
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(1, 11):
        (frames / f"frame_{number:04d}.png").write_bytes(png())
    picture = tmp_path / "picture.png"
    picture.write_bytes(png())
    job = JobSpec(
        image="ubuntu:24.04",
        command="mkdir frames; for i in 1 2 3 4 5 6 7; do cp picture.png frames/frame_000$i.png; done",
        inputs={picture: "picture.png"},
        outputs={"frames": written.format(tmp_path)},
        timeout_s=600,
    )
    result = bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, poll_s=0.1)
    assert result.succeeded
    # Each of the ten is a whole picture, and byte for byte as it was before.
    assert broken_frames(frames, range(1, 11)) == {}
    broken = broken_frames(frames, range(1, 11), made=result.outputs)
    assert list(broken) == [8, 9, 10]
    assert broken_frames(os.path.relpath(frames), range(1, 8), made=result.outputs) == {}
