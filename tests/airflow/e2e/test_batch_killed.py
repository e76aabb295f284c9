"""A batch through what dies, and what a user does: no frame lost, none rendered twice, no machine left.

Against a real Airflow with all its processes.
"""

from __future__ import annotations

import pytest
from airflow_at_work import Airflow, Work

pytestmark = [pytest.mark.e2e]


ALL = list(range(1, 101))


def frames(work: Work) -> list[int]:
    return sorted(int(path.stem.removeprefix("frame_")) for path in (work.folder / "out").glob("frame_*.png"))


def drawn(work: Work) -> list[int]:
    """The frames that machines have rendered, each as often as they did."""
    return sorted(int(line) for line in (work.folder / "drawn").read_text().split())


def until_it_renders(work: Work) -> None:
    work.until_running()
    work.until("frames should come", lambda: frames(work))


def test_a_worker_that_is_killed_while_it_renders_loses_nothing(airflow: Airflow) -> None:
    work = airflow.work("batch_on_worker")
    until_it_renders(work)
    work.kill_process()
    there = len(frames(work))
    work.until_next_try()
    work.until("the second try should fetch frames", lambda: len(frames(work)) > there)
    work.let_go()
    assert work.ended() == "success"
    assert frames(work) == sorted(set(drawn(work))) == ALL
    # The frame that the machine is at when the second try takes it over is begun anew, and may have been whole.
    assert len(drawn(work)) <= len(ALL) + 1
    assert len(work.sessions) == 1
    assert {one[3] for one in work.tries} == {"1", "2"}
    assert work.running == []


def test_a_triggerer_that_is_killed_while_it_watches_loses_nothing(airflow: Airflow) -> None:
    work = airflow.work("batch_deferred")
    work.until_deferred()
    begun = work.triggers_begun
    airflow.services.kill("triggerer")
    airflow.services.begin("triggerer")
    work.until_triggered(more_than=begun)
    work.let_go()
    assert work.ended() == "success"
    assert frames(work) == drawn(work) == ALL
    assert len(work.sessions) == 1
    assert {one[3] for one in work.tries} == {"1"}
    assert work.running == []


@pytest.mark.parametrize("dag_id", ["batch_on_worker", "batch_deferred"])
def test_a_user_who_ends_the_task_ends_its_machines(airflow: Airflow, dag_id: str) -> None:
    work = airflow.work(dag_id)
    until_it_renders(work)
    if dag_id == "batch_deferred":
        work.until_deferred()
    work.mark("failed")
    work.until_stopped()
    assert work.state == "failed"
    assert len(work.sessions) == 1
