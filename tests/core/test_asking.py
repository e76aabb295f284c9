"""Asking again through outages, until a deadline."""

from __future__ import annotations

import pytest
from held_clock import HeldClock

from octa_provider import Clock
from octa_provider.errors import (
    OctaApiError,
    OctaConfigError,
    OctaDecodeError,
    OctaError,
    OctaNetworkError,
    OctaNotFoundError,
    OctaRateLimitError,
    OctaServerError,
    OctaTimeoutError,
)
from octa_provider.timing.asking import ask_until, is_transient
from octa_provider.timing.backoff import pauses
from octa_provider.timing.deadline import Deadline


def test_a_deadline_passes_when_its_time_is_over(clock: HeldClock) -> None:
    deadline = Deadline(clock, 10)
    assert (deadline.left_s, deadline.passed) == (10, False)
    clock.sleep(9)
    assert not deadline.passed
    clock.sleep(1)
    assert deadline.passed
    clock.sleep(5)
    assert deadline.left_s == -5


def test_a_pause_does_not_go_past_the_deadline(clock: HeldClock) -> None:
    deadline = Deadline(clock, 10)
    deadline.pause(4)
    deadline.pause(100)
    deadline.pause(100)
    assert clock.slept == [4, 6, 0]


def test_the_earlier_of_two_deadlines_counts(clock: HeldClock) -> None:
    deadline = Deadline(clock, 10)
    assert deadline.earlier(3).left_s == 3
    assert deadline.earlier(30).left_s == 10


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (OctaNetworkError("x"), True),
        (OctaTimeoutError("x"), True),
        (OctaDecodeError("x"), True),
        (OctaServerError("x", status=500), True),
        (OctaRateLimitError("x"), True),
        (OctaNotFoundError("x", status=404), False),
        (OctaApiError("x", status=402), False),
        (OctaConfigError("x"), False),
        (ValueError("x"), False),
    ],
)
def test_what_may_pass_is_asked_again_and_what_will_not_is_not(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


def test_a_question_is_asked_again_until_it_is_answered(clock: HeldClock) -> None:
    answers: list[OctaError | str] = [OctaServerError("x", status=503), OctaNetworkError("x"), "here"]

    def question() -> str:
        answer = answers.pop(0)
        if isinstance(answer, OctaError):
            raise answer
        return answer

    assert ask_until(Deadline(clock, 60), question) == "here"
    assert len(clock.slept) == 2


def test_at_the_deadline_the_last_error_is_raised(clock: HeldClock) -> None:
    asked: list[float] = []

    def question() -> None:
        asked.append(clock.at_s)
        raise OctaNetworkError(f"number {len(asked)}")

    with pytest.raises(OctaNetworkError, match=f"number {'.'}") as caught:
        ask_until(Deadline(clock, 30), question)
    assert str(caught.value) == f"number {len(asked)}"
    # Asked a last time at the deadline itself, and never after it.
    assert asked[-1] == pytest.approx(30)
    assert 4 <= len(asked) <= 12


def test_an_error_that_will_not_pass_is_raised_at_once(clock: HeldClock) -> None:
    def question() -> None:
        raise OctaNotFoundError("x", status=404)

    with pytest.raises(OctaNotFoundError):
        ask_until(Deadline(clock, 60), question)
    assert clock.slept == []


def test_pauses_grow_with_jitter_and_respect_what_the_server_asked() -> None:
    pause = pauses()
    for step in (0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0):
        assert step / 2 <= pause(None) <= step
    assert pause(OctaRateLimitError("x", retry_after=33.0)) == 33.0
    assert pause(OctaRateLimitError("x", retry_after=None)) <= 10.0


def test_the_systems_clock_tells_the_time_and_does_not_wait_for_nothing() -> None:
    clock = Clock()
    before = clock.monotonic()
    clock.sleep(0)
    clock.sleep(-5)
    clock.sleep(0.001)
    assert 0 < clock.monotonic() - before < 5
    assert clock.now().tzinfo is not None
    assert clock.now().timestamp() == pytest.approx(clock.time(), abs=5)
