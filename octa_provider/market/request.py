"""What to rent, checked before any money is spent. Pure values: this file imports no HTTP library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias

from octa_provider.errors import OctaConfigError
from octa_provider.market.payer import checked_payer_id
from octa_provider.market.request_checks import checked_disk, checked_envs, checked_machine
from octa_provider.wire.labels import checked_labels, labels_envs

__all__ = ["V2RAY_PROTOCOLS", "VPN_SUBKINDS", "MachineRequest", "RenderRequest", "Request", "VpnRequest"]

VPN_SUBKINDS = ("wg", "openvpn", "ss", "v2ray", "http_proxy")
V2RAY_PROTOCOLS = ("trojan", "vmess", "vless")


@dataclass(frozen=True)
class MachineRequest:
    """A machine with an image on it.

    Args:
        image: container image, such as `blender:4.5`; may be empty when `app` is given.
        disk_gb: disk in GB.
        envs: environment variables; the API echoes them, so put no secret here that others of the account may not see.
        ports: TCP ports to expose.
        http_ports: ports to publish as URLs.
        start_command: what the container runs.
        entrypoint: the container's entrypoint.
        app: uuid of an app from `client.apps`.
        organization_id: the organisation that pays; the client's when neither of these two is given.
        project_id: what for, in that organisation.
        labels: words of your own, such as `{"project": "atlas"}`, to find the machine and to split a bill by: at most
            32, names of 63 characters, values of 128. Whoever has the account's key, and the machine's owner, read
            them.

    Raises:
        OctaConfigError: an argument that the API could only refuse.
    """

    service: ClassVar[str] = "mr"

    image: str
    disk_gb: int = 10
    envs: Mapping[str, str] = field(default_factory=dict, repr=False)
    ports: tuple[int, ...] = ()
    http_ports: tuple[int, ...] = ()
    start_command: str = ""
    entrypoint: str = ""
    app: str = ""
    organization_id: int | str | None = None
    project_id: int | str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in checked_machine(vars(self)).items():
            object.__setattr__(self, name, value)
        for name in ("organization_id", "project_id"):
            object.__setattr__(self, name, checked_payer_id(name, getattr(self, name)))

    def payload(self, node_id: int) -> object:
        """The body of `POST /services/mr`: an array of one item (the form marked *send*)."""
        item: dict[str, object] = {
            "id": 0,
            "node_id": node_id,
            "disk_size": self.disk_gb,
            "image": self.image,
            "app": self.app,
            "envs": {**self.envs, **labels_envs(self.labels)},
            "ports": list(self.ports),
            "http_ports": list(self.http_ports),
            "start_command": self.start_command,
            "entrypoint": self.entrypoint,
        }
        if self.organization_id is not None:
            item["organization_id"] = self.organization_id
        if self.project_id is not None:
            item["project_id"] = self.project_id
        return [item]

    def with_envs(self, envs: Mapping[str, str]) -> MachineRequest:
        """The same request with more environment variables."""
        return replace(self, envs={**self.envs, **envs})

    def paid_by(self, organization_id: int | str | None, project_id: int | str | None) -> MachineRequest:
        """The same request with who pays for it, unless it says that itself.

        Args:
            organization_id: who pays; None for the account itself.
            project_id: what for.
        """
        if organization_id is None or (self.organization_id, self.project_id) != (None, None):
            return self
        return replace(self, organization_id=organization_id, project_id=project_id)


@dataclass(frozen=True)
class RenderRequest:
    """A session of the render service.

    Args:
        disk_gb: disk in GB.
        envs: environment variables.
        multi_gpu_worker: one worker for all GPUs of the machine; None leaves it to the API.
        labels: as of a `MachineRequest`.

    Raises:
        OctaConfigError: an argument that the API could only refuse.
    """

    service: ClassVar[str] = "render"

    disk_gb: int = 10
    envs: Mapping[str, str] = field(default_factory=dict, repr=False)
    multi_gpu_worker: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "disk_gb", checked_disk(self.disk_gb))
        object.__setattr__(self, "envs", checked_envs(self.envs))
        if self.multi_gpu_worker is not None and not isinstance(self.multi_gpu_worker, bool):
            raise OctaConfigError("multi_gpu_worker must be True, False or None")
        object.__setattr__(self, "labels", checked_labels(self.labels))

    def payload(self, node_id: int) -> object:
        """The body of `POST /services/render`; the hyphens of the last field are real (C)."""
        body: dict[str, object] = {"node_id": node_id, "disk_size": self.disk_gb}
        if envs := {**self.envs, **labels_envs(self.labels)}:
            body["envs"] = envs
        if self.multi_gpu_worker is not None:
            body["multi-gpu-worker"] = self.multi_gpu_worker
        return body

    def with_envs(self, envs: Mapping[str, str]) -> RenderRequest:
        """The same request with more environment variables."""
        return replace(self, envs={**self.envs, **envs})


@dataclass(frozen=True)
class VpnRequest:
    """A VPN session. It carries no environment, so no rental key: see `octa_provider.rental.rental`.

    Args:
        subkind: `wg`, `openvpn`, `ss`, `v2ray` or `http_proxy`; None is `wg`, as it is to the API (evidence C).
        protocol: `trojan`, `vmess` or `vless`, for v2ray alone; None is `trojan` there (evidence C).

    Raises:
        OctaConfigError: an argument that the API could only refuse.
    """

    service: ClassVar[str] = "vpn"

    subkind: str | None = None
    protocol: str | None = None

    def __post_init__(self) -> None:
        # Said rather than left out: the same request then looks the same, whoever reads it.
        if self.subkind is None:
            object.__setattr__(self, "subkind", "wg")
        if self.subkind == "v2ray" and self.protocol is None:
            object.__setattr__(self, "protocol", "trojan")
        if self.subkind not in VPN_SUBKINDS:
            raise OctaConfigError(f"subkind must be one of {', '.join(VPN_SUBKINDS)}, not {self.subkind!r}")
        if self.subkind == "v2ray" and self.protocol not in V2RAY_PROTOCOLS:
            raise OctaConfigError(f"protocol must be one of {', '.join(V2RAY_PROTOCOLS)} for v2ray")
        if self.subkind != "v2ray" and self.protocol is not None:
            raise OctaConfigError(f"protocol is for v2ray alone: leave it out for {self.subkind}")

    def payload(self, node_id: int) -> object:
        """The body of `POST /services/vpn`."""
        body: dict[str, object] = {"node_id": node_id, "subkind": self.subkind}
        if self.protocol is not None:
            body["protocol"] = self.protocol
        return body


Request: TypeAlias = MachineRequest | RenderRequest | VpnRequest
