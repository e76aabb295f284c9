"""Flows that run on rented machines, started by `prefect flow-run execute` there."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path

from prefect import flow, get_run_logger


@flow
def greets(name: str = "world") -> str:
    print("printed in the machine", flush=True)
    get_run_logger().info("logged in the machine: hello %s, home %s", name, os.environ["HOME"])
    return name


@flow
def works(folder: str) -> None:
    """Says that it runs; ends when it is told."""
    (Path(folder) / "runs").touch()
    while not (Path(folder) / "end").exists():
        time.sleep(0.1)


@flow
def hangs(folder: str) -> None:
    """As a process that is stuck where no signal reaches it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    (Path(folder) / "runs").touch()
    while True:
        time.sleep(0.1)


@flow
def dies(folder: str) -> None:
    """As a process that the machine kills, with all that belongs to it."""
    os.killpg(os.getpgid(0), signal.SIGKILL)


@flow
def fails() -> None:
    raise ValueError("the flow fails by itself")


@flow
def tells(folder: str) -> None:
    """Says which secrets it has, without telling them."""
    names = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "HF_TOKEN", "OCTA_API_KEY")
    told = {name: hashlib.sha256(os.environ[name].encode()).hexdigest() for name in names if name in os.environ}
    (Path(folder) / "told").write_text(json.dumps(told))
