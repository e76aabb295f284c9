"""What leaves for an orchestrator, as small JSON values: a session, a machine on offer, a session that was left behind.

One shape each, for XCom, for what a task returns, and for events. Amounts of wei are text, and nothing is in them that
can't be carried: see `octa_provider.text.carried`. This file imports no HTTP library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octa_provider.http.web_address import web_address
from octa_provider.text.carried import carried_dict

if TYPE_CHECKING:
    from octa_provider.models import Machine, Session
    from octa_provider.rental.reap import Orphan
    from octa_provider.rental.terms import Terms

__all__ = ["addresses_json", "machine_json", "orphan_json", "rental_json"]


def rental_json(terms: Terms, session: Session | None = None) -> dict[str, Any]:
    """A rental, from which `client.rentals.restore` opens it again, and where its session answers.

    Args:
        terms: what the rental is known by.
        session: the session as the API shows it; None where that is not known.

    Returns:
        What `Terms.to_dict` tells, and what `addresses_json` does.
    """
    state = terms.to_dict()
    tried = {"tried": [carried_dict(one) for one in state["tried"]]} if "tried" in state else {}
    return carried_dict(state) | tried | ({} if session is None else addresses_json(session))


def addresses_json(session: Session) -> dict[str, Any]:
    """Where a session that is up answers, each only when known.

    Args:
        session: as the API shows it.

    Returns:
        `urls` (by port, as text), `ssh` (`host`, `port`; the direct address, else the proxy's) and `ssh_web`. An
        address that a browser would not take for a web page is left out.
    """
    addresses: dict[str, Any] = {}
    if session.urls:
        pages = {str(port): web_address(url) for port, url in session.urls.items()}
        addresses["urls"] = {port: url for port, url in pages.items() if url is not None}
    if (endpoint := session.ssh_direct or session.ssh_proxy) is not None:
        addresses["ssh"] = {"host": endpoint.host, "port": endpoint.port}
    if (terminal := web_address(session.ssh_web)) is not None:
        addresses["ssh_web"] = terminal
    return carried_dict(addresses)


def machine_json(machine: Machine) -> dict[str, Any]:
    """A machine on offer, as far as it is chosen by.

    Args:
        machine: of the catalogue `mr` or `render`.

    Returns:
        `node_id`, `gpu_model`, `gpu_count`, `gpu_memory_gb` (of each card), `price_usd` and `price_wei` (per hour),
        `country` (its ISO code where known), `blender_score`, `memory_gb`, `cpu_cores`, `free_disk_gb`; None for what
        the machine does not tell. GB are those of `Requirements`: 10^9 bytes, with one digit, rounded down, so that
        the machine meets what it tells.
    """
    return carried_dict(
        {
            "node_id": machine.node_id,
            "gpu_model": machine.gpu_model,
            "gpu_count": machine.gpu_count,
            "gpu_memory_gb": None if machine.gpu_memory_mb is None else _gb(machine.gpu_memory_mb * 1024**2),
            "price_usd": machine.price_usd,
            "price_wei": machine.price_wei,
            "country": machine.country_iso or machine.country,
            "blender_score": machine.blender_score,
            "memory_gb": None if machine.memory_bytes is None else _gb(machine.memory_bytes),
            "cpu_cores": machine.cpu_cores,
            "free_disk_gb": None if machine.free_disk_bytes is None else _gb(machine.free_disk_bytes),
        }
    )


def _gb(size: float) -> float:
    return size // 10**8 / 10


def orphan_json(orphan: Orphan) -> dict[str, Any]:
    """A session that was left behind.

    Args:
        orphan: as `Rentals.reap` found it.

    Returns:
        `uuid`, `key`, `node_id`, `age_s`, `charge_wei`.
    """
    told = ("uuid", "key", "node_id", "age_s", "charge_wei")
    return carried_dict({name: getattr(orphan, name) for name in told})
