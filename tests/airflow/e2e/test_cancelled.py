"""A trigger is cancelled: what its task has become by then says whether its machine is still needed.

Against a real Airflow with all its processes; before 3.3 it cancels a trigger for whatever reason, and gives none.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow_at_work import TRIES_AGAIN, UNTIL_TOLD, Airflow, Work

pytestmark = [pytest.mark.e2e]


@pytest.fixture
def deferred(airflow: Airflow) -> Iterator[Work]:
    """A job that waits deferred, and whose machine takes its time to stop: it is cancelled each second meanwhile."""
    work = airflow.work("deferred", UNTIL_TOLD)
    work.until_deferred()
    work.until_begun()
    airflow.emulator.faults(
        {"kind": "delay", "method": "POST", "path": f"/services/{work.running[0]}/stop", "seconds": 4}
    )
    yield work
    work.pause(False)


@pytest.mark.parametrize("state", ["failed", "success", "up_for_retry"])
def test_whatever_ended_the_try_its_machine_is_seen_gone_and_the_next_has_its_own(deferred: Work, state: str) -> None:
    # No worker comes: it is the trigger that stops it.
    deferred.pause()
    if state == "up_for_retry":
        deferred.put_off()
    else:
        deferred.mark(state)
    deferred.until_stopped()
    assert deferred.state == state
    assert len(deferred.sessions) == 1
    deferred.pause(False)
    if state in {"failed", "success"}:
        assert deferred.ended() == state
        assert len(deferred.sessions) == 1
        return
    deferred.until_next_try()
    deferred.let_go()
    assert deferred.ended() == "success"
    assert deferred.is_whole
    assert len(deferred.sessions) == 2
    assert deferred.most_at_once == 1
    deferred.until_stopped()


@pytest.mark.parametrize("is_paused", [False, True], ids=["at once", "paused"])
def test_the_next_try_after_a_clear_waits_until_the_machine_is_gone(deferred: Work, is_paused: bool) -> None:
    """Of what has no state Airflow cancels no trigger: the machine of a paused DAG runs on until that goes on."""
    first = deferred.running[0]
    deferred.pause(is_paused)
    deferred.clear()
    deferred.until("it should be cleared", lambda: deferred.state != "deferred")
    deferred.pause(False)
    deferred.until("the first session should be stopped", lambda: first not in deferred.running)
    deferred.until_next_try()
    deferred.let_go()
    assert deferred.ended() == "success"
    assert deferred.is_whole
    assert deferred.most_at_once == 1
    deferred.until_stopped()


def test_a_wait_that_airflow_gives_up_while_its_trigger_runs_is_tried_again(airflow: Airflow) -> None:
    """The trigger is cancelled while a worker stops the machine and lets the task wait for its retry."""
    work = airflow.work("deferred_given_up_once", UNTIL_TOLD)
    work.until("a session should be rented", lambda: work.sessions)
    first = work.sessions[0]["uuid"]
    work.until("the first session should be stopped", lambda: first not in work.running)
    if TRIES_AGAIN:
        work.until_next_try()
        work.let_go()
        assert work.ended() == "success"
        assert work.is_whole
        assert len(work.sessions) == 2
    else:
        assert work.ended() == "failed"
        assert len(work.sessions) == 1
    assert work.most_at_once == 1
    work.until_stopped()
