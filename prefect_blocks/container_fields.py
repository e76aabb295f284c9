"""What a container publishes and is, as fields of a form: the same for job blocks and for work pools."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = ["ContainerFields"]


class ContainerFields(BaseModel):
    """The core's arguments of a container beside its image and command."""

    http_ports: list[int] = Field(
        default_factory=list, title="HTTP Ports", description="Ports to publish as URLs while it runs."
    )
    ports: list[int] = Field(default_factory=list, description="TCP ports to expose while it runs.")
    entrypoint: str = Field(
        default="",
        description="The container's entrypoint: a program that runs what it is given. A command over SSH does not go "
        "through it.",
    )
    app: str = Field(default="", description="Uuid of an app of OctaSpace's.")
