"""What every model has in common: frozen, made from a payload, the payload kept."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import msgspec

from octa_provider.wire.exact_json import decode_json

__all__ = ["Model"]


# JSON has no cycles, so the collector need not walk thousands of machines: `gc=False` is inherited and a tenth faster.
class Model(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A typed, tolerant view of a payload.

    A missing or odd field is None or empty; it is never a reason to fail, since new fields and forms appear at any time
    (evidence C). Each model has `from_payload(payload)`.

    Attributes:
        raw: the payload as received, unknown fields included; not part of the repr. It is decoded when it is asked for,
            where the model was read without it.
    """

    #: Left out of the repr: long, or likely to hold a user's secrets.
    hidden: ClassVar[tuple[str, ...]] = ("raw",)

    raw: dict[str, Any] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        """The fields that are set, without those in `hidden`."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.hidden)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in fields if value is not None)})"

    def __eq__(self, other: object) -> bool:
        """Equal when all fields are, the payloads too."""
        if isinstance(other, Model):
            _read_raw(self)
            _read_raw(other)
        return super().__eq__(other)

    __hash__ = msgspec.Struct.__hash__

    def __reduce__(self) -> Any:
        """For pickle: the payload as a dict, which another version can read too."""
        _read_raw(self)
        return super().__reduce__()


# Where the struct keeps the field. A model that is read from bytes has a `msgspec.Raw` there until somebody looks.
_held = Model.__dict__["raw"]


def _read_raw(model: Model) -> dict[str, Any]:
    """The payload as received, unknown fields included."""
    raw = _held.__get__(model)
    if isinstance(raw, msgspec.Raw):
        raw = decode_json(bytes(raw))
        _held.__set__(model, raw)
    return cast("dict[str, Any]", raw)


Model.raw = property(_read_raw)  # type: ignore[assignment]
