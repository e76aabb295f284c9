"""Whatever dies, and whatever a user does: nothing is left running, nothing is rented twice at once, nothing is lost.

Against a real Airflow with all its processes. The job writes `whole` to a file at its end.
"""

from __future__ import annotations

import pytest
from airflow_at_work import (
    IS_TWO,
    KEEPS_STATE,
    RESTARTS_CLEARED,
    TAKES_THE_SAME_STATE,
    UNTIL_TOLD,
    VERSION,
    Airflow,
    Work,
)

pytestmark = [pytest.mark.e2e]

FOR_EVER = "touch $F/runs; echo begun; sleep 3600"
BOTH = pytest.mark.parametrize("dag_id", ["on_worker", "deferred"])


def until_at_work(work: Work) -> None:
    """The session runs, and the task waits for it in its way."""
    work.until_running()
    if work.dag_id.startswith("deferred"):
        work.until_deferred()


def test_a_deferred_job_shows_its_log_and_ends_in_the_trigger(airflow: Airflow) -> None:
    work = airflow.work("deferred", UNTIL_TOLD)
    work.until_deferred()
    work.until("lines should appear while it is deferred", lambda: "[job] begun" in work.log)
    if not IS_TWO:
        # There they come with the worker.
        links = f"{work.path}/taskInstances/job/links"
        told = work.until(
            "its link should come while it is deferred",
            lambda: {name: url for name, url in airflow.services.get(links)["extra_links"].items() if url},
        )
        assert [*told] == ["OctaSpace session"]
        assert told["OctaSpace session"].startswith("http")
    assert work.state == "deferred"
    work.let_go()
    assert work.ended() == "success"
    assert work.is_whole
    assert len(work.sessions) == 1
    assert work.running == []


@pytest.mark.parametrize("dag_id", ["deferred_files", "deferred_files_in_trigger"])
def test_files_go_and_come(airflow: Airflow, dag_id: str) -> None:
    """By a worker that comes back for them, and by the triggerer, which sees the same."""
    work = airflow.work(dag_id, "sleep 1", given="whole\n")
    assert work.ended() == "success"
    assert work.is_whole
    assert len(work.sessions) == 1
    assert work.running == []
    # One process begins, and one ends it; between them one sends, which one that fetches is not.
    assert len(work.tries) == (2 if dag_id.endswith("in_trigger") else 3)


@pytest.mark.skipif(IS_TWO or VERSION >= (3, 1), reason="dag.test() does it too: tests/airflow/test_job_sensor.py")
def test_a_sensor_that_looks_in_turns_shows_no_line_twice(airflow: Airflow) -> None:
    """In mode `reschedule` each look is a process of its own, which would read the log from its start."""
    work = airflow.work("sensed_in_turns", f"for i in 1 2 3; do echo line-$i-of-it; done; {UNTIL_TOLD}")
    turns = "SELECT COUNT(*) FROM task_reschedule"
    before = int(airflow.services.read(turns))
    work.until_begun()
    work.until("it should look in turns", lambda: int(airflow.services.read(turns)) >= before + 3)
    work.let_go()
    work.until("the run should end well", lambda: airflow.services.run_state(*work.names) == "success")
    assert work.is_whole
    assert [work.log.count(f"[job] line-{number}-of-it") for number in (1, 2, 3)] == [1, 1, 1]
    assert len(work.sessions) == 1
    assert work.running == []


def test_killed_while_starting(airflow: Airflow) -> None:
    """The session is rented, and the answer never reaches the process."""
    airflow.emulator.faults(
        {"kind": "delay", "method": "POST", "path": "/services/mr", "seconds": 4, "after_effect": True}
    )
    work = airflow.work("on_worker", UNTIL_TOLD)
    work.until_running()
    work.kill_process()
    work.until_tried_again()
    work.let_go()
    assert work.ended() == "success"
    assert work.is_whole
    assert len(work.sessions) == 1
    assert len(work.tries) == 2


def test_killed_while_running(airflow: Airflow) -> None:
    more = "until [ -e $F/more ]; do sleep 0.2; done; echo more"
    work = airflow.work("on_worker", UNTIL_TOLD.replace("begun;", f"begun; {more};"))
    work.until("its lines should appear", lambda: "[job] begun" in work.log)
    # The look that showed them is over, and written down, when the next one shows more.
    (work.folder / "more").touch()
    work.until("another line should appear", lambda: "[job] more" in work.log)
    work.kill_process()
    work.until_tried_again()
    work.let_go()
    assert work.ended() == "success"
    assert work.is_whole
    assert work.runs == 1
    assert len(work.sessions) == 1
    assert work.running == []
    # Known from `task_state_store` alone: without it the next try shows the log from its start.
    assert work.log.count("[job] begun") == (1 if KEEPS_STATE else 2)


def test_a_worker_that_vanishes(airflow: Airflow) -> None:
    """Airflow calls nobody. What it does then is its own: it tries again, which carries on, or fails: the reaper's."""
    work = airflow.work("on_worker", UNTIL_TOLD)
    work.until_begun()
    work.kill_worker()
    work.until("Airflow should do what it does", lambda: work.state == "failed" or len(work.tries) == 2)
    if work.state == "failed":
        reaper = airflow.work("reap")
        reaper.until("the reaper should succeed", lambda: reaper.state == "success")
    else:
        work.let_go()
        assert work.ended() == "success"
        assert work.is_whole
        assert len({one[3] for one in work.tries}) == 2
    assert work.runs == 1
    assert len(work.sessions) == 1
    assert work.running == []


