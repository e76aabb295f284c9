"""`Api`: the endpoints on one set of connections. What is built on the API takes this, never the client on top."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TypeVar

from octa_provider.api.accounts import Accounts
from octa_provider.api.apps import Apps
from octa_provider.api.idle_jobs import IdleJobs
from octa_provider.api.network import Network
from octa_provider.api.nodes import Nodes
from octa_provider.api.services import Services
from octa_provider.api.sessions import Sessions
from octa_provider.http.transport import Transport
from octa_provider.timing.clock import Clock
from octa_provider.timing.deadline import Deadline

A = TypeVar("A", bound="Api")


class Api:
    """The endpoints of the API. Safe to share between threads; a context manager that closes its connections.

    Args:
        transport: what sends the requests.
    """

    def __init__(self, transport: Transport) -> None:
        self._use(transport)

    def _use(self, transport: Transport) -> None:
        self._transport = transport
        self.accounts = Accounts(transport)
        self.network = Network(transport)
        self.apps = Apps(transport)
        self.nodes = Nodes(transport)
        self.services = Services(transport)
        self.sessions = Sessions(transport)
        self.idle_jobs = IdleJobs(transport)

    def within(self: A, deadline: Deadline, is_cancelled: Callable[[], bool] = lambda: False) -> A:
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
        view._use(self._transport.within(deadline, is_cancelled))
        return view

    def stream(self, path: str, *, params: Mapping[str, str] | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """An answer piece by piece, for one too big to hold; see `Transport.stream`.

        Args:
            path: below the base URL; `path_of` makes it.
            params: the query.
        """
        return self._transport.stream(path, params=params)

    def masked(self, text: str) -> str:
        """The text with the API key masked, for whoever shows what a server sent."""
        return self._transport.masked(text)

    @property
    def account(self) -> tuple[str, ...]:
        """Tells accounts apart: the base URLs, and a hash of the key."""
        return self._transport.account

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

    def __enter__(self: A) -> A:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"
