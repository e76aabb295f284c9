"""Faults that let a request happen, and tell of it in an odd form."""

from __future__ import annotations

from typing import Any

from octa_provider.emulator.faults.faults import Fault
from octa_provider.emulator.platform.prices import PRICE_NAMES

EDITING_KINDS = frozenset(
    {"no_user_envs", "missing_fields", "seconds", "odd_price", "bare_uuid", "duplicate_entry", "missing_entry"}
)


def edited(payload: Any, fault: Fault) -> Any:
    """What an answer says instead of `payload`."""
    records = payload if isinstance(payload, list) else [payload]
    match fault.kind:
        case "no_user_envs":
            for record in records:
                _hide_user_envs(record, fault.option("form", "missing"))
        case "missing_fields":
            for record in records:
                for name in fault.option("fields", []):
                    record.pop(name, None)
        case "seconds":
            for record in records:
                _tell_seconds(record)
        case "odd_price":
            for record in records:
                _make_price_odd(record, fault)
        case "bare_uuid":
            return {"uuid": records[0]["uuid"]} if "uuid" in records[0] else payload
        case _ if isinstance(payload, list):
            return _entries(payload, fault)
    return payload


def _hide_user_envs(record: dict[str, Any], form: str) -> None:
    if "user_envs" not in record:
        return
    if form == "missing":
        del record["user_envs"]
    else:
        record["user_envs"] = None if form == "null" else {}


def _tell_seconds(record: dict[str, Any]) -> None:
    for times in (record, *record.get("system", ())):
        for name in ("started_at", "finished_at", "ts"):
            if isinstance(times.get(name), int):
                times[name] //= 1000


def _make_price_odd(record: Any, fault: Fault) -> None:
    if fault.option("node_id", record.get("node_id")) != record.get("node_id"):
        return
    # A session names its prices in an object of their own.
    prices: dict[str, Any] = record.get("prices") or record
    form = fault.option("form", "missing")
    for name in [name for name in PRICE_NAMES if name in prices]:
        if form == "missing":
            del prices[name]
        else:
            prices[name] = {"null": None, "zero": 0, "negative": -1}[form]


def _entries(payload: list[Any], fault: Fault) -> list[Any]:
    copies = 2 if fault.kind == "duplicate_entry" else 0
    index = fault.option("index", -1)
    chosen = index if index >= 0 else len(payload) + index
    everyone = fault.option("all", False)
    return [
        record
        for position, record in enumerate(payload)
        for _ in range(copies if everyone or position == chosen else 1)
    ]
