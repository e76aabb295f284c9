"""When a request is sent again: urllib3's Retry with full jitter and a cap on what the server may ask for."""

from __future__ import annotations

import random
from typing import Any

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from octa_provider.timing.asking import RETRIED_STATUS
from octa_provider.timing.backoff import grown_s


class FullJitterRetry(Retry):
    """`urllib3.util.Retry` for GET alone, waiting a random part of the exponential step.

    Full jitter (anywhere between nothing and the step) keeps a thousand workers from returning in one wave
    after an outage. `Retry-After` is honoured, in seconds or as a date, up to `max_retry_after` seconds.
    """

    def __init__(self, *args: Any, max_retry_after: float = 60.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_retry_after = max_retry_after

    @classmethod
    def for_reads(cls, retries: int, max_retry_after: float) -> FullJitterRetry:
        """The policy of this package: `retries` more tries of a GET on connection errors, 429 and 5xx.

        Args:
            retries: tries after the first one.
            max_retry_after: the longest wait, in seconds, that a server's `Retry-After`, whose name it has, can ask
                for.
        """
        return cls(
            total=retries,
            allowed_methods=frozenset({"GET"}),
            status_forcelist=RETRIED_STATUS,
            backoff_factor=0.5,
            backoff_max=20.0,
            raise_on_status=False,
            respect_retry_after_header=True,
            max_retry_after=max_retry_after,
        )

    def new(self, **kwargs: Any) -> FullJitterRetry:
        """A copy with some settings changed; urllib3 calls it for every step of the history."""
        kwargs.setdefault("max_retry_after", self.max_retry_after)
        return super().new(**kwargs)

    def get_backoff_time(self) -> float:
        """Seconds to wait before the next try: uniform between 0 and the exponential step."""
        tries = len(self.history)
        if tries == 0:
            return 0.0
        return grown_s(self.backoff_factor, tries, self.backoff_max, spread=(0.0, 1.0), chance=random.random())

    def seconds_asked(self, header: str | None) -> float | None:
        """What a `Retry-After` header asks for, in seconds and capped; None without one or when it is nonsense."""
        if not header:
            return None
        try:
            seconds = self.parse_retry_after(header.strip())
        except (InvalidHeader, ValueError, OverflowError):
            return None
        return min(max(seconds, 0.0), self.max_retry_after)
