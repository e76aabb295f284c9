"""What each frame cost: a machine's charge divided among the frames it rendered, to the wei, and what is left over."""

from __future__ import annotations

from octa_provider.batch.folder.work import Spans

__all__ = ["DividedCharge"]

_NS = 10**9


class DividedCharge:
    """A machine's charge, divided. First `count` each copy of a frame that it rendered, then ask `of` for each.

    The part of its time in which it rendered is paid for by the copies, in proportion to what each took; one that does
    not tell counts as the average. Frames that count and overhead make the charge, exactly.

    Args:
        charge_wei: what the machine was charged, in wei.
        spans: how its time went.
    """

    def __init__(self, charge_wei: int, spans: Spans) -> None:
        render = _ns(spans.render_s)
        total = render + sum(map(_ns, (spans.start_s, spans.transfer_s, spans.idle_s)))
        self._charge = charge_wei
        # Where nothing tells how the time went, all of it was for frames.
        self._for_frames = charge_wei * render // total if render else charge_wei
        self._told_ns = 0
        self._told = 0
        self._copies = 0
        self._given = 0

    def count(self, seconds: float | None) -> None:
        """A copy of a frame was rendered, whether it counts or not.

        Args:
            seconds: what it took; None where nothing tells.
        """
        self._copies += 1
        if seconds is not None:
            self._told += 1
            self._told_ns += _ns(seconds)

    def of(self, seconds: float | None) -> int:
        """What a copy that counts cost, in wei; asked once for each.

        Args:
            seconds: what it took, as it was counted.
        """
        if not self._told_ns:
            # No copy is told to have taken any time: each as much as the other.
            cost = self._for_frames // self._copies
        elif seconds is None:
            cost = self._for_frames * self._told_ns // (self._told * self._whole)
        else:
            cost = self._for_frames * _ns(seconds) // self._whole
        self._given += cost
        return cost

    @property
    def overhead(self) -> int:
        """What is left, in wei: start, transfer, idle time, and copies that do not count."""
        return self._charge - self._given

    @property
    def _whole(self) -> int:
        """The time of all copies; those that do not tell count as the average."""
        return -(-self._told_ns * self._copies // self._told)


def _ns(seconds: float) -> int:
    """A time as a whole number; what is no time counts for none."""
    return int(seconds * _NS) if 0 < seconds < 1e12 else 0
