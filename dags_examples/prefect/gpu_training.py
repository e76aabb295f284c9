"""Train on a rented GPU: the script and its data go up, the log and a progress bar come back, then the model.

A try that dies is no loss: the next one carries on with the same machine and the same running command.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prefect import flow

from prefect_blocks import OctaJob


@flow(retries=2, retry_delay_seconds=10)
def gpu_training(folder: str, epochs: int = 10, max_cost_usd: float = 5.0) -> dict[str, Any]:
    """Run `train.py` of a folder on its `data`, and bring its `model` home.

    Args:
        folder: holds `train.py`, which prints lines such as "epoch 3/10", and `data`.
        epochs: handed to the script.
        max_cost_usd: the machine is stopped when it has cost so much.
    """
    here = Path(folder)
    job = OctaJob(
        image="pytorch/pytorch:latest",
        command=f"python3 train.py --data data --model model --epochs {epochs}",
        inputs={str(here / "train.py"): "train.py", str(here / "data"): "data"},
        outputs={"model": str(here / "model")},
        gpu_model="4090",
        max_price_usd=1.5,
        max_cost_usd=max_cost_usd,
        timeout_s=4 * 3600,
        log_path=str(here / "train.log"),
    )
    result = job.run()
    return {"model": str(here / "model"), "node_id": result.node_id, "cost_usd": result.cost_usd}


if __name__ == "__main__":
    gpu_training(sys.argv[1])
