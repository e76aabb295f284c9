"""What must always hold of a batch, whatever its machines do: drawn faults, then the next try without them."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from studio import Studio, open_studio

from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.result import BatchOutcome
from octa_provider.errors import OctaNoMachineError
from octa_provider.pictures import check_frames

EXAMPLES = int(os.environ.get("OCTA_BATCH_EXAMPLES", "4"))
FRAMES, COUNT = "1-10", 10
MACHINES, TRIES = 3, 3
COMMAND = "octa-fake-renderer --frames {frames} --output {output} --seconds 0.15 --load-seconds 0.2 --device OPTIX"
NODES = [1001, 1003, 1005, 1007, 1009]

bad_frames = st.builds(
    lambda form, node, after, times: (
        {"kind": "render", "form": form, "after": after, "times": times} | ({} if node is None else {"node_id": node})
    ),
    st.sampled_from(["cut", "black", "disk_full", "node_dies", "slow"]),
    st.none() | st.sampled_from(NODES),
    st.integers(0, 6),
    st.sampled_from([1, 2, None]),
)
always_bad = st.builds(
    lambda frame: {"kind": "render", "form": "cut", "frame": frame, "times": None}, st.integers(1, COUNT)
)
starts = st.builds(
    lambda kind, node: {"kind": kind, "node_id": node} | ({"reason": "Node not found"} if kind == "refuse" else {}),
    st.sampled_from(["refuse", "node_dies", "drop_after"]),
    st.sampled_from(NODES),
)
api = st.builds(
    lambda status, after, times: {"kind": "status", "status": status, "after": after, "times": times},
    st.sampled_from([500, 503, 429]),
    st.integers(0, 20),
    st.integers(1, 8),
)


@pytest.mark.timeout(1800)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 20)
@given(
    faults=st.lists(bad_frames | always_bad | starts | api, max_size=4),
    cap=st.sampled_from([None, None, 0.05]),
    measures=st.booleans(),
)
def test_what_must_always_hold(faults: list[dict[str, Any]], cap: float | None, measures: bool) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="octa-batch-", ignore_cleanup_errors=True) as folder,
        open_studio(Path(folder), machines=8) as studio,
    ):
        studio.emulator.faults(*faults)
        options: dict[str, Any] = {
            "renderer": Renderer("frames", COMMAND, can_skip=True),
            "max_machines": MACHINES,
            "tries_per_frame": TRIES,
            "finish_within_s": 3600.0,
            "ready_timeout_s": 120.0,
            "max_failed_frames": COUNT,
        }
        if not measures:
            options["seconds_per_frame"] = 600.0
        try:
            result = studio.run(studio.batch(FRAMES, max_cost_usd=cap if measures else None, **options))
        except OctaNoMachineError:
            # All that were tried could not be used.
            result = None
        check_whats_there(studio, cap if measures else None)
        if result is not None:
            assert result.is_whole == check_frames(studio.output, FRAMES).whole
            assert result.cost_wei == studio.charged_wei()
        before = {path.name: path.stat().st_mtime_ns for path in studio.output.glob("*.png")}
        studio.emulator.clear_faults()
        rendered = 0
        for _ in range(3):
            again = studio.run(studio.batch(FRAMES, **options))
            rendered += again.rendered
            # A busy machine's seconds can spend the plan's most: then it is run again, as its message says.
            if again.outcome is not BatchOutcome.OVER_BUDGET:
                break
        assert again.outcome is BatchOutcome.WHOLE, again
        # 2 and 8: what was accepted is as it was.
        assert {name: (studio.output / name).stat().st_mtime_ns for name in before} == before
        assert rendered == COUNT - len(before)
        check_whats_there(studio, None)
        posts = studio.posts()
        assert studio.run(studio.batch(FRAMES, **options)).is_whole
        # 11: a finished batch makes no POST.
        assert studio.posts() == posts


def check_whats_there(studio: Studio, cap: float | None) -> None:
    """The invariants of batch.md by their numbers, as far as the folder and the ledger show them."""
    ledger = studio.emulator.ledger(requests=False)
    # 5: at return, no session of the batch runs.
    assert ledger["running"] == 0
    # 1: under a final name lies a whole frame or nothing.
    there = sorted(studio.output.glob("frame_*.png"))
    if there:
        numbers = [int(path.stem[-4:]) for path in there]
        assert check_frames(studio.output, numbers, patterns="frame_{frame:04d}.png").whole
    # 3: what the manifest says is there, with its SHA-256.
    if (studio.output / "frames.jsonl").exists():
        lines = [json.loads(line) for line in (studio.output / "frames.jsonl").read_text().splitlines()]
        assert {line["frame"] for line in lines} == {int(path.stem[-4:]) for path in there}
    # 7: never more machines than allowed at once.
    changes = [(s["started_ms"], 1) for s in ledger["sessions"]]
    changes += [(s["stopped_ms"], -1) for s in ledger["sessions"]]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    assert most <= MACHINES
    # 9: a frame is tried on each node once, and never more often than allowed.
    tried: dict[int, list[int]] = defaultdict(list)
    for line in (studio.output / ".octa" / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event.get("t") == "refused":
            tried[event["frame"]].append(event["node_id"])
    for frame, nodes in tried.items():
        assert len(nodes) == len(set(nodes)), (frame, nodes)
        assert len(nodes) <= 2 * TRIES
    # 6: charged at most the cap and one look.
    if cap is not None:
        assert (studio.charged_wei() - studio.one_look_wei()) * _usd_per_wei(studio) <= cap


def _usd_per_wei(studio: Studio) -> float:
    path = studio.output / "cost.csv"
    if not path.exists():
        return 0.0
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["cost_usd"] and int(row["cost_wei"])]
    return max((float(row["cost_usd"]) / int(row["cost_wei"]) for row in rows), default=0.0)
