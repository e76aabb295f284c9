"""A DAG that is paused while its job waits deferred: nobody runs its task; its machine bills no further than its caps.

Against a real Airflow with all its processes.
"""

from __future__ import annotations

import pytest
from airflow_at_work import Airflow, Work

pytestmark = [pytest.mark.e2e]


@pytest.fixture
def paused(airflow: Airflow) -> Work:
    """A job whose session is up, and whose command no worker comes to begin."""
    work = airflow.work("deferred_capped", "sleep 1")
    work.until_running()
    work.pause()
    (work.folder / "defer").touch()
    work.until("the task should wait for a worker that the pause keeps from it", lambda: work.state == "scheduled")
    assert len(work.running) == 1
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
    assert paused.is_whole
    assert len(paused.sessions) == 1
    paused.until_stopped()
