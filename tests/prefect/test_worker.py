"""The worker, as a process against a real server; flow runs on machines of the emulator."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml
from pool import ENGINE, Pool, env_of_machine
from prefect.utilities.dockerutils import get_prefect_image_name
from prefect_server import BIN, PrefectServer
from renting import Renting
from waiting_for import wait_for

pytestmark = [pytest.mark.e2e]


def test_a_flow_run_executes_on_a_rented_machine(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    worker = pool.worker()
    run = pool.submit("greets", {"name": "octa"})
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1
    assert renting.rental_keys == [f"prefect/{run}/worker/0"]
    session = renting.sessions[0]
    assert server.flow_run(run)["infrastructure_pid"] == f"{session['uuid']}/{session['rental_key']}"
    wait_for(lambda: "printed in the machine" in worker.output, "its output comes back")
    told = "logged in the machine: hello octa"
    wait_for(lambda: any(told in line for line in server.logs_of(run)), "the flow's own log")
    home = next(line for line in server.logs_of(run) if "logged in the machine" in line)
    assert "sessions/" in home, "it must have run in the session's own folder"
    wait_for(lambda: any("was stopped after" in line for line in server.logs_of(run)), "what it cost is told")


def test_the_default_image_has_prefect_on_the_emulator_too(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    """A first flow run of a new user, who sets nothing but the API's address."""
    pool.worker()
    env = {name: value for name, value in env_of_machine(server).items() if name != "PATH"}
    run = pool.submit("greets", image=get_prefect_image_name(), env=env)
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()


