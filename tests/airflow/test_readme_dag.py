"""The first DAG of the README is a DAG."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import airflow

ROOT = Path(__file__).parents[2]


def readme_dag() -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    dag = next(block for block in blocks if "@dag" in block)
    if airflow.__version__.startswith("2."):
        # As the README says of Airflow 2.11.
        return dag.replace("from airflow.sdk import dag, task", "from airflow.decorators import dag, task")
    return dag


def test_the_readmes_first_dag_has_its_four_steps_and_stops_as_a_teardown(tmp_path: Path) -> None:
    check = (
        "import sys\n"
        "assert 'octa_provider.client' not in sys.modules\n"
        "built = first_render()\n"
        "assert set(built.task_ids) == {'start', 'ready', 'render', 'stop'}, built.task_ids\n"
        "assert built.get_task('stop').is_teardown and built.get_task('start').is_setup\n"
        "assert built.get_task('render').upstream_task_ids == {'start', 'ready'}\n"
    )
    file = tmp_path / "first_render.py"
    file.write_text(f"{readme_dag()}\n{check}")
    subprocess.run([sys.executable, str(file)], check=True, timeout=800, cwd=ROOT)
