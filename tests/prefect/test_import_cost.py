"""A flow loads what it imports of this package and no more; Prefect finds all of it nevertheless."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import prefect_blocks

ROOT = Path(__file__).parents[2]


def in_new_process(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_collection_is_found_by_its_entry_point() -> None:
    # In a process of its own, since every import of a test registers too.
    found = in_new_process(
        "from prefect.blocks.core import Block\n"
        "from prefect.workers.base import BaseWorker\n"
        "print(BaseWorker.get_worker_class_from_type('octa'))\n"
        "from prefect.utilities.dispatch import get_registry_for_type\n"
        "print(*(block.__name__ for block in get_registry_for_type(Block).values()))\n"
    )
    worker, blocks = found.splitlines()[-2:]
    assert "prefect_blocks.worker.OctaWorker" in worker
    assert {"OctaCredentials", "OctaJob", "OctaRenderBatch"} <= set(blocks.split())


@pytest.mark.parametrize(
    ("imported", "not_loaded"),
    [
        ("import prefect_blocks", "prefect_blocks.credentials octa_provider.models msgspec"),
        (
            "from prefect_blocks import OctaCredentials, OctaJob, octa, rented_machine",
            "prefect.workers.base octa_provider.batch.batch requests asyncssh",
        ),
        ("from prefect_blocks import OctaRenderBatch", "prefect.workers.base octa_provider.batch.batch requests"),
    ],
)
def test_a_flow_loads_only_what_it_imports(imported: str, not_loaded: str) -> None:
    # 0.1 s of CPU for a job's names instead of 0.4 for all of them.
    code = f"{imported}\nimport sys\nprint([name for name in {not_loaded.split()} if name in sys.modules])"
    assert in_new_process(code).splitlines()[-1] == "[]"


def test_every_public_name_is_there() -> None:
    for name in prefect_blocks.__all__:
        assert getattr(prefect_blocks, name).__name__ == name
    assert set(prefect_blocks.__all__) <= set(dir(prefect_blocks))
    with pytest.raises(AttributeError, match="no attribute 'OctaJop'"):
        prefect_blocks.OctaJop  # type: ignore[attr-defined]  # noqa: B018


def test_what_users_ask_for_is_had_though_a_module_has_its_name() -> None:
    shown = in_new_process(
        "import prefect_blocks.rented_machine\n"
        "from prefect_blocks.rented_machine import RentedMachine\n"
        "from prefect_blocks import rented_machine\n"
        "print(rented_machine.__qualname__)"
    )
    assert shown.splitlines()[-1] == "rented_machine"
