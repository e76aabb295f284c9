"""What the demo tells Prefect's flow, and what it reads from it over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from demo.child_processes import ChildProcesses
from demo.emulator_process import Emulator
from demo.orchestrator import RenderOrder
from demo.prefect_render import PrefectRender, account, parameters, quoted_of, run_problems, stage_of
from demo.prefect_services import PAGE, PrefectError
from demo.quoted import Quoted

EMULATOR = Emulator("http://127.0.0.1:1", "the-key", "/keys/id", Path())


def flow_run(name: str, state: str) -> dict[str, Any]:
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
    made = PrefectRender(ChildProcesses(), EMULATOR, tmp_path, tmp_path, "")
    made.flow_run_id = "the-run"
    return made


def test_the_flow_is_told_what_it_takes() -> None:
    told = parameters(RenderOrder(Path("/s.blend"), range(1, 25), 3, Path("/out"), 60.0, 12.0, 1.0))
    assert told == {
        "scene": "/s.blend",
        "frames": "1-24",
        "output": "/out",
        "seconds_per_frame": 60.0,
        "max_machines": 3,
        "within_hours": 0.2,
        "more": {"max_cost_usd": 1.0},
    }


def test_the_key_reaches_the_flow_by_its_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTA_API_KEY", "the user's own")
    monkeypatch.setenv("PREFECT_API_URL", "the user's own")
    env = PrefectRender(ChildProcesses(), EMULATOR, tmp_path, tmp_path, "").services.env
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


def test_a_flow_that_failed_says_why_and_which_run(render: PrefectRender) -> None:
    run = {"state_type": "FAILED", "state": {"message": "2 of 24 frames are missing"}}
    with answering(render, [(200, run), (200, [flow_run("brave-fox", "FAILED"), flow_run("calm-cat", "COMPLETED")])]):
        assert render.problems() == [
            "the flow says: 2 of 24 frames are missing",
            "flow run brave-fox ended as FAILED",
        ]


def test_a_run_that_is_paused_asks_with_the_quote_s_sentence(render: PrefectRender) -> None:
    paused = {"state_type": "PAUSED", "state": {"state_details": {"run_input_keyset": {"description": "d"}}}}
    with answering(render, [(200, {"state_type": "RUNNING"}), (200, paused), (200, "24 frames: 0.14 USD\n\n| a |")]):
        assert render.asked() is None
        assert render.asked() == "24 frames: 0.14 USD"


def test_a_run_that_prefect_does_not_go_on_with_is_told(render: PrefectRender) -> None:
    answer = {"status": "REJECT", "details": {"reason": "it was not paused"}}
    with answering(render, [(200, {"status": "ACCEPT"}), (200, answer)]) as asked:
        render.approve()
        with pytest.raises(PrefectError, match="it was not paused"):
            render.approve()
    assert asked[0] == {"run_input": {"approved": True}}


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


def test_flow_runs_that_run_are_the_stage() -> None:
    runs = [flow_run("a", "RUNNING"), flow_run("b", "COMPLETED")]
    assert stage_of(runs) == "flow runs: 1"
    assert stage_of(runs[1:]) == "scheduling"
    assert run_problems(runs) == []


def test_what_was_quoted_is_read_from_the_table_of_quote_and_bill() -> None:
    table = [{"machine": "all 4", "quoted": "0.1", "9 in 10 under": "0.15", "at most": "0.2"}, {"machine": "m1"}]
    assert quoted_of(json.dumps(table)) == Quoted(0.1, 0.15, 0.2)
