"""What a task tells OpenLineage, in OpenLineage's own classes. Imported only by a process that has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.openlineage.facet import (
    InputDataset,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
)
from airflow.providers.openlineage.extractors import OperatorLineage

from airflow_provider.lineage.dataset_name import dataset_name
from airflow_provider.lineage.rental_facet import FACET_NAME, rental_facet
from airflow_provider.told_outputs import MOST_CHARS, MOST_NAMES

if TYPE_CHECKING:
    from airflow_provider.lineage.run_bill import RunBill
    from airflow_provider.lineage.tells_lineage import MadeFiles

__all__ = ["lineage_of"]

#: Where each Airflow keeps what masks secrets, the newest first.
_MASKERS = (
    "airflow.sdk._shared.secrets_masker",
    "airflow.sdk.execution_time.secrets_masker",
    "airflow.utils.log.secrets_masker",
)


def lineage_of(
    inputs: Iterable[object], outputs: Iterable[MadeFiles], bill: RunBill | None
) -> OperatorLineage[Any, Any]:
    """What a task has read, made and rented.

    Args:
        inputs: files and folders that it reads.
        outputs: those that it has made, each with the number of its files.
        bill: what it has rented; None before it has.
    """
    return OperatorLineage(
        inputs=[InputDataset(namespace, name) for (namespace, name), _ in _named((one, None) for one in inputs)],
        outputs=[_output(*name, count) for name, count in _named(outputs)],
        run_facets={} if bill is None or not bill.is_told else {FACET_NAME: rental_facet(bill)},
    )


def _output(namespace: str, name: str, count: int | None) -> OutputDataset:
    facets: dict[str, Any] = (
        {} if count is None else {"outputStatistics": OutputStatisticsOutputDatasetFacet(fileCount=count)}
    )
    return OutputDataset(namespace, name, outputFacets=facets)


def _named(places: Iterable[MadeFiles]) -> list[tuple[tuple[str, str], int | None]]:
    """So many datasets and no more, each once, by name."""
    told: dict[tuple[str, str], int | None] = {}
    left, mask = MOST_CHARS, _masker()
    for place, count in places:
        found = dataset_name(place)
        if found is None:
            continue
        # OpenLineage's own masking leaves the names of datasets as they are.
        named = str(mask(found[0])), str(mask(found[1]))
        if named in told:
            continue
        left -= sum(map(len, named))
        if len(told) == MOST_NAMES or left < 0:
            break
        told[named] = count
    return list(told.items())


def _masker() -> Callable[[str], object]:
    for module in _MASKERS:
        try:
            found: Callable[[str], object] = import_module(module).redact
        except (ImportError, AttributeError):
            continue
        return found
    raise ImportError("this Airflow masks no secrets where others do: no names of files are told")
