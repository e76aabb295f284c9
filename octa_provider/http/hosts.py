"""The hosts that serve the API to one client: which one is asked first, and which have ever answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from octa_provider.http.network_fault import Hope, NetworkFault
from octa_provider.timing.clock import Clock

#: Whoever comes back after so long has not been asking all the time.
ANEW_S = 60.0


class ApiHosts:
    """Shared by everything that uses the same connections, so that all learn from one another.

    Args:
        base_urls: where the API is served, in the order of preference.
        clock: where the time comes from.
    """

    def __init__(self, base_urls: Sequence[str], clock: Clock) -> None:
        self._base_urls = tuple(base_urls)
        self._clock = clock
        self._first = 0
        self._answered: set[str] = set()
        #: When a host that has never answered was first and last asked in vain.
        self._asked: dict[str, tuple[float, float]] = {}

    @property
    def first(self) -> str:
        """The base URL that is asked first."""
        return self._base_urls[self._first]

    def in_turn(self) -> Iterator[str]:
        """Every base URL once, the first one to ask first."""
        first = self._first
        for step in range(len(self._base_urls)):
            yield self._base_urls[(first + step) % len(self._base_urls)]

    def prefer(self, base_url: str) -> None:
        """Ask this one first from now on: it has answered."""
        self._first = self._base_urls.index(base_url)

    def pass_over(self, base_url: str) -> None:
        """Ask the one after this first from now on."""
        self._first = (self._base_urls.index(base_url) + 1) % len(self._base_urls)

    def has_answered(self, url: str) -> None:
        """Whatever keeps this host from answering later is an outage, and will pass."""
        self._answered.add(_origin(url))

    def is_final(self, url: str, fault: NetworkFault) -> bool:
        """Whether asking this host again can't help, now that it failed in this way.

        Args:
            url: what was asked.
            fault: how it failed.
        """
        return fault.hope is Hope.NONE and _origin(url) not in self._answered

    def unreached_s(self, url: str, fault: NetworkFault) -> float | None:
        """For how many seconds this host, which has never answered, has been asked in vain; None for other failures.

        Args:
            url: what was asked.
            fault: how it failed.
        """
        origin = _origin(url)
        if origin in self._answered or fault.hope is not Hope.SHORT:
            return None
        now = self._clock.monotonic()
        first, last = self._asked.get(origin, (now, now))
        if not 0 <= now - last < ANEW_S:
            first = now
        self._asked[origin] = (first, now)
        return now - first


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
