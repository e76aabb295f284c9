"""An outage is told of once when it begins, once when it changes, once when it is over."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from held_clock import HeldClock
from odd_server import OddServer, answer, hang_up, refused_port

from octa_provider import OctaClient, OctaError
from octa_provider.errors import OctaDecodeError
from octa_provider.logs.session_log import SessionLog
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.outage import MOST_REMEMBERED, Outages, outages

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def look(octa: OctaClient, clock: HeldClock, ask: Callable[[OctaClient], object]) -> None:
    """One look of a wait that looks every 5 s and tells its trouble."""
    try:
        ask(octa)
    except OctaError as error:
        outages.failed(error, clock, "a test waits")
    clock.sleep(5.0)


def test_a_long_outage_is_two_lines_whatever_looks_come_between(
    serve: Serve, connect: Connect, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    octa = connect(serve(*[answer(503, {})] * 8, answer(body=[])), retries=0)
    for _ in range(10):
        look(octa, clock, lambda octa: octa.sessions.list())
    first, last = told(caplog)
    assert "answered 503" in first
    assert first.endswith("asking again: a test waits")
    assert last.endswith("/sessions answers again after 40 s")


def test_an_outage_that_changes_is_told_of_anew(
    serve: Serve, connect: Connect, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    octa = connect(serve(*[answer(503, {})] * 3, *[answer(429, {})] * 3, answer(body=[])), retries=0)
    for _ in range(7):
        look(octa, clock, lambda octa: octa.sessions.list())
    assert [("answered 503" in line, "answered 429" in line, "again after 30 s" in line) for line in told(caplog)] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_a_host_that_is_away_is_one_line_for_all_that_is_asked_of_it(
    connect: Connect, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"http://127.0.0.1:{refused_port()}"
    for octa in (connect(url, retries=0), connect(url, retries=0)):
        for _ in range(2):
            look(octa, clock, lambda octa: octa.sessions.list())
            look(octa, clock, lambda octa: octa.accounts.balance())
    assert len(told(caplog)) == 1


def test_an_outage_that_every_request_meets_is_two_lines(
    serve: Serve, connect: Connect, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    octa = connect(serve(*[answer(503, {})] * 6, answer(body=[]), answer(body={"balance": 1})), retries=0)
    for _ in range(4):
        look(octa, clock, lambda octa: octa.sessions.list())
        look(octa, clock, lambda octa: octa.accounts.balance())
    first, last = told(caplog)
    assert "/sessions answered 503" in first
    assert "/sessions answers again after 30 s" in last


def test_what_goes_on_after_another_request_answers_is_told(
    serve: Serve, connect: Connect, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    octa = connect(serve(*[answer(503, {})] * 2, *[answer(body=[]), answer(503, {})] * 2), retries=0)
    for _ in range(3):
        look(octa, clock, lambda octa: octa.sessions.list())
        look(octa, clock, lambda octa: octa.accounts.balance())
    first, second, third = told(caplog)
    assert "/sessions answered 503" in first
    assert "/sessions answers again" in second
    assert "/accounts/balance answered 503" in third


def test_one_path_that_fails_is_not_over_when_another_answers(
    serve: Serve, connect: Connect, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    octa = connect(serve(*[answer(503, {}), answer(body=[])] * 4, answer(body={"container": ""})), retries=0)
    for _ in range(4):
        look(octa, clock, lambda octa: list(SessionLog(octa, "u").new_lines()))
        look(octa, clock, lambda octa: octa.sessions.list())
    look(octa, clock, lambda octa: list(SessionLog(octa, "u").new_lines()))
    first, last = told(caplog)
    assert "/services/u/logs answered 503" in first
    assert "/services/u/logs answers again" in last


def test_a_log_that_breaks_off_every_time_is_one_line(
    serve: Serve, connect: Connect, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    octa = connect(serve(answer(body=b'{"container": "one')), retries=0)
    for _ in range(3):
        look(octa, clock, lambda octa: list(SessionLog(octa, "u").new_lines()))
    assert len(told(caplog)) == 1


def test_a_question_that_is_asked_again_tells_its_outage_and_its_end(
    serve: Serve, connect: Connect, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    octa = connect(serve(hang_up, hang_up, hang_up, answer(body=b"garbage"), answer(body=[])), retries=0)
    ask_until(Deadline(clock, 300.0), octa.sessions.list, "a start")
    assert len(told(caplog)) == 4
    assert "asking again: a start" in told(caplog)[0]
    assert "answers again" in told(caplog)[1]
    assert "not JSON" in told(caplog)[2]
    assert "answers again" in told(caplog)[3]


def test_what_is_not_waited_out_is_not_told_of(
    serve: Serve, connect: Connect, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    octa = connect(serve(answer(404, {})), retries=0)
    with pytest.raises(OctaError):
        ask_until(Deadline(clock, 300.0), octa.sessions.list)
    assert told(caplog) == []


def test_only_so_many_outages_are_remembered(clock: HeldClock) -> None:
    many = Outages()
    for number in range(MOST_REMEMBERED + 50):
        many.failed(OctaDecodeError("x", what=f"GET /{number}"), clock)
    assert len(many) == MOST_REMEMBERED
