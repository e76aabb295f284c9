"""Blocks, tasks, flows and a worker for Prefect: rented GPU machines of OctaSpace. Needs the extra `prefect`."""

from prefect_blocks.credentials import OctaCredentials
from prefect_blocks.decorators import octa
from prefect_blocks.frames_missing import FramesMissingError
from prefect_blocks.job import OctaJob
from prefect_blocks.job_run import JobFailedError, OctaJobRun
from prefect_blocks.left_sessions import stop_left_sessions
from prefect_blocks.quiet_errors import quiet_errors
from prefect_blocks.render_batch import OctaRenderBatch
from prefect_blocks.rented_machine import RentedMachine, rented_machine
from prefect_blocks.worker import OctaWorker

quiet_errors()

__all__ = [
    "FramesMissingError",
    "JobFailedError",
    "OctaCredentials",
    "OctaJob",
    "OctaJobRun",
    "OctaRenderBatch",
    "OctaWorker",
    "RentedMachine",
    "octa",
    "rented_machine",
    "stop_left_sessions",
]
