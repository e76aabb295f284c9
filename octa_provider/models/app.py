"""Apps: images with their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from octa_provider.wire.exact_json import require_object
from octa_provider.wire.fields import (
    amount,
    flag,
    label,
    mapping,
    ports,
    string_map,
    text,
)
from octa_provider.wire.model import Model

if TYPE_CHECKING:
    from typing_extensions import Self


class App(Model, frozen=True, kw_only=True):
    """An app of `GET /apps`: an image with its settings (evidence S, B).

    Attributes:
        uuid: the app, for `start(app=...)`.
        app_id: its number; number or text on the wire, text here.
        name, version, category, description: what it is.
        image: the container image to ask for.
        docker_image: the image behind it.
        ports, http_ports: container ports to forward; JSON strings on the wire are opened (evidence B).
        envs: default environment; null is empty text, numbers are text (evidence B).
        start_command: what it runs; empty when the image decides.
        min_disk_gb: GB of disk that it needs.
        min_vram_gb: GB of graphics memory that it needs.
        personal: whether it is the account's own.
    """

    uuid: str | None = None
    app_id: str | None = None
    name: str | None = None
    version: str | None = None
    category: str | None = None
    description: str | None = None
    image: str | None = None
    docker_image: str | None = None
    ports: list[int] = msgspec.field(default_factory=list)
    http_ports: list[int] = msgspec.field(default_factory=list)
    envs: dict[str, str] = msgspec.field(default_factory=dict)
    start_command: str = ""
    min_disk_gb: float | None = None
    min_vram_gb: float | None = None
    personal: bool | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object."""
        raw = require_object(payload, "app")
        return cls(
            raw=raw,
            uuid=text(raw.get("uuid")),
            app_id=label(raw.get("id")),
            name=text(raw.get("name")),
            version=label(raw.get("version")),
            category=text(raw.get("category")),
            description=text(raw.get("description")),
            image=text(raw.get("image")),
            docker_image=text(raw.get("docker_image")),
            ports=ports(raw.get("ports")),
            http_ports=ports(raw.get("http_ports")),
            envs=string_map(raw.get("envs")),
            start_command=text(raw.get("start_command")) or "",
            min_disk_gb=amount(mapping(raw.get("extra")).get("min_disk_size")),
            min_vram_gb=amount(raw.get("min_vram_gb")),
            personal=flag(raw.get("personal")),
        )
