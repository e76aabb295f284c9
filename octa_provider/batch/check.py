"""When a rendered frame counts as whole, beyond what its container tells."""

from __future__ import annotations

from dataclasses import dataclass

from octa_provider.errors import OctaConfigError

__all__ = ["ONE_COLOUR", "Check"]

#: What is done with a frame of one colour throughout: black and fast is what a broken machine sends; so is a fade.
ONE_COLOUR = ("confirm", "refuse", "allow")
MAX_FRAME_BYTES = 100 * 10**9


@dataclass(frozen=True)
class Check:
    """When a frame is whole. Its containers, sizes, stamps and SHA-256 are looked at always.

    Args:
        size: width and height in pixels; None takes what the scene says of itself, else what the first frame has.
        decode: whether pixels are decoded; None does where the extra `pictures` is installed.
        one_colour: what is done with a frame of one colour: `confirm` takes it when a second machine renders it so
            too, `refuse` never takes it, `allow` takes it at once.
        max_frame_bytes: no file of a frame may be larger.

    Raises:
        OctaConfigError: an argument that can't work.
    """

    size: tuple[int, int] | None = None
    decode: bool | None = None
    one_colour: str = "confirm"
    max_frame_bytes: int = 4 * 10**9

    def __post_init__(self) -> None:
        if self.size is not None:
            sides = tuple(self.size)
            if len(sides) != 2 or any(isinstance(s, bool) or not isinstance(s, int) or s < 1 for s in sides):
                raise OctaConfigError(f"size must be a width and a height in pixels, not {self.size!r}")
            object.__setattr__(self, "size", sides)
        if self.decode not in (None, True, False):
            raise OctaConfigError(f"decode must be True, False or None, not {self.decode!r}")
        if self.one_colour not in ONE_COLOUR:
            raise OctaConfigError(f"one_colour must be one of {', '.join(ONE_COLOUR)}, not {self.one_colour!r}")
        most = self.max_frame_bytes
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MAX_FRAME_BYTES:
            raise OctaConfigError(f"max_frame_bytes must be a whole number from 1 to {MAX_FRAME_BYTES}, not {most!r}")
