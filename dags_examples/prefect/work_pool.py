"""A flow whose runs execute on rented machines: deployed to a work pool of type `octa`.

    prefect work-pool create machines --type octa
    prefect worker start --pool machines
    python work_pool.py https://github.com/you/flows.git machines
    prefect deployment run gpu-report/octa

The machine gets the flow's code from where you say, and reaches Prefect's API by the worker's PREFECT_API_URL.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from typing import Any

from prefect import flow, get_run_logger


@flow
def gpu_report() -> dict[str, str]:
    """Tell, from the rented machine, what it is."""
    report = {"host": platform.node(), "python": platform.python_version(), "gpu": "none"}
    if shutil.which("nvidia-smi"):
        asked = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
        report["gpu"] = asked.stdout.strip()
    get_run_logger().info("This machine: %s", report)
    return report


def deploy(source: str, pool: str, **job_variables: Any) -> str:
    """Deploy it; returns the deployment's id.

    Args:
        source: a git repository's URL, or a folder that machines have too.
        pool: the work pool.
        job_variables: fields of the work pool's form, such as `gpu_model`, `max_price_usd`, `max_cost_usd`.
    """
    there = flow.from_source(source=source, entrypoint="work_pool.py:gpu_report")
    return str(there.deploy(name="octa", work_pool_name=pool, job_variables=job_variables))


if __name__ == "__main__":
    print(deploy(sys.argv[1], sys.argv[2], gpu_model="4090", max_price_usd=1.5, max_cost_usd=1.0))
