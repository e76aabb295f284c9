"""The files that a job made, as XCom and asset events tell them: so many names and no more, and how many there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from octa_provider.text.plain_text import plain_words
from octa_provider.text.quantities import counted

__all__ = ["MOST_CHARS", "MOST_NAMES", "outputs_for_a_worker", "told_outputs"]

#: Airflow keeps a row of its database for each XCom and each event, and reads it whole.
MOST_NAMES = 50
MOST_CHARS = 8_000
_NAMES_A_RECORD = 100
#: A trigger's event is kept only until a worker has read it, which tells lineage of all of them.
_MOST_CARRIED_CHARS = 100_000


def told_outputs(result: Mapping[str, Any], tell: Callable[..., object]) -> dict[str, Any]:
    """A job's result with at most `MOST_NAMES` outputs of `MOST_CHARS` together, and their number; the log gets all.

    Args:
        result: `JobResult` as a dict; or what this has returned, which stays.
        tell: gets each line of the log.
    """
    outputs = list(result["outputs"])
    told: list[str] = []
    left = MOST_CHARS
    for name in outputs[:MOST_NAMES]:
        left -= len(name)
        if left < 0:
            break
        told.append(name)
    if len(told) < len(outputs):
        tell("::group::All %s; XCom has the first %d", counted(len(outputs), "fetched file"), len(told))
        for begin in range(0, len(outputs), _NAMES_A_RECORD):
            tell("%s", "\n".join(map(plain_words, outputs[begin : begin + _NAMES_A_RECORD])))
        tell("::endgroup::")
    return {**result, "outputs": told, "outputs_count": result.get("outputs_count", len(outputs))}


def outputs_for_a_worker(result: Mapping[str, Any], tell: Callable[..., object]) -> Mapping[str, Any]:
    """A job's result as a trigger's event takes it to a worker: with all outputs, unless they are very many.

    Args:
        result, tell: as of `told_outputs`, which the worker calls.
    """
    is_carried = sum(map(len, result["outputs"])) <= _MOST_CARRIED_CHARS
    return result if is_carried else told_outputs(result, tell)
