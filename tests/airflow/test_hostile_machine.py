"""What a rented machine, or whoever answers for the API, writes: it reaches logs, XCom and events as harmless text."""

from __future__ import annotations

import asyncio
import json
import shlex
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run
from on_a_loop import all_events, on_a_loop

from airflow_provider.connection_settings import ConnectionSettings
from airflow_provider.links import ACCOUNT_URL, session_address
from airflow_provider.operators.logs import OctaFetchLogsOperator
from airflow_provider.templated import as_float
from airflow_provider.triggers.account import account
from airflow_provider.triggers.worker_threads import THREADS, in_thread, threads_of
from octa_provider import JobSpec, MachineRequest
from octa_provider.models import Session
from octa_provider.rental.json_values import addresses_json
from tests.airflow.test_triggers import job_trigger, session_trigger, stopped

BAD_ERROR = r'{"message": "this key may not do that \ud83d ::group::hidden"}'


def check_carried(event: Any) -> None:
    """What a triggerer does with it."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event)) == event
    assert json.loads(json.dumps(event, allow_nan=False)) == event
    assert "::group::" not in json.dumps(event)


def test_an_error_of_the_api_with_half_a_character_is_an_event_that_can_be_told(renting: Renting) -> None:
    with renting.client() as client:
        state = client.jobs.start(JobSpec(image="alpine:3", command="sleep 600"), "tests/hostile/error")
    path = f"/services/{state.rental.uuid}/logs"
    renting.emulator.faults({"kind": "status", "status": 403, "path": path, "body": BAD_ERROR, "times": None})
    event = all_events(job_trigger(state))[0]
    assert event["what"] == "broken"
    assert "this key may not do that" in event["message"]
    check_carried(event)
    renting.emulator.clear_faults()
    stopped(renting, state.rental.uuid)


@pytest.mark.parametrize("told", [2**70, -(2**70), "9" * 400])
def test_a_number_of_any_size_is_an_event_that_can_be_told(renting: Renting, told: object) -> None:
    with renting.client() as client:
        uuid = client.rentals.start(
            MachineRequest("alpine:3", start_command="sleep 60"), key=f"tests/hostile/{told}"[:40]
        ).uuid
    record = {"uuid": uuid, "progress": "running", "is_ready": True, "duration": told, "node_id": told, "tx": told}
    renting.emulator.faults(
        {"kind": "status", "status": 200, "path": "/sessions", "body": [record], "times": None},
        {"kind": "status", "status": 200, "path": f"/services/{uuid}/info", "body": record, "times": None},
    )
    event = all_events(session_trigger(uuid))[0]
    assert event["what"] == "ready"
    check_carried(event)
    renting.emulator.clear_faults()
    stopped(renting, uuid)


def test_a_fetched_log_shows_text_and_no_marks_that_fold_it(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    printed = (
        r"printf '\033[31mred\033[0m 10%%\r50%%\r100%%\n\033]0;title\007text\nfake\rERROR forged\n"
        r"::group::hidden from here\nend'; sleep 600"
    )
    with renting.client() as client:
        request = MachineRequest("alpine:3", start_command="/bin/sh -c " + shlex.quote(printed))
        rental = client.rentals.start(request, key="tests/hostile/log")
        rental.wait_until_ready(poll_s=0.1)
        while "end" not in rental.logs().container:
            client.clock.sleep(0.1)
    with DAG("hostile_log", schedule=None) as dag:
        OctaFetchLogsOperator(task_id="all", session=rental.uuid, path=str(tmp_path / "log.txt"))
        OctaFetchLogsOperator(task_id="last", session=rental.uuid, max_lines=1)
    ended = run(dag)
    assert ended.state == "success"
    shown = capfd.readouterr().out
    for line in ("100%", "text", "ERROR forged", ": :group::hidden from here", "end"):
        assert f"[container] {line}" in shown
    assert "::group::hidden" not in shown
    assert "\x1b]0;title" not in shown
    assert "[container] ... 4 lines before these" in shown
    assert ended.result("all")["container_lines"] == 5
    assert (tmp_path / "log.txt").read_text() == "100%\ntext\nERROR forged\n::group::hidden from here\nend\n"
    stopped(renting, rental.uuid)


def test_only_addresses_of_web_pages_reach_links_and_xcom() -> None:
    session = Session.from_payload(
        {
            "uuid": "u",
            "ssh_web": "javascript:fetch('/api/v2/connections')",
            "urls": {"80": "data:text/html,<script>alert(1)</script>", "81": "https://page.example/x"},
        }
    )
    assert addresses_json(session) == {"urls": {"81": "https://page.example/x"}}
    assert session_address(addresses_json(session)) == "https://page.example/x"
    assert session_address({"urls": {}, "ssh_web": "https://terminal.example/x"}) == "https://terminal.example/x"
    assert session_address({}) == ACCOUNT_URL


@pytest.mark.parametrize("written", ["nan", "inf", "-inf", float("nan"), 10**400])
def test_an_argument_that_is_no_number_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        as_float("poll_interval", written)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_result_is_fetched_into_a_folder_that_nobody_else_can_enter(
    renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[tuple[Path, int]] = []
    read_text = Path.read_text

    def spy(path: Path, *args: Any, **options: Any) -> str:
        if path.name.startswith("octa-task-"):
            seen.extend(
                (folder, stat.S_IMODE(folder.stat().st_mode)) for folder in path.parents if folder.parent == tmp_path
            )
        return read_text(path, *args, **options)

    monkeypatch.setattr(Path, "read_text", spy)
    with DAG("private_result", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, deferrable=deferrable)
        def odd() -> Any:
            return {"text": "half \ud83d", "number": 2**70, "ok": 1}

        odd()
    ended = run(dag)
    assert ended.result("odd") == {"text": "half \ufffd", "number": str(2**70), "ok": 1}
    assert {mode for _, mode in seen} == {0o700}
    assert not list(tmp_path.glob("octa-task-*"))


def test_calls_that_hang_hold_up_the_triggers_of_their_own_connection_alone() -> None:
    """All triggers shared 32 threads: as many hung calls of one account, and nobody's session was stopped any more."""
    hang = threading.Event()

    async def calls(whose: str, count: int, call: Callable[[], object]) -> list[asyncio.Task[object]]:
        with threads_of(whose):
            return [asyncio.create_task(in_thread(call)) for _ in range(count)]

    async def main() -> object:
        stuck = await calls("broken", 2 * THREADS, lambda: hang.wait(800))
        (healthy,) = await calls("healthy", 1, lambda: "looked")
        said = await asyncio.wait_for(healthy, 800)
        assert not any(task.done() for task in stuck)
        hang.set()
        await asyncio.gather(*stuck)
        return said

    assert on_a_loop(main) == "looked"


def test_triggers_of_a_connection_use_its_own_threads() -> None:
    names: list[int] = []

    async def main() -> None:
        for key in ("one", "two", "one"):
            with account(ConnectionSettings(api_key=key, base_url="http://127.0.0.1:1"), 5.0):
                names.append(id(await in_thread(threading.current_thread)))

    on_a_loop(main)
    assert names[0] == names[2] != names[1]
