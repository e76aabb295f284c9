"""What the demo and the DAG agree on: the DAG's file, its parameters, its connection, the bill that it writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from demo.bill import MachineBill
from demo.emulator_process import Emulator

DAG_FILE = Path(__file__).resolve().parents[1] / "dags_examples" / "airflow" / "render_animation.py"
DAG_ID = "render_animation"


def connections(emulator: Emulator) -> dict[str, dict[str, object]]:
    """The connection to the emulator; a real one has the key of a real account, and no host."""
    return {
        "octa_default": {
            "conn_type": "octa",
            "host": emulator.base_url,
            "password": emulator.api_key,
            "extra": {"ssh_key_file": emulator.ssh_private_key},
        }
    }


def parameters(scene: Path, frames: range, machines: int, output: Path) -> dict[str, Any]:
    """What the run is asked to do."""
    return {
        "scene": str(scene),
        "frames": f"{frames[0]}-{frames[-1]}",
        "machines": machines,
        "output": str(output),
    }


def bill_file(output: Path) -> Path:
    """Where the DAG writes what it cost."""
    return output / "bill.json"


def read_bill(output: Path, gpus: Mapping[int, str]) -> list[MachineBill]:
    """What each machine did and cost, or nothing when the DAG did not get so far.

    Args:
        output: the DAG's output folder.
        gpus: the GPU model of each node; the bill names only the node.
    """
    path = bill_file(output)
    if not path.is_file():
        return []
    return [machine_bill(entry, gpus) for entry in json.loads(path.read_text())["machines"]]


def machine_bill(entry: Mapping[str, Any], gpus: Mapping[int, str]) -> MachineBill:
    """One machine's part; what a failed machine could not tell is empty."""
    node_id, usd = entry.get("node_id"), entry["charge_usd"]
    return MachineBill(
        node_id=node_id,
        gpu=gpus.get(node_id, "") if node_id is not None else "",
        frames=tuple(int(number) for number in entry.get("frames", ())),
        seconds=float(entry["duration_s"] or 0.0),
        charge_wei=int(entry["charge_wei"] or 0),
        usd=None if usd is None else Decimal(str(usd)),
    )
