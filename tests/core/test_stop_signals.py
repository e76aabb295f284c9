"""Signals that end a process leave nothing rented behind, whenever they come and however many."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.rental.clean_up import cleaned_up_by, stop_signals_raise
from tests.forked_python import start_python

STORM = Path(__file__).with_name("signal_storm.py")
SHAPES = (
    "plain",
    "failing",
    "by_generator",
    "by_generator_failing",
    "by_stack",
    "nested",
    "one_after_the_other",
    "in_finalizers",
)
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
LONG_S = 300.0

RENT = """
import sys, time
from octa_provider import MachineRequest, OctaClient, VpnRequest
request = VpnRequest() if sys.argv[1] == "vpn" else MachineRequest("ubuntu:24.04", disk_gb=5)
with OctaClient() as client:
    print("starting", flush=True)
    with client.rentals.rent(request, key="signals/script") as rental:
        print("started", flush=True)
        rental.wait_until_ready(poll_s=0.2) if sys.argv[2] == "waiting" else None
        if sys.argv[2] != "stopping":
            time.sleep(60)
        print("stopping", flush=True)
"""
#: The request that is held up where the signal comes, and what the script says before it.
MOMENTS = {
    "starting": ({"method": "POST", "path": "^/services/(mr|vpn)$"}, "starting"),
    "waiting": ({"method": "GET", "path": "^/services/[^/]+/info$"}, "started"),
    "running": (None, "started"),
    "stopping": ({"method": "POST", "path": "^/services/[^/]+/stop$"}, "stopping"),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[EmulatorHandle]:
    with start_emulator(in_process=True, start_delay_s=1.0, room=50) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared: EmulatorHandle) -> Iterator[EmulatorHandle]:
    yield shared
    shared.clear_faults()
    for uuid in shared.ledger(requests=False)["running_uuids"]:
        shared.end_session(uuid)


@pytest.mark.parametrize("how", ["default", "own"])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_moment_of_a_block_loses_its_cleaning_up(shape: str, how: str) -> None:
    """Real signals at random moments, with the default handlers and with some that raise, as orchestrators set them."""
    command = [sys.executable, str(STORM), shape, how, "60", str(os.getpid())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=2 * LONG_S)
    assert ended.stdout.startswith("0 left of"), ended.stdout + ended.stderr
    assert int(ended.stdout.split()[-1]) > 10


#: Every signal for a machine; for a VPN, and for a second signal on top, one of them.
CASES = [("mr", number, 1) for number in SIGNALS] + [("vpn", signal.SIGHUP, 1), ("mr", signal.SIGQUIT, 2)]


@pytest.mark.parametrize("moment", list(MOMENTS))
@pytest.mark.parametrize(("service", "number", "times"), CASES)
def test_a_signal_in_a_script_that_rents_leaves_nothing(
    emulator: EmulatorHandle, service: str, number: signal.Signals, moment: str, times: int
) -> None:
    fault, said = MOMENTS[moment]
    if fault is not None:
        emulator.faults({"kind": "delay", "seconds": 1.0, **fault})
    before = len(emulator.ledger()["sessions"])
    command = [sys.executable, "-c", RENT, service, moment]
    with start_python(
        command, env=os.environ | emulator.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != said:
            assert process.poll() is None
        until = time.monotonic() + LONG_S
        while moment == "starting" and len(emulator.ledger()["sessions"]) == before:
            # Until the request is under way.
            assert time.monotonic() < until
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.1)
        status = process.wait(LONG_S)
    assert emulator.ledger()["running"] == 0
    # Python itself ends an interrupt by the signal; the last one may come when all is done.
    assert status in {128 + number, -number}
    if times == 1 and number != signal.SIGINT:
        assert status == 128 + number


# -- the rules ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def put_back() -> Iterator[None]:
    """The handlers of this process, whatever a test does to them."""
    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGUSR1, signal.SIGALRM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.001)


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGUSR1, signal.SIGALRM], ids=lambda number: number.name)
def test_within_the_block_a_signal_raises_and_its_handler_is_put_back(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    told: list[BaseException | None] = []
    with pytest.raises((SystemExit, KeyboardInterrupt)) as caught, cleaned_up_by(told.append):
        send(number)
    assert told == [caught.value]
    if number == signal.SIGINT:
        assert isinstance(caught.value, KeyboardInterrupt)
    else:
        assert isinstance(caught.value, SystemExit)
        assert caught.value.code == 128 + number
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_that_is_ignored_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
    with stop_signals_raise() as hold:
        send(number)
        assert signal.getsignal(number) is signal.SIG_IGN
        with hold():
            send(number)
            assert signal.getsignal(number) is signal.SIG_IGN
    assert signal.getsignal(number) is signal.SIG_IGN


@pytest.mark.usefixtures("put_back")
def test_a_handler_of_the_programs_own_is_called_but_not_while_cleaning_up() -> None:
    called: list[str] = []
    now = "before"

    def own(number: int, frame: object) -> None:
        called.append(now)

    signal.signal(signal.SIGTERM, own)
    with stop_signals_raise() as hold:
        now = "in the block"
        send(signal.SIGTERM)
        with hold():
            now = "while cleaning up"
            send(signal.SIGTERM)
            now = "afterwards"
    assert called == ["in the block", "afterwards"]
    assert signal.getsignal(signal.SIGTERM) is own


@pytest.mark.usefixtures("put_back")
def test_a_handler_that_the_program_sets_in_the_block_stays() -> None:
    def own(number: int, frame: object) -> None:
        """Nothing."""

    with stop_signals_raise():
        signal.signal(signal.SIGTERM, own)
    assert signal.getsignal(signal.SIGTERM) is own


@pytest.mark.usefixtures("put_back")
def test_a_handler_that_is_not_pythons_is_left_alone() -> None:
    """`faulthandler` sets one that Python's `signal` knows nothing of."""
    code = """if True:
        import faulthandler, os, signal, time
        from octa_provider.rental.clean_up import cleaned_up_by
        faulthandler.register(signal.SIGUSR1)
        with cleaned_up_by(lambda error: None):
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR1)
        print("alive")
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG_S)
    assert ended.stdout == "alive\n"
    assert ended.stderr.count("most recent call first") == 2


@pytest.mark.usefixtures("put_back")
def test_an_interrupt_that_the_block_deals_with_does_not_make_it_deaf() -> None:
    """Ctrl-C, "really?", Ctrl-C: the second one is as good as the first."""
    heard: list[int] = []
    with stop_signals_raise():
        for _ in range(3):
            try:
                send(signal.SIGINT)
            except KeyboardInterrupt:
                heard.append(1)
    assert len(heard) == 3


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("first", SIGNALS, ids=lambda number: number.name)
def test_a_second_signal_waits_from_the_first_one_on(first: signal.Signals) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    steps: list[str] = []

    def work() -> None:
        try:
            send(first)
        finally:
            for number in SIGNALS:
                # In a clean-up of the program's own, which holds nothing.
                send(number)
                steps.append(number.name)

    with pytest.raises((SystemExit, KeyboardInterrupt)) as caught, stop_signals_raise():
        work()
    assert len(steps) == 4
    code = None if first == signal.SIGINT else 128 + first
    assert getattr(caught.value, "code", None) == code


@pytest.mark.usefixtures("put_back")
def test_a_signal_while_an_ordinary_end_is_cleaned_up_is_heard_afterwards() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    steps: list[str] = []

    def clean_up(error: BaseException | None) -> None:
        send(signal.SIGHUP)
        steps.append("cleaned up")

    with pytest.raises(SystemExit) as caught, cleaned_up_by(clean_up):
        steps.append("worked")
    assert steps == ["worked", "cleaned up"]
    assert caught.value.code == 128 + signal.SIGHUP


@pytest.mark.usefixtures("put_back")
def test_what_a_clean_up_could_not_do_is_told_also_when_a_signal_ends_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def clean_up(error: BaseException | None) -> None:
        send(signal.SIGHUP)
        raise ValueError("session u-1 may bill on")

    with pytest.raises(SystemExit), cleaned_up_by(clean_up):
        pass
    assert "session u-1 may bill on" in [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]


@pytest.mark.usefixtures("put_back")
def test_a_child_that_was_forked_in_the_block_ends_as_if_there_were_none() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    told: list[BaseException | None] = []
    with cleaned_up_by(told.append):
        pid = os.fork()
        if pid == 0:
            try:
                send(signal.SIGTERM)
            finally:
                # Only an exception comes here.
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
    assert told == [None]


@pytest.mark.usefixtures("put_back")
def test_a_child_that_was_forked_in_the_block_can_have_blocks_of_its_own() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with cleaned_up_by(lambda error: None):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                with cleaned_up_by(lambda error: None):
                    send(signal.SIGTERM)
            except SystemExit as ended:
                status = 7 if ended.code == 143 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


@pytest.mark.parametrize("wait", ["select", "getaddrinfo", "lock", "sleep"])
def test_a_signal_is_heard_in_a_call_that_waits(wait: str) -> None:
    waits: dict[str, Callable[[], object]] = {
        "select": lambda: __import__("select").select([], [], [], LONG_S),
        "lock": threading.Event().wait,
        "sleep": lambda: time.sleep(LONG_S),
        "getaddrinfo": _looking_a_name_up,
    }
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGHUP)).start()
            with cleaned_up_by(lambda error: None):
                waits[wait]()
        except SystemExit as ended:
            status = 7 if ended.code == 129 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def _looking_a_name_up() -> None:
    import socket

    from octa_provider import OctaClient

    # As a resolver that does not answer: a call of C that no signal interrupts.
    socket.getaddrinfo = lambda *args, **options: __import__("ctypes").CDLL(None).sleep(1000)  # type: ignore[assignment]
    OctaClient("k", base_url="https://api.example", timeout=LONG_S).sessions.list()


def test_in_other_threads_a_block_cleans_up_and_knows_no_signals() -> None:
    told: list[BaseException | None] = []

    def work() -> None:
        with stop_signals_raise() as hold, hold(), cleaned_up_by(told.append):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [None]


@pytest.mark.usefixtures("put_back")
def test_a_child_whose_parent_has_left_it_the_block_cleans_up() -> None:
    """As a daemon does that forks after it has rented: nobody else would stop the machine."""
    read, write = os.pipe()
    daemon_maker = os.fork()
    if not daemon_maker:
        try:
            with cleaned_up_by(lambda error: os.write(write, b"cleaned up")):
                parent = os.getpid()
                if os.fork():
                    os._exit(0)
                while os.getppid() == parent:
                    time.sleep(0.01)
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(daemon_maker, 0)
    with os.fdopen(read, "rb") as told:
        assert told.read() == b"cleaned up"
