"""A catalogue straight from its bytes: thousands of machines, of which a caller looks at a few fields.

A record whose every field has the type that the API documents becomes a `Machine` without a dict in between; any other
is read as `Machine.from_payload` reads it. What comes out is the same.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

import msgspec

from octa_provider.models.hardware import Gpu, Reliability, decode_gpus, decode_reliability
from octa_provider.models.machine import Machine
from octa_provider.wire.exact_json import decode_json
from octa_provider.wire.fields import ether_as_wei, strings
from octa_provider.wire.raw_records import NULL, Whole, payload_of, read_raw_list
from octa_provider.wire.records import Records

__all__ = ["read_machines"]

# What `count`, `number`, `amount`, `wei` and `bandwidth_mbps` leave as it is; for anything else they are asked.
_Count = Whole | None
_Number = Annotated[float, msgspec.Meta(ge=-(2.0**63), le=2.0**63)] | None
_Amount = Annotated[float, msgspec.Meta(ge=0.0, le=2.0**63)] | None
_Mbps = Annotated[float, msgspec.Meta(ge=0.0, le=100_000.0)] | None
_Wei = Annotated[int, msgspec.Meta(ge=0)] | None
_MOST_WEI = 2**256 - 1


class _Rating(msgspec.Struct, gc=False):
    count: _Count = None
    score: _Number = None


class _Reliability(msgspec.Struct, gc=False):
    uptime: _Number = None
    stability: _Number = None
    s_avg_d: _Number = None
    s_max_d: _Number = None
    s_normal: _Count = None
    s_failed: _Count = None
    rating: _Rating | None = None


class _Record(msgspec.Struct, gc=False):
    """A machine as documented; the names are the wire's, in its order: the field that comes next is found at once."""

    node_id: Whole
    country: str | None = None
    country_iso: str | None = None
    city: str | None = None
    cpu_model_name: str | None = None
    cpu_cores: _Count = None
    cpu_speed: _Count = None
    cpu_vendor_id: str | None = None
    total_memory: _Count = None
    memory_type: str | None = None
    memory_speed: _Count = None
    free_disk: _Count = None
    arch: str | None = None
    os_version: str | None = None
    is_hive_os: bool | None = None
    is_wsl: bool | None = None
    virt: str | None = None
    cuda_version: str | None = None
    gpus: msgspec.Raw = NULL
    gpu: msgspec.Raw = NULL
    is_has_gpu: bool | None = None
    ai_score: _Number = None
    blender_score: _Number = None
    blender_optix_score: _Number = None
    blender_cuda_score: _Number = None
    blender_cpu_score: _Number = None
    net_down_mbits: _Mbps = None
    net_up_mbits: _Mbps = None
    total_price_usd: _Amount = None
    total_price_wei: _Wei = None
    total_price_ether: msgspec.Raw = NULL
    base: _Wei = None
    base_ether: msgspec.Raw = NULL
    base_usd: _Amount = None
    storage: _Wei = None
    storage_ether: msgspec.Raw = NULL
    storage_usd: _Amount = None
    traffic: _Wei = None
    traffic_ether: msgspec.Raw = NULL
    traffic_usd: _Amount = None
    market_price: _Amount = None
    currency_usd: bool | None = None
    reliability: msgspec.Raw = NULL
    features: msgspec.Raw = NULL
    available_ports: _Count = None
    base_wei: _Wei = None
    storage_wei: _Wei = None
    traffic_wei: _Wei = None


_RECORD = msgspec.json.Decoder(_Record)
_RELIABILITY = msgspec.json.Decoder(_Reliability)


def read_machines(body: bytes, what: str) -> Records[Machine] | None:
    """The machines of a catalogue, as `decode_list` gives them, in half of the time.

    Args:
        body: the answer.
        what: what is read, for the log, such as `GET /services/mr`.

    Returns:
        None for a body that has to be read as a whole: no list, not UTF-8, no JSON, half a surrogate pair.
    """
    return read_raw_list(body, _Catalogue().machine, what)


