"""A list of sessions straight from its bytes: whoever waits for ten thousand reads all of them every five seconds.

As `machine_bytes` does for machines: a record whose every field has a type that the API is known to send becomes a
`Session` without a dict in between; any other is read as `Session.from_payload` reads it. What comes out is the same.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from octa_provider.models.hardware import NodeHardware, decode_hardware
from octa_provider.models.session import Session, SessionPrices, read_config, read_endpoint, read_prices
from octa_provider.models.session_progress import means_ready
from octa_provider.wire.exact_json import decode_json
from octa_provider.wire.fields import count, integer, label, moment, port_map, strings, url_map
from octa_provider.wire.raw_records import NULL, Whole, payload_of, read_raw_list
from octa_provider.wire.records import Records

__all__ = ["read_sessions"]

_Count = Whole | None
_CountOrText = Whole | str | None


class _Record(msgspec.Struct, gc=False):
    """A session; the names are the wire's, in its order: the field that is expected next is found at once."""

    uuid: str
    service: str | None = None
    kind: str | None = None
    app_name: str | None = None
    app_logo: str | None = None
    node_id: _Count = None
    progress: str | None = None
    status: str | None = None
    is_ready: bool | None = None
    duration: _CountOrText = None
    started_at: _CountOrText = None
    finished_at: _CountOrText = None
    termination_reason: _CountOrText = None
    public_ip: str | None = None
    ip: str | None = None
    country: str | None = None
    country_iso: str | None = None
    city: str | None = None
    ports_matrix: msgspec.Raw = NULL
    urls: msgspec.Raw = NULL
    ssh_direct: msgspec.Raw = NULL
    ssh_proxy: msgspec.Raw = NULL
    ssh_web: str | None = None
    config: msgspec.Raw = NULL
    tx: _CountOrText = None
    rx: _CountOrText = None
    charge_amount: int | str | None = None
    user_envs: dict[str, str] | None = None
    container_id: list[str] | str | None = None
    node_hw: msgspec.Raw = NULL
    prices: msgspec.Raw = NULL


_RECORD = msgspec.json.Decoder(_Record)
_NO_PAIRS = frozenset({b"{}", b"null"})


def read_sessions(body: bytes, what: str) -> Records[Session] | None:
    """The sessions of a list, as `decode_list` gives them, in half of the time.

    Args:
        body: the answer.
        what: what is read, for the log, such as `GET /sessions`.

    Returns:
        None for a body that has to be read as a whole: no list, not UTF-8, no JSON, half a surrogate pair.
    """
    return read_raw_list(body, _Listed().session, what)


class _Listed:
    """One answer. Sessions on machines of one kind say the same of them and of their prices: it is read once."""

    def __init__(self) -> None:
        self._hardware: dict[bytes, NodeHardware | None] = {}
        self._prices: dict[bytes, SessionPrices | None] = {}

    def session(self, record: msgspec.Raw) -> Session:
        """One record; raises OctaDecodeError as `Session.from_payload` does.

        What `text` does with a usual value stands in line here: a call each is a tenth of it.
        """
        try:
            read = _RECORD.decode(record)
        except msgspec.DecodeError:
            return Session.from_payload(payload_of(record))
        uuid = read.uuid
        if not uuid or uuid.isspace():
            return Session.from_payload(payload_of(record))
        progress = told if (told := read.progress) and not told.isspace() else None
        status = told if (told := read.status) and not told.isspace() else None
        is_ready = read.is_ready
        ports, urls = bytes(read.ports_matrix), bytes(read.urls)
        duration, tx, rx, charge = read.duration, read.tx, read.rx, read.charge_amount
        return Session(
            # A copy: the whole answer need not stay for the sake of one session.
            raw=cast(Any, record.copy()),
            uuid=uuid,
            service=told if (told := read.service) and not told.isspace() else "",
            kind=told if (told := read.kind) and not told.isspace() else None,
            app_name=told if (told := read.app_name) and not told.isspace() else None,
            app_logo=told if (told := read.app_logo) and not told.isspace() else None,
            node_id=read.node_id,
            progress=progress or status,
            status=status,
            is_ready=is_ready is True or means_ready(status if progress is None and is_ready is None else progress),
            duration_s=count(duration) if isinstance(duration, str) else duration,
            started_at=moment(read.started_at),
            finished_at=None if (at := read.finished_at) is None else moment(at),
            termination_reason=None if (why := read.termination_reason) is None else label(why),
            public_ip=told if (told := read.public_ip) and not told.isspace() else None,
            ip=told if (told := read.ip) and not told.isspace() else None,
            country=told if (told := read.country) and not told.isspace() else None,
            country_iso=told if (told := read.country_iso) and not told.isspace() else None,
            city=told if (told := read.city) and not told.isspace() else None,
            ports={} if ports in _NO_PAIRS else port_map(decode_json(ports)),
            urls={} if urls in _NO_PAIRS else url_map(decode_json(urls)),
            ssh_direct=None if (piece := read.ssh_direct) is NULL else read_endpoint(payload_of(piece)),
            ssh_proxy=None if (piece := read.ssh_proxy) is NULL else read_endpoint(payload_of(piece)),
            ssh_web=told if (told := read.ssh_web) and not told.isspace() else None,
            config=None if (piece := read.config) is NULL else read_config(payload_of(piece)),
            tx_bytes=count(tx) if isinstance(tx, str) else tx,
            rx_bytes=count(rx) if isinstance(rx, str) else rx,
            charge_wei=charge if charge is None else integer(charge),
            user_envs=read.user_envs,
            container_ids=() if (ids := read.container_id) is None else strings(ids),
            hardware=self._hardware_of(bytes(read.node_hw)),
            prices=self._prices_of(bytes(read.prices)),
        )

    def _hardware_of(self, piece: bytes) -> NodeHardware | None:
        if piece not in self._hardware:
            self._hardware[piece] = decode_hardware(decode_json(piece))
        return self._hardware[piece]

    def _prices_of(self, piece: bytes) -> SessionPrices | None:
        if piece not in self._prices:
            self._prices[piece] = read_prices(decode_json(piece))
        return self._prices[piece]
