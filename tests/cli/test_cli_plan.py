"""`octa-provider plan`: what a batch would cost, before anything is rented."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_picture import write_picture

from octa_provider.batch.batch_quote import QuoteOption
from octa_provider.batch.estimate import SceneEstimate
from octa_provider.batch.plan import Plan
from octa_provider.batch.planner import plan_batch
from octa_provider.cli.output.plan_text import print_plan
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.market.ranking import rank
from octa_provider.market.requirements import Requirements
from octa_provider.models import Machine
from octa_provider.text.quantities import shown_duration
from octa_provider.wire.money import octa_text

Cli = Callable[..., Any]


def machine(node_id: int, usd: float | None, score: float | None = 8000.0) -> Machine:
    return Machine(
        node_id=node_id, blender_score=score, price_usd=usd, price_wei=None if usd is None else int(usd * 10**19)
    )


def planned(frames: int = 240, **terms: Any) -> Plan:
    """240 frames of 90 s on 20 machines; of four others two are too dear and two tell no score."""
    machines = [machine(node, 0.3 + node / 100) for node in range(1, 21)]
    machines += [machine(21, 5.0), machine(22, 6.0), machine(23, 0.5, None), machine(24, 0.5, None)]
    ranking = rank(machines, Requirements(max_price_usd=1.0))
    return plan_batch(ranking, SceneEstimate(frames, 90.0), **terms)


def test_three_lines_are_told_with_their_spread_and_the_one_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(finish_within_s=2 * 3600.0, max_cost_usd=8.0)
    print_plan(plan)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "240 frames"
    assert plan.by_deadline is not None
    assert plan.cheapest is not None
    words = [line.split("  ") for line in lines]
    assert [cell.strip() for cell in words[1] if cell] == [
        "plan",
        "machines",
        "USD p50",
        "USD p90",
        "USD at most",
        "done p50",
        "done p90",
        "start",
        "send",
    ]
    assert [line[:24].strip() for line in lines[2:5]] == ["cheapest", "* by the deadline", "fastest for the budget"]
    chosen = plan.by_deadline
    assert [cell.strip() for cell in words[3] if cell][1:] == [
        str(len(chosen.machines)),
        f"{chosen.cost_usd.p50:.2f}",
        f"{chosen.cost_usd.p90:.2f}",
        f"{chosen.cost_most_usd:.2f}",
        shown_duration(chosen.finish_s.p50),
        shown_duration(chosen.finish_s.p90),
        f"{chosen.startup_share:.0%}",
        f"{chosen.transfer_share:.0%}",
    ]
    assert lines[5].startswith("* is what render takes; p50: as likely more as less")
    assert lines[8:] == [
        "not planned with: 2 too expensive (cheapest 5.00 USD/h), 2 its speed is not known (no blender_score)"
    ]


def test_a_line_that_cant_be_met_is_missing_and_the_reason_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(finish_within_s=300.0)
    assert plan.chosen is None
    print_plan(plan)
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip()[:8] for line in lines[2:3]] == ["cheapest"]
    assert lines[6].startswith("can't be met: ")
    assert not any(line.startswith("* ") and "is what" not in line for line in lines)


def test_many_reasons_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    machines = [machine(node, -float(node)) for node in range(1, 31)]
    print_plan(plan_batch(rank(machines, Requirements()), SceneEstimate(10, 60.0)))
    told = capsys.readouterr().out.splitlines()[-1]
    assert told.count("its price is no price") == 10
    assert told.endswith(", 20 for other reasons")


@pytest.mark.parametrize("budget_usd", [None, 8.0])
def test_the_question_names_machines_money_and_time(budget_usd: float | None) -> None:
    plan = planned(max_machines=3, max_cost_usd=budget_usd)
    line = plan.chosen
    assert line is not None
    cost, done, most = line.cost_usd, line.finish_s, f"{line.cost_most_usd:.2f}"
    count = len(line.machines)
    limit = f"stopped at {most} USD"
    assert QuoteOption.of(line).text(plan.frames) == (
        f"240 frames on {count} {'machine' if count == 1 else 'machines'} ({line.name}): {cost.p50:.2f} USD, nine "
        f"times in ten no more than {cost.p90:.2f} USD, {limit}; done in {shown_duration(done.p50)}, nine times in ten "
        f"within {shown_duration(done.p90)}"
    )


def test_where_no_machine_tells_its_price_in_usd_amounts_are_in_octa(capsys: pytest.CaptureFixture[str]) -> None:
    machines = [Machine(node_id=1, blender_score=8000.0, price_wei=10**18)]
    plan = plan_batch(rank(machines, Requirements()), SceneEstimate(40, 90.0))
    print_plan(plan)
    assert plan.chosen is not None
    amount = octa_text(plan.chosen.cost_p50_wei)
    assert amount != "0.0000 OCTA"
    assert amount in capsys.readouterr().out
    assert f": {amount}, nine times in ten no more than " in QuoteOption.of(plan.chosen).text(plan.frames)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "shot.blend"
    path.write_bytes(b"BLENDER")
    return path


@pytest.fixture
def quiet(cli: Cli, emulator: EmulatorHandle) -> Callable[..., str]:
    """Runs a command that must be refused with 2 before any request, and gives the one line that it says."""

    def quiet(*words: object) -> str:
        before = len(emulator.ledger()["requests"])
        shown = cli(*words)
        assert (shown.status, shown.out, shown.err.count("\n")) == (2, "", 1)
        assert len(emulator.ledger()["requests"]) == before
        return str(shown.err)

    return quiet


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "say which frames: --frames 1-240"),
        (("--frames", "9-1"), "runs backwards"),
        (("--frames", "1-9", "--measure"), "--measure keeps the frames that it renders: say where, with --output OUT"),
        (("--frames", "1-9", "--within", "2h", "--by", "18:00"), "--by: not allowed with argument --within"),
        (("--frames", "1-9", "--by", "6 pm"), "'6 pm' is no moment: write it like 18:00 or '2026-11-30 08:00'"),
        (("--frames", "1-9", "--max-machines", "0"), "--max-machines must be a whole number from 1 to 10000"),
        (("--frames", "1-9", "--seconds-per-frame", "0"), "--seconds-per-frame"),
        (("--frames", "1-9", "--max-cost-usd", "-1"), "--max-cost-usd"),
        (("--frames", "1-9", "--confidence", "2"), "confidence must be a number from 0.5 to 0.99"),
        (("--frames", "1-9", "--size", "big"), "'big' is no size: write it like 1920x1080"),
        (("--frames", "1-9", "--can-skip"), "--can-skip goes with --command TEMPLATE"),
        (("--frames", "1-9", "--file", "a.png"), "the name 'a.png' must have the frame's number once"),
        (("--frames", "1-9", "--format", "FFMPEG"), "FFMPEG"),
        (("--frames", "1-9", "--device", "TPU"), "TPU"),
        (("--frames", "1-9", "--image", "x", "--command", "x"), "{frame}"),
        (("--frames", "1-9", "--command", "x {frame}"), "--command TEMPLATE needs --image"),
        (
            ("--frames", "1-9", "--image", "x", "--command", "x {frame}", "--device", "CPU"),
            "--device is Blender's, and --command TEMPLATE is for any other renderer",
        ),
    ],
)
def test_what_cant_work_is_refused_before_any_request(
    quiet: Callable[..., str], scene: Path, words: tuple[str, ...], why: str
) -> None:
    assert why in quiet("plan", scene, *words)


def test_a_scene_that_is_not_there_and_a_folder_with_several_are_refused(
    quiet: Callable[..., str], scene: Path
) -> None:
    assert "there is no scene" in quiet("plan", scene.parent / "none.blend", "--frames", "1-9")
    (scene.parent / "other.blend").write_bytes(b"BLENDER")
    assert "say which file of" in quiet("plan", scene.parent, "--frames", "1-9")
    assert "there is no file" in quiet("plan", scene.parent, "--frames", "1-9", "--main", "third.blend")


def test_it_spends_nothing(cli: Cli, emulator: EmulatorHandle, scene: Path) -> None:
    before = len(emulator.ledger()["requests"])
    shown = cli("plan", scene, "--frames", "1-240", "--seconds-per-frame", "90", "--max-cost-usd", "50")
    assert shown.status == 0
    assert shown.out.splitlines()[0] == "240 frames"
    assert "* fastest for the budget" in shown.out
    assert {request["method"] for request in emulator.ledger()["requests"][before:]} == {"GET"}
    assert list(scene.parent.iterdir()) == [scene]


def test_a_program_gets_json_with_exact_amounts(cli: Cli, scene: Path) -> None:
    shown = cli("plan", scene, "--frames", "1-240", "--seconds-per-frame", "90", "--json")
    told = json.loads(shown.out)
    assert told["frames"] == 240
    assert told["chosen"] == told["cheapest"]
    assert int(told["chosen"]["cost_p50_wei"]) <= int(told["chosen"]["cost_p90_wei"])
    assert told["chosen"]["machines"][0]["estimate"]["node_id"] > 0


def test_without_what_a_frame_takes_it_says_how_to_find_out(cli: Cli, scene: Path) -> None:
    shown = cli("plan", scene, "--frames", "1-240")
    assert shown.status == 2
    assert "nothing tells what a frame takes: say so (--seconds-per-frame), or have it measured" in shown.err


def test_what_cant_be_met_ends_with_4(cli: Cli, scene: Path) -> None:
    shown = cli("plan", scene, "--frames", "1-100000", "--seconds-per-frame", "90", "--within", "10m")
    assert shown.status == 4
    assert "can't be met: " in shown.out


def test_what_a_frame_takes_is_measured_on_one_machine_that_is_stopped(
    cli: Cli, emulator: EmulatorHandle, tmp_path: Path
) -> None:
    scene, out = tmp_path / "scene", tmp_path / "out"
    scene.mkdir()
    write_picture(scene / "picture.png")
    (scene / "draw.sh").write_text("cp picture.png $2")
    words = ("plan", scene, "--main", "draw.sh", "--frames", "1-9", "--output", out, "--image", "ubuntu:24.04")
    words += ("--command", "sh {scene} {frame} {output}/frame_{frame:04d}.png")
    before = len(emulator.ledger()["sessions"])
    shown = cli(*words, "--measure", "--ssh-key", emulator.ssh_private_key)
    assert shown.status == 0, shown.err
    assert shown.out.splitlines()[0] == "6 frames"
    assert "rental key: cli/" in shown.err
    ledger = emulator.ledger()
    assert (len(ledger["sessions"]) - before, ledger["running"]) == (1, 0)
    assert sorted(path.name for path in out.glob("*.png")) == [f"frame_{n:04d}.png" for n in (1, 5, 9)]
    again = cli(*words)
    assert (again.status, again.out.splitlines()[0]) == (0, "6 frames")
    assert len(emulator.ledger()["sessions"]) == len(ledger["sessions"])


def test_requirements_narrow_the_market(cli: Cli, scene: Path) -> None:
    shown = cli("plan", scene, "--frames", "1-9", "--seconds-per-frame", "9", "--max-price-usd", "0.0001")
    assert shown.status == 4
    assert "too expensive (cheapest " in shown.out
