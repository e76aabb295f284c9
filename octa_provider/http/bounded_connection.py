"""Connections that keep to the time limit of the exchange they are used for.

The timeouts of urllib3 hold for one step at a time: looking the name up, each address, each read. A server that sends
a byte now and then, or `100 Continue` without end, never meets them. Here every step waits for no longer than what is
left of the whole exchange.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError

from octa_provider.http.repeated_read import BareResponse, RepeatedRead
from octa_provider.http.time_limit import TimeLimit, current_limit

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3 import PoolManager
    from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool

BUFFER_BYTES = 64 * 1024
#: What is handed to the network at once: a TLS connection waits anew for each record.
SENT_AT_ONCE = 16 * 1024


class BoundedAdapter(HTTPAdapter):
    """The adapter of requests, on bounded connections; proxies included. A `RepeatedRead` keeps its connections."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _bind(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **options)
        _bind(manager)
        return manager

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> ConnectionPool:
        if not isinstance(request, RepeatedRead):
            return super().get_connection_with_tls_context(request, *args, **options)
        if request.pool is None:
            request.pool = super().get_connection_with_tls_context(request, *args, **options)
        return request.pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return request.path_url if isinstance(request, RepeatedRead) else super().request_url(request, proxies)

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        return BareResponse(req, resp) if isinstance(req, RepeatedRead) else super().build_response(req, resp)


class _BoundedReader(io.RawIOBase):
    """A socket's bytes, read within a time limit."""

    def __init__(self, connection: socket.socket, file: io.RawIOBase, limit: TimeLimit) -> None:
        super().__init__()
        self._connection = connection
        self._file = file
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while True:
            self._connection.settimeout(self._limit.slice_s())
            try:
                count = self._connection.recv_into(buffer)
            except TimeoutError:
                continue
            self._limit.came(count)
            return count

    def close(self) -> None:
        # The file counts as one user of the socket, which stays open until it is closed.
        self._file.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """An answer whose status, headers and body arrive within the limit that held when it was asked for."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        limit = current_limit()
        if limit is not None:
            limit.counted = True
            self.fp = io.BufferedReader(_BoundedReader(sock, self.fp.detach(), limit), BUFFER_BYTES)


class _BoundedConnection(HTTPConnection):
    """Mixed in front of urllib3's connections, those through proxies included."""

    response_class = _BoundedResponse
    _connecting = False

    def _new_conn(self) -> socket.socket:
        limit = current_limit()
        if limit is None:
            return super()._new_conn()
        self.timeout = limit.wait_s()
        connection = (
            super()._new_conn() if self._is_quick() else _in_time(super()._new_conn, limit, self._came_too_late)
        )
        connection.settimeout(limit.wait_s())
        return connection

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        limit = current_limit()
        if limit is None:
            super().send(data)
            return
        if self.sock is None:
            self.connect()
        if not self._connecting:
            # What a proxy is told to open a tunnel is no part of the request.
            limit.request_left = True
        pieces = (
            (data[at : at + SENT_AT_ONCE] for at in range(0, len(data), SENT_AT_ONCE))
            if isinstance(data, bytes)
            else (data,)
        )
        for piece in pieces:
            self.sock.settimeout(limit.wait_s())
            super().send(piece)

    def _is_quick(self) -> bool:
        """A single address, that nobody has to look up: connecting to it keeps to `timeout` by itself."""
        try:
            ipaddress.ip_address(self.host.strip("[]"))
        except ValueError:
            return False
        # A SOCKS proxy has a conversation of its own before the connection is there.
        return not hasattr(self, "_socks_options")

    def _came_too_late(self) -> ConnectTimeoutError:
        return ConnectTimeoutError(self, f"connection to {self.host} timed out")


def _in_time(
    connect: Callable[[], socket.socket], limit: TimeLimit, too_late: Callable[[], Exception]
) -> socket.socket:
    """The connection that `connect` makes, or an error when the limit is over.

    Looking a name up can't be given a timeout, nor can all its addresses together: so it happens in a thread of its
    own, which is left to itself when it takes too long.
    """
    # Of C, so that a signal which raises in this thread leaves no lock behind.
    made: SimpleQueue[socket.socket | BaseException] = SimpleQueue()
    abandoned = False

    def run() -> None:
        try:
            made.put(connect())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            made.put(error)
        if abandoned:
            _close(made)

    try:
        threading.Thread(target=run, name="octa-connect", daemon=True).start()
    except RuntimeError:
        # No threads any more, or none to be had: an interpreter that is ending still has a machine to stop.
        return connect()
    try:
        while True:
            try:
                connection = made.get(timeout=limit.slice_s())
                break
            except Empty:
                continue
    except BaseException as error:
        abandoned = True
        _close(made)
        if isinstance(error, TimeoutError):
            raise too_late() from error
        raise
    if isinstance(connection, BaseException):
        raise connection
    return connection


def _close(made: SimpleQueue[socket.socket | BaseException]) -> None:
    """Close the connection that nobody waits for any more, if it is there."""
    with suppress(Empty):
        connection = made.get_nowait()
        if isinstance(connection, socket.socket):
            connection.close()


def _bind(manager: PoolManager) -> None:
    """Make the pools of a manager use bounded connections."""
    manager.pool_classes_by_scheme = {
        scheme: _bounded(pool_class) for scheme, pool_class in manager.pool_classes_by_scheme.items()
    }


@cache
def _bounded(pool_class: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    plain = pool_class.ConnectionCls
    if issubclass(plain, _BoundedConnection):
        return pool_class
    connection_class = type(plain.__name__, (_BoundedConnection, plain), {})
    return type(pool_class.__name__, (pool_class,), {"ConnectionCls": connection_class})