def test_marked_while_starting(airflow: Airflow) -> None:
    """The session is rented, and its answer is still to come: `execute` goes on behind `on_kill`, for five seconds."""
    airflow.emulator.faults(
        {"kind": "delay", "method": "POST", "path": "/services/mr", "seconds": 4, "after_effect": True}
    )
    work = airflow.work("on_worker", FOR_EVER)
    work.until_running()
    work.mark("failed")
    work.until_stopped()
    assert work.state == "failed"
    assert len(work.sessions) == 1


@BOTH
@pytest.mark.parametrize("state", ["failed", "success"])
def test_marked(airflow: Airflow, dag_id: str, state: str) -> None:
    work = airflow.work(dag_id, FOR_EVER)
    until_at_work(work)
    work.mark(state)
    work.until_stopped()
    assert work.state == state
    assert len(work.sessions) == 1
    if (dag_id, state) == ("on_worker", "success"):
        work.until("its process should say so", lambda: "was marked as a success" in work.log)
    if TAKES_THE_SAME_STATE and (dag_id, state) == ("on_worker", "success"):
        assert "Traceback" not in work.log
        loud = [line for line in work.log.splitlines() if '"level":"error"' in line or '"level":"warning"' in line]
        # Airflow's own: before it ends the process, and where a busy machine's process takes more than the 5 s it gets.
        theirs = ("Server indicated the task shouldn't be running anymore", "Task killed!")
        assert [line for line in loud if not any(words in line for words in theirs)] == []


@BOTH
def test_cleared(airflow: Airflow, dag_id: str) -> None:
    work = airflow.work(dag_id, UNTIL_TOLD)
    until_at_work(work)
    work.until_begun()
    first = work.running[0]
    work.clear()
    work.until("the first session should be stopped", lambda: first not in work.running)
    if dag_id == "on_worker" and not RESTARTS_CLEARED:
        work.mark("failed")
        work.clear()
    work.until_next_try()
    work.let_go()
    assert work.ended() == "success"
    assert work.is_whole
    assert work.most_at_once == 1
    work.until_stopped()


@BOTH
def test_dag_run_deleted(airflow: Airflow, dag_id: str) -> None:
    work = airflow.work(dag_id, FOR_EVER)
    until_at_work(work)
    # A run that goes on can't be deleted: Airflow 3.3 answers 409.
    work.fail_run()
    work.delete()
    work.until_deleted_and_stopped()


@pytest.mark.parametrize("dag_id", ["worker_timeout", "deferred_timeout"])
def test_execution_timeout(airflow: Airflow, dag_id: str) -> None:
    """Wherever it strikes: on a busy machine before the command has begun, and then another run has more time."""
    for seconds in (8, 60, 300):
        work = airflow.work(f"{dag_id}_{seconds}", FOR_EVER)
        assert work.ended() == "failed"
        work.until_stopped()
        assert len(work.sessions) <= 1
        if (work.folder / "runs").exists():
            break
    assert len(work.sessions) == 1


@BOTH
def test_no_api_for_a_while(airflow: Airflow, dag_id: str) -> None:
    work = airflow.work(dag_id, UNTIL_TOLD)
    until_at_work(work)
    work.until_begun()
    airflow.emulator.faults({"kind": "drop_before", "path": "*", "method": "*", "times": None})
    work.let_go()

    def dropped() -> int:
        return sum(fault["met"] for fault in airflow.emulator.request("GET", "/_emulator/faults").json())

    work.until("it should have asked in vain, several times", lambda: dropped() >= 4)
    airflow.emulator.clear_faults()
    assert work.ended() == "success"
    assert work.is_whole
    assert len(work.sessions) == 1
    assert work.running == []


def test_scheduler_killed_and_started_again(airflow: Airflow) -> None:
    work = airflow.work("deferred", UNTIL_TOLD)
    work.until_deferred()
    airflow.services.kill("scheduler")
    work.let_go()
    # The work is done, and stopped, without a scheduler.
    work.until_stopped()
    airflow.services.begin("scheduler")
    assert work.ended() == "success"
    assert work.is_whole
    assert len(work.sessions) == 1


def test_a_wait_that_airflow_gives_up_is_stopped(airflow: Airflow) -> None:
    """No triggerer runs it: Airflow's own limit ends the wait, and resumes with `__fail__`, not with our method."""
    airflow.services.kill("triggerer")
    try:
        work = airflow.work("deferred_soon_given_up", FOR_EVER)
        assert work.ended() == "failed"
        work.until_stopped()
        assert len(work.sessions) == 1
        work.until("its process should say so", lambda: "Stopped session" in work.log)
        assert ("Trigger/execution timeout" if IS_TWO else "TaskDeferralTimeout") in work.log
    finally:
        airflow.services.begin("triggerer")


def test_a_kept_session_goes_on_with_the_next_try(airflow: Airflow) -> None:
    work = airflow.work("deferred_kept", UNTIL_TOLD)
    work.until_deferred()
    work.until_begun()
    begun = work.triggers_begun
    work.clear()
    work.until_next_try()
    work.until_triggered(more_than=begun)
    work.let_go()
    assert work.ended() == "success"
    assert work.runs == 1
    assert len(work.sessions) == 1
    assert work.running == []


def test_the_reaper_stops_what_nobody_could(airflow: Airflow) -> None:
    """No triggerer runs when the task is marked: Airflow calls nobody."""
    work = airflow.work("deferred", FOR_EVER)
    alive = airflow.work("deferred", FOR_EVER)
    work.until_deferred()
    alive.until_deferred()
    begun = alive.triggers_begun
    airflow.services.kill("triggerer")
    work.mark("failed")
    assert len(work.running) == 1
    reaper = airflow.work("reap")
    reaper.until("the reaper should succeed", lambda: reaper.state == "success")
    assert work.running == []
    assert len(alive.running) == 1
    airflow.services.begin("triggerer")
    alive.until_triggered(more_than=begun)
    alive.mark("failed")
    alive.until_stopped()
