"""Start a session: rent a machine with an image, or a render worker."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider.choosing import ChoosesMachine
from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.kill_switch import KillSwitch
from airflow_provider.leaving_nothing import stop_after
from airflow_provider.links import LINKS, push
from airflow_provider.rental_key import rental_key
from airflow_provider.session_reference import rental_xcom, session_details
from airflow_provider.templated import (
    as_flag,
    as_int,
    as_ints,
    as_text,
    as_texts,
    checked_cap,
    checked_deadline,
    is_known,
)
from octa_provider.errors import OctaError
from octa_provider.request import MachineRequest, RenderRequest

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import OctaClient, Rental
    from octa_provider.request import Request

__all__ = ["OctaStartMachineOperator", "OctaStartRenderOperator", "StartsSession"]

#: Told to the core when it starts, and carried with the session: whoever waits for it holds them.
_CAPS = ("max_cost_usd", "max_duration_s")


class StartsSession(ChoosesMachine):
    """What all start operators share: the choice of the machine, starting exactly once, stopping when that goes wrong.

    The session's rental key is made of DAG, run, task and map index, so a retry adopts what an earlier try started.
    When the task fails after it started something, it stops it: a failed setup runs no teardown.
    """

    template_fields: Sequence[str] = (
        "octa_conn_id",
        "disk_gb",
        "envs",
        "max_cost_usd",
        "max_duration_s",
        "deadline_s",
        *ChoosesMachine.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"envs": "json", "requirements": "json"}
    operator_extra_links = LINKS
    ui_color = "#d5f2e3"

    def __init__(
        self,
        *,
        disk_gb: int | str = 10,
        envs: Mapping[str, str] | None = None,
        max_cost_usd: float | str | None = None,
        max_duration_s: float | str | None = None,
        deadline_s: float | str = 300.0,
        octa_conn_id: str = OctaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.disk_gb = disk_gb
        self.envs = envs
        self.max_cost_usd = max_cost_usd
        self.max_duration_s = max_duration_s
        self.deadline_s = deadline_s
        self.octa_conn_id = octa_conn_id
        self._kill_switch: KillSwitch | None = None
        self._check_arguments()

    @abstractmethod
    def _request(self) -> Request:
        """What to rent, from rendered arguments.

        Raises:
            ValueError: naming the argument and what to do.
        """

    @abstractmethod
    def _known_request(self) -> None:
        """Build the request from those arguments alone that are known when the DAG file is parsed, to check them."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Start, or adopt what an earlier try started.

        Returns:
            The rental as a small dict: `uuid`, `key`, `node_id`, `price_usd`, ..., and `urls`, `ssh` when known.
        """
        key = rental_key(context)
        try:
            hook = OctaHook(self.octa_conn_id)
            client = hook.get_conn()
        except (OctaError, ValueError) as error:
            fail_task(error)
        try:
            request, requirements = self._request(), self._requirements()
            max_cost_usd = checked_cap("max_cost_usd", self.max_cost_usd)
            max_duration_s = checked_cap("max_duration_s", self.max_duration_s)
            deadline_s = checked_deadline(self.deadline_s)
        except ValueError as error:
            # What was right when an earlier try started, whose worker then vanished, may be wrong now.
            stop_after(error, client, key)
            fail_task(error)
        switch = self._kill_switch = KillSwitch(hook.settings, key)

        from octa_provider.patience import is_transient

        def remember(rental: Rental) -> None:
            switch.uuid = rental.uuid
            # As early as can be: links and alert callbacks want it also when this task fails later.
            context["ti"].xcom_push(key="uuid", value=rental.uuid)

        try:
            rental = self._left(context, client) or client.rentals.start(
                request,
                key=key,
                requirements=requirements,
                max_cost_usd=max_cost_usd,
                max_duration_s=max_duration_s,
                deadline_s=deadline_s,
                on_started=remember,
                is_cancelled=lambda: switch.pulled,
            )
            remember(rental)
        except OctaError as error:
            if is_transient(error):
                # The core leaves nothing of its own behind; but what an earlier try left it has perhaps not even seen.
                stop_after(error, client, key, switch.uuid, context=context)
            fail_task(error)
        except BaseException as error:
            stop_after(error, client, key, switch.uuid, context=context)
            raise
        try:
            self._announce(rental)
            details = rental_xcom(rental) | self._details(context, client, rental.uuid)
            if switch.pulled:
                raise AirflowException("The task was killed when its session had just started.")
        except BaseException as error:
            stop_after(error, client, key, rental.uuid)
            raise
        return details

    def on_kill(self) -> None:
        """Stop what is being started; see `airflow_provider.kill_switch`."""
        if self._kill_switch is not None:
            self._kill_switch.pull()

    def _check_arguments(self) -> None:
        self._check_choice()
        if is_known(self.deadline_s):
            checked_deadline(self.deadline_s)
        for name in _CAPS:
            if is_known(value := getattr(self, name)):
                checked_cap(name, value)
        self._known_request()

    def _announce(self, rental: Rental) -> None:
        price = "" if rental.price_usd is None else f" at {rental.price_usd:.4g} USD/h"
        verb = "Adopted" if rental.adopted else "Started"
        self.log.info("%s session %s on node %s%s, rental key %s", verb, rental.uuid, rental.node_id, price, rental.key)

    def _left(self, context: Context, client: OctaClient) -> Rental | None:
        """What an earlier try left that its rental key does not tell."""
        return None

    def _details(self, context: Context, client: OctaClient, uuid: str) -> dict[str, Any]:
        try:
            session = client.services.session(uuid).info()
        except OctaError as error:
            # Only what is nice to have: the sensor gives the same once the session is ready.
            self.log.info("No details of session %s yet: %s", uuid, error)
            push(context["ti"], None)
            return {}
        push(context["ti"], session)
        return session_details(session)


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
        envs: environment variables. The account's sessions show them: no secrets.
        node_id: this machine and no other.
        gpu_model: part of the card's name, in any case, such as `4090`.
        gpu_count: at least so many cards.
        gpu_memory_gb: at least so much memory on each card, in GB.
        memory_gb: at least so much main memory, in GB.
        cpu_cores: at least so many cores.
        max_price_usd: at most so much, in USD per hour.
        country: ISO code or name.
        min_blender_score: at least this Blender benchmark score.
        min_reliability: at least this share of its sessions ended as they should, in percent.
        exclude_nodes: machines not to take.
        order_by: `price` (default), `blender_score` or `score_per_usd`.
        max_cost_usd: refuse, and while the ready sensor waits for it also stop, what costs more.
        max_duration_s: refuse what the balance can't pay for so many seconds, and while the ready sensor waits also
            stop what has run longer.
        deadline_s: seconds to try to start for, through outages of the API and from machine to machine.
        requirements: the same as a mapping or `Requirements`; single arguments win over it.
        octa_conn_id: the connection.

    Returns (XCom): a small dict with `uuid`, `key`, `node_id`, `price_usd`, ..., and `urls`, `ssh` when known. Amounts
        of wei are text: they outgrow 64 bits. Under the key `uuid`, as soon as it is known, the uuid alone.

    Raises:
        ValueError: when the DAG file is parsed: an argument that can never work.
        AirflowFailException: a failure that no retry can mend: the key was refused, the arguments are wrong.
        AirflowException: any other; what was started is stopped.

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
        **kwargs: Any,
    ) -> None:
        self.image = image
        self.start_command = start_command
        self.entrypoint = entrypoint
        self.ports = ports
        self.http_ports = http_ports
        self.app = app
        super().__init__(**kwargs)

    def _request(self) -> MachineRequest:
        """What to rent, from rendered arguments."""
        return MachineRequest(
            image=as_text(self.image) or "",
            disk_gb=as_int("disk_gb", self.disk_gb) or MachineRequest.disk_gb,
            envs=as_texts("envs", self.envs),
            ports=as_ints("ports", self.ports),
            http_ports=as_ints("http_ports", self.http_ports),
            start_command=self.start_command or "",
            entrypoint=self.entrypoint or "",
            app=as_text(self.app) or "",
        )

    def _known_request(self) -> None:
        MachineRequest(
            image=self.image if is_known(self.image) and is_known(self.app) else "known/later",
            app=self.app if is_known(self.app) else "",
            disk_gb=_known_disk(self.disk_gb, MachineRequest.disk_gb),
            envs=as_texts("envs", self.envs) if is_known(self.envs) else {},
            ports=as_ints("ports", self.ports) if is_known(self.ports) else (),
            http_ports=as_ints("http_ports", self.http_ports) if is_known(self.http_ports) else (),
        )


class OctaStartRenderOperator(StartsSession):
    """Rent a worker of the render service. Use it as a setup, with `OctaStopSessionOperator` as its teardown.

    Args:
        multi_gpu_worker: one worker for all cards of the machine; None leaves it to OctaSpace.
        (others): as in `OctaStartMachineOperator`, without those about the container.

    Returns (XCom), Raises: as `OctaStartMachineOperator`.
    """

    template_fields: Sequence[str] = (*StartsSession.template_fields, "multi_gpu_worker")

    def __init__(self, *, multi_gpu_worker: bool | str | None = None, **kwargs: Any) -> None:
        self.multi_gpu_worker = multi_gpu_worker
        super().__init__(**kwargs)

    def _request(self) -> RenderRequest:
        """What to rent, from rendered arguments."""
        return RenderRequest(
            disk_gb=as_int("disk_gb", self.disk_gb) or RenderRequest.disk_gb,
            envs=as_texts("envs", self.envs),
            multi_gpu_worker=as_flag("multi_gpu_worker", self.multi_gpu_worker),
        )

    def _known_request(self) -> None:
        if is_known(self.multi_gpu_worker):
            as_flag("multi_gpu_worker", self.multi_gpu_worker)
        RenderRequest(
            disk_gb=_known_disk(self.disk_gb, RenderRequest.disk_gb),
            envs=as_texts("envs", self.envs) if is_known(self.envs) else {},
        )


def _known_disk(disk_gb: int | str, otherwise: int) -> int:
    known = as_int("disk_gb", disk_gb) if is_known(disk_gb) else None
    return otherwise if known is None else known
