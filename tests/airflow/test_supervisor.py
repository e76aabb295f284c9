"""What a trigger's threads ask of Airflow, by the very line that a triggerer of this version has to its supervisor."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("airflow.sdk.execution_time.comms", reason="a triggerer of Airflow 2 asks its database")

from airflow.jobs.triggerer_job_runner import TriggerCommsDecoder
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetVariable, VariableResult, _RequestFrame, _ResponseFrame
from msgspec import msgpack
from on_a_loop import on_a_loop
from waited_for import PATIENCE_S

from airflow_provider import supervisor
from airflow_provider.exceptions import OctaAirflowUnreachableError
from airflow_provider.supervisor import ask
from airflow_provider.triggers.worker_threads import in_thread
from airflow_provider.variables import read_variable

QUESTIONS = 30


def answers_late(line: socket.socket, held: threading.Event, asked: threading.Event) -> None:
    """As the supervisor: each Variable holds its own name. Nothing is answered before `held` is set; `end` ends it."""
    decode = msgpack.Decoder(_RequestFrame).decode
    file = line.makefile("rb")
    while len(length := file.read(4)) == 4:
        frame = decode(file.read(int.from_bytes(length, "big")))
        asked.set()
        held.wait()
        key = frame.body["key"]
        if key == "end":
            line.shutdown(socket.SHUT_RDWR)
            return
        answer = VariableResult(key=key, value=f"of {key}").model_dump()
        line.sendall(_ResponseFrame(id=frame.id, body=answer).as_bytes())


@asynccontextmanager
async def triggerers_line(
    monkeypatch: pytest.MonkeyPatch, held: threading.Event, asked: threading.Event | None = None
) -> AsyncIterator[Any]:
    """The line between a triggerer and its supervisor, whose answers wait for `held`; `asked` is set at a question."""
    here, there = socket.socketpair()
    thread = threading.Thread(target=answers_late, args=(there, held, asked or threading.Event()), daemon=True)
    thread.start()
    reader, writer = await asyncio.open_connection(sock=here)
    given = {"async_reader": reader, "async_writer": writer, "socket": None}
    known = inspect.signature(TriggerCommsDecoder).parameters
    comms: Any = TriggerCommsDecoder(**{name: value for name, value in given.items() if name in known})
    if hasattr(comms, "start_reader"):
        await comms.start_reader()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    try:
        yield comms
    finally:
        held.set()
        if (reading := getattr(comms, "_reader_task", None)) is not None:
            reading.cancel()
        writer.close()
        there.close()


def test_what_threads_ask_takes_no_answer_of_the_triggerers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 3.2.2 a thread that asked in Airflow's own way ended the triggerer (apache/airflow#64620)."""

    async def main() -> tuple[list[str], list[Any]]:
        held = threading.Event()
        held.set()
        async with triggerers_line(monkeypatch, held) as comms:
            threads = asyncio.gather(*(in_thread(read_variable, f"thread {n}") for n in range(QUESTIONS)))
            triggerers = [await comms.asend(GetVariable(key=f"triggerer {n}")) for n in range(QUESTIONS)]
            return await threads, triggerers

    by_threads, by_triggerer = on_a_loop(main)
    assert by_threads == [f"of thread {n}" for n in range(QUESTIONS)]
    assert [one.value for one in by_triggerer] == [f"of triggerer {n}" for n in range(QUESTIONS)]


@pytest.mark.parametrize("is_cancelled", [True, False], ids=["cancelled", "too late"])
def test_an_answer_that_nobody_waits_for_is_nobody_elses(monkeypatch: pytest.MonkeyPatch, is_cancelled: bool) -> None:
    """A trigger is cancelled while its thread asks; or the answer is late."""
    monkeypatch.setattr(supervisor, "ANSWER_S", PATIENCE_S if is_cancelled else 0.1)

    async def main() -> str:
        held, asked = threading.Event(), threading.Event()
        async with triggerers_line(monkeypatch, held, asked) as comms:
            asking = asyncio.create_task(in_thread(ask, GetVariable(key="first")))
            if is_cancelled:
                await asyncio.to_thread(asked.wait, PATIENCE_S)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
            else:
                with pytest.raises(OctaAirflowUnreachableError, match="has not answered"):
                    await asking
            second = asyncio.create_task(comms.asend(GetVariable(key="second")))
            await asyncio.sleep(0.2)
            held.set()
            return str((await second).value)

    assert on_a_loop(main) == "of second"


def test_a_triggerer_that_shuts_down_keeps_no_thread_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    held, asked, told = threading.Event(), threading.Event(), []

    def asks() -> None:
        try:
            ask(GetVariable(key="one"))
        except OctaAirflowUnreachableError as error:
            told.append(str(error))

    async def main() -> threading.Thread:
        async with triggerers_line(monkeypatch, held, asked):
            supervisor.note_loop()
            thread = threading.Thread(target=asks, daemon=True)
            thread.start()
            await asyncio.to_thread(asked.wait, PATIENCE_S)
            # What is pending ends with the loop.
            monkeypatch.setattr(held, "set", lambda: None)
            return thread

    on_a_loop(main).join(PATIENCE_S)
    assert len(told) == 1
    assert "has shut down" in told[0]


def test_a_supervisor_that_is_gone_keeps_no_thread_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        held = threading.Event()
        held.set()
        async with triggerers_line(monkeypatch, held):
            with pytest.raises(OctaAirflowUnreachableError, match="has shut down"):
                await in_thread(ask, GetVariable(key="end"))

    on_a_loop(main)


def test_where_there_is_nobody_to_ask_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)
    with pytest.raises(OctaAirflowUnreachableError, match="neither"):
        ask(GetVariable(key="one"))
