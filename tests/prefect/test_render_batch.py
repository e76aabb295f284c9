"""`OctaRenderBatch` as a house saves it: its terms, what is said at each render, quotes and what becomes of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect_server import PrefectServer
from pydantic import SecretStr, ValidationError
from renting import Renting
from shots import ONE_MACHINE, named, pictures, shot
from this_run import this_run

from octa_provider import Batch, Requirements
from octa_provider.errors import OctaConfigError, OctaNoMachineError, OctaPlanError
from prefect_blocks import OctaCredentials, OctaRenderBatch
from prefect_blocks.flows import plan_render_flow, render_animation_flow

SHOT = ("scene", "main", "frames", "output")


def house_of(given: dict[str, Any], **options: Any) -> tuple[OctaRenderBatch, dict[str, Any]]:
    """The terms of a shot as a block, and the rest, which is said at each render."""
    terms = {name: value for name, value in given.items() if name not in SHOT}
    return OctaRenderBatch(**terms, **options), {name: given[name] for name in SHOT}


def test_all_fields_reach_the_core(tmp_path: Path) -> None:
    """Those of `Batch` by their names, and the requirements."""
    given = shot(
        tmp_path,
        max_cost_usd=5.0,
        confidence=0.8,
        max_failed_frames=1,
        tries_per_frame=2,
        on_changed="replace",
        order="spread",
        disk_gb=30,
        ready_timeout_s=100.0,
        max_duration_s=7200.0,
        wait_for_machine_s=60.0,
        labels={"project": "atlas"},
        check={"size": [8, 8], "one_colour": "allow"},
    )
    batch = OctaRenderBatch(**given, gpu_count=2, exclude_nodes=[7]).batch()
    assert batch.requirements == Requirements(gpu_count=2, exclude_nodes=(7,))
    assert (batch.check.size, batch.check.one_colour, batch.renderer.image) == ((8, 8), "allow", "python:3.12")
    plain = ("main", "max_cost_usd", "confidence", "max_failed_frames", "tries_per_frame", "on_changed", "order")
    plain += ("disk_gb", "ready_timeout_s", "max_machines", "finish_within_s", "seconds_per_frame", "labels")
    plain += ("max_duration_s", "wait_for_machine_s")
    assert {name: getattr(batch, name) for name in plain} == {name: given[name] for name in plain}
    assert set(Batch.__dataclass_fields__) == {*plain, "scene", "frames", "output", "renderer", "requirements", "check"}


def test_the_flows_have_the_fields_of_the_block() -> None:
    fields = (
        set(OctaRenderBatch.model_fields) - {"requirements", "free_disk_gb"} - set(Requirements.__dataclass_fields__)
    )
    fields |= {"requirements", "disk_gb"}
    assert set(render_animation_flow.parameters.properties) == fields | {"quote"}
    assert set(plan_render_flow.parameters.properties) == fields | {"measure"}


@pytest.mark.e2e
def test_a_saved_house_renders_a_shot(server: PrefectServer, renting: Renting, tmp_path: Path) -> None:
    emulator = renting.emulator
    account = OctaCredentials(api_key=SecretStr(emulator.api_key), base_url=emulator.base_url)
    house, asked = house_of(shot(tmp_path, "1-3", **ONE_MACHINE), credentials=account)
    house.save("house", overwrite=True)
    assert emulator.api_key not in str(server.post("/block_documents/filter", include_secrets=False))

    @flow
    def shots() -> dict[str, Any]:
        loaded = OctaRenderBatch.load("house")
        quote = loaded.plan(**asked)
        assert renting.sessions == []
        return {"run": this_run(), **loaded.render(quote, **asked)}

    totals = shots()
    assert (totals["done"], totals["outcome"]) == (3, "whole")
    keys = {one["key"] for one in server.artifacts_of(totals["run"])}
    assert {"octa-render-quote", "octa-render-cost", "octa-render-progress", "octa-render-sheet"} <= keys


@pytest.mark.e2e
@pytest.mark.usefixtures("server", "run_logs")
def test_a_flow_waits_for_a_machine_and_says_so(
    renting: Renting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = shot(tmp_path, "1-3", **ONE_MACHINE) | {"wait_for_machine_s": 3.0}
    empty = {"kind": "garbage", "method": "GET", "path": "^/services/mr$", "body": "[]"}
    renting.emulator.faults({**empty, "times": 1})
    quote = plan_render_flow(**given)
    renting.emulator.faults({**empty, "times": 1})
    assert render_animation_flow(**given, quote=quote)["done"] == 3
    told = [record.getMessage() for record in caplog.records if "waiting for a machine: " in record.getMessage()]
    # Of the quote, and of the render.
    assert sum("up to 3s: no machine fits: the catalogue is empty" in text for text in told) == 2
    assert sum("over after" in text for text in told) == 2
    renting.emulator.faults({**empty, "times": None})
    with pytest.raises(OctaNoMachineError, match="wait_for_machine_s"):
        render_animation_flow(**{**given, "output": str(tmp_path / "other")}, return_state=False)
    renting.emulator.clear_faults()
    assert renting.running() == []


@pytest.mark.e2e
@pytest.mark.usefixtures("server")
def test_the_same_for_coroutines(renting: Renting, tmp_path: Path) -> None:
    house, asked = house_of(shot(tmp_path, "1-3", **ONE_MACHINE))

    @flow
    async def shots() -> dict[str, Any]:
        return await house.arender(await house.aplan(**asked), **asked)

    assert asyncio.run(shots())["done"] == 3
    assert renting.running() == []


@pytest.mark.e2e
def test_outside_of_any_flow(renting: Renting, tmp_path: Path) -> None:
    house, asked = house_of(shot(tmp_path, "1-3", **ONE_MACHINE))
    assert house.render(**asked)["done"] == 3
    assert pictures(tmp_path) == named((1, 2, 3))


@pytest.mark.e2e
@pytest.mark.usefixtures("server")
def test_a_quote_is_a_small_value_that_is_kept(renting: Renting, tmp_path: Path) -> None:
    given = shot(tmp_path, frame_s=0.1)
    quote = plan_render_flow(**given)
    assert renting.sessions == []
    assert len(json.dumps(quote)) < 100_000
    assert quote["text"].startswith("24 frames on ")
    assert (quote["output"], quote["mark"]) == (given["output"], (tmp_path / "out" / ".octa" / "mark").read_text())
    totals = render_animation_flow(**given, quote=quote)
    assert totals["quoted"] == {
        "p50": quote["chosen"]["cost_p50_usd"],
        "p90": quote["chosen"]["cost_p90_usd"],
        "most": quote["chosen"]["cost_most_usd"],
        "before": 0.0,
    }
    assert totals["cost_usd"] <= totals["quoted"]["most"]


@pytest.mark.e2e
@pytest.mark.usefixtures("server")
def test_of_another_scene_a_quote_says_nothing(renting: Renting, tmp_path: Path) -> None:
    given = shot(tmp_path)
    quote = plan_render_flow(**given)
    (tmp_path / "scene" / "shot.py").write_text("print('another')\n")
    with pytest.raises(OctaPlanError, match="changed since it was quoted"):
        render_animation_flow(**given, quote=quote)
    assert renting.sessions == []


@pytest.mark.e2e
@pytest.mark.usefixtures("server")
def test_a_worker_that_sees_another_folder_refuses_by_name(renting: Renting, tmp_path: Path) -> None:
    """The step after the plan runs where the same path is another disk."""
    given = shot(tmp_path)
    quote = plan_render_flow(**given)
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    with pytest.raises(OctaConfigError, match=r"is not the folder that .* has marked: output must be on storage"):
        render_animation_flow(**given, quote=quote)
    assert renting.sessions == []


@pytest.mark.e2e
@pytest.mark.usefixtures("server")
def test_a_quote_that_can_not_be_met_says_why(renting: Renting, tmp_path: Path) -> None:
    with pytest.raises(OctaPlanError, match=r"takes .* more than 1m"):
        plan_render_flow(**shot(tmp_path, finish_within_s=60.0))
    with pytest.raises(OctaConfigError, match="nothing tells what a frame takes"):
        plan_render_flow(**shot(tmp_path, finish_within_s=None, seconds_per_frame=None))
    assert renting.sessions == []


@pytest.mark.e2e
@pytest.mark.usefixtures("server")
def test_an_api_that_is_away_for_a_while_ends_neither_quote_nor_render(renting: Renting, tmp_path: Path) -> None:
    """Longer than a single question is asked again; the rest is asked through by the batch itself."""
    given = shot(tmp_path, "1-4", frame_s=0.5, **ONE_MACHINE)
    away = {"kind": "status", "status": 503, "path": "*", "times": 8}
    renting.emulator.faults(away)
    quote = plan_render_flow(**given)
    renting.emulator.faults(away)
    assert render_animation_flow(**given, quote=quote)["outcome"] == "whole"
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.e2e
@pytest.mark.usefixtures("server")
def test_measuring_rents_one_machine_and_keeps_its_frames(renting: Renting, tmp_path: Path) -> None:
    given = shot(tmp_path, "1-6", finish_within_s=None, seconds_per_frame=None)
    quote = plan_render_flow(**given, measure=True)
    assert len(renting.sessions) == 1
    assert renting.running() == []
    assert pictures(tmp_path) == named((1, 4, 6))
    assert quote["frames"] == 3
    totals = render_animation_flow(**given | {"frames": "1-3"}, quote=quote)
    assert totals["quoted"]["before"] > 0, "what measuring cost is told beside the quote"
    assert totals["cost_usd"] <= totals["quoted"]["before"] + totals["quoted"]["most"]
    # A plan that is made again has nothing to measure.
    count = len(renting.sessions)
    assert plan_render_flow(**given, measure=True)["frames"] == 1
    assert len(renting.sessions) == count


@pytest.mark.parametrize("missing", ["scene", "frames", "output"])
def test_what_the_block_leaves_open_must_be_said(tmp_path: Path, missing: str) -> None:
    house, asked = house_of(shot(tmp_path))
    with pytest.raises(OctaConfigError, match=f"say {missing} of the batch"):
        house.render(**{**asked, missing: ""})


@pytest.mark.parametrize(
    "options", [{"max_cost_usd": True}, {"max_cost_usd": float("inf")}, {"order": "sideways"}, {"poll_s": 0}]
)
def test_values_that_can_not_be_are_refused_by_the_form(options: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, OctaConfigError)):
        OctaRenderBatch(**options)
