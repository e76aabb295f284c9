"""OpenLineage: what the provider's own listener writes to a file of tasks that a real Airflow has run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import HOME
from lineage_runs import LABELS, SECRET, Told, names, tell

import airflow_provider.lineage
from octa_provider.emulator.testing import EmulatorHandle

pytest.importorskip("airflow.providers.openlineage", reason="comes with `make airflow` and `make airflow-2.11`")

SCHEMA = Path(airflow_provider.lineage.__file__).parent / "OctaSpaceRentalRunFacet.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lineage")


@pytest.fixture(scope="module")
def sessions(shared_emulator: EmulatorHandle, told: Told) -> dict[str, dict[str, Any]]:
    """What the emulator knows of all sessions, by uuid."""
    return {one["uuid"]: one for one in shared_emulator.ledger(requests=False)["sessions"]}


@pytest.fixture(scope="module")
def told(shared_emulator: EmulatorHandle, folder: Path) -> Told:
    extra = {"timeout": 120, "retries": 1, "ssh_key_file": str(shared_emulator.ssh_private_key)}
    connection = {"conn_type": "octa", "host": shared_emulator.base_url, "password": shared_emulator.api_key}
    told = tell(folder, HOME, AIRFLOW_CONN_OCTA_DEFAULT=json.dumps(connection | {"extra": extra}))
    assert shared_emulator.ledger(requests=False)["running_uuids"] == []
    return told


def check_bill(rental: dict[str, Any], sessions: dict[str, dict[str, Any]]) -> None:
    """What is told of a task's only session is what the API charged."""
    (session,) = rental["sessions"]
    real = sessions[session["uuid"]]
    assert session["nodeId"] == real["node_id"]
    assert session["costWei"] == rental["costWei"] == str(real["charge_wei"])
    assert rental["machines"] == 1
    assert rental["costUsd"] == session["costUsd"] > 0
    assert rental["billedSeconds"] == session["billedSeconds"] >= 0


def test_files_are_told_by_the_names_that_the_author_gave_them(
    told: Told, folder: Path, sessions: dict[str, dict[str, Any]]
) -> None:
    reads = [("file", str(folder / "in")), ("file", str(folder / "in/a.txt"))]
    for start in told.events("files", "START"):
        assert names(start["inputs"]) == reads
        assert start["outputs"] == []
    ended = told.event("files")
    assert names(ended["inputs"]) == reads
    made = [str(folder / "files/one.txt"), str(folder / "files/***"), str(folder / "files/job.log")]
    assert names(ended["outputs"]) == [("file", path) for path in made]
    counts = [one["outputFacets"].get("outputStatistics", {}).get("fileCount") for one in ended["outputs"]]
    assert counts == [1, 60, None]
    rental = told.rental("files")
    assert (rental["outcome"], rental["exitCode"], rental["tries"]) == ("succeeded", 0, 1)
    check_bill(rental, sessions)


@pytest.mark.parametrize(("task", "code"), [("deferred", 0), ("deferred_fails", 3)])
def test_a_job_that_ended_in_the_trigger_is_told_with_its_cost(
    told: Told, sessions: dict[str, dict[str, Any]], task: str, code: int
) -> None:
    rental = told.rental(task, "FAIL" if code else "COMPLETE")
    assert (rental["outcome"], rental["exitCode"]) == ("failed" if code else "succeeded", code)
    check_bill(rental, sessions)


def test_a_job_that_failed_on_a_worker_is_told_with_its_cost_and_what_it_has_left(
    told: Told, folder: Path, sessions: dict[str, dict[str, Any]]
) -> None:
    assert names(told.event("fails", "FAIL")["outputs"]) == [("file", str(folder / "fails/here.txt"))]
    rental = told.rental("fails", "FAIL")
    assert (rental["outcome"], rental["exitCode"]) == ("failed", 3)
    check_bill(rental, sessions)
    # Only here is it certain that somebody has seen the session running: the files went there.
    assert "GeForce" in rental["sessions"][0]["gpu"]


def test_a_task_whose_time_was_over_while_it_was_deferred_is_told_with_its_cost(
    told: Told, sessions: dict[str, dict[str, Any]]
) -> None:
    assert told.states["late"] == "failed"
    check_bill(told.rental("late", "FAIL"), sessions)


def test_a_skipped_task_is_told_with_its_cost(told: Told) -> None:
    assert told.states["skips"] == "skipped"
    if told.events("skips", "COMPLETE"):  # Airflow 2 tells nobody that it skips a task.
        rental = told.rental("skips")
        assert (rental["outcome"], rental["exitCode"]) == ("failed", 3)
        assert float(rental["costUsd"]) > 0


