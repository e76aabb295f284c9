"""What a batch came to, as a small JSON value and as a table: the quote beside the bill, and never a frame."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octa_provider.batch.folder.layout import Layout
from octa_provider.text.carried import carried_dict
from octa_provider.text.loggers import plain_logger
from octa_provider.text.plain_text import plain_words

if TYPE_CHECKING:
    from octa_provider import BatchResult

__all__ = ["cost_table", "totals_of"]

log = plain_logger("prefect_blocks.batch_totals")

#: Machines that have a row of their own; the others are in the manifest.
MOST_ROWS = 50
_MOST_BYTES = 50_000_000


def totals_of(result: BatchResult, quoted: Mapping[str, float] | None) -> dict[str, Any]:
    """What a batch came to.

    Args:
        result: of the core.
        quoted: the sums in USD that were approved or planned: `p50`, `p90`, `most`; None where nothing was to be done.

    Returns:
        A JSON value whose size does not depend on how many frames there are; amounts of wei are text.
    """
    manifest = Layout.of(result.output).manifest
    return carried_dict(
        {
            "outcome": result.outcome.value,
            "output": result.output,
            "frames": result.frames,
            "done": result.done,
            "rendered": result.rendered,
            "missing": result.missing,
            "message": result.message,
            "cost_wei": result.cost_wei,
            "cost_usd": result.cost_usd,
            "quoted": None if quoted is None else dict(quoted),
            "seconds": round(result.seconds, 3),
            "machines": result.machines,
            "manifest": str(manifest) if manifest.is_file() else "",
            "sheet": "",
        }
    )


def cost_table(totals: Mapping[str, Any]) -> list[dict[str, str]]:
    """The bill beside the quote: a row for the whole, then one for each machine of all runs.

    Args:
        totals: as `totals_of` returns them.
    """
    machines = _machines(str(totals["manifest"]))
    quoted = totals["quoted"] or {}
    rows = [
        {
            "machine": f"all {len(machines)}",
            "frames": f"{totals['done']} of {totals['frames']}",
            "USD": _usd(totals["cost_usd"]),
            "quoted": _usd(quoted.get("p50")),
            "9 in 10 under": _usd(quoted.get("p90")),
            "at most": _usd(quoted.get("most")),
            "node": "",
            "seconds": f"{totals['seconds']:g}",
            "ended": plain_words(str(totals["outcome"])),
            "session": "",
            "wei": "" if totals["cost_wei"] is None else str(totals["cost_wei"]),
        }
    ]
    rows += [
        {
            "machine": f"m{one.get('slot')}",
            "frames": str(one.get("frames")),
            "USD": _usd(one.get("cost_usd")),
            "quoted": "",
            "9 in 10 under": "",
            "at most": "",
            "node": str(one.get("node_id")),
            "seconds": "" if one.get("duration_s") is None else f"{one['duration_s']:g}",
            "ended": plain_words(str(one.get("why") or "")),
            "session": plain_words(str(one.get("uuid") or "")),
            "wei": "" if one.get("cost_wei") is None else str(one["cost_wei"]),
        }
        for one in machines[:MOST_ROWS]
    ]
    return rows


def _machines(manifest: str) -> list[Mapping[str, Any]]:
    if not manifest:
        return []
    try:
        with Path(manifest).open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))["machines"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("what each machine cost can't be read from %s: %s", manifest, error)
        return []
    return [one for one in found if isinstance(one, dict) and one.get("uuid")]


def _usd(value: object) -> str:
    return f"{value:.6f}" if isinstance(value, (int, float)) else ""
