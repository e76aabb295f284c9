"""An API that can't be reached: the task fails with the cause, and what never was is not stopped, nor alarmed about."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow_runs import Renting, run
from test_fails_on_its_way_back import TaskInstance, begun, job

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.stop_on_failure import stop_after
from octa_provider import MachineRequest
from octa_provider.errors import OctaNetworkError
from octa_provider.rental.rentals import Rentals
from octa_provider.timing import asking

ALARM = "may still run and bill"


def told(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> str:
    return "".join(capfd.readouterr()) + caplog.text


def start(**arguments: Any) -> Any:
    return OctaStartMachineOperator(task_id="task", image="alpine:3", **arguments)


def run_job(**arguments: Any) -> Any:
    return OctaRunJobOperator(task_id="task", image="alpine:3", command="true", **arguments)


@pytest.mark.parametrize("operator", [start, run_job])
@pytest.mark.parametrize("why", ["nobody listens", "a certificate that is none"])
def test_an_api_that_was_never_reached_fails_the_task_with_the_cause_and_no_alarm(
    renting: Renting,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    nobodys_url: str,
    operator: Any,
    why: str,
) -> None:
    http = renting.emulator.base_url
    host = nobodys_url if why == "nobody listens" else http.replace("http://", "https://")
    stop, deadlines_s = Rentals.stop, list[float]()

    def noted(rentals: Rentals, key: str, *, deadline_s: float = 300.0, **options: Any) -> Any:
        deadlines_s.append(deadline_s)
        return stop(rentals, key, deadline_s=deadline_s, **options)

    monkeypatch.setattr(Rentals, "stop", noted)
    # As after a quarter of a minute.
    monkeypatch.setattr(asking, "SHORT_S", 1.0)
    renting.connection("octa_away", host=host)
    with DAG(f"away_{operator.__name__}_{len(why)}", schedule=None) as dag:
        operator(octa_conn_id="octa_away")
    ended = run(dag)
    assert ended.tasks == {"task": "failed"}
    # Not the deadline of a stop on top of that of a start.
    assert deadlines_s == []
    text = told(capfd, caplog)
    assert ALARM not in text
    assert re.search("refused" if why == "nobody listens" else "TLS|SSL|certificate", text)
    assert renting.sessions == []


def test_a_later_try_that_reaches_nobody_tells_what_an_earlier_one_may_have_left(
    renting: Renting,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow_provider import stop_on_failure

    monkeypatch.setattr(stop_on_failure, "STOP_S", 1.0)
    error = OctaNetworkError("nobody listens", maybe_sent=False, method="GET")
    context: Any = {"ti": TaskInstance()}
    with renting.client() as client:
        left = client.rentals.start(MachineRequest(image="alpine:3"), key="tests/later-try")
        renting.emulator.faults({"kind": "drop_before", "path": "*", "method": "*", "times": None})
        stop_after(error, client, "tests/later-try", context=context)
        assert ALARM not in told(capfd, caplog)
        context["ti"].try_number = 2
        stop_after(error, client, "tests/later-try", context=context)
        text = told(capfd, caplog)
        assert ALARM in text
        renting.emulator.clear_faults()
        assert pasted(text, renting) == 0
    assert renting.running() == []
    assert left.uuid


def test_a_command_that_is_told_works_when_it_is_pasted(
    renting: Renting, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    state, context = begun(renting)
    operator = job(octa_conn_id="octa_unknown")
    with pytest.raises(Exception, match="octa_unknown"):
        operator.execute_resumed(context, {"what": "unwatched", "message": "", "job": {"key": state.key}})
    assert pasted(told(capfd, caplog), renting) == 0
    assert renting.running() == []


def pasted(text: str, renting: Renting) -> int:
    """Run the command that a log tells, as a user does in a shell."""
    import os
    import subprocess
    import sys

    command = shlex.split(re.findall(r"octa-provider (stop \S.*)", text)[0].replace("\\n", "\n").splitlines()[0])
    done = subprocess.run(
        [sys.executable, "-m", "octa_provider", *command],
        env=os.environ | renting.emulator.env(),
        capture_output=True,
        timeout=800,
    )
    return done.returncode


@pytest.mark.parametrize("trouble", [RuntimeError("a bug"), ValueError("odd")])
def test_a_clean_up_that_fails_hides_nothing(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def fails(*arguments: Any, **options: Any) -> None:
        raise trouble

    monkeypatch.setattr(Rentals, "stop", fails)
    with renting.client() as client:
        stop_after(OSError("the first error"), client, "tests/hides-nothing")
