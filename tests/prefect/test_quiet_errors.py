"""What goes wrong is one clear line in a run's log, and a cache that nobody has asked for says nothing."""

from __future__ import annotations

import logging
import pickle

import pytest
from pool import Pool
from prefect import flow, task
from prefect.logging import get_logger
from prefect_server import PrefectServer
from renting import Renting
from waiting_for import wait_for

from octa_provider import MachineRequest
from octa_provider.errors import OctaConfigError, OctaNoMachineError
from prefect_blocks import OctaJob, RentedMachine, rented_machine, tasks
from prefect_blocks.quiet_errors import OneLineErrors

pytestmark = [pytest.mark.usefixtures("server")]
NOTHING_FITS = {"max_price_usd": 0.0001}


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What flow runs and task runs log; Prefect's own handlers are no part of it."""
    for name in ("flow_runs", "task_runs"):
        logger = get_logger(name)
        logger.addHandler(caplog.handler)
    yield caplog
    for name in ("flow_runs", "task_runs"):
        get_logger(name).removeHandler(caplog.handler)


def test_nothing_fits_is_a_line_with_the_place_in_the_flow(renting: Renting, records: pytest.LogCaptureFixture) -> None:
    @flow
    def asks_too_much() -> None:
        tasks.run_job("alpine:3", "true", requirements=NOTHING_FITS)

    with pytest.raises(OctaNoMachineError):
        asks_too_much()
    errors = [record for record in records.records if record.levelno >= logging.ERROR]
    told = [record.getMessage() for record in errors if "no machine fits" in record.getMessage()]
    assert len(told) >= 2, "the task's and the flow's"
    assert any("test_quiet_errors.py, line" in one for one in told), "where the flow asked for it"
    assert all(record.exc_info is None for record in errors)


def test_an_error_of_others_keeps_its_traceback(records: pytest.LogCaptureFixture) -> None:
    @flow
    def fails() -> None:
        raise LookupError("of the flow's own")

    with pytest.raises(LookupError):
        fails()
    assert any(record.exc_info for record in records.records if record.levelno >= logging.ERROR)


def test_at_debug_the_traceback_stays(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("prefect.tests.quiet")
    logger.addFilter(OneLineErrors())
    for level, has_traceback in ((logging.DEBUG, True), (logging.INFO, False)):
        logger.setLevel(level)
        logger.addHandler(caplog.handler)
        try:
            raise OctaConfigError("what is wrong")
        except OctaConfigError as error:
            logger.exception("It went wrong: %r", error)
        logger.removeHandler(caplog.handler)
        record = caplog.records[-1]
        assert (record.exc_info is not None) == has_traceback
    assert record.getMessage().startswith("It went wrong: OctaConfigError: what is wrong (test_quiet_errors.py, line")


@pytest.mark.e2e
def test_a_worker_tells_a_flow_run_that_nothing_fits_in_one_line(
    server: PrefectServer, renting: Renting, pool: Pool
) -> None:
    worker = pool.worker()
    run = pool.submit("greets", max_price_usd=0.0001)
    server.wait_for_state(run, "Crashed")
    message = server.flow_run(run)["state"]["message"]
    assert message.startswith("Nothing was rented: no machine fits"), message
    wait_for(lambda: any("Nothing was rented" in line for line in server.logs_of(run)), "its log says so")
    assert not any("Traceback" in line for line in [*server.logs_of(run), worker.output])


def test_what_is_live_can_be_a_tasks_argument(renting: Renting, records: pytest.LogCaptureFixture) -> None:
    """Prefect looks for an earlier result by what the arguments pickle to."""
    seen: list[str] = []

    @task
    def looks(shell: object, machine: RentedMachine) -> None:
        seen.append(shell.run("echo there").output.strip())  # type: ignore[attr-defined]

    @flow
    def with_a_shell() -> None:
        request = MachineRequest("alpine:3", start_command="sleep infinity")
        with rented_machine(request, poll_s=0.2) as machine, machine.ssh() as shell:
            looks(shell, machine)
            looks(shell, machine)
            looks.submit(shell, machine).wait()

    with_a_shell()
    assert seen == ["there"] * 3, "none was answered from a cache"
    assert not [record for record in records.records if "cache key" in record.getMessage()]


def test_a_run_of_a_job_can_be_a_tasks_argument_and_is_of_no_use_elsewhere(
    renting: Renting, records: pytest.LogCaptureFixture
) -> None:
    @task
    def waits(run: object) -> None:
        run.wait_for_completion()  # type: ignore[attr-defined]

    @flow
    def hands_over() -> bytes:
        run = OctaJob(image="alpine:3", command="true", poll_s=0.2).trigger()
        waits(run)
        assert pickle.dumps(run) != pickle.dumps(run)
        return pickle.dumps(run)

    with pytest.raises(TypeError, match="hand its uuid over: it can't be sent to another process"):
        pickle.loads(hands_over())
    assert not [record for record in records.records if "cache key" in record.getMessage()]
