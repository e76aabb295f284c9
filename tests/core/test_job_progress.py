"""A bar that a job draws with carriage returns: progress while it is drawn, one line of the log at its end."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from job_bench import Bench, bench, emulator, eventually

from octa_provider import JobOutcome, JobSpec
from octa_provider.job.log import save_fetched_log
from octa_provider.job.state import JobState
from octa_provider.render.progress import ProgressTracker

__all__ = ["bench", "emulator"]

#: Draws to 60 %, waits for a file to draw to 100 %, and for it to go before the line ends.
BAR = (
    r"draw() { for i in $*; do printf '\r%3d%%|####' $((i*10)); done; }; echo begin; draw 1 2 3 4 5 6; "
    "until [ -e ~/more ]; do sleep 0.05; done; draw 7 8 9 10; while [ -e ~/more ]; do sleep 0.05; done; echo; echo end"
)


def spec(via: str, command: str = BAR) -> JobSpec:
    return JobSpec(image="ubuntu:24.04", command=command, timeout_s=600, via=via)


@pytest.mark.parametrize("via", ["container", "ssh"])
def test_a_bar_is_progress_while_it_is_drawn_and_one_line_when_it_has_ended(
    bench: Bench, via: str, tmp_path: Path
) -> None:
    tracker, lines, states = ProgressTracker(), list[str](), list[str]()
    told: list[tuple[float, int]] = []
    uuid = ""

    def on_state(state: JobState) -> None:
        nonlocal uuid
        uuid = state.rental.uuid

    def on_unfinished(text: str) -> None:
        states.append(text)
        tracker.feed_unfinished(text)
        told.append((tracker.fraction or 0.0, len(lines)))
        more = bench.folder(uuid) / "more"
        if tracker.fraction == 0.6:
            more.touch()
        elif tracker.fraction == 1.0:
            more.unlink(missing_ok=True)

    result = bench.client.jobs.run(
        spec(via),
        bench.key,
        private_key=bench.ssh_key,
        log_path=tmp_path / "job.log",
        on_line=lines.append,
        on_unfinished=on_unfinished,
        on_state=on_state,
        poll_s=0.1,
    )
    assert result.succeeded
    assert lines == ["begin", "100%|####", "end"]
    assert (tmp_path / "job.log").read_text().splitlines() == lines
    # While there was one line of the log.
    assert told[-1] == (1.0, 1)
    assert {" 10%|####", " 60%|####", "100%|####"} <= set(states)


@pytest.mark.parametrize("via", ["container", "ssh"])
def test_another_process_that_carries_on_inside_a_bar_gives_its_line_once_and_no_state_again(
    bench: Bench, via: str
) -> None:
    first, lines = list[str](), list[str]()
    job = spec(via)
    state = bench.running_state(job, private_key=bench.ssh_key, on_line=lines.append, on_unfinished=first.append)
    state = bench.polled(
        state,
        lambda s: " 60%|####" in first,
        private_key=bench.ssh_key,
        on_line=lines.append,
        on_unfinished=first.append,
    )
    (bench.folder(state.rental.uuid) / "more").touch()
    second: list[str] = []
    state = JobState.from_dict(state.to_dict())
    with bench.connect() as other:

        def drawn() -> bool:
            nonlocal state
            state = other.jobs.poll(state, private_key=bench.ssh_key, on_line=lines.append, on_unfinished=second.append)
            return "100%|####" in second

        eventually(drawn, "the rest of the bar")
    (bench.folder(state.rental.uuid) / "more").unlink()
    state = bench.polled(state, private_key=bench.ssh_key, on_line=lines.append, on_unfinished=second.append)
    assert state.outcome is JobOutcome.SUCCEEDED
    assert lines == ["begin", "100%|####", "end"]
    assert not {" 10%|####", " 20%|####", " 50%|####"} & set(second)
    assert {" 70%|####", " 80%|####", " 90%|####", "100%|####"} <= set(second)


def test_the_marker_of_the_end_is_no_progress_and_its_nonce_is_told_nobody(bench: Bench) -> None:
    wait = "until [ -e ~/%s ]; do sleep 0.05; done"
    job = spec("container", f"{wait % 'go'}; printf '50%%\\r90%% done'; {wait % 'more'}")
    states, lines = list[str](), list[str]()
    state = bench.running_state(job)
    nonce = state.nonce
    uuid = state.rental.uuid
    (bench.folder(uuid) / "go").touch()
    bench.polled(state, lambda s: bool(states), on_unfinished=states.append)
    # As a look sees it that comes while the marker is printed.
    for torn in (f"[octa-job {nonce}", f"[octa-job {nonce}] exit ", f"[octa-job {nonce}] exit 0"):
        with bench.log(uuid).open("ab") as log:
            log.write(torn.encode())
        state = bench.client.jobs.poll(state, on_line=lines.append, on_unfinished=states.append)
    assert states
    assert not [text for text in [*states, *lines] if nonce in text]
    assert "90% done" in states
    (bench.folder(uuid) / "more").touch()


def test_an_on_unfinished_that_raises_does_not_end_the_job(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def fail(text: str) -> None:
        raise ZeroDivisionError(text)

    with caplog.at_level(logging.WARNING):
        result = bench.client.jobs.run(
            spec("container", r"for i in 1 2 3; do printf '\r%d0%%' $i; sleep 0.3; done; echo; exit 3"),
            bench.key,
            on_unfinished=fail,
            poll_s=0.1,
        )
    assert (result.outcome, result.exit_code) == (JobOutcome.FAILED, 3)
    assert len([record for record in caplog.records if "on_unfinished failed" in record.message]) == 1


def test_escapes_and_the_api_key_are_taken_out_of_states_too(bench: Bench) -> None:
    states: list[str] = []
    command = r"printf '\r\033[32m10%%\033[0m KEY %s x\r'; sleep 1".replace("%s", bench.emulator.api_key)
    result = bench.client.jobs.run(spec("container", command), bench.key, on_unfinished=states.append, poll_s=0.1)
    assert result.succeeded
    assert states
    assert all(text.startswith("10% KEY *") and "\x1b" not in text for text in states)
    assert bench.emulator.api_key not in "".join(states)


def test_a_fetched_log_has_one_line_of_a_bar_however_long_it_was_drawn(bench: Bench, tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    bar = b"".join(b"\r%7d of 30000" % number for number in range(30_001))
    long = b"x" * 100_000
    fetched.write_bytes(b"begin\n" + bar + b"\nbetween\n" + bar + b"\r\n" + long + b"\nend")
    state = bench.running_state(spec("container", "true"))
    save_fetched_log(fetched, state, tmp_path / "saved")
    last = "  30000 of 30000"
    lines = (tmp_path / "saved").read_text().splitlines()
    assert [*lines[:4], lines[-1]] == ["begin", last, "between", last, "end"]
    # Of a line without a carriage return nothing is lost.
    assert "".join(lines[4:-1]) == long.decode()