def test_a_function_tells_its_files_and_none_of_ours(told: Told, folder: Path) -> None:
    ended = told.event("function")
    assert ended["inputs"] == []
    assert names(ended["outputs"]) == [("file", str(folder / "made.txt"))]
    assert told.rental("function")["outcome"] == "succeeded"


def test_each_mapped_task_tells_its_own_files_and_session(told: Told, folder: Path) -> None:
    ended = told.events("mapped", "COMPLETE")
    assert {one["inputs"][0]["name"] for one in ended} == {str(folder / "each" / one) for one in "ab"}
    assert len({one["run"]["facets"]["octaspace_rental"]["sessions"][0]["uuid"] for one in ended}) == 2


def test_the_cost_of_a_session_is_told_by_the_task_that_stops_it(
    told: Told, sessions: dict[str, dict[str, Any]]
) -> None:
    for begins, ends in (("start", "stop"), ("begin", "end")):
        begun, ended = told.rental(begins), told.rental(ends)
        assert "costUsd" not in begun
        assert begun["sessions"][0]["priceUsdPerHour"] > 0
        assert begun["sessions"][0]["uuid"] == ended["sessions"][0]["uuid"]
        assert ended["costWei"] == str(sessions[ended["sessions"][0]["uuid"]]["charge_wei"])


@pytest.mark.parametrize(("task", "kind", "done"), [("batch", "COMPLETE", 4), ("broken_batch", "FAIL", 3)])
def test_a_batch_tells_its_folder_its_machines_and_its_cost(
    told: Told, folder: Path, sessions: dict[str, dict[str, Any]], task: str, kind: str, done: int
) -> None:
    (start,) = told.events(task, "START")
    ended, rental = told.event(task, kind), told.rental(task, kind)
    assert names(start["inputs"]) == names(ended["inputs"]) == [("file", str(folder / task / "scene"))]
    assert names(ended["outputs"]) == [("file", str(folder / task / "out"))]
    frames = ended["outputs"][0]["outputFacets"]["outputStatistics"]["fileCount"]
    assert rental["batch"] == {"frames": 4, "done": frames, "rendered": frames}
    assert frames == 4 if done == 4 else 0 < frames < 4
    assert rental["outcome"] == ("whole" if kind == "COMPLETE" else "incomplete")
    assert rental["machines"] == len(rental["sessions"]) >= 1
    charged = [sessions[one["uuid"]]["charge_wei"] for one in rental["sessions"]]
    assert rental["costWei"] == str(sum(charged))
    assert [one["costWei"] for one in rental["sessions"]] == list(map(str, charged))


def test_a_batch_that_raises_tells_what_it_cost_until_then(told: Told, sessions: dict[str, dict[str, Any]]) -> None:
    rental = told.rental("raising_batch", "FAIL")
    assert "outcome" not in rental
    assert rental["batch"]["frames"] == 4
    assert 1 <= rental["batch"]["rendered"] <= rental["batch"]["done"] <= 4
    charged = [sessions[one["uuid"]]["charge_wei"] for one in rental["sessions"]]
    assert rental["machines"] == len(charged) >= 1
    assert [one["costWei"] for one in rental["sessions"]] == list(map(str, charged))
    assert rental["costWei"] == str(sum(charged))
    assert int(rental["costWei"]) > 0


def test_lineage_that_breaks_ends_no_task_and_leaves_nothing(told: Told) -> None:
    assert told.states["broken"] == "success"
    assert "octaspace_rental" not in told.event("broken")["run"]["facets"]


def test_labels_are_told_with_their_session(told: Told) -> None:
    for task in ("start", "deferred", "batch"):
        assert told.rental(task)["sessions"][0]["labels"] == LABELS
    assert "labels" not in told.rental("files")["sessions"][0]


def test_no_secret_is_told(told: Told, shared_emulator: EmulatorHandle) -> None:
    assert SECRET not in told.text
    assert shared_emulator.api_key not in told.text


def test_every_facet_is_as_its_schema_says(told: Told) -> None:
    from jsonschema import Draft202012Validator

    from airflow_provider.lineage.rental_facet import SCHEMA_URL

    schema = json.loads(SCHEMA.read_text())
    check = Draft202012Validator({**schema, "$ref": "#/$defs/OctaSpaceRentalRunFacet"})
    facets = [json.loads(line)["run"]["facets"].get("octaspace_rental") for line in told.text.splitlines()]
    assert len([facet for facet in facets if facet]) >= 14
    for facet in filter(None, facets):
        assert facet["_schemaURL"] == SCHEMA_URL == f"{schema['$id']}#/$defs/OctaSpaceRentalRunFacet"
        check.validate(facet)
