"""Blocks, tasks, flows and a worker for Prefect: rented GPU machines of OctaSpace. Needs the extra `prefect`.

The public names are listed here and loaded when first used, so that a flow pays for what it imports: one that takes a
block does not load the worker. Prefect finds all of them through `prefect_blocks.collection`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from prefect_blocks.quiet_errors import quiet_errors

if TYPE_CHECKING:
    from prefect_blocks.credentials import OctaCredentials as OctaCredentials
    from prefect_blocks.decorators import octa as octa
    from prefect_blocks.frames_missing import FramesMissingError as FramesMissingError
    from prefect_blocks.job import OctaJob as OctaJob
    from prefect_blocks.job_run import JobFailedError as JobFailedError
    from prefect_blocks.job_run import OctaJobRun as OctaJobRun
    from prefect_blocks.left_sessions import stop_left_sessions as stop_left_sessions
    from prefect_blocks.render_batch import OctaRenderBatch as OctaRenderBatch
    from prefect_blocks.rented_machine import RentedMachine as RentedMachine
    from prefect_blocks.rented_machine import rented_machine as rented_machine
    from prefect_blocks.worker import OctaWorker as OctaWorker

_MODULE_OF = {
    "FramesMissingError": "frames_missing",
    "JobFailedError": "job_run",
    "OctaCredentials": "credentials",
    "OctaJob": "job",
    "OctaJobRun": "job_run",
    "OctaRenderBatch": "render_batch",
    "OctaWorker": "worker",
    "RentedMachine": "rented_machine",
    "octa": "decorators",
    "rented_machine": "rented_machine",
    "stop_left_sessions": "left_sessions",
}

__all__ = sorted(_MODULE_OF)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # Importing the module `rented_machine` binds it here, under the name of what users ask for.
        if not (name in _MODULE_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'prefect_blocks' has no attribute {name!r}")
    value = getattr(import_module(f"prefect_blocks.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]


quiet_errors()
