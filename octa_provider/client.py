"""`OctaClient`: one constructor, the API's resources hang off it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError
from octa_provider.http.hooks import RequestContext, ResponseContext
from octa_provider.http.options import DEFAULT_RETRIES, TransportOptions
from octa_provider.http.transport import Transport
from octa_provider.http.urls import DEFAULT_BASE_URL, checked_base_url
from octa_provider.job.jobs import Jobs
from octa_provider.market.payer import payer_of
from octa_provider.rental.intents import Intents
from octa_provider.rental.key import NAMESPACE_ENV, checked_namespace
from octa_provider.rental.rental_api import RentalApi
from octa_provider.rental.rentals import Rentals
from octa_provider.timing.clock import SYSTEM_CLOCK, Clock
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.limits import checked_max_retry_after, checked_retries, checked_timeout

if TYPE_CHECKING:
    import requests

    from octa_provider.batch.batches import Batches


class OctaClient(RentalApi):
    """The OctaSpace API. Safe to share between threads; use it as a context manager to close its connections.

    Args:
        api_key: the account's key; else the environment variable `OCTA_API_KEY`. Without one only `network` works.
        base_url: where the API is served, one URL or several; else `OCTA_BASE_URL` (commas between several). With
            several, a connection that fails moves on to the next, never for a request whose bytes may have been sent.
        timeout: seconds to wait for a connection, and for an answer, by the name that `requests` has for it.
        retries: how many more times a GET is sent after connection errors, 429 and 5xx. Nothing else is ever retried.
        user_agent: put in front of our own `User-Agent`.
        on_request: called with a `RequestContext` before every attempt.
        on_response: called with a `ResponseContext` after every attempt.
        session: a `requests.Session` of yours, with its own adapters and TLS settings; it is not closed here.
        allow_http: permit plain http to other machines than this one.
        max_retry_after: the longest wait, in seconds, that a server's `Retry-After`, whose name it has, can ask for.
        namespace: tells this installation from others that share the account; it stands in front of every rental key.
            Else the environment variable `OCTA_NAMESPACE`, else none.
        intents: where it is written down what is about to be rented, for a next try elsewhere. A folder of this user on
            this machine when left out: `OCTA_STATE_DIR`, else below `~/.local/state/octa-provider`.
        organization_id: the organisation that pays for machines, where a request does not say; else the environment
            variable `OCTA_ORGANIZATION_ID`, else the account itself. Render and VPN sessions, for which the API
            takes none, are refused then.
        project_id: what for, in that organisation; else `OCTA_PROJECT_ID`.
        clock: where the time comes from; tests replace it.

    Raises:
        OctaConfigError: an argument that can't work; no request is made.

    Example:
        >>> with OctaClient() as octa:
        ...     for machine in octa.services.mr.available():
        ...         print(machine.node_id, machine.gpu_model, machine.price_usd)
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | Sequence[str] | None = None,
        timeout: float = 30.0,
        retries: int = DEFAULT_RETRIES,
        user_agent: str | None = None,
        on_request: Callable[[RequestContext], object] | None = None,
        on_response: Callable[[ResponseContext], object] | None = None,
        session: requests.Session | None = None,
        allow_http: bool = False,
        max_retry_after: float = 60.0,
        namespace: str | None = None,
        intents: Intents | None = None,
        organization_id: int | str | None = None,
        project_id: int | str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        options = TransportOptions(
            base_urls=_base_urls(base_url, allow_http=allow_http),
            timeout_s=checked_timeout(timeout),
            retries=checked_retries(retries),
            max_retry_after_s=checked_max_retry_after(max_retry_after),
            allow_http=allow_http,
            user_agent=_user_agent(user_agent),
            on_request=on_request,
            on_response=on_response,
            clock=clock,
        )
        super().__init__(
            Transport(_api_key(api_key), options, session),
            namespace=checked_namespace(os.environ.get(NAMESPACE_ENV, "") if namespace is None else namespace),
            intents=intents,
            payer=payer_of(organization_id, project_id),
        )
        self._whole: OctaClient | None = None

    def within(self, deadline: Deadline, is_cancelled: Callable[[], bool] = lambda: False) -> OctaClient:
        view = super().within(deadline, is_cancelled)
        for cached in ("rentals", "jobs", "batches"):
            view.__dict__.pop(cached, None)
        view._whole = self._whole or self
        return view

    within.__doc__ = RentalApi.within.__doc__

    @cached_property
    def rentals(self) -> Rentals:
        """Sessions started exactly once and stopped for certain."""
        return Rentals(self) if self._whole is None else self._whole.rentals

    @cached_property
    def jobs(self) -> Jobs:
        """Commands run to completion."""
        return Jobs(self, self.rentals) if self._whole is None else self._whole.jobs

    @cached_property
    def batches(self) -> Batches:
        """Animations over many rented machines."""
        # Few need it, and it brings much.
        from octa_provider.batch.batches import Batches

        return Batches(self, self.rentals) if self._whole is None else self._whole.batches


def _api_key(given: str | None) -> str | None:
    key = os.environ.get("OCTA_API_KEY") if given is None else given
    if key is not None and not isinstance(key, str):
        raise OctaConfigError("the API key must be text")
    if key is None or key.strip() == "":
        return None
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise OctaConfigError(
            "the API key holds a character that no key has: copy it again, without quotes and line ends"
        )
    return key


def _base_urls(given: str | Sequence[str] | None, *, allow_http: bool) -> tuple[str, ...]:
    if given is None:
        given = os.environ.get("OCTA_BASE_URL") or DEFAULT_BASE_URL
    urls = given.split(",") if isinstance(given, str) else list(given) if isinstance(given, Iterable) else []
    if not urls or not all(isinstance(url, str) for url in urls):
        raise OctaConfigError(f"base_url must be a URL or several, like {DEFAULT_BASE_URL}")
    return tuple(dict.fromkeys(checked_base_url(url, allow_http=allow_http) for url in urls))


def _user_agent(given: str | None) -> str:
    try:
        own = f"octa-provider/{version('octa-provider')}"
    except PackageNotFoundError:
        own = "octa-provider"
    if given and not (given.isascii() and given.isprintable()):
        raise OctaConfigError("user_agent travels in a header: use one line of printable ASCII characters")
    return f"{given} {own}" if given else own
