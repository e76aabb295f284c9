"""The emulated catalogue of apps."""

from __future__ import annotations

from typing import Any

from octa_provider.emulator.quirks import Quirks


def make_apps(quirks: Quirks) -> list[Any]:
    """The catalogue of apps; with quirks, ports also as JSON strings, odd env values, and one odd record."""
    rows: list[tuple[str, str, str, list[int], list[int], dict[str, Any], str, int]] = [
        ("Ubuntu 24.04", "OS", "ubuntu:24.04", [22], [], {}, "", 10),
        ("Jupyter", "AI", "jupyter/base-notebook", [22], [8888], {"TOKEN": None}, "start-notebook.sh", 20),
        ("Stable Diffusion", "AI", "octa/stable-diffusion", [22], [7860], {"LISTEN": 1}, "./webui.sh", 60),
        ("ComfyUI", "AI", "octa/comfyui", [22], [8188, 8189], {}, "python3 main.py", 60),
        ("Blender", "Render", "blender:4.5", [22], [], {"CYCLES_DEVICE": "CUDA"}, "", 20),
        ("Multi port", "Network", "octa/ports", [22, 5000, 6000], [], {"RATIO": 0.5}, "", 10),
    ]
    apps: list[Any] = []
    for ordinal, (name, category, image, ports, http_ports, envs, start_command, disk_gb) in enumerate(rows):
        apps.append(
            {
                "uuid": f"00000000-0000-4000-8000-{ordinal + 1:012d}",
                "name": name,
                "category": category,
                "description": f"{name}, as the emulator offers it",
                "image": image,
                "ports": quirks.port_list(ports, ordinal),
                "http_ports": quirks.port_list(http_ports, ordinal + 1),
                "envs": envs if quirks.enabled else {key: str(value) for key, value in envs.items()},
                "start_command": start_command,
                "extra": {"min_disk_size": disk_gb},
                "personal": False,
            }
        )
    if quirks.enabled:
        apps.insert(2, None)
    return apps
