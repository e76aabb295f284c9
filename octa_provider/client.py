"""`OctaClient`: one constructor, the API's resources hang off it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import TYPE_CHECKING

from octa_provider.api.accounts import Accounts
from octa_provider.api.apps import Apps
from octa_provider.api.idle_jobs import IdleJobs
from octa_provider.api.network import Network
from octa_provider.api.nodes import Nodes
from octa_provider.api.services import Services
from octa_provider.api.sessions import Sessions
from octa_provider.errors import OctaConfigError
from octa_provider.http.hooks import RequestContext, ResponseContext
from octa_provider.http.options import TransportOptions
from octa_provider.http.transport import Transport
from octa_provider.http.urls import DEFAULT_BASE_URL, checked_base_url
from octa_provider.job.jobs import Jobs
from octa_provider.rental.intents import FolderIntents, Intents, state_folder
from octa_provider.rental.key import NAMESPACE_ENV, checked_namespace
from octa_provider.rental.rental import Rentals
from octa_provider.timing.clock import SYSTEM_CLOCK, Clock
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.limits import checked_max_retry_after, checked_retries, checked_timeout

if TYPE_CHECKING:
    import requests


class OctaClient:
    """The OctaSpace API. Safe to share between threads; use it as a context manager to close its connections.

    Args:
        api_key: the account's key; else the environment variable `OCTA_API_KEY`. Without one only `network` works.
        base_url: where the API is served, one URL or several; else `OCTA_BASE_URL` (commas between several). With
            several, a connection that fails moves on to the next, never for a request whose bytes may have been sent.
        timeout: seconds to wait for a connection, and for an answer.
        retries: how many more times a GET is sent after connection errors, 429 and 5xx. Nothing else is ever retried.
        user_agent: put in front of our own `User-Agent`.
        on_request: called with a `RequestContext` before every attempt.
        on_response: called with a `ResponseContext` after every attempt.
        session: a `requests.Session` of yours, with its own adapters and TLS settings; it is not closed here.
        allow_http: permit plain http to other machines than this one.
        max_retry_after: the longest wait, in seconds, that a server's `Retry-After` can ask for.
        namespace: tells this installation from others that share the account; it stands in front of every rental key.
            Else the environment variable `OCTA_NAMESPACE`, else none.
        intents: where it is written down what is about to be rented, for a next try elsewhere. A folder of this user on
            this machine when left out: `OCTA_STATE_DIR`, else below `~/.local/state/octa-provider`.
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
        retries: int = 2,
        user_agent: str | None = None,
        on_request: Callable[[RequestContext], object] | None = None,
        on_response: Callable[[ResponseContext], object] | None = None,
        session: requests.Session | None = None,
        allow_http: bool = False,
        max_retry_after: float = 60.0,
        namespace: str | None = None,
        intents: Intents | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._namespace = checked_namespace(os.environ.get(NAMESPACE_ENV, "") if namespace is None else namespace)
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
        self._intents = intents
        self._whole: OctaClient | None = None
        self._use(Transport(_api_key(api_key), options, session))

    def _use(self, transport: Transport) -> None:
        self._transport = transport
        self.accounts = Accounts(transport)
        self.network = Network(transport)
        self.apps = Apps(transport)
        self.nodes = Nodes(transport)
        self.services = Services(transport)
        self.sessions = Sessions(transport)
        self.idle_jobs = IdleJobs(transport)

    def within(self, deadline: Deadline, is_cancelled: Callable[[], bool] = lambda: False) -> OctaClient:
        """This client for requests that must end by a deadline, for a caller that asks again himself.

        It shares the connections, the key and the hooks, costs next to nothing to make, and needs no closing. Its
        requests are sent once: nothing is tried again here. Each one ends, connection, headers and body together, by
        the deadline or after the client's timeout, whichever comes first; one that begins at or after the deadline has
        a second, so that a stop can still be sent. `rentals` and `jobs` are those of the client itself, since what they
        give outlives a deadline. Of a client that `within` gave, both deadlines hold, and both cancels.

        Args:
            deadline: when every request must have ended.
            is_cancelled: asked about twice a second while a read's answer arrives. A request with a side effect is not
                cut short: its answer tells what bills from now on.

        Raises (its requests):
            OctaTimeoutError: not ended in time.
            OctaCancelledError: `is_cancelled` said yes.

        Example:
            >>> deadline = Deadline(octa.clock, 5.0)
            >>> octa.within(deadline).sessions.list()
        """
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        for cached in ("rentals", "jobs"):
            view.__dict__.pop(cached, None)
        view._whole = self._whole or self
        view._use(self._transport.within(deadline, is_cancelled))
        return view

    @cached_property
    def rentals(self) -> Rentals:
        """Sessions started exactly once and stopped for certain."""
        return Rentals(self) if self._whole is None else self._whole.rentals

    @cached_property
    def jobs(self) -> Jobs:
        """Commands run to completion."""
        return Jobs(self) if self._whole is None else self._whole.jobs

    @property
    def namespace(self) -> str:
        """What stands in front of every rental key; empty for none."""
        return self._namespace

    @cached_property
    def intents(self) -> Intents:
        """Where it is written down what is about to be rented."""
        return FolderIntents(state_folder(self._transport.account)) if self._intents is None else self._intents

    @property
    def base_url(self) -> str:
        """The base URL in use."""
        return self._transport.base_url

    @property
    def clock(self) -> Clock:
        """Where the time comes from."""
        return self._transport.clock

    @property
    def transport(self) -> Transport:
        """What sends the requests; for the rest of this package."""
        return self._transport

    def close(self) -> None:
        """Close the connections. The client can be used again afterwards."""
        self._transport.close()

    def __enter__(self) -> OctaClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"OctaClient(base_url={self.base_url!r})"


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