class _Catalogue:
    """One answer. Machines say the same of their cards and features over and over: each such text is read once."""

    def __init__(self) -> None:
        self._cards: dict[bytes, tuple[Gpu, ...]] = {}
        self._features: dict[bytes, tuple[str, ...]] = {}

    def machine(self, record: msgspec.Raw) -> Machine:
        """One record; raises OctaDecodeError as `Machine.from_payload` does.

        What `text` and `_wei` do with a usual value stands in line here: fourteen calls a machine are a tenth of it.
        """
        try:
            read = _RECORD.decode(record)
            if (price_wei := read.total_price_wei) is None or price_wei > _MOST_WEI:
                price_wei = _wei(price_wei, None, read.total_price_ether)
            if (base_wei := read.base) is None or base_wei > _MOST_WEI:
                base_wei = _wei(base_wei, read.base_wei, read.base_ether)
            if (storage_wei := read.storage) is None or storage_wei > _MOST_WEI:
                storage_wei = _wei(storage_wei, read.storage_wei, read.storage_ether)
            if (traffic_wei := read.traffic) is None or traffic_wei > _MOST_WEI:
                traffic_wei = _wei(traffic_wei, read.traffic_wei, read.traffic_ether)
        except (msgspec.DecodeError, _NoWeiError):
            return Machine.from_payload(payload_of(record))
        base_usd, storage_usd, traffic_usd = read.base_usd, read.storage_usd, read.traffic_usd
        return Machine(
            # A copy: the whole answer need not stay for the sake of one machine.
            raw=cast(Any, record.copy()),
            node_id=read.node_id,
            country=told if (told := read.country) and not told.isspace() else None,
            country_iso=told if (told := read.country_iso) and not told.isspace() else None,
            city=told if (told := read.city) and not told.isspace() else None,
            cpu_model_name=told if (told := read.cpu_model_name) and not told.isspace() else None,
            cpu_cores=read.cpu_cores,
            cpu_vendor_id=told if (told := read.cpu_vendor_id) and not told.isspace() else None,
            cpu_speed=read.cpu_speed,
            memory_bytes=read.total_memory,
            memory_type=told if (told := read.memory_type) and not told.isspace() else None,
            memory_speed=read.memory_speed,
            free_disk_bytes=read.free_disk,
            gpus=self._cards.get(listed := bytes(read.gpus)) or self._gpus(listed, read.gpu),
            has_gpu=read.is_has_gpu,
            cuda_version=told if (told := read.cuda_version) and not told.isspace() else None,
            ai_score=read.ai_score,
            blender_score=read.blender_score,
            blender_cpu_score=read.blender_cpu_score,
            blender_cuda_score=read.blender_cuda_score,
            blender_optix_score=read.blender_optix_score,
            net_down_mbps=read.net_down_mbits,
            net_up_mbps=read.net_up_mbits,
            price_usd=read.total_price_usd,
            price_wei=price_wei,
            base_usd=None if base_usd is None else base_usd / 10_000,
            base_wei=base_wei,
            storage_usd=None if storage_usd is None else storage_usd / 10_000,
            storage_wei=storage_wei,
            traffic_usd=None if traffic_usd is None else traffic_usd / 10_000,
            traffic_wei=traffic_wei,
            market_price=read.market_price,
            currency_usd=read.currency_usd,
            reliability=_reliability(read.reliability),
            features=self._features.get(listed := bytes(read.features)) or self._feature_names(listed),
            available_ports=read.available_ports,
            arch=told if (told := read.arch) and not told.isspace() else None,
            os_version=told if (told := read.os_version) and not told.isspace() else None,
            virt=told if (told := read.virt) and not told.isspace() else None,
            is_hive_os=read.is_hive_os,
            is_wsl=read.is_wsl,
        )

    def _gpus(self, listed: bytes, deprecated: msgspec.Raw) -> tuple[Gpu, ...]:
        cards = self._cards.get(listed)
        if cards is None:
            cards = self._cards[listed] = decode_gpus(decode_json(listed), None)
        return cards or decode_gpus(None, payload_of(deprecated))

    def _feature_names(self, listed: bytes) -> tuple[str, ...]:
        names = self._features.get(listed)
        if names is None:
            names = self._features[listed] = strings(decode_json(listed))
        return names


class _NoWeiError(Exception):
    """A number that the chain has no room for."""


def _wei(first: int | None, second: int | None, ether: msgspec.Raw) -> int | None:
    price = second if first is None else first
    if price is None:
        price = ether_as_wei(payload_of(ether))
        return price if price is not None and price >= 0 else None
    if price > _MOST_WEI:
        raise _NoWeiError
    return price


def _reliability(piece: msgspec.Raw) -> Reliability | None:
    try:
        read = _RELIABILITY.decode(piece)
    except msgspec.DecodeError:
        return decode_reliability(payload_of(piece))
    rating = read.rating
    return Reliability(
        raw=cast(Any, piece.copy()),
        uptime=read.uptime,
        stability=read.stability,
        score=None if rating is None else rating.score,
        count=None if rating is None else rating.count,
        sessions_normal=read.s_normal,
        sessions_failed=read.s_failed,
        session_mean_s=read.s_avg_d,
        session_longest_s=read.s_max_d,
    )
