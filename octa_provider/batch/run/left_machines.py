"""What an earlier run of the batch has left running: the API knows, whatever was written down."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from octa_provider.batch.estimate import START_S, MachineEstimate, SceneEstimate
from octa_provider.batch.folder.machines import MachineRecord
from octa_provider.batch.folder.work import Spans
from octa_provider.rental.key import split_namespace
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.batch.run.parts import BatchParts
    from octa_provider.models import Session
    from octa_provider.rental.rental import Rental
    from octa_provider.timing.clock import Clock

__all__ = ["AWAY_S", "began_at", "estimate_of_kept", "sessions_of_batch", "take_over"]

#: An API that is away when a run begins is asked again for so long: nothing is rented yet, and somebody waits.
AWAY_S = 300.0
_NUMBER = re.compile(r"m([0-9]{1,9})")


def began_at(rental: Rental, clock: Clock) -> float:
    """When a machine that is gone on with began to run, on a clock that only grows: as the API counts, whose wall clock
    may be hours off ours.

    Args:
        rental: its handle, as it was just found.
        clock: of the parts.
    """
    now = clock.monotonic()
    return now if rental.known_from is None else now - max(0.0, clock.steady_time() - rental.known_from)


def sessions_of_batch(api: Api, parts: BatchParts) -> dict[int, Session]:
    """The active sessions of a batch, by their machine's number.

    A platform that does not echo environments tells no keys: then those whose uuid was written down are found.

    Args:
        api: the API.
        parts: of the batch.
    """
    known = {uuid: number for number, (_, uuid) in parts.folder.open_rentals.items() if uuid is not None}
    found: dict[int, Session] = {}
    for session in api.sessions.list():
        number = known.get(session.uuid)
        if session.rental_key is not None:
            key = split_namespace(session.rental_key, parts.api.namespace)
            begin, _, end = (key or "").rpartition("/")
            match = _NUMBER.fullmatch(end)
            number = int(match[1]) if match and begin == parts.prefix else None
        if number is not None:
            found.setdefault(number, session)
    return found


def take_over(
    parts: BatchParts, most: int, is_cancelled: Callable[[], bool] = lambda: False
) -> list[tuple[int, Rental]]:
    """See to what an earlier run has left: what runs is gone on with or stopped, what has ended is written down.

    Args:
        parts: of the batch.
        most: how many machines are gone on with.
        is_cancelled: asked again and again while the API is away.

    Returns:
        Those, by their number.

    Raises:
        OctaError: the API can't be reached, refused the key, or a session could not be stopped.
    """
    away = Deadline(parts.clock, AWAY_S)
    running = ask_until(away, lambda: sessions_of_batch(parts.api.within(away, is_cancelled), parts))
    for number, (key, uuid) in list(parts.folder.open_rentals.items()):
        if number in running:
            continue
        if uuid is None or key != parts.rentals.full_key(parts.machine_key(number)):
            # Its run died before an answer came, and no list may show it yet; or it is of the scene as it was before.
            parts.rentals.stop(key)
        _end(parts, number, uuid, key)
    kept: list[tuple[int, Rental]] = []
    for number, session in sorted(running.items()):
        key = parts.machine_key(number)
        rental = parts.rentals.find(key) if len(kept) < most else None
        if rental is not None:
            kept.append((number, _with_price(rental, parts.folder.history.machines.get(number))))
            continue
        parts.rentals.stop(key)
        _end(parts, number, session.uuid, key)
    return kept


def estimate_of_kept(
    rental: Rental,
    others: Sequence[MachineEstimate],
    scene: SceneEstimate,
    seen: Mapping[int, tuple[int, float]],
) -> MachineEstimate:
    """What is expected of a machine that is gone on with: it is not on offer any more, since it is ours.

    Args:
        rental: its handle.
        others: machines on offer.
        scene: the work.
        seen: for nodes that have rendered of it: how many frames, in how many seconds.
    """
    usual = MachineEstimate(-1, 0, 0.0, 1 / scene.seconds_per_frame, START_S, scene.upload_s)
    like = sorted(others, key=lambda one: one.speed)[len(others) // 2] if others else usual
    node_id = rental.node_id if rental.node_id is not None else -1
    frames, seconds = seen.get(node_id, (0, 0.0))
    return MachineEstimate(
        node_id,
        rental.price_wei if rental.price_wei is not None else like.price_wei,
        rental.price_usd if rental.price_usd is not None else like.price_usd,
        frames / seconds if frames else like.speed,
        like.start_s,
        like.upload_s,
    )


def _with_price(rental: Rental, known: MachineRecord | None) -> Rental:
    """A session tells no exact price: the one that it was rented for was written down."""
    if known is None or rental.price_wei is not None or known.price_wei is None:
        return rental
    return replace(rental, price_wei=known.price_wei, price_usd=known.price_usd)


def _end(parts: BatchParts, number: int, uuid: str | None, key: str) -> None:
    """See that a session has ended, and write down what it came to: that one list had it not proves nothing."""
    bill = None if uuid is None else parts.rentals.open(uuid, key).stop()
    parts.folder.ended(number, bill, Spans(), "the run that rented it has ended")
