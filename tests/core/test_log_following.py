"""Following a session's log over HTTP, to its end and through outages."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from held_clock import HeldClock
from odd_server import OddServer, Received, answer, dripping

from octa_provider import OctaCancelledError, OctaClient, OctaError
from octa_provider.errors import OctaAuthenticationError, OctaServerError, OctaTimeoutError
from octa_provider.logs.cursor import LogCursor
from octa_provider.logs.session_log import SessionLog, follow

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

UUID = "0f1f7f4e-6b0c-4d35-9a49-3a5f6f1f3c11"
KEY = "secret-key-0123456789"
LOGS, INFO, ACTIVE, RECENT = f"/services/{UUID}/logs", f"/services/{UUID}/info", "/sessions", "/sessions?recent=true"
RECENT_LOGS = f"{LOGS}?recent=true"


class Api:
    """Answers by path: a list is used up one by one, its last answer stays. An int is an error status."""

    def __init__(self) -> None:
        self.answers: dict[str, list[object]] = {}
        self.asked: list[str] = []
        self.clock = HeldClock()
        self.base_url = ""

    def answer(self, path: str) -> object:
        self.asked.append(path)
        answers = self.answers.get(path, [404])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def client(self) -> OctaClient:
        return OctaClient(KEY, base_url=self.base_url, clock=self.clock, retries=0)


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = api.answer(self.path)
            self.send_response(answer if isinstance(answer, int) else 200)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            if answer == 429:
                self.send_header("Retry-After", "50")
            # A body that is announced and does not come breaks off.
            self.send_header("Content-Length", str(len(body) + (100 if isinstance(answer, bytes) else 0)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    api.base_url = f"http://127.0.0.1:{server.server_port}"
    yield api
    server.shutdown()
    server.server_close()


def log_of(text: str, *system: str) -> dict[str, object]:
    return {"container": text, "system": [{"ts": 1_700_000_000_000, "msg": entry} for entry in system]}


def session(**fields: object) -> dict[str, object]:
    return {"uuid": UUID, "progress": "running", **fields}


def followed(api: Api, **options: object) -> list[str]:
    lines: list[str] = []
    with api.client() as client:
        follow(client, UUID, on_line=lines.append, **options)  # type: ignore[arg-type]
    return lines


def test_lines_come_until_the_session_has_ended(api: Api) -> None:
    api.answers = {
        LOGS: [log_of("one\nt"), log_of("one\ntwo\n"), 404],
        RECENT_LOGS: [log_of("one\ntwo\nthree\nlast")],
        INFO: [session(), session(finished_at=1_700_000_000_000)],
    }
    assert followed(api) == ["one", "two", "three", "last"]


def test_a_session_that_left_the_list_has_ended_when_its_info_is_404(api: Api) -> None:
    api.answers = {LOGS: [log_of("one\n"), 404], RECENT_LOGS: [log_of("one\ntwo\n")], INFO: [404], ACTIVE: [[]]}
    api.answers[RECENT] = [[session(finished_at=1_700_000_000_000)]]
    assert followed(api) == ["one", "two"]
    assert api.clock.at_s == 0


def test_a_new_session_has_its_time_to_appear(api: Api) -> None:
    api.answers = {
        LOGS: [404, 404, log_of("one\n")],
        INFO: [404, 404, session(), 404],
        ACTIVE: [[], [session()], []],
        RECENT: [[]],
    }
    assert followed(api) == ["one"]
    assert api.clock.at_s == 15


def test_a_session_that_nobody_knows_ends_after_its_time_to_appear(api: Api) -> None:
    api.answers = {ACTIVE: [[]], RECENT: [[]]}
    assert followed(api) == []
    assert 20 <= api.clock.at_s <= 30


def test_outages_do_not_end_it(api: Api) -> None:
    api.answers = {
        LOGS: [500, log_of("one\n"), b'{"container": "one\\ntwo', [], {"container": 5}, 429, log_of("one\ntwo\n"), 404],
        INFO: [503, session(), session(), 500, session(), session(), session(), session(finished_at=1)],
        RECENT_LOGS: [503, 503, log_of("one\ntwo\nthree\n")],
    }
    assert followed(api) == ["one", "two", "three"]
    assert api.clock.at_s > 50


def test_a_refused_key_ends_it(api: Api) -> None:
    api.answers = {LOGS: [401]}
    with pytest.raises(OctaAuthenticationError):
        followed(api)
    api.answers = {LOGS: [log_of("")], INFO: [401]}
    with pytest.raises(OctaAuthenticationError):
        followed(api)


def test_an_end_that_cannot_be_read_is_an_error_and_nothing_held_is_lost(api: Api) -> None:
    api.answers = {LOGS: [log_of("one\nheld"), 500], RECENT_LOGS: [500]}
    with api.client() as client:
        log = SessionLog(client, UUID)
        assert list(log.new_lines()) == ["one"]
        with pytest.raises(OctaServerError):
            list(log.last_lines(deadline_s=20))
        api.answers = {LOGS: [404], RECENT_LOGS: [404]}
        assert list(log.last_lines()) == ["held"]


def test_the_caller_says_when_it_is_done(api: Api) -> None:
    api.answers = {LOGS: [log_of("one\nunfinished")], RECENT_LOGS: [404]}
    assert followed(api, until=lambda: api.clock.at_s >= 12) == ["one", "unfinished"]
    assert api.clock.at_s == 12
    assert INFO not in api.asked
    assert followed(api, until=lambda: True) == ["one", "unfinished"]


def test_another_process_carries_on(api: Api) -> None:
    api.answers = {LOGS: [log_of("one\ntwo\nthr", "pulling", "running"), log_of("one\ntwo\nthree\n", "stopping")]}
    with api.client() as client:
        first = SessionLog(client, UUID)
        assert list(first.new_lines()) == ["one", "two"]
        assert [entry.message for entry in first.system] == ["pulling", "running"]
        state = json.loads(json.dumps(first.cursor.to_dict()))
        second = SessionLog(client, UUID, cursor=LogCursor.from_dict(state))
        assert list(second.new_lines()) == ["three"]


def test_the_key_and_escapes_do_not_come_through(api: Api, tmp_path: Path) -> None:
    api.answers = {LOGS: [log_of(f"\x1b[31mOCTA_API_KEY={KEY[:5]}\x1b[0m{KEY[5:]}\n")]}
    with api.client() as client:
        assert list(SessionLog(client, UUID, folder=tmp_path).new_lines()) == ["OCTA_API_KEY=***"]
    assert list(tmp_path.iterdir()) == []


def test_what_on_line_raises_ends_it(api: Api) -> None:
    api.answers = {LOGS: [log_of("one\ntwo\n")]}

    def on_line(line: str) -> None:
        raise ValueError(line)

    with api.client() as client, pytest.raises(ValueError, match="one"):
        follow(client, UUID, on_line=on_line)


def test_a_uuid_that_cannot_be_one_is_refused(api: Api) -> None:
    with api.client() as client, pytest.raises(OctaError):
        SessionLog(client, "../accounts")


def test_memory_stays_bounded_whatever_the_container_prints() -> None:
    from log_memory import MB, measure

    measured = measure(64 * MB)
    assert measured["log_mb"] >= 64
    assert measured["new_lines"] == 1
    # 64 MB more would show at once; what is allowed is a few blocks.
    assert measured["peak_mb"] - measured["before_mb"] < 24
    assert measured["peak_mb"] < 100


DRIPPING = dripping(b'HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{"container": "' + b"x" * 99_999, 0.05)


def endless_log(connection: socket.socket, request: object) -> bool:
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n{"container": "')
    while True:
        connection.sendall(b"x" * 65_536)
        time.sleep(0.01)


@pytest.fixture(params=[DRIPPING, endless_log], ids=["a log that drips", "a log without end"])
def held_up(request: pytest.FixtureRequest) -> Iterator[OctaClient]:
    """A client whose server never comes to the end of a log, and whose own timeout is far away."""
    with (
        OddServer(request.param) as server,
        OctaClient(KEY, base_url=server.url, clock=HeldClock(), timeout=3600.0, retries=0) as client,
    ):
        yield client


def test_a_look_ends_at_its_deadline(held_up: OctaClient) -> None:
    with pytest.raises(OctaTimeoutError):
        list(SessionLog(held_up, UUID).new_lines(deadline_s=0.5))


def test_the_last_look_ends_at_its_deadline(held_up: OctaClient) -> None:
    with pytest.raises(OctaTimeoutError):
        list(SessionLog(held_up, UUID).last_lines(deadline_s=0.0))


@pytest.mark.parametrize("read", [SessionLog.new_lines, SessionLog.last_lines, SessionLog.follow])
def test_a_cancel_is_heard_in_the_middle_of_a_look(held_up: OctaClient, read: Callable[..., Iterator[str]]) -> None:
    asked: list[int] = []

    def is_cancelled() -> bool:
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(OctaCancelledError):
        list(read(SessionLog(held_up, UUID), is_cancelled=is_cancelled))


def test_a_cancel_is_heard_between_two_looks(api: Api) -> None:
    api.answers = {LOGS: [log_of("one\n")], INFO: [session()]}
    with pytest.raises(OctaCancelledError):
        followed(api, is_cancelled=lambda: api.clock.at_s >= 3, poll_s=60.0)
    assert api.clock.at_s < 10


def test_the_end_is_heard_in_the_middle_of_a_look_and_what_is_left_still_comes() -> None:
    drips = iter((True, False))

    def step(connection: socket.socket, request: Received) -> bool:
        if request.path == LOGS and next(drips, False):
            return DRIPPING(connection, request)
        return answer(body=log_of("one\nlast") if request.path == LOGS else log_of("one\n"))(connection, request)

    said = iter((False, False, True))
    with (
        OddServer(step) as server,
        OctaClient(KEY, base_url=server.url, clock=HeldClock(), timeout=3600.0, retries=0) as client,
    ):
        assert list(SessionLog(client, UUID).follow(until=lambda: next(said, False))) == ["one", "last"]


def test_a_look_that_was_cut_short_costs_no_line(api: Api) -> None:
    api.answers = {LOGS: [log_of("one\n"), b'{"container": "one\\ntwo\\nthr', log_of("one\ntwo\nthree\n")]}
    with api.client() as client:
        log = SessionLog(client, UUID)
        assert list(log.new_lines()) == ["one"]
        with pytest.raises(OctaError):
            list(log.new_lines())
        assert list(log.new_lines()) == ["two", "three"]
