"""What a machine prints, on the worker's terminal and in its flow run's log."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from pool import Pool
from prefect.client.schemas.objects import FlowRun
from prefect.logging import handlers
from prefect_server import PrefectServer
from renting import Renting
from waiting_for import wait_for

from prefect_blocks.machine_output import BURST_LINES, LINES_PER_S, MOST_CHARS, MOST_LINES, FlowRunLog, MachineOutput

RUN = FlowRun.model_construct(id=UUID(int=5), name="odd-name")


@pytest.fixture
def sent() -> Iterator[list[dict[str, Any]]]:
    """What goes to Prefect's API."""
    found: list[dict[str, Any]] = []
    handlers.set_api_log_sink(found.append)
    yield found
    handlers.set_api_log_sink(None)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def __call__(self) -> float:
        return self.at_s


def test_each_line_stands_behind_the_name_of_its_flow_run(
    capsys: pytest.CaptureFixture[str], sent: list[dict[str, Any]]
) -> None:
    output = MachineOutput("a\x1b[31m-name\n", {})
    output.line("1/4")
    assert capsys.readouterr().out == "a-name  | 1/4\n"
    assert list(output.last_lines) == ["1/4"]
    assert sent == []


def test_a_terminal_that_knows_few_letters_or_is_closed_costs_no_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, sent: list[dict[str, Any]]
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stdout", terminal)
    output = MachineOutput("run", {}, log=FlowRunLog(RUN, Hand()))
    output.line("caf\u00e9 \u4e2d")
    assert terminal.buffer.getvalue() == b"run | caf\\xe9 \\u4e2d\n"
    terminal.close()
    output.line("after its end")
    assert [one["message"] for one in sent] == ["caf\u00e9 \u4e2d", "after its end"]


def test_secrets_are_masked_wherever_a_line_goes(
    capsys: pytest.CaptureFixture[str], sent: list[dict[str, Any]]
) -> None:
    output = MachineOutput("run", {"HF_TOKEN": "hunter2"}, log=FlowRunLog(RUN, Hand()))
    output.line("the token is hunter2 and no other")
    told = [capsys.readouterr().out, output.last_lines[0], sent[0]["message"]]
    assert all("the token is *** and no other" in one for one in told)
    assert (sent[0]["flow_run_id"], sent[0]["name"]) == (str(RUN.id), "prefect.flow_runs.machine")


def test_a_machine_that_floods_sends_no_more_than_the_log_may_take(sent: list[dict[str, Any]]) -> None:
    clock = Hand()
    output = MachineOutput("run", {}, on_terminal=False, log=FlowRunLog(RUN, clock))
    for number in range(10_000):
        clock.at_s = number / 1000
        output.line(f"line {number}")
    assert len(sent) <= BURST_LINES + 10 * LINES_PER_S
    output.ended()
    left_out = [one["message"] for one in sent if "are left out here" in one["message"]]
    lines = [one["message"] for one in sent if one["message"].startswith("line ")]
    assert lines[:BURST_LINES] == [f"line {number}" for number in range(BURST_LINES)]
    assert sum(int(one.split()[0][1:]) for one in left_out) + len(lines) == 10_000


def test_so_many_lines_of_a_flow_run_go_there_in_all_and_no_more(sent: list[dict[str, Any]]) -> None:
    clock = Hand()
    log = FlowRunLog(RUN, clock)
    for number in range(MOST_LINES + 100):
        clock.at_s += 1.0
        log.line(str(number))
    log.tell_left_out()
    assert len(sent) == MOST_LINES + 1
    assert sent[-1]["message"].startswith("(100 lines of the machine are left out here")


def test_a_line_without_end_is_cut(sent: list[dict[str, Any]]) -> None:
    FlowRunLog(RUN, Hand()).line("x" * 1_000_000)
    assert sent[0]["message"] == "x" * MOST_CHARS + "... (1000000 characters)"


def test_the_log_says_where_another_worker_begins_anew(sent: list[dict[str, Any]]) -> None:
    output = MachineOutput("run", {}, on_terminal=False, log=FlowRunLog(RUN, Hand()))
    output.taken_over_by("second")
    output.ended()
    assert sent == []
    for line in ("1/4", "2/4"):
        output.line(line)
    told = [one["message"] for one in sent]
    assert told[0].startswith("(worker second has taken over: the machine's output from its beginning;")
    assert told[1:] == ["1/4", "2/4"]


@pytest.mark.e2e
def test_several_at_once_are_told_apart(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    worker = pool.worker()
    runs = [pool.submit("greets", {"name": str(number)}, log_output=bool(number)) for number in range(2)]
    for run in runs:
        server.wait_for_state(run, "Completed")
        name = server.flow_run(run)["name"]
        wait_for(lambda name=name: f"{name} | printed in the machine" in worker.output, "its output comes back")
    quiet, logged = runs
    wait_for(lambda: "printed in the machine" in server.logs_of(logged), "it is in the flow run's log")
    assert server.logs_of(logged).count("printed in the machine") == 1
    assert "printed in the machine" not in server.logs_of(quiet)
    renting.wait_until_none_runs()