def test_an_image_without_prefect_works_with_the_command_of_the_document(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    document = Path(__file__).parents[2] / "docs" / "prefect.md"
    (said,) = re.findall(r"```yaml\n(job_variables:.*?)```", document.read_text(), re.DOTALL)
    variables = yaml.safe_load(said)["job_variables"]
    # Nothing can be downloaded here.
    pip = tmp_path / "pip"
    pip.write_text(f"ln -s {BIN}/prefect {tmp_path}/prefect && echo pip $@\n")
    worker = pool.worker()
    command = variables["command"].replace("pip install", f"sh {pip} install")
    run = pool.submit(
        "greets", image=variables["image"], command=command, env=env_of_machine(server) | {"PATH": str(tmp_path)}
    )
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    wait_for(lambda: "| pip install" in worker.output, "it was installed before")


def test_a_flow_run_has_the_ports_and_the_entrypoint_that_it_asks_for(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    pool.worker()
    run = pool.at_work(tmp_path, http_ports=[8000], entrypoint="env MARK=here")
    wait_for(lambda: any("Port 8000 answers at http" in line for line in server.logs_of(run)), "its URL is told")
    (tmp_path / "end").touch()
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()


def test_a_flow_that_fails_has_failed_and_not_crashed(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    pool.worker()
    run = pool.submit("fails")
    server.wait_for_state(run, "Failed")
    renting.wait_until_none_runs()
    time.sleep(1)
    assert server.state_of(run) == "Failed"


def test_a_machine_that_dies_marks_the_flow_run_as_crashed(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    pool.worker()
    run = pool.submit("works", {"folder": str(tmp_path)})
    wait_for((tmp_path / "runs").exists, "the flow runs")
    renting.emulator.end_session(renting.running()[0], "the node is gone")
    server.wait_for_state(run, "Crashed")

    def told() -> str:
        # Its process may have told Prefect of its own end a moment before.
        return "\n".join([server.flow_run(run)["state"]["message"], *server.logs_of(run)])

    wait_for(lambda: "the node is gone" in told(), "what became of it is told")


def test_a_process_that_is_killed_marks_the_flow_run_as_crashed(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    pool.worker()
    run = pool.submit("dies", {"folder": str(tmp_path)})
    server.wait_for_state(run, "Crashed")
    renting.wait_until_none_runs()


def test_nothing_fits_crashes_the_flow_run_with_the_reason(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    pool.worker()
    run = pool.submit("greets", gpu_model="no such card")
    server.wait_for_state(run, "Crashed")
    assert "no machine fits" in server.flow_run(run)["state"]["message"]
    assert renting.sessions == []


def test_cancelled_while_the_machine_comes_up(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    renting.emulator.faults({"kind": "never_ready"})
    pool.worker()
    # Nothing runs there yet that could use the grace.
    run = pool.submit("greets", cancel_grace_s=600)
    renting.wait_until_running()
    wait_for(lambda: server.flow_run(run)["infrastructure_pid"], "the machine is known")
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")
    renting.wait_until_none_runs()
    time.sleep(1.5)
    assert server.state_of(run) == "Cancelled"


def test_cancelled_while_the_flow_runs(server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path) -> None:
    pool.worker()
    run = pool.submit("works", {"folder": str(tmp_path)})
    wait_for((tmp_path / "runs").exists, "the flow runs")
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")
    renting.wait_until_none_runs()
    assert server.state_of(run) == "Cancelled"


def test_cancelled_and_the_process_hangs(server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path) -> None:
    """Prefect's worker leaves a flow that has begun alone; ours stops the machine all the same."""
    pool.worker()
    # A process in whose machine no runner is left to end it.
    run = pool.submit("hangs", {"folder": str(tmp_path)}, command=ENGINE, cancel_grace_s=2)
    wait_for((tmp_path / "runs").exists, "the flow runs")
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")
    renting.wait_until_none_runs()
    assert "stopped its machine" in server.flow_run(run)["state"]["message"]
    wait_for(lambda: any("was stopped after" in line for line in server.logs_of(run)), "what it cost is told")


def test_a_worker_that_is_killed_and_started_again_sees_its_run_to_the_end(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    first = pool.worker()
    run = pool.at_work(tmp_path)
    first.kill()
    (tmp_path / "end").touch()
    server.wait_for_state(run, "Completed")
    assert renting.running(), "nobody is there to stop it"
    pool.worker()
    renting.wait_until_none_runs()
    assert server.state_of(run) == "Completed"
    assert len(renting.sessions) == 1


def test_a_machine_that_died_while_no_worker_was_there(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    first = pool.worker()
    run = pool.at_work(tmp_path)
    first.kill()
    renting.emulator.end_session(renting.running()[0], "the node is gone")
    pool.worker()
    server.wait_for_state(run, "Crashed")


def test_a_worker_that_ends_leaves_its_machines_to_the_next_one(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    first = pool.worker("first")
    run = pool.at_work(tmp_path, log_output=True)
    pool.end_of(first)
    assert len(renting.running()) == 1
    pool.worker("first")
    # What its process has logged stands there twice, with this between.
    wait_for(lambda: any("worker first has taken over: the machine's" in one for one in server.logs_of(run)), "told")
    (tmp_path / "end").touch()
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1


def test_killed_while_it_starts_a_machine(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    """The session is there, and nobody has written its id down: the key finds it."""
    renting.holds_the_answer()
    first = pool.worker()
    run = pool.submit("greets")
    renting.wait_until_running()
    first.kill()
    renting.emulator.clear_faults()
    assert server.flow_run(run)["infrastructure_pid"] is None
    pool.worker()
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1


def test_the_server_is_down_while_the_worker_follows(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    """The flow ends meanwhile, and its machine is stopped although nobody can be asked."""
    # A busy computer's server takes longer than Prefect's client waits by itself.
    pool.worker(PREFECT_CLIENT_MAX_RETRIES="9")
    run = pool.at_work(tmp_path)
    server.process.kill()
    try:
        time.sleep(3)
        assert len(renting.running()) == 1, "not knowing is no reason to stop it"
        (tmp_path / "end").touch()
        time.sleep(2)
    finally:
        server.start()
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1


def test_two_runs_at_once_have_a_machine_each(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    pool.worker()
    (tmp_path / "end").touch()
    runs = [pool.submit("works", {"folder": str(tmp_path)}, command=ENGINE) for _ in range(2)]
    for run in runs:
        server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert sorted(renting.rental_keys) == sorted(f"prefect/{run}/worker/0" for run in runs)


def test_a_flow_run_that_is_retried_gets_another_machine(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    """The first one's is gone, and its key with it."""
    pool.worker()
    run = pool.submit("dies", {"folder": str(tmp_path)})
    server.wait_for_state(run, "Crashed")
    renting.wait_until_none_runs()
    server.post(f"/flow_runs/{run}/set_state", state={"type": "SCHEDULED"}, force=True)
    wait_for(lambda: len(renting.sessions) == 2, "a second machine")
    server.wait_for_state(run, "Crashed")
    renting.wait_until_none_runs()
    assert renting.rental_keys == [f"prefect/{run}/worker/0", f"prefect/{run}/worker/1"]


def test_cancelled_while_the_machine_is_being_rented(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    """Nobody knows of the session yet: what has been asked for is given up, and stopped when it comes."""
    renting.holds_the_answer()
    pool.worker()
    run = pool.submit("greets")
    renting.wait_until_running()
    assert server.flow_run(run)["infrastructure_pid"] is None
    server.set_state(run, "CANCELLING")
    # Time to see it; a worker that needs more hears of its machine first, and stops it all the same.
    time.sleep(3)
    renting.emulator.clear_faults()
    server.wait_for_state(run, "Cancelled")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1


def test_a_restarted_worker_keeps_to_the_cap(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    first = pool.worker()
    run = pool.submit("works", {"folder": str(tmp_path)}, max_cost_usd=5.0, command=ENGINE)
    wait_for((tmp_path / "runs").exists, "the flow runs")
    wait_for(lambda: server.flow_run(run)["infrastructure_pid"], "the machine is known")
    first.kill()
    pool.worker()
    renting.emulator.advance_clock(1000 * 3600)
    # Who is quicker tells the reason: the flow, which is terminated with its machine, or the worker.
    server.wait_for_state(run, "Crashed")
    renting.wait_until_none_runs()
    wait_for(lambda: any("over budget" in line for line in server.logs_of(run)), "the worker says why")
