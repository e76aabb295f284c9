"""The DAGs that a document shows, as Airflow reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


def shown_dag(document: str, name: str, folder: Path, data: Path | None = None) -> Any:
    """The DAG of a document, from a file of its own.

    Args:
        document: its name in `docs`.
        name: the DAG's id, which is the function that makes it.
        folder: where the file goes.
        data: what the document calls `/data`.
    """
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    text = (DOCS / document).read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "@dag(" in b and f"{name}()" in b)
    file = folder / f"{name}.py"
    file.write_text(block if data is None else block.replace('"/data/', f'"{data}/'))
    bag = DagBag(dag_folder=str(file))
    assert not bag.import_errors, bag.import_errors
    return bag.dags[name]
