"""What is said about an API that does not answer: once when it begins, once when it changes, once when it is over.

A wait looks every few seconds, and many waits look at the same API. Each of them tells its trouble here, where it is
told to the log once for the whole process.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from octa_provider.errors import OctaApiError, OctaDecodeError, OctaError, OctaNetworkError
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.clock import Clock

__all__ = ["Outages", "outages"]

log = plain_logger("octa_provider.timing.outage")

_NUMBERS = re.compile("[0-9]+")

MOST_REMEMBERED = 500


@dataclass(frozen=True)
class _Outage:
    """Something that does not answer, since when, in which way, of which host, and whether the log tells of it."""

    began_at: float
    kind: str
    name: str
    host: str
    is_told: bool


class Outages:
    """Outages that have been told of, and are not over."""

    def __init__(self) -> None:
        self._told: dict[str, _Outage] = {}

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._told)

    def failed(self, error: OctaError, clock: Clock, waiting: str = "") -> str:
        """Tell of an error that is going to be waited out: at WARNING when it is new, else at DEBUG.

        What keeps another request of the same host from its answer in the same way is not new.

        Args:
            error: what came instead of an answer.
            clock: where the time comes from.
            waiting: what waits for it, such as `the job nightly/17 waits`.

        Returns:
            What it is about, for `over`.
        """
        about, name = _about(error)
        kind = _kind(error)
        known = self._told.get(about)
        text = f"{str(error).rstrip('.')}; asking again" + (f": {waiting}" if waiting else "")
        began_at = clock.monotonic() if known is None else known.began_at
        url = getattr(error, "url", None)
        host = _host(url) if url else ""
        was_told = known is not None and known.kind == kind and known.is_told
        is_new = not was_told and not self._is_told(host, kind, but=about)
        log.log(logging.WARNING if is_new else logging.DEBUG, "%s", text)
        if known is None and len(self._told) >= MOST_REMEMBERED:
            self._told.pop(next(iter(self._told)), None)
        self._told[about] = _Outage(began_at, kind, name, host, was_told or is_new)
        return about

    def answered(self, url: str, method: str | None, clock: Clock) -> None:
        """A host has answered: what was told of it is over.

        Args:
            url: what was asked.
            method: how, when the answer was a good one; then what was told of this very request is over too.
            clock: where the time comes from.
        """
        if self._told:
            self.over(_host(url), clock)
            if method is not None:
                self.over(f"{method} {url}", clock)

    def over(self, about: str, clock: Clock) -> None:
        """What was told of this is over.

        Args:
            about: what `failed` returned.
            clock: where the time comes from.
        """
        outage = self._told.pop(about, None)
        if outage is not None and outage.is_told:
            after_s = max(0.0, clock.monotonic() - outage.began_at)
            log.warning("%s answers again after %.0f s", outage.name, after_s)

    def _is_told(self, host: str, kind: str, but: str) -> bool:
        """Whether the log tells of the same trouble of another request of a host."""
        others = [one for about, one in self._told.items() if about != but]
        return bool(host) and any(one.is_told and (one.host, one.kind) == (host, kind) for one in others)


#: Those of this process.
outages = Outages()


def _about(error: OctaError) -> tuple[str, str]:
    """What does not answer, and its name: the host when it can't be reached, else the one request."""
    if isinstance(error, OctaNetworkError) and error.url and not error.maybe_sent:
        host = _host(error.url)
        return host, host
    if isinstance(error, (OctaNetworkError, OctaApiError)) and error.url:
        about = f"{error.method} {error.url}"
        return about, about
    what = error.what if isinstance(error, OctaDecodeError) else ""
    return f"{type(error).__name__} {what}", what or "the API"


def _kind(error: OctaError) -> str:
    """Tells one trouble from another: the words without their numbers, which change from look to look."""
    if isinstance(error, OctaApiError):
        return str(error.status)
    text = error.message
    if isinstance(error, OctaNetworkError):
        text = text.removeprefix(f"{error.method} {error.url}")
    return f"{type(error).__name__} {_NUMBERS.sub('', text)}"


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
