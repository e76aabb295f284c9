"""The retry policy by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import Retry

from octa_provider.http.retry import FullJitterRetry


def test_it_is_urllib3s_retry_and_allows_get_alone() -> None:
    policy = FullJitterRetry.for_reads(2, 60.0)
    assert isinstance(policy, Retry)
    assert policy.allowed_methods == {"GET"}


def test_copies_keep_the_cap() -> None:
    assert FullJitterRetry.for_reads(2, 17.0).new(total=1).max_retry_after == 17.0


def test_nothing_is_waited_before_the_first_try() -> None:
    assert FullJitterRetry.for_reads(2, 60.0).get_backoff_time() == 0.0


@given(st.integers(1, 100))
def test_no_pause_is_longer_than_the_longest_step(tries: int) -> None:
    policy = FullJitterRetry.for_reads(100, 60.0)
    for _ in range(tries):
        policy = policy.increment("GET", "/x", error=Exception())
    assert 0.0 <= policy.get_backoff_time() <= min(20.0, 0.5 * 2**tries)


@given(
    st.one_of(st.none(), st.text(), st.from_regex(r"\A[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} -?\d+ \d+:\d+:\d+ [+-]?\w+\Z"))
)
def test_no_retry_after_header_can_do_harm(header: str | None) -> None:
    seconds = FullJitterRetry.for_reads(2, 60.0).seconds_asked(header)
    assert seconds is None or 0.0 <= seconds <= 60.0
