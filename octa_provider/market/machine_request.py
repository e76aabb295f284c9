"""A machine with an image on it, to be rented: the one request that a DAG file makes, to check its job.

Pure values: this file imports no HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from octa_provider.errors import OctaConfigError
from octa_provider.market.payer import checked_payer_id
from octa_provider.market.request_checks import check_text, checked_disk, checked_envs, checked_ports
from octa_provider.wire.labels import checked_labels, labels_envs

__all__ = ["MachineRequest"]


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
        for name in ("image", "start_command", "entrypoint", "app"):
            check_text(name, getattr(self, name))
        if any(c.isspace() for c in self.image) or not (self.image or self.app):
            raise OctaConfigError("image must name a container image without spaces, such as 'blender:4.5'")
        object.__setattr__(self, "disk_gb", checked_disk(self.disk_gb))
        object.__setattr__(self, "envs", checked_envs(self.envs))
        object.__setattr__(self, "ports", checked_ports("ports", self.ports))
        object.__setattr__(self, "http_ports", checked_ports("http_ports", self.http_ports))
        for name in ("organization_id", "project_id"):
            object.__setattr__(self, name, checked_payer_id(name, getattr(self, name)))
        object.__setattr__(self, "labels", checked_labels(self.labels))

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
