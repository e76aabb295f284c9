"""`labels`: words of the user's own on the session, told in events and on the bill, and no part of what is rented."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import flow
from prefect_server import PrefectServer
from renting import Renting
from test_cost_artifact import bill_of
from test_events import events_of
from this_run import this_run

from octa_provider import MachineRequest, Requirements
from octa_provider.errors import OctaConfigError
from prefect_blocks import OctaJob, rented_machine, tasks
from prefect_blocks.rental_key import rented_on
from prefect_blocks.worker_configuration import OctaJobConfiguration

QUICK: dict[str, Any] = {"poll_s": 0.2}
LABELS = {"project": "atlas", "user": "ana"}


def labels_of(renting: Renting, uuid: str) -> dict[str, str]:
    with renting.client() as octa:
        session = octa.rentals.look_up(uuid)
    assert session is not None
    return dict(session.labels)


def test_a_job_tells_them_in_its_events_and_on_the_bill(server: PrefectServer, renting: Renting) -> None:
    @flow
    def steps() -> tuple[str, str]:
        tasks.run_job("alpine:3", "true", **QUICK)
        return this_run(), tasks.run_job("alpine:3", "env | grep -c atlas; true", labels=LABELS, **QUICK)["uuid"]

    run, uuid = steps()
    assert labels_of(renting, uuid) == LABELS
    for event in events_of(server, uuid, "started", "ended", "stopped"):
        assert event["resource"]["octa.label.project"] == "atlas"
        assert event["resource"]["octa.label.user"] == "ana"
    rows, _ = bill_of(server, run, "octa-steps-cost")
    assert [row["labels"] for row in rows] == ["", "project=atlas, user=ana"]


def test_a_bill_without_labels_has_no_column_for_them(server: PrefectServer, renting: Renting) -> None:
    @flow
    def steps() -> str:
        tasks.run_job("alpine:3", "true", **QUICK)
        return this_run()

    rows, _ = bill_of(server, steps(), "octa-steps-cost")
    assert "labels" not in rows[0]


def test_another_try_with_other_labels_adopts_what_the_first_one_rented(
    server: PrefectServer, renting: Renting
) -> None:
    tries: list[list[str]] = []

    @flow(retries=1)
    def steps() -> list[Any]:
        labels = {"try": str(len(tries))}
        machine = tasks.start_machine("alpine:3", start_command="sleep 3600", labels=labels)
        worker = tasks.start_render(labels=labels)
        with rented_machine(MachineRequest("alpine:3", start_command="sleep 3600", labels=labels), **QUICK) as rented:
            tries.append([machine["uuid"], worker["uuid"]])
            if len(tries) == 1:
                raise RuntimeError("once more")
            told = [machine["labels"], worker["labels"], rented.rental.labels]
        tasks.stop_session(machine)
        tasks.stop_session(worker)
        return told

    told = steps()
    assert tries[0] == tries[1]
    # The block's own machine was stopped with the first try.
    assert told == [{"try": "0"}, {"try": "0"}, {"try": "1"}]


def test_a_job_is_the_same_whatever_it_is_labelled_with() -> None:
    assert rented_on(MachineRequest("i", labels=LABELS), Requirements()) == rented_on(
        MachineRequest("i"), Requirements()
    )
    assert OctaJob(image="i", command="true", labels=LABELS).spec().fingerprint == (
        OctaJob(image="i", command="true").spec().fingerprint
    )


def test_a_job_that_is_labelled_otherwise_comes_from_the_cache(server: PrefectServer, renting: Renting) -> None:
    @flow
    def steps() -> list[Any]:
        run_job = tasks.run_job.with_options(persist_result=True)
        return [run_job("alpine:3", "true", labels={"n": str(n)}, key="same", **QUICK)["uuid"] for n in range(2)]

    assert len(set(steps())) == len(renting.sessions) == 1


@pytest.mark.parametrize(
    ("labels", "told"),
    [({"a=b": "x"}, "'a=b' is no name of a label"), ({"a": "x\ny"}, "the value of a must be text"), ([], "a mapping")],
)
@pytest.mark.parametrize("task", [tasks.run_job, tasks.start_machine, tasks.start_render])
def test_what_can_be_no_label_is_refused_before_anything_is_rented(
    server: PrefectServer, renting: Renting, task: Any, labels: Any, told: str
) -> None:
    arguments = {tasks.run_job: ("alpine:3", "true"), tasks.start_machine: ("alpine:3",)}.get(task, ())
    with pytest.raises(OctaConfigError, match=told):
        task.fn(*arguments, labels=labels)
    assert renting.sessions == []


def test_a_work_pools_labels_are_held_to_the_same_rules() -> None:
    configuration = OctaJobConfiguration(command="true", image="alpine:3", env={}, labels={"a": "x" * 129})
    with pytest.raises(OctaConfigError, match="labels: the value of a must be text of at most 128"):
        configuration.spec()
