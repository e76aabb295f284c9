"""What the demo tells Prefect's flow, and what it reads from it over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from demo.child_processes import ChildProcesses
from demo.emulator_process import Emulator
from demo.orchestrator import RenderOrder
from demo.prefect_render import PrefectRender, account, machine_bill, parameters, stage_of, task_problems
from demo.prefect_services import PAGE, PrefectError

EMULATOR = Emulator("http://127.0.0.1:1", "the-key", "/keys/id", Path())


def task_run(name: str, state: str) -> dict[str, Any]:
    return {"name": name, "state_type": state}


@contextmanager
def answering(render: PrefectRender, answers: list[tuple[int, object]]) -> Iterator[list[dict[str, Any]]]:
    """Give these answers, one a request, and collect the requests' bodies."""
    asked: list[dict[str, Any]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null"))
            self.do_GET()

        def do_GET(self) -> None:
            status, body = answers.pop(0)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        render.services.url = f"http://127.0.0.1:{server.server_port}"
        yield asked
        server.shutdown()


@pytest.fixture
def render(tmp_path: Path) -> PrefectRender:
    made = PrefectRender(ChildProcesses(), EMULATOR, tmp_path, tmp_path)
    made.flow_run_id = "the-run"
    return made


def test_the_flow_is_told_the_frames_as_it_takes_them() -> None:
    told = parameters(RenderOrder(Path("/s.blend"), range(1, 25), 3, Path("/out")))
    assert told == {"scene": "/s.blend", "frames": "1-24", "machines": 3, "output": "/out"}


def test_the_key_reaches_the_flow_by_its_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTA_API_KEY", "the user's own")
    monkeypatch.setenv("PREFECT_API_URL", "the user's own")
    env = PrefectRender(ChildProcesses(), EMULATOR, tmp_path, tmp_path).services.env
    assert {name: env[name] for name in account(EMULATOR)} == account(EMULATOR)
    assert env["OCTA_API_KEY"] == "the-key"
    assert "the user's own" not in env.values()


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("SCHEDULED", "waiting"),
        ("PENDING", "waiting"),
        ("RUNNING", "running"),
        ("CANCELLING", "running"),
        ("COMPLETED", "succeeded"),
        ("FAILED", "failed"),
        ("CRASHED", "failed"),
        ("CANCELLED", "failed"),
    ],
)
def test_every_state_of_prefect_is_one_of_the_demo(render: PrefectRender, kind: str, state: str) -> None:
    with answering(render, [(200, {"state_type": kind})]):
        assert render.state() == state


def test_a_flow_that_failed_says_why_and_which_chunk(render: PrefectRender) -> None:
    run = {"state_type": "FAILED", "state": {"message": "2 of 24 frames are missing"}}
    with answering(
        render, [(200, run), (200, [task_run("render-1-8", "FAILED"), task_run("render-9-16", "COMPLETED")])]
    ):
        assert render.problems() == [
            "the flow says: 2 of 24 frames are missing",
            "task render-1-8 ended as FAILED",
        ]


def test_a_busy_server_is_asked_again(render: PrefectRender) -> None:
    with answering(render, [(503, None), (200, {"state_type": "RUNNING"})]):
        assert render.state() == "running"


def test_a_server_that_refuses_is_told(render: PrefectRender) -> None:
    with answering(render, [(422, {"detail": "no such thing"})]), pytest.raises(PrefectError, match=r"422.*no such"):
        render.state()


def test_all_pages_of_the_log_are_kept(render: PrefectRender, tmp_path: Path) -> None:
    entry = {"timestamp": "now", "name": "prefect.flow_runs", "message": "Saved: frame_0001.png"}
    with answering(render, [(200, [entry] * PAGE), (200, [entry])]) as asked:
        render.keep_logs()
    assert [body["offset"] for body in asked] == [0, PAGE]
    assert len((tmp_path / "prefect-runs.log").read_text().splitlines()) == PAGE + 1


def test_only_chunks_count_as_rendering() -> None:
    tasks = [task_run("octa-render-animation-0", "RUNNING"), task_run("render-1-8", "COMPLETED")]
    assert stage_of(tasks) == "scheduling"
    assert stage_of([*tasks, task_run("render-9-16", "RUNNING"), task_run("render-17-24", "RUNNING")]) == "2 rendering"
    assert task_problems(tasks) == []


def test_a_machine_s_bill_is_read_to_the_wei() -> None:
    entry = {"node_id": 7, "frames": "1-3x2", "duration_s": 3.5, "cost_wei": "9007199254740993", "cost_usd": 0.25}
    bill = machine_bill(entry, {7: "NVIDIA RTX 4090"})
    assert (bill.name, bill.frames, bill.seconds) == ("node 7 · RTX 4090", (1, 3), 3.5)
    assert (bill.charge_wei, bill.usd) == (9007199254740993, Decimal("0.25"))


def test_a_machine_that_failed_is_on_the_bill_without_frames() -> None:
    entry = {"node_id": None, "duration_s": None, "cost_wei": None, "cost_usd": None}
    bill = machine_bill(entry, {})
    assert bill.name == "a machine that did not report"
    assert (bill.frames, bill.seconds, bill.charge_wei, bill.usd) == ((), 0.0, 0, None)
