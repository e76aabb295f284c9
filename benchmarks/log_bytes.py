"""How much of a busy job's log comes over the line for each byte that it prints.

make bench BENCH="--only log"

Over SSH it is measured: a job on the emulator prints a little more at each look, and all bytes that the connection
brings are counted, its own among them. The log of a container is whole each time, so that it is a question of how
often: that is reckoned from the pauses that follow one another, for a job that prints evenly, beside a look every five
seconds.
"""

from __future__ import annotations

import time

from benchmarks.interleaved import Goal, Row

POLL_S = 5.0
#: What a job prints between two looks, and how often it is looked at.
BYTES_A_LOOK = 100_000
LOOKS = 40
#: A container's job, of which the pauses are reckoned.
CONTAINER_BYTES_PER_S = 10_000
CONTAINER_RUNS_S = 4 * 3600.0
GOAL = Goal("over SSH", None, 1.1)
SUBJECTS = ("over SSH", "container", "container, each 5 s")


def measure(looks: int = LOOKS) -> Row:
    """Bytes that came for each byte that was printed.

    Args:
        looks: at the job over SSH.
    """
    # One figure a run, as bytes are the same each time; a row has two of everything.
    figures = [over_ssh(looks), of_container(shared=True), of_container(shared=False)]
    ratios = {name: [figure, figure] for name, figure in zip(SUBJECTS, figures, strict=True)}
    return Row("log of a busy job: bytes fetched for each that it printed", SUBJECTS[0], ratios, GOAL, unit="bytes")


def over_ssh(looks: int, bytes_a_look: int = BYTES_A_LOOK) -> float:
    """Bytes that connections brought for each byte of the log of a job over SSH.

    Args:
        looks: how often it is looked at.
        bytes_a_look: what it prints between two.
    """
    from asyncssh.connection import SSHConnection

    from octa_provider import JobSpec, OctaClient
    from octa_provider.emulator.testing import start_emulator
    from octa_provider.job.state import JobPhase

    came, real = [0], SSHConnection.data_received

    def counted(self: SSHConnection, data: bytes, datatype: int | None = None) -> None:
        came[0] += len(data)
        real(self, data, datatype)

    command = f"while [ ! -e end ]; do [ ! -e more ] || {{ rm more; head -c {bytes_a_look} /dev/zero | tr '\\0' x; "
    command += "echo; }; sleep 0.01 2>/dev/null; done"
    spec = JobSpec(image="alpine:3", command=command, via="ssh")
    with (
        start_emulator(in_process=False, machines=4, start_delay_s=0.05, quirks=False) as emulator,
        OctaClient(emulator.api_key, base_url=emulator.base_url) as octa,
    ):
        state = octa.jobs.start(spec, "benchmark/log")
        while state.phase is not JobPhase.READY:
            state = octa.jobs.poll(state)
            time.sleep(0.05)
        state = octa.jobs.begin(state, spec, private_key=emulator.ssh_private_key)
        folder = emulator.state / "sessions" / state.rental.uuid / "octa-job"
        while not (folder / "work").exists():
            time.sleep(0.01)
        SSHConnection.data_received = counted
        try:
            for number in range(looks):
                (folder / "work" / "more").touch()
                while (folder / "job.log").stat().st_size < (number + 1) * (bytes_a_look + 1):
                    time.sleep(0.01)
                state = octa.jobs.poll(state, private_key=emulator.ssh_private_key, on_line=lambda line: None)
        finally:
            SSHConnection.data_received = real
        printed = (folder / "job.log").stat().st_size
        octa.rentals.restore(state.rental).stop()
    assert state.log is not None
    assert state.log.seen == printed, "a look left something of the log"
    return came[0] / printed


def of_container(
    *, shared: bool, bytes_per_s: float = CONTAINER_BYTES_PER_S, runs_s: float = CONTAINER_RUNS_S
) -> float:
    """Bytes of whole logs that looks bring for each byte that a container prints.

    Args:
        shared: with the pauses that follow from its length; False looks every five seconds.
        bytes_per_s: what it prints.
        runs_s: for how long.
    """
    from octa_provider.job.pacing import look_pause_s
    from octa_provider.job.state import GRACE_S, JobPhase, JobState
    from octa_provider.logs.cursor import TAIL_BYTES, LogCursor
    from octa_provider.rental.terms import Terms

    at, fetched = 0.0, 0.0
    end_by = runs_s + GRACE_S
    while at < runs_s:
        size = int(at * bytes_per_s)
        fetched += size
        log = LogCursor(size, b"x" * min(size, TAIL_BYTES))
        state = JobState("k", Terms("u"), "n", False, runs_s, 0.0, 0.0, phase=JobPhase.RUNNING, end_by=end_by, log=log)
        at += look_pause_s(state, at, POLL_S, quiet_s=0.0) if shared else POLL_S
    # Once more at its end.
    return (fetched + runs_s * bytes_per_s) / (runs_s * bytes_per_s)
