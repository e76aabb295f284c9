"""The emulated catalogue of apps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from octa_provider.emulator.http.quirks import Quirks


@dataclass(frozen=True)
class _App:
    uuid: str
    name: str
    category: str
    image: str
    ports: tuple[int, ...] = (22,)
    http_ports: tuple[int, ...] = ()
    envs: dict[str, Any] = field(default_factory=dict)
    start_command: str = ""
    disk_gb: int = 10
    more: dict[str, Any] = field(default_factory=dict)


# The first two are those that the official clients start by their ids: the TypeScript SDK's session script and the
# Ruby SDK's preset (evidence C).
_APPS = (
    _App("406c0b3f-6726-4169-a3b4-6322995cd755", "Ubuntu 24.04", "OS", "ubuntu:24.04"),
    _App(
        "249b4cb3-3db1-4c06-98a4-772ba88cd81c",
        "Stable Diffusion",
        "AI",
        "ubuntu:24.04",
        ports=(5000, 6000),
        http_ports=(8080,),
        envs={"LISTEN": 1},
        disk_gb=60,
        more={"id": 1, "version": "2.1", "docker_image": "octa/stable-diffusion:2.1", "min_vram_gb": 8},
    ),
    _App(
        "00000000-0000-4000-8000-000000000002",
        "Jupyter",
        "AI",
        "jupyter/base-notebook",
        http_ports=(8888,),
        envs={"TOKEN": None},
        start_command="start-notebook.sh",
        disk_gb=20,
    ),
    _App(
        "00000000-0000-4000-8000-000000000004",
        "ComfyUI",
        "AI",
        "octa/comfyui",
        http_ports=(8188, 8189),
        start_command="python3 main.py",
        disk_gb=60,
        more={"id": 2, "version": "1.0", "docker_image": "octa/comfyui:latest", "min_vram_gb": 6},
    ),
    _App(
        "00000000-0000-4000-8000-000000000005",
        "Blender",
        "Render",
        "blender:4.5",
        envs={"CYCLES_DEVICE": "CUDA"},
        disk_gb=20,
    ),
    _App(
        "00000000-0000-4000-8000-000000000006",
        "Multi port",
        "Network",
        "octa/ports",
        ports=(22, 5000, 6000),
        envs={"RATIO": 0.5},
    ),
)


def make_apps(quirks: Quirks) -> list[dict[str, Any]]:
    """The catalogue; with quirks, ports also come as JSON strings and values of environments as null or numbers."""
    apps: list[dict[str, Any]] = []
    for ordinal, app in enumerate(_APPS):
        plain_envs = {name: "" if value is None else str(value) for name, value in app.envs.items()}
        apps.append(
            {
                "uuid": app.uuid,
                "name": app.name,
                "category": app.category,
                "description": f"{app.name}, as the emulator offers it",
                "image": app.image,
                "ports": quirks.port_list(list(app.ports), ordinal),
                "http_ports": quirks.port_list(list(app.http_ports), ordinal + 1),
                "envs": app.envs if quirks.enabled else plain_envs,
                "start_command": app.start_command,
                "extra": {"min_disk_size": app.disk_gb},
                "personal": False,
                **app.more,
            }
        )
    return apps
