"""Airflow's triggerer logs every event that a trigger tells: one line for a person, however much travels with it."""

from __future__ import annotations

import importlib.util
import time
import warnings
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from airflow_runs import Renting
from on_a_loop import on_a_loop

from airflow_provider.job_json import job_from_json, job_to_json
from airflow_provider.triggers.job import OctaJobTrigger
from airflow_provider.triggers.shown_event import ShownEvent
from octa_provider import JobSpec

LOUD = "i=0; while [ $i -lt 400 ]; do echo a-line-of-the-log-$i; i=$((i+1)); done"


def event_of_a_job(renting: Renting, command: str, **arguments: Any) -> TriggerEvent:
    with renting.client() as client:
        state = client.jobs.start(JobSpec(image="alpine:3", command=command), f"tests/shown/{time.time_ns()}")
    trigger = OctaJobTrigger(
        octa_conn_id="octa_default",
        job=job_to_json(state),
        latest_end=time.time() + 7200,
        poll_interval=0.3,
        **arguments,
    )

    async def first() -> TriggerEvent:
        events = [event async for event in trigger.run()]
        return events[0]

    return on_a_loop(first)


def test_the_event_of_a_job_is_a_line_in_the_log(renting: Renting) -> None:
    event = event_of_a_job(renting, f"{LOUD}; exit 3")
    uuid = event.payload["job"]["rental"]["uuid"]
    assert repr(event) == f"{event}" == f"TriggerEvent<ended, session {uuid}, outcome failed, exit code 3>"


def test_what_is_over_does_not_carry_where_its_log_was_read_to(renting: Renting) -> None:
    event = event_of_a_job(renting, LOUD)
    state = job_from_json(event.payload["job"])
    assert (state.exit_code, state.log) == (0, None)
    assert event.payload["tail"][-1] == "a-line-of-the-log-399"


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ({"what": "ready", "session": {"uuid": "u-1", "urls": {}}}, "ready, session u-1"),
        ({"what": "machine", "machine": {"node_id": 7}, "until": 1.0}, "machine, node 7"),
        ({"what": "machine", "machine": None}, "machine"),
        ({"what": "gone", "uuid": "u-2", "carried_on": {"x": "y"}}, "gone, session u-2"),
        ({"what": "broken", "message": "a\n::group::b"}, "broken, message a : :group::b"),
        ({"what": "unseen", "message": "x" * 5000}, "unseen, message " + "x" * 300),
        ({"what": "of another version", "job": "text"}, "of another version"),
    ],
)
def test_each_event_is_short(payload: dict[str, Any], shown: str) -> None:
    assert repr(ShownEvent(payload=payload)) == f"TriggerEvent<{shown}>"


def test_airflow_carries_the_whole_of_it() -> None:
    payload = {"what": "ended", "job": {"log": "kept"}, "tail": ["a"]}
    event = ShownEvent(payload=payload)
    assert event.payload == payload
    if importlib.util.find_spec("airflow.sdk") is None:
        return
    # On Airflow 3 it goes from the triggerer's own process to its supervisor.
    from airflow.triggers.base import DiscrimatedTriggerEvent
    from pydantic import TypeAdapter

    wire: TypeAdapter[Any] = TypeAdapter(DiscrimatedTriggerEvent)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert wire.validate_json(wire.dump_json(event)).payload == payload
