"""The demo succeeds only when nothing is missing, and everything it says is read from what is really there."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from rich.console import Console

from demo.bill import MachineBill
from demo.contact_sheet import frame_path
from demo.emulator_process import Emulator
from demo.orchestrator import RenderOrder, State
from demo.quoted import Quoted
from demo.run import FRAMES, MACHINES, ORCHESTRATORS, SIZE, Demo, Outcome, main

ROOT = Path(__file__).parents[2]
QUOTED = Quoted(0.1, 0.15, 0.2)


@pytest.fixture(params=sorted(ORCHESTRATORS))
def demo(tmp_path: Path, request: pytest.FixtureRequest) -> Demo:
    made = Demo(Console(file=io.StringIO(), width=200), tmp_path, None, request.param)
    made.frames.mkdir(parents=True)
    return made


def draw_frames(demo: Demo, numbers: range) -> None:
    for number in numbers:
        picture = Image.new("RGB", SIZE, "navy")
        ImageDraw.Draw(picture).ellipse((number * 5, 40, number * 5 + 80, 120), fill="orange")
        picture.save(frame_path(demo.frames, number))


class LedgerOnly(Emulator):
    """An emulator of which nothing is asked but its ledger."""

    answer: dict[str, Any] = {}  # noqa: RUF012 - set by each test

    def ledger(self) -> dict[str, Any]:
        return self.answer


def emulator_with(**ledger: object) -> Emulator:
    made = LedgerOnly("http://127.0.0.1:1", "key", "id", Path())
    object.__setattr__(made, "answer", ledger)
    return made


def machine(charge_wei: int) -> MachineBill:
    return MachineBill("a", 1, "RTX 4090", (1,), 3.0, charge_wei, Decimal(0))


def write_results(demo: Demo, *, frames: range = FRAMES, cost_usd: float = 0.05) -> None:
    """The results of a batch on three machines, as it writes them."""
    machines = [
        {
            "slot": slot,
            "uuid": f"m{slot}",
            "node_id": 1000 + slot,
            "duration_s": 700,
            "cost_wei": "5",
            "cost_usd": cost_usd,
        }
        for slot in range(1, MACHINES + 1)
    ]
    lines = [json.dumps({"frame": number, "slot": 1 + number % MACHINES}) for number in frames]
    (demo.frames / "frames.jsonl").write_text("\n".join(lines))
    told = {"results": {"frames": "frames.jsonl"}, "machines": machines}
    (demo.frames / "manifest.json").write_text(json.dumps(told))


def test_all_frames_there_is_a_success_with_a_picture(demo: Demo) -> None:
    draw_frames(demo, FRAMES)
    outcome = Outcome()
    demo.check_frames(outcome)
    assert outcome.problems == []
    assert demo.sheet.is_file()


def test_a_missing_frame_is_a_problem_and_the_rest_still_makes_a_picture(demo: Demo) -> None:
    draw_frames(demo, FRAMES)
    frame_path(demo.frames, 7).unlink()
    outcome = Outcome()
    demo.check_frames(outcome)
    assert [problem.split(":")[0] for problem in outcome.problems] == ["frame 7 is missing"]
    assert demo.sheet.is_file()


def test_no_frames_at_all_are_as_many_problems(demo: Demo) -> None:
    outcome = Outcome()
    demo.check_frames(outcome)
    assert len(outcome.problems) == len(FRAMES)
    assert not demo.sheet.exists()


def test_a_session_that_still_runs_is_a_problem(demo: Demo) -> None:
    outcome = Outcome(bills=[machine(5)])
    demo.compare_with_ledger(outcome, emulator_with(running=1, billed_wei=5))
    assert outcome.running == 1
    assert outcome.problems == ["sessions that still run and bill: 1"]


def test_the_bill_must_be_the_ledger_s(demo: Demo) -> None:
    outcome = Outcome(bills=[machine(5), machine(6)])
    demo.compare_with_ledger(outcome, emulator_with(running=0, billed_wei=12))
    assert outcome.problems == ["the bill says 11 wei, the ledger 12"]


@dataclass
class Told:
    """An orchestrator whose run has ended, and that says so."""

    name = "Told"
    noun = "flow"
    run_by = "a test"
    pipeline = "none"
    told_problems: list[str]
    told_quote: Quoted | None = QUOTED

    def version(self) -> str:
        return "1"

    def start(self) -> None: ...

    def trigger(self, order: RenderOrder) -> None: ...

    def run_url(self) -> str:
        return ""

    def state(self) -> State:
        return "succeeded"

    def stage(self) -> str:
        return ""

    def asked(self) -> str | None:
        return None

    def approve(self) -> None: ...

    def quoted(self) -> Quoted | None:
        return self.told_quote

    def problems(self) -> list[str]:
        return self.told_problems

    def keep_logs(self) -> None: ...


def test_a_run_that_succeeded_with_all_machines_is_no_problem(demo: Demo) -> None:
    write_results(demo)
    outcome = Outcome(killed="m2")
    demo.collect(Told([]), "succeeded", outcome)
    assert outcome.problems == []
    assert len(outcome.bills) == MACHINES


def test_a_run_that_failed_is_told_with_what_failed_in_it(demo: Demo) -> None:
    outcome = Outcome()
    demo.collect(Told(["task render ended as failed"], None), "failed", outcome)
    assert outcome.problems == [
        "the flow's run has failed",
        "task render ended as failed",
        "nobody knows what was quoted",
        "no machine was killed",
        f"0 of {MACHINES} machines are on the bill",
        "the frames on the bill are []",
    ]


def test_a_bill_above_the_quote_s_most_is_a_problem(demo: Demo) -> None:
    write_results(demo, cost_usd=0.07)
    outcome = Outcome(killed="m2")
    demo.collect(Told([]), "succeeded", outcome)
    assert outcome.problems == ["billed: 0.2100 USD; quoted: 0.2 at most"]


def test_frames_that_nobody_is_paid_for_and_a_killed_machine_off_the_bill_are_problems(demo: Demo) -> None:
    write_results(demo, frames=range(1, 4))
    outcome = Outcome(killed="m7", killed_name="node 7")
    demo.collect(Told([]), "succeeded", outcome)
    assert outcome.problems == [
        "node 7, which was killed, is not on the bill",
        "the frames on the bill are [1, 2, 3]",
    ]


def test_the_end_says_what_is_wrong(demo: Demo) -> None:
    outcome = Outcome([machine(5)], ["frame 7 is missing"], 23, QUOTED, "a", "node 1 · RTX 4090", 0)
    demo.summarise(outcome, 61.4)
    assert isinstance(demo.console.file, io.StringIO)
    told = demo.console.file.getvalue()
    assert "running    0 sessions" in told
    assert "frames     23 of 24 whole" in told
    assert "wrong: frame 7 is missing" in told
    assert "failed in 61 s" in told
    (killed,) = [line for line in told.splitlines() if line.startswith("node 1 ")]
    assert killed.split()[-1] == "killed"
    assert ["USD", "0.1000", "0.1500", "0.2000", "0.0000"] in [line.split() for line in told.splitlines()]


@pytest.mark.parametrize("orchestrator", sorted(ORCHESTRATORS))
def test_without_blender_it_ends_with_one_sentence(
    orchestrator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    chosen = ["--orchestrator", orchestrator]
    assert main([*chosen, "--output", str(tmp_path / "out"), "--blender-python", str(tmp_path / "no-python")]) == 1
    assert "There is no Blender here: run `make blender`" in capsys.readouterr().out


def test_it_needs_neither_orchestrator_to_be_imported() -> None:
    code = "import demo.run, sys; print(*{name.partition('.')[0] for name in sys.modules} & {'airflow', 'prefect'})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""
