"""The hosts that serve the API to one client: which one is asked first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class ApiHosts:
    """Shared by everything that uses the same connections, so that all learn from one another.

    Args:
        base_urls: where the API is served, in the order of preference.
    """

    def __init__(self, base_urls: Sequence[str]) -> None:
        self._base_urls = tuple(base_urls)
        self._first = 0

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
