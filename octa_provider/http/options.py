"""How a client sends its requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from octa_provider.http.hooks import RequestContext, ResponseContext
from octa_provider.timing.clock import SYSTEM_CLOCK, Clock

#: How many more times a GET is sent, where the caller does not say; `retry.py` says when.
DEFAULT_RETRIES = 2


@dataclass(frozen=True)
class TransportOptions:
    """How requests are sent; the arguments of `OctaClient`, checked."""

    base_urls: tuple[str, ...]
    timeout_s: float = 30.0
    retries: int = DEFAULT_RETRIES
    max_retry_after_s: float = 60.0
    allow_http: bool = False
    user_agent: str = "octa-provider"
    on_request: Callable[[RequestContext], object] | None = None
    on_response: Callable[[ResponseContext], object] | None = None
    clock: Clock = SYSTEM_CLOCK
