"""A catalogue of 5,000 machines, from its bytes to machines that are typed, filtered and ranked."""

from __future__ import annotations

import json
from importlib.util import find_spec

import msgspec

from benchmarks.interleaved import Goal, Row, calls, in_turn

GOAL = Goal("ours", "json.loads", 0.70)


def catalogue(machines: int) -> bytes:
    """The catalogue of the emulator, without the oddities that it can show."""
    from octa_provider.emulator.http.quirks import Quirks
    from octa_provider.emulator.platform.catalogue import make_nodes

    nodes = make_nodes(machines, Quirks(enabled=False, seed=1), seed=1)
    return json.dumps([node.payload for node in nodes.values()], separators=(",", ":")).encode()


def measure(rounds: int, machines: int = 5000) -> Row:
    """Read and rank.

    Args:
        rounds: how often each takes its turn.
        machines: in the catalogue.
    """
    from octa_provider.market.ranking import rank
    from octa_provider.market.requirements import Requirements
    from octa_provider.models.machine_bytes import read_machines

    body = catalogue(machines)
    wanted = Requirements(gpu_model="4090", gpu_count=2, max_price_usd=2.0)

    def ours() -> None:
        found = read_machines(body, "GET /services/mr")
        assert found is not None
        assert rank(found, wanted).machines

    subjects = {
        "json.loads": calls(lambda: json.loads(body), 1),
        "msgspec, untyped": calls(lambda: msgspec.json.decode(body), 1),
        "ours": calls(ours, 1),
    }
    if find_spec("orjson"):
        import orjson

        subjects["orjson"] = calls(lambda: orjson.loads(body), 1)
    title = f"catalogue of {machines:,} machines, bytes to typed, filtered, ranked, CPU"
    return Row(title, "json.loads", in_turn(subjects, rounds), GOAL)
