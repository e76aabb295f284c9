"""Run Python functions of this file on rented GPU machines: `@task.octa`.

Each call rents a machine, sends the function and its arguments there, brings back what it returns, and stops the
machine. Here three machines each draw their share of points to estimate pi; a plain task takes the mean.

Needs a connection `octa_default` of the type OctaSpace, with the SSH key of your account. What a function imports it
imports inside, and the image has it; arguments and result are JSON values.
"""

from __future__ import annotations

from statistics import mean
from typing import Any

# On Airflow 3 these are also in airflow.sdk; from here they work on 2.11 too.
from airflow.providers.common.compat.sdk import Param, dag, task


@dag(
    schedule=None,
    catchup=False,
    tags=["octaspace"],
    params={"points": Param(1_000_000, type="integer", minimum=1, title="Points", description="For each machine.")},
)
def function_on_a_gpu() -> None:
    @task.octa(image="pytorch/pytorch:latest", gpu_model="4090", max_price_usd=1.5, timeout_s=600, deferrable=True)
    def estimate_pi(points: int | str, seed: int) -> dict[str, Any]:
        try:
            import torch
        except ImportError:
            # An image without PyTorch: slower, and right as well.
            import random

            draw = random.Random(seed).random
            inside = sum(draw() ** 2 + draw() ** 2 <= 1.0 for _ in range(int(points)))
        else:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            torch.manual_seed(seed)
            drawn = torch.rand(int(points), 2, device=device, dtype=torch.float64)
            inside = int((drawn.square().sum(1) <= 1.0).sum())
        print(f"seed {seed}: {inside} of {points} points are inside")
        return {"seed": seed, "pi": 4 * inside / int(points)}

    @task
    def combine(estimates: list[dict[str, Any]]) -> float:
        return mean(estimate["pi"] for estimate in estimates)

    combine(estimate_pi.partial(points="{{ params.points }}").expand(seed=[1, 2, 3]))


function_on_a_gpu()
