"""What every model has in common: frozen, made from a payload, the payload kept."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

__all__ = ["Model"]


# JSON has no cycles, so the collector need not walk thousands of machines: `gc=False` is inherited and a tenth faster.
class Model(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A typed, tolerant view of a payload.

    A missing or odd field is None or empty; it is never a reason to fail, since new fields and forms appear at any time
    (evidence C). Each model has `from_payload(payload)`.

    Attributes:
        raw: the payload as received, unknown fields included; not part of the repr.
    """

    #: Left out of the repr: long, or likely to hold a user's secrets.
    hidden: ClassVar[tuple[str, ...]] = ("raw",)

    raw: dict[str, Any] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        """The fields that are set, without those in `hidden`."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.hidden)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in fields if value is not None)})"
