"""What the tasks that look for machines and start sessions do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import get_run_logger
from prefect.transactions import Transaction, get_transaction

from octa_provider.errors import OctaConfigError
from octa_provider.market.ranking import rank
from octa_provider.market.request import MachineRequest, RenderRequest, Request, VpnRequest
from octa_provider.market.requirements import Requirements
from octa_provider.rental.json_values import machine_json, rental_json
from octa_provider.rental.session_text import started_text
from prefect_blocks.at_exit import hearing_signals
from prefect_blocks.credentials import OctaCredentials, account_of
from prefect_blocks.events import emit
from prefect_blocks.in_thread import cancellation
from prefect_blocks.lifetime import Lifetime
from prefect_blocks.rental_guard import guard, let_go
from prefect_blocks.rental_key import rental_key, rented_on
from prefect_blocks.requirement_fields import requirements_of
from prefect_blocks.session_argument import rental_of
from prefect_blocks.stop_on_error import stop_on_error

__all__ = ["find_machines", "start_machine", "start_render", "start_vpn", "stop_started", "stop_unwanted"]

_STARTED = "octa_started"


def find_machines(
    requirements: Mapping[str, Any] | Requirements | None = None,
    *,
    service: str = "mr",
    limit: int = 10,
    credentials: OctaCredentials | str | None = None,
) -> list[dict[str, Any]]:
    """The machines on offer that fit, best first; nothing is rented.

    Args:
        requirements: fields of the core's `Requirements`.
        service: `mr` or `render`.
        limit: how many to return.
        credentials: the account, a block or the name of a saved one; the environment's when left out.

    Returns:
        For each `node_id`, `gpu_model`, `gpu_count`, `gpu_memory_gb` (of each card), `price_usd` (per hour),
        `price_wei` (as text), `country`, `blender_score`, `memory_gb`, `cpu_cores`, `free_disk_gb`.

    Raises:
        OctaConfigError: another service.
        OctaNoMachineError: nothing fits; says why for each.
    """
    if service not in ("mr", "render"):
        raise OctaConfigError(f"service={service!r} has no machines to choose from: give mr or render")
    with account_of(credentials).get_client() as client:
        catalogue = client.services.mr if service == "mr" else client.services.render
        ranking = rank(catalogue.available(), requirements_of(requirements))
    if not ranking.machines:
        raise ranking.error()
    return [machine_json(machine) for machine in ranking.machines[:limit]]


def start_machine(
    image: str,
    *,
    start_command: str = "",
    envs: Mapping[str, str] | None = None,
    disk_gb: int = 10,
    ports: Sequence[int] = (),
    http_ports: Sequence[int] = (),
    entrypoint: str = "",
    app: str = "",
    requirements: Mapping[str, Any] | Requirements | None = None,
    max_cost_usd: float | None = None,
    max_duration_s: float | None = None,
    outlives_flow: bool = False,
    deadline_s: float = 300.0,
    wait_for_machine_s: float = 0.0,
    labels: Mapping[str, str] | None = None,
    key: str | None = None,
    credentials: OctaCredentials | str | None = None,
) -> dict[str, Any]:
    """Rent a machine with an image on it, or adopt the one that an earlier try rented. Stop it with `stop_session`.

    Within a `transaction()` it is stopped when a later step fails. What still runs when the flow run ends, however it
    ends, is stopped then; not by a task that runs in a process of its own, where that end is not seen.

    Args:
        image: container image, such as `blender:4.5`.
        start_command: what the container runs.
        envs: environment variables; the account's sessions show them, so no secrets.
        labels: words of your own on the session, such as `{"project": "atlas"}`, to find it and to split a bill by.
            Whoever has the account's key, and the machine's owner, read them: no secrets. With others it is the same
            work.
        disk_gb: disk in GB.
        ports: TCP ports to expose.
        http_ports: ports to publish as URLs.
        entrypoint: the container's entrypoint.
        app: uuid of an app of OctaSpace's; then the image may be empty.
        requirements: fields of the core's `Requirements`; the cheapest machine when left out.
        max_cost_usd: refuse what can't be paid, and stop what has cost so much, in USD, as long as this process lives.
        max_duration_s: refuse what the balance can't pay for that long, and stop what has run so many seconds.
        outlives_flow: let it run on when its flow run has ended; its caps hold until the process ends. What goes by
            flow runs, as `reap_orphans_flow` does, still stops it.
        deadline_s: seconds to try to start for.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 fails at once.
        key: names the machine within the flow run, where two calls that look the same are not.
        credentials: the account, a block or the name of a saved one; the environment's when left out.

    Returns:
        The session as a small JSON value: `uuid`, `key`, `node_id`, `price_usd`, ...; amounts of wei are text.

    Raises:
        OctaNoMachineError, OctaBudgetError: nothing could be rented.
        OctaConfigError: a value that can't work, before any money is spent.
        OctaCancelledError: the run is being ended; what was started was stopped.
    """
    request = MachineRequest(
        image=image,
        start_command=start_command,
        envs=dict(envs or {}),
        disk_gb=disk_gb,
        ports=tuple(ports),
        http_ports=tuple(http_ports),
        entrypoint=entrypoint,
        app=app,
        labels={} if labels is None else labels,
    )
    return _start(
        request,
        requirements,
        (max_cost_usd, max_duration_s),
        (deadline_s, wait_for_machine_s),
        key,
        credentials,
        outlives_flow,
    )


def start_render(
    *,
    disk_gb: int = 10,
    envs: Mapping[str, str] | None = None,
    multi_gpu_worker: bool | None = None,
    requirements: Mapping[str, Any] | Requirements | None = None,
    max_cost_usd: float | None = None,
    max_duration_s: float | None = None,
    outlives_flow: bool = False,
    deadline_s: float = 300.0,
    wait_for_machine_s: float = 0.0,
    labels: Mapping[str, str] | None = None,
    key: str | None = None,
    credentials: OctaCredentials | str | None = None,
) -> dict[str, Any]:
    """Rent a worker of the render service, or adopt the one that an earlier try rented; as `start_machine`.

    Args:
        disk_gb: disk in GB.
        envs: environment variables; the account's sessions show them, so no secrets.
        multi_gpu_worker: one worker for all GPUs of the machine; None leaves it to the API.
        labels: as of `start_machine`.
        requirements: fields of the core's `Requirements`; the cheapest machine when left out.
        max_cost_usd: refuse what can't be paid, and stop what has cost so much, in USD, as long as this process lives.
        max_duration_s: refuse what the balance can't pay for that long, and stop what has run so many seconds.
        outlives_flow: let it run on when its flow run has ended; its caps hold until the process ends. What goes by
            flow runs, as `reap_orphans_flow` does, still stops it.
        deadline_s: seconds to try to start for.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 fails at once.
        key: names the worker within the flow run, where two calls that look the same are not.
        credentials: the account, a block or the name of a saved one; the environment's when left out.

    Returns:
        The session as a small JSON value: `uuid`, `key`, `node_id`, `price_usd`, ...; amounts of wei are text.

    Raises:
        OctaNoMachineError, OctaBudgetError: nothing could be rented.
        OctaConfigError: a value that can't work, before any money is spent.
        OctaCancelledError: the run is being ended; what was started was stopped.
    """
    request = RenderRequest(
        disk_gb=disk_gb,
        envs=dict(envs or {}),
        multi_gpu_worker=multi_gpu_worker,
        labels={} if labels is None else labels,
    )
    return _start(
        request,
        requirements,
        (max_cost_usd, max_duration_s),
        (deadline_s, wait_for_machine_s),
        key,
        credentials,
        outlives_flow,
    )


def start_vpn(
    subkind: str = "wg",
    *,
    protocol: str | None = None,
    requirements: Mapping[str, Any] | Requirements | None = None,
    max_cost_usd: float | None = None,
    max_duration_s: float | None = None,
    outlives_flow: bool = False,
    deadline_s: float = 300.0,
    wait_for_machine_s: float = 0.0,
    credentials: OctaCredentials | str | None = None,
) -> dict[str, Any]:
    """Start a VPN session. It carries no rental key: no later try can adopt it, and no reaper sees it.

    Args:
        subkind: `wg`, `openvpn`, `ss`, `v2ray` or `http_proxy`.
        protocol: `trojan`, `vmess` or `vless`, for v2ray alone; `trojan` when left out.
        requirements: fields of the core's `Requirements`; the cheapest machine when left out.
        max_cost_usd: refuse what can't be paid, and stop what has cost so much, in USD, as long as this process lives.
        max_duration_s: refuse what the balance can't pay for that long, and stop what has run so many seconds.
        outlives_flow: let it run on when its flow run has ended; its caps hold until the process ends. What goes by
            flow runs, as `reap_orphans_flow` does, still stops it.
        deadline_s: seconds to try to start for.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 fails at once.
        credentials: the account, a block or the name of a saved one; the environment's when left out.

    Returns:
        The session as a small JSON value: `uuid`, `key`, `node_id`, `price_usd`, ...; amounts of wei are text.

    Raises:
        OctaNoMachineError, OctaBudgetError: nothing could be rented.
        OctaConfigError: a value that can't work, before any money is spent.
        OctaCancelledError: the run is being ended; what was started was stopped.
    """
    return _start(
        VpnRequest(subkind, protocol),
        requirements,
        (max_cost_usd, max_duration_s),
        (deadline_s, wait_for_machine_s),
        None,
        credentials,
        outlives_flow,
    )


def _start(
    request: Request,
    requirements: Mapping[str, Any] | Requirements | None,
    caps: tuple[float | None, float | None],
    times_s: tuple[float, float],
    key: str | None,
    credentials: OctaCredentials | str | None,
    outlives_flow: bool,
) -> dict[str, Any]:
    wanted = requirements_of(requirements)
    credentials = account_of(credentials)
    with hearing_signals(), credentials.get_client() as client, stop_on_error() as on_started:
        rental = client.rentals.start(
            request,
            key=rental_key(rented_on(request, wanted), key),
            requirements=wanted,
            deadline_s=times_s[0],
            wait_for_machine_s=times_s[1],
            on_waiting=lambda why: get_run_logger().info(why),
            max_cost_usd=caps[0],
            max_duration_s=caps[1],
            on_started=on_started,
            is_cancelled=cancellation(),
        )
        result = rental_json(rental)
        if (transaction := get_transaction()) is not None:
            transaction.set(_STARTED, (result, credentials))
        logger = get_run_logger()
        logger.info("%s", started_text(rental))
        emit("adopted" if rental.adopted else "started", rental)
        lifetime = Lifetime(None) if outlives_flow else Lifetime.of_this_flow_run()
        if lifetime.has_end or rental.is_capped:
            guard(rental, credentials, lifetime, logger)
        return result


def stop_started(transaction: Transaction) -> None:
    """Stop what the task started, since a later step of its transaction failed.

    Args:
        transaction: the task's.

    Raises:
        OctaStopError: it could not be stopped in time, and may still bill.
    """
    started = transaction.get(_STARTED, None)
    if started is not None:
        stop_unwanted(*started)


def stop_unwanted(result: dict[str, Any], credentials: OctaCredentials | str | None) -> None:
    """Stop what a start task returned, when nobody is going to.

    Args:
        result: the session, as the task returned it.
        credentials: the account, a block or the name of a saved one; the environment's when left out.

    Raises:
        OctaStopError: it could not be stopped in time, and may still bill.
    """
    with account_of(credentials).get_client() as client:
        rental = rental_of(client, result)
        emit("stopped", rental, bill=rental.stop())
        let_go(rental.uuid)
