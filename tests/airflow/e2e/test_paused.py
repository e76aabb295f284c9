"""A DAG that is paused while its job waits deferred: nobody runs its task; its machine bills no further than its caps.

Against a real Airflow with all its processes.
"""

from __future__ import annotations

import pytest
from airflow_at_work import Airflow, Work

pytestmark = [pytest.mark.e2e]


def until_it_waits_for_a_worker(work: Work) -> None:
    work.until("the task should wait for a worker that the pause keeps from it", lambda: work.state == "scheduled")
    assert len(work.running) == 1


@pytest.fixture
def paused(airflow: Airflow) -> Work:
    """A job whose session is up, and whose command no worker comes to begin."""
    work = airflow.work("deferred_capped", "sleep 1")
    work.until_deferred()
    work.pause()
    until_it_waits_for_a_worker(work)
    return work


def test_its_cap_on_cost_holds_while_no_worker_comes(airflow: Airflow, paused: Work) -> None:
    airflow.emulator.advance_clock(10 * 3600)
    paused.until_stopped()
    assert paused.state == "scheduled"
    paused.pause(False)
    assert paused.ended() == "failed"
    assert "over budget" in paused.log
    assert len(paused.sessions) == 1
    assert len({one[3] for one in paused.tries}) == 1


def test_a_user_who_ends_the_task_meanwhile_ends_its_machine(paused: Work) -> None:
    """No trigger is left, and no worker runs it yet: nobody else would hear of it."""
    paused.mark("failed")
    paused.until_stopped()
    paused.pause(False)


def test_a_worker_that_comes_after_all_finds_its_machine(paused: Work) -> None:
    paused.pause(False)
    assert paused.ended() == "success"
    assert (paused.folder / "output").read_text() == "whole\n"
    assert len(paused.sessions) == 1
    paused.until_stopped()
