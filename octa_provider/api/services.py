"""`client.services`: machines on offer, and starting, reading and stopping sessions on them.

These are the bare endpoints: `start` here posts once and hands the answer over. `client.rentals` is what starts exactly
once and stops for certain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from octa_provider.errors import OctaConfigError
from octa_provider.http.answers import Answer
from octa_provider.http.transport import Transport
from octa_provider.http.urls import path_of
from octa_provider.market.request import MachineRequest, RenderRequest, Request, VpnRequest
from octa_provider.models import Logs, Machine, Records, Session, StartedSession, VpnMachine, decode_list
from octa_provider.models.machine_bytes import read_machines


class MachineEndpoints:
    """`client.services.mr`: machines to run any image on."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def available(self, *, retries: int | None = None, timeout: float | None = None) -> Records[Machine]:
        """Machines on offer: `GET /services/mr`.

        Args:
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        answer = self._transport.get(path_of("services", "mr"), retries=retries, timeout=timeout)
        return _machines(answer, "GET /services/mr")

    def start(
        self,
        *,
        node_id: int,
        image: str,
        disk_gb: int = 10,
        envs: Mapping[str, str] | None = None,
        ports: Sequence[int] = (),
        http_ports: Sequence[int] = (),
        start_command: str = "",
        entrypoint: str = "",
        app: str = "",
        organization_id: int | str | None = None,
        project_id: int | str | None = None,
        timeout: float | None = None,
    ) -> StartedSession:
        """Rent a machine: `POST /services/mr`, once.

        Args:
            node_id: the machine.
            image: container image, such as `blender:4.5`.
            disk_gb: disk in GB.
            envs: environment variables; the API echoes them as `user_envs` (C).
            ports: TCP ports to expose.
            http_ports: ports to publish as URLs.
            start_command: what the container runs.
            entrypoint: the container's entrypoint.
            app: uuid of an app from `client.apps`.
            organization_id: who pays, in an organisation.
            project_id: what for, in an organisation.
            timeout: seconds, for this call, by the name that `requests` has for it.

        Returns:
            The new session's uuid.

        Raises:
            OctaRejectedError: 2xx with a reason and no uuid (B): nothing was started.
            OctaNetworkError: with `maybe_sent`, whether something may have been started.
        """
        request = MachineRequest(
            image=image,
            disk_gb=disk_gb,
            envs={} if envs is None else envs,
            ports=tuple(ports),
            http_ports=tuple(http_ports),
            start_command=start_command,
            entrypoint=entrypoint,
            app=app,
            organization_id=organization_id,
            project_id=project_id,
        )
        return _start(self._transport, request, node_id, timeout)


class RenderEndpoints:
    """`client.services.render`: machines of the render service."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def available(self, *, retries: int | None = None, timeout: float | None = None) -> Records[Machine]:
        """Render machines on offer: `GET /services/render`.

        Args:
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        answer = self._transport.get(path_of("services", "render"), retries=retries, timeout=timeout)
        return _machines(answer, "GET /services/render")

    def start(
        self,
        *,
        node_id: int,
        disk_gb: int = 10,
        envs: Mapping[str, str] | None = None,
        multi_gpu_worker: bool | None = None,
        timeout: float | None = None,
    ) -> StartedSession:
        """Start a render session: `POST /services/render`, once.

        Args:
            node_id: the machine.
            disk_gb: disk in GB.
            envs: environment variables.
            multi_gpu_worker: one worker for all GPUs of the machine.
            timeout: seconds, for this call, by the name that `requests` has for it.

        Returns:
            The new session's uuid.

        Raises:
            OctaRejectedError: 2xx with a reason and no uuid (B): nothing was started.
            OctaNetworkError: with `maybe_sent`, whether something may have been started.
        """
        request = RenderRequest(disk_gb=disk_gb, envs={} if envs is None else envs, multi_gpu_worker=multi_gpu_worker)
        return _start(self._transport, request, node_id, timeout)


class VpnEndpoints:
    """`client.services.vpn`: machines that relay traffic."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def available(self, *, retries: int | None = None, timeout: float | None = None) -> Records[VpnMachine]:
        """VPN machines on offer: `GET /services/vpn`.

        Args:
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        answer = self._transport.get(path_of("services", "vpn"), retries=retries, timeout=timeout)
        return decode_list(VpnMachine, answer.json(), "GET /services/vpn")

    def start(
        self,
        *,
        node_id: int,
        subkind: str | None = None,
        protocol: str | None = None,
        timeout: float | None = None,
    ) -> StartedSession:
        """Start a VPN session: `POST /services/vpn`, once.

        Args:
            node_id: the machine.
            subkind: `wg`, `openvpn`, `ss`, `v2ray` or `http_proxy`; None is `wg`.
            protocol: `trojan`, `vmess` or `vless`, for v2ray alone; None is `trojan` there.
            timeout: seconds, for this call, by the name that `requests` has for it.

        Returns:
            The new session's uuid.

        Raises:
            OctaRejectedError: 2xx with a reason and no uuid (B): nothing was started.
            OctaNetworkError: with `maybe_sent`, whether something may have been started.
        """
        return _start(self._transport, VpnRequest(subkind=subkind, protocol=protocol), node_id, timeout)


class SessionService:
    """`client.services.session(uuid)`: one session."""

    def __init__(self, transport: Transport, uuid: str) -> None:
        self._transport = transport
        self.uuid = uuid
        self._info_path = path_of("services", uuid, "info")
        self._logs_path = path_of("services", uuid, "logs")
        self._stop_path = path_of("services", uuid, "stop")

    def info(self, *, retries: int | None = None, timeout: float | None = None) -> Session:
        """The session: `GET /services/{uuid}/info`.

        Args:
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.

        Raises:
            OctaNotFoundError: it is unknown, perhaps because it has ended.
        """
        return Session.from_payload(self._transport.get(self._info_path, retries=retries, timeout=timeout).json())

    def logs(self, *, recent: bool = False, retries: int | None = None, timeout: float | None = None) -> Logs:
        """All of the session's logs: `GET /services/{uuid}/logs`.

        Args:
            recent: for a session that has finished.
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        params = {"recent": "true"} if recent else None
        answer = self._transport.get(self._logs_path, params=params, retries=retries, timeout=timeout)
        return Logs.from_payload(answer.json())

    def stop(self, *, score: int | None = None, timeout: float | None = None) -> None:
        """Ask for the session's end: `POST /services/{uuid}/stop`, once.

        That the API said yes does not prove that it stopped: `Rental.stop` looks until it has.

        Args:
            score: what the machine was worth, 1 to 5.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        if score is not None and (isinstance(score, bool) or not isinstance(score, int) or not 1 <= score <= 5):
            raise OctaConfigError("score must be a whole number from 1 to 5")
        body = None if score is None else {"score": score}
        self._transport.send("POST", self._stop_path, json=body, timeout=timeout)


class Services:
    """Everything that can be rented."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.mr = MachineEndpoints(transport)
        self.render = RenderEndpoints(transport)
        self.vpn = VpnEndpoints(transport)

    def session(self, uuid: str) -> SessionService:
        """A handle on one session; no request is made. Raises OctaConfigError for what can't be a uuid."""
        return SessionService(self._transport, uuid)

    def start(self, request: Request, node_id: int, *, timeout: float | None = None) -> StartedSession:
        """Post one request for one machine, once; what the three `start` methods come down to.

        Args:
            request: what to rent.
            node_id: the machine.
            timeout: seconds, for this call, by the name that `requests` has for it.

        Returns:
            The new session's uuid.

        Raises:
            OctaRejectedError: 2xx with a reason and no uuid (B): nothing was started.
            OctaNetworkError: with `maybe_sent`, whether something may have been started.
        """
        return _start(self._transport, request, node_id, timeout)


def _machines(answer: Answer, what: str) -> Records[Machine]:
    found = read_machines(answer.body, what)
    return decode_list(Machine, answer.json(), what) if found is None else found


def _start(transport: Transport, request: Request, node_id: int, timeout: float | None) -> StartedSession:
    """The one place that spends money."""
    if isinstance(node_id, bool) or not isinstance(node_id, int) or node_id < 0:
        raise OctaConfigError(f"node_id must be a whole number, 0 or more, not {node_id!r}")
    path = path_of("services", request.service)
    answer = transport.send("POST", path, json=request.payload(node_id), timeout=timeout)
    return StartedSession.from_payload(answer.json(), node_id=node_id)
