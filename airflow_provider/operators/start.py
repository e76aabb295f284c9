"""Start a session: rent a machine with an image, or a render worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import conf

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.starting_session import StartsSession
from airflow_provider.templated import (
    as_flag,
    as_int,
    as_ints,
    as_text,
    as_texts,
    as_word,
    check_known,
    is_known,
    known_texts,
)
from octa_provider.market.request import MachineRequest, RenderRequest

if TYPE_CHECKING:
    from octa_provider.market.requirements import Requirements

__all__ = ["OctaStartMachineOperator", "OctaStartRenderOperator", "StartsSession"]


class OctaStartMachineOperator(StartsSession):
    """Rent a machine and start a container on it. Use it as a setup, with `OctaStopSessionOperator` as its teardown.

    The machine is chosen by `node_id`, or as the first by `order_by` of those that meet all requirements. Every
    argument is templated; what is known when the DAG file is parsed is checked there.

    Args:
        image: container image, such as `blender:4.5`.
        start_command: what the container runs.
        entrypoint: the container's entrypoint.
        ports: TCP ports to expose.
        http_ports: ports to publish as URLs.
        app: uuid of an app of the catalogue, instead of `image`.
        disk_gb: disk in GB.
        envs: environment variables. The account's sessions show them: no secrets. Those go with a command, over SSH: as
            `envs` of `RemoteMachine.run`, or as `secret_envs` of `OctaRunJobOperator`.
        labels: words of your own on the session, such as `{"project": "atlas"}`, to find it and to split a bill by.
            Whoever has the account's key, and the machine's owner, read them: no secrets.
        node_id: this machine and no other.
        gpu_model: part of the card's name, in any case, such as `4090`; or a list, of which one will do.
        gpu_count: at least so many cards.
        gpu_memory_gb: at least so much memory on each card, in GB.
        memory_gb: at least so much main memory, in GB.
        cpu_cores: at least so many cores.
        max_price_usd: at most so much, in USD per hour.
        country: ISO code or name; or a list, of which one will do.
        min_blender_score: at least this Blender benchmark score.
        min_reliability: at least this share of its sessions ended as they should, in percent.
        exclude_nodes: machines not to take.
        order_by: `price` (default), `blender_score` or `score_per_usd`.
        max_cost_usd: refuse, and while the ready sensor waits for it also stop, what costs more.
        max_duration_s: refuse what the balance can't pay for so many seconds, and while the ready sensor waits also
            stop what has run longer.
        deadline_s: seconds to try to start for, through outages of the API and from machine to machine.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 (default) fails at once.
        deferrable: whether to wait for a machine in the triggerer, without a worker slot; Airflow's
            `[operators] default_deferrable` when left out.
        requirements: the same as a mapping or `Requirements`; single arguments win over it.
        octa_conn_id: the connection.
        kwargs: as of every operator.

    Returns (XCom): a small dict with `uuid`, `key`, `node_id`, `price_usd`, ..., and `urls`, `ssh` when known. Amounts
        of wei are text: they outgrow 64 bits. Under the key `uuid`, as soon as it is known, the uuid alone.

    Raises:
        ValueError: when the DAG file is parsed: an argument that can never work.
        AirflowFailException: a failure that no retry can mend: the key was refused, the arguments are wrong.
        OctaTaskKilledError: the task was killed; what was started is stopped.
        OctaTaskError: any other; what was started is stopped.

    Example:
        >>> start = OctaStartMachineOperator(task_id="start", image="blender:4.5", gpu_model="4090", max_price_usd=0.6)
        >>> OctaStopSessionOperator(task_id="stop", session=start.output).as_teardown(
        ...     setups=start, on_failure_fail_dagrun=True)
    """

    template_fields: Sequence[str] = (
        *StartsSession.template_fields,
        "image",
        "start_command",
        "entrypoint",
        "ports",
        "http_ports",
        "app",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **StartsSession.template_fields_renderers,
        "start_command": "bash",
        "entrypoint": "bash",
    }

    def __init__(
        self,
        *,
        image: str = "",
        start_command: str = "",
        entrypoint: str = "",
        ports: Sequence[int | str] = (),
        http_ports: Sequence[int | str] = (),
        app: str = "",
        disk_gb: int | str = 10,
        envs: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        node_id: int | str | None = None,
        gpu_model: str | Sequence[str] | None = None,
        gpu_count: int | str | None = None,
        gpu_memory_gb: float | str | None = None,
        memory_gb: float | str | None = None,
        cpu_cores: int | str | None = None,
        max_price_usd: float | str | None = None,
        country: str | Sequence[str] | None = None,
        min_blender_score: float | str | None = None,
        min_reliability: float | str | None = None,
        exclude_nodes: Sequence[int] | str | None = None,
        order_by: str | None = None,
        max_cost_usd: float | str | None = None,
        max_duration_s: float | str | None = None,
        deadline_s: float | str = 300.0,
        wait_for_machine_s: float | str = 0.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        requirements: Requirements | Mapping[str, Any] | None = None,
        octa_conn_id: str = OctaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            disk_gb=disk_gb,
            envs=envs,
            labels=labels,
            node_id=node_id,
            gpu_model=gpu_model,
            gpu_count=gpu_count,
            gpu_memory_gb=gpu_memory_gb,
            memory_gb=memory_gb,
            cpu_cores=cpu_cores,
            max_price_usd=max_price_usd,
            country=country,
            min_blender_score=min_blender_score,
            min_reliability=min_reliability,
            exclude_nodes=exclude_nodes,
            order_by=order_by,
            max_cost_usd=max_cost_usd,
            max_duration_s=max_duration_s,
            deadline_s=deadline_s,
            wait_for_machine_s=wait_for_machine_s,
            deferrable=deferrable,
            requirements=requirements,
            octa_conn_id=octa_conn_id,
            **kwargs,
        )
        self.image = image
        self.start_command = start_command
        self.entrypoint = entrypoint
        self.ports = ports
        self.http_ports = http_ports
        self.app = app
        self.check_known_arguments()

    def _request(self) -> MachineRequest:
        """What to rent, from rendered arguments."""
        return MachineRequest(
            image=as_text("image", self.image) or "",
            disk_gb=as_int("disk_gb", self.disk_gb) or MachineRequest.disk_gb,
            envs=as_texts("envs", self.envs),
            labels=as_texts("labels", self.labels),
            ports=as_ints("ports", self.ports),
            http_ports=as_ints("http_ports", self.http_ports),
            start_command=as_word("start_command", self.start_command or ""),
            entrypoint=as_word("entrypoint", self.entrypoint or ""),
            app=as_text("app", self.app) or "",
        )

    def _check_known_request(self) -> None:
        MachineRequest(
            image=self.image if is_known(self.image) and is_known(self.app) else "known/later",
            app=self.app if is_known(self.app) else "",
            disk_gb=_known_disk(self.disk_gb, MachineRequest.disk_gb),
            envs=as_texts("envs", self.envs) if is_known(self.envs) else {},
            labels=known_texts("labels", self.labels),
            ports=as_ints("ports", self.ports) if is_known(self.ports) else (),
            http_ports=as_ints("http_ports", self.http_ports) if is_known(self.http_ports) else (),
        )


class OctaStartRenderOperator(StartsSession):
    """Rent a worker of the render service. Use it as a setup, with `OctaStopSessionOperator` as its teardown.

    Args:
        multi_gpu_worker: one worker for all cards of the machine; None leaves it to OctaSpace.
        disk_gb: disk in GB.
        envs: environment variables. The account's sessions show them: no secrets.
        labels: words of your own on the session, such as `{"project": "atlas"}`, to find it and to split a bill by.
            Whoever has the account's key, and the machine's owner, read them: no secrets.
        node_id: this machine and no other.
        gpu_model: part of the card's name, in any case, such as `4090`; or a list, of which one will do.
        gpu_count: at least so many cards.
        gpu_memory_gb: at least so much memory on each card, in GB.
        memory_gb: at least so much main memory, in GB.
        cpu_cores: at least so many cores.
        max_price_usd: at most so much, in USD per hour.
        country: ISO code or name; or a list, of which one will do.
        min_blender_score: at least this Blender benchmark score.
        min_reliability: at least this share of its sessions ended as they should, in percent.
        exclude_nodes: machines not to take.
        order_by: `price` (default), `blender_score` or `score_per_usd`.
        max_cost_usd: refuse, and while the ready sensor waits for it also stop, what costs more.
        max_duration_s: refuse what the balance can't pay for so many seconds, and while the ready sensor waits also
            stop what has run longer.
        deadline_s: seconds to try to start for, through outages of the API and from machine to machine.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 (default) fails at once.
        deferrable: whether to wait for a machine in the triggerer, without a worker slot; Airflow's
            `[operators] default_deferrable` when left out.
        requirements: the same as a mapping or `Requirements`; single arguments win over it.
        octa_conn_id: the connection.
        kwargs: as of every operator.

    Returns (XCom), Raises: as `OctaStartMachineOperator`.
    """

    template_fields: Sequence[str] = (*StartsSession.template_fields, "multi_gpu_worker")

    def __init__(
        self,
        *,
        multi_gpu_worker: bool | str | None = None,
        disk_gb: int | str = 10,
        envs: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        node_id: int | str | None = None,
        gpu_model: str | Sequence[str] | None = None,
        gpu_count: int | str | None = None,
        gpu_memory_gb: float | str | None = None,
        memory_gb: float | str | None = None,
        cpu_cores: int | str | None = None,
        max_price_usd: float | str | None = None,
        country: str | Sequence[str] | None = None,
        min_blender_score: float | str | None = None,
        min_reliability: float | str | None = None,
        exclude_nodes: Sequence[int] | str | None = None,
        order_by: str | None = None,
        max_cost_usd: float | str | None = None,
        max_duration_s: float | str | None = None,
        deadline_s: float | str = 300.0,
        wait_for_machine_s: float | str = 0.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        requirements: Requirements | Mapping[str, Any] | None = None,
        octa_conn_id: str = OctaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            disk_gb=disk_gb,
            envs=envs,
            labels=labels,
            node_id=node_id,
            gpu_model=gpu_model,
            gpu_count=gpu_count,
            gpu_memory_gb=gpu_memory_gb,
            memory_gb=memory_gb,
            cpu_cores=cpu_cores,
            max_price_usd=max_price_usd,
            country=country,
            min_blender_score=min_blender_score,
            min_reliability=min_reliability,
            exclude_nodes=exclude_nodes,
            order_by=order_by,
            max_cost_usd=max_cost_usd,
            max_duration_s=max_duration_s,
            deadline_s=deadline_s,
            wait_for_machine_s=wait_for_machine_s,
            deferrable=deferrable,
            requirements=requirements,
            octa_conn_id=octa_conn_id,
            **kwargs,
        )
        self.multi_gpu_worker = multi_gpu_worker
        self.check_known_arguments()

    def _request(self) -> RenderRequest:
        """What to rent, from rendered arguments."""
        return RenderRequest(
            disk_gb=as_int("disk_gb", self.disk_gb) or RenderRequest.disk_gb,
            envs=as_texts("envs", self.envs),
            labels=as_texts("labels", self.labels),
            multi_gpu_worker=as_flag("multi_gpu_worker", self.multi_gpu_worker),
        )

    def _check_known_request(self) -> None:
        check_known(self, multi_gpu_worker=partial(as_flag, "multi_gpu_worker"))
        RenderRequest(
            disk_gb=_known_disk(self.disk_gb, RenderRequest.disk_gb),
            envs=as_texts("envs", self.envs) if is_known(self.envs) else {},
            labels=known_texts("labels", self.labels),
        )


def _known_disk(disk_gb: int | str, otherwise: int) -> int:
    known = as_int("disk_gb", disk_gb) if is_known(disk_gb) else None
    return otherwise if known is None else known
