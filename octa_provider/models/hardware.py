"""What machines, nodes and sessions say about their hardware: graphics cards, reliability."""

from __future__ import annotations

from typing import Any

from octa_provider.text.plain_text import plain_words
from octa_provider.wire.fields import count, items, mapping, number, text
from octa_provider.wire.model import Model

__all__ = ["Gpu", "NodeHardware", "Reliability", "decode_gpus", "decode_hardware", "decode_reliability"]

_VENDORS = ("nvidia", "amd", "intel")
#: A card's name is of a stranger's machine.
_MODEL_CHARS = 80
_MOST_MODELS = 8


class Gpu(Model, frozen=True, kw_only=True):
    """One graphics card.

    Attributes:
        model: such as `NVIDIA GeForce RTX 4090`; empty when unknown.
        memory_mb: its memory in MiB.
        memory_free_mb: how much of it is free; only of the account's own nodes.
    """

    model: str = ""
    memory_mb: int | None = None
    memory_free_mb: int | None = None


class Reliability(Model, frozen=True, kw_only=True):
    """How a node has behaved. A bare number on the wire (evidence C) is its `stability`.

    Attributes:
        uptime: the share of time it was up, in percent.
        stability: the API's figure for how steady it is, in percent.
        score: the mean rating that its renters gave, 1 to 5.
        count: how many ratings that is.
        sessions_normal: sessions that ended as they should.
        sessions_failed: sessions that did not.
        session_mean_s: mean length of a session in seconds.
        session_longest_s: longest session in seconds.
    """

    uptime: float | None = None
    stability: float | None = None
    score: float | None = None
    count: int | None = None
    sessions_normal: int | None = None
    sessions_failed: int | None = None
    session_mean_s: float | None = None
    session_longest_s: float | None = None


class NodeHardware(Model, frozen=True, kw_only=True):
    """`node_hw` of a session (evidence C).

    Attributes:
        cpu: the processor's name.
        cpu_cores: its cores.
        gpus: its graphics cards.
        memory_bytes: main memory in bytes.
        disk: disk size in bytes (evidence C).
    """

    cpu: str | None = None
    cpu_cores: int | None = None
    gpus: tuple[Gpu, ...] = ()
    memory_bytes: int | None = None
    disk: int | None = None

    @property
    def cards(self) -> str:
        """Its graphics cards on one line, such as `2 × NVIDIA GeForce RTX 4090`; empty where it has or names none."""
        models = [model for card in self.gpus if (model := plain_words(card.model).strip())]
        named = {
            model if len(model) <= _MODEL_CHARS else f"{model[: _MODEL_CHARS - 1]}…": models.count(model)
            for model in list(dict.fromkeys(models))[:_MOST_MODELS]
        }
        return " · ".join(f"{count} × {model}" if count > 1 else model for model, count in named.items())


def _card(value: object) -> Gpu | None:
    if isinstance(value, dict):
        # An entry that says nothing we know is still a card, but `{}` is none.
        if not value:
            return None
        return Gpu(
            raw=value,
            model=text(value.get("model")) or "",
            memory_mb=count(value.get("mem_total_mb")),
            memory_free_mb=count(value.get("mem_free_mb")),
        )
    name = text(value)
    return Gpu(model=name) if name else None


def _cards(value: object) -> tuple[Gpu, ...]:
    if isinstance(value, list):
        listed = value
    elif isinstance(value, str) and not value.lstrip().startswith("["):
        listed = [value]
    else:
        listed = items(value)
    return tuple([card for card in map(_card, listed) if card is not None])


def decode_gpus(listed: object, deprecated: object) -> tuple[Gpu, ...]:
    """The cards of `gpus`, else of the deprecated `gpu`: `{nvidia: [], amd: [], intel: []}` or a plain string.

    Args:
        listed: the value of `gpus`.
        deprecated: the value of `gpu`.
    """
    cards = _cards(listed)
    if cards or not deprecated:
        return cards
    vendors = mapping(deprecated)
    if not vendors:
        return _cards(deprecated)
    return tuple(card for vendor in _VENDORS for card in _cards(vendors.get(vendor)))


def decode_reliability(value: object) -> Reliability | None:
    """From an object or a bare number; None from anything else."""
    if isinstance(value, dict):
        rating: Any = value.get("rating")
        if not isinstance(rating, dict):
            rating = {"score": rating}
        return Reliability(
            raw=value,
            uptime=number(value.get("uptime")),
            stability=number(value.get("stability")),
            score=number(rating.get("score")),
            count=count(rating.get("count")),
            sessions_normal=count(value.get("s_normal")),
            sessions_failed=count(value.get("s_failed")),
            session_mean_s=number(value.get("s_avg_d")),
            session_longest_s=number(value.get("s_max_d")),
        )
    bare = number(value)
    return None if bare is None else Reliability(stability=bare)


def decode_hardware(value: object) -> NodeHardware | None:
    """From `node_hw`; None when it is missing or no object."""
    raw = mapping(value)
    if not raw:
        return None
    return NodeHardware(
        raw=raw,
        cpu=text(raw.get("cpu")),
        cpu_cores=count(raw.get("cpu_cores")),
        gpus=decode_gpus(raw.get("gpu"), raw.get("gpus")),
        memory_bytes=count(raw.get("total_memory")),
        disk=count(raw.get("disk")),
    )
