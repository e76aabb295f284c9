"""`manifest.json`: a batch as a whole, as a JSON value."""

from __future__ import annotations

from typing import Any

import msgspec

from octa_provider.batch.folder.batch_record import BatchRecord
from octa_provider.batch.folder.frame_ranges import ranges_text
from octa_provider.batch.folder.history import History
from octa_provider.batch.folder.layout import Layout

__all__ = ["manifest_of"]


def manifest_of(layout: Layout, record: BatchRecord, history: History, size: int) -> dict[str, Any]:
    """The manifest of a batch. Amounts of wei are text.

    Args:
        layout: the folder's places.
        record: what was asked for.
        history: what has happened.
        size: bytes of all files of all accepted frames.
    """
    accepted, machines = history.accepted, history.machines
    frames_of: dict[int, int] = {}
    for frame in accepted:
        frames_of[accepted.slot(frame)] = frames_of.get(accepted.slot(frame), 0) + 1
    cost, usd = history.cost_wei, history.cost_usd
    return {
        "fingerprint": record.fingerprint,
        "key": record.key,
        "labels": record.terms["labels"],
        "scene": record.scene,
        "main": record.main,
        "image": record.renderer["image"],
        "files": list(record.renderer["files"]),
        "whole": len(accepted) == len(record.frames),
        "frames": len(record.frames),
        "asked": ranges_text(record.frames),
        "done": len(accepted),
        "missing": ranges_text(accepted.missing()),
        "failed": {str(frame): why for frame, why in sorted(history.failed.items())},
        "bytes": size,
        "kind": [{"width": one.width, "height": one.height, "scene": one.scene} for one in history.kind],
        "results": {"frames": layout.frames.name, "cost": layout.cost.name},
        "runs": history.runs,
        "cost_wei": None if cost is None else str(cost),
        "cost_usd": usd,
        "planned": history.plan,
        "measured": None if history.measured is None else msgspec.to_builtins(history.measured),
        "machines": [
            {
                "slot": slot,
                "node_id": one.node_id,
                "uuid": one.uuid,
                "key": one.key,
                "price_wei": None if one.price_wei is None else str(one.price_wei),
                "price_usd": one.price_usd,
                "frames": frames_of.get(slot, 0),
                "refused": one.refused,
                **msgspec.to_builtins(one.spans),
                "duration_s": one.duration_s,
                "cost_wei": None if one.charge_wei is None else str(one.charge_wei),
                "cost_usd": one.charge_usd,
                "has_ended": one.has_ended,
                "why": one.why,
            }
            for slot, one in sorted(machines.items())
        ],
        "refused": [
            {"frame": one.frame, "slot": one.slot, "node_id": one.node_id, "why": one.why} for one in history.refusals
        ],
    }
