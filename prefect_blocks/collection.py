"""The entry point in the group `prefect.collections`: what Prefect loads to find the blocks and the worker."""

from __future__ import annotations

from prefect_blocks.credentials import OctaCredentials
from prefect_blocks.job import OctaJob
from prefect_blocks.render_batch import OctaRenderBatch
from prefect_blocks.worker import OctaWorker

__all__ = ["OctaCredentials", "OctaJob", "OctaRenderBatch", "OctaWorker"]
