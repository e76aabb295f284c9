"""What all start operators share: the choice of the machine, starting exactly once, and leaving nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import conf

from airflow_provider.exceptions import OctaTaskKilledError
from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.kill_switch import KillSwitch
from airflow_provider.lineage.run_bill import RunBill
from airflow_provider.lineage.tells_lineage import TellsLineage
from airflow_provider.links import LINKS, push
from airflow_provider.lost_clear import find_lost_clear, refuse_lost_clear
from airflow_provider.machine_arguments import ChoosesMachine
from airflow_provider.machine_wait import MachineWait, defer_for_machine
from airflow_provider.rental_key import rental_key
from airflow_provider.session_reference import rental_xcom
from airflow_provider.start_attempts import refuse_start_attempts
from airflow_provider.stop_on_failure import stop_after
from airflow_provider.templated import check_known, checked_cap, checked_deadline, checked_wait, refuse_text_flags
from octa_provider.errors import OctaError, OctaNoMachineError
from octa_provider.rental.json_values import addresses_json
from octa_provider.rental.session_text import started_text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import OctaClient, Rental
    from octa_provider.market.request import Request

__all__ = ["StartsSession"]

#: Told to the core when it starts, and carried with the session: whoever waits for it holds them.
_CAPS = ("max_cost_usd", "max_duration_s")


class StartsSession(ChoosesMachine, TellsLineage):
    """What all start operators share: the choice of the machine, starting exactly once, stopping when that goes wrong.

    The session's rental key is made of DAG, run, task and map index, so a retry adopts what an earlier try started.
    When the task fails after it started something, it stops it: a failed setup runs no teardown.

    Args:
        disk_gb: disk in GB.
        envs: environment variables. The account's sessions show them: no secrets.
        labels: words of your own on the session, such as `{"project": "atlas"}`, to find it and to split a bill by.
            Whoever has the account's key, and the machine's owner, read them: no secrets.
        max_cost_usd: refuse, and while the ready sensor waits for it also stop, what costs more.
        max_duration_s: refuse what the balance can't pay for so many seconds, and while the ready sensor waits also
            stop what has run longer.
        deadline_s: seconds to try to start for, through outages of the API and from machine to machine.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 fails at once.
        deferrable: whether to wait for a machine in the triggerer; Airflow's `[operators] default_deferrable` when left
            out.
        octa_conn_id: the connection.
        kwargs: which machine, as of `ChoosesMachine`; and as of every operator.
    """

    template_fields: Sequence[str] = (
        "octa_conn_id",
        "disk_gb",
        "envs",
        "labels",
        "max_cost_usd",
        "max_duration_s",
        "deadline_s",
        "wait_for_machine_s",
        *ChoosesMachine.template_fields,
    )
    mapping_fields: ClassVar[frozenset[str]] = ChoosesMachine.mapping_fields | {"envs", "labels"}
    template_fields_renderers: ClassVar[dict[str, str]] = {"envs": "json", "labels": "json", "requirements": "json"}
    operator_extra_links = LINKS
    ui_color = "#d5f2e3"

    def __init__(
        self,
        *,
        disk_gb: int | str = 10,
        envs: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        max_cost_usd: float | str | None = None,
        max_duration_s: float | str | None = None,
        deadline_s: float | str = 300.0,
        wait_for_machine_s: float | str = 0.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        octa_conn_id: str = OctaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        refuse_start_attempts(kwargs)
        super().__init__(**kwargs)
        self.disk_gb = disk_gb
        self.envs = envs
        self.labels = labels
        self.max_cost_usd = max_cost_usd
        self.max_duration_s = max_duration_s
        self.deadline_s = deadline_s
        self.wait_for_machine_s = wait_for_machine_s
        self.deferrable = deferrable
        self.octa_conn_id = octa_conn_id
        #: Made when the task runs; a kill pulls it.
        self.kill_switch: KillSwitch | None = None
        self._machine_wait: MachineWait | None = None

    @abstractmethod
    def _request(self) -> Request:
        """What to rent, from rendered arguments.

        Raises:
            ValueError: naming the argument and what to do.
        """

    @abstractmethod
    def _check_known_request(self) -> None:
        """Build the request from those arguments alone that are known when the DAG file is parsed, to check them."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Start, or adopt what an earlier try started.

        Returns:
            The rental as a small dict: `uuid`, `key`, `node_id`, `price_usd`, ..., and `urls`, `ssh` when known.
        """
        key, bill = rental_key(context), RunBill()
        self.run_bill = bill
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
            wait = self._machine_wait or MachineWait.new(
                checked_wait(self.wait_for_machine_s), on_worker=not self.deferrable
            )
        except ValueError as error:
            # What was right when an earlier try started, whose worker then vanished, may be wrong now.
            stop_after(error, client, key)
            fail_task(error)
        switch = self.kill_switch = KillSwitch(hook.settings, key)
        find_lost_clear(context["ti"])

        from octa_provider.timing.asking import is_transient

        def remember(rental: Rental) -> None:
            switch.uuid = rental.uuid
            bill.rented(rental)
            # As early as can be: links and alert callbacks want it also when this task fails later.
            context["ti"].xcom_push(key="uuid", value=rental.uuid)

        try:
            rental = self._find_left(context, client) or client.rentals.start(
                request,
                key=key,
                requirements=requirements,
                max_cost_usd=max_cost_usd,
                max_duration_s=max_duration_s,
                deadline_s=deadline_s,
                on_started=remember,
                is_cancelled=lambda: switch.pulled,
                wait_for_machine_s=wait.core_wait_s,
                on_waiting=self.log.info,
            )
            remember(rental)
        except OctaNoMachineError as error:
            # The core leaves nothing behind.
            defer_for_machine(
                self,
                context,
                wait,
                error,
                client=client,
                octa_conn_id=self.octa_conn_id,
                service=request.service,
                requirements=requirements,
                max_cost_usd=max_cost_usd,
                namespace=hook.settings.namespace,
            )
        except OctaError as error:
            if is_transient(error):
                # The core leaves nothing of its own behind; but what an earlier try left it has perhaps not even seen.
                bill.stopped(stop_after(error, client, key, switch.uuid, context=context) or ())
            fail_task(error)
        except BaseException as error:
            bill.stopped(stop_after(error, client, key, switch.uuid, context=context) or ())
            raise
        try:
            self._announce(rental)
            details = rental_xcom(rental) | self._details(context, client, rental.uuid)
            if switch.pulled:
                raise OctaTaskKilledError("The task was killed when its session had just started.")
            refuse_lost_clear(context["ti"])
        except BaseException as error:
            bill.stopped(stop_after(error, client, key, rental.uuid) or ())
            raise
        return details

    def execute_resumed(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Start on the machine that the trigger saw, or wait on for one."""
        self._machine_wait = MachineWait.told_by(event)
        return self.execute(context)

    def on_kill(self) -> None:
        """Stop what is being started; see `airflow_provider.kill_switch`."""
        if self.kill_switch is not None:
            self.kill_switch.pull()

    def check_known_arguments(self) -> None:
        """As of every operator that rents; and the deadline, the caps, and of the request what is known of it."""
        super().check_known_arguments()
        refuse_text_flags(deferrable=self.deferrable)
        check_known(self, deadline_s=checked_deadline, wait_for_machine_s=checked_wait)
        check_known(self, **{name: partial(checked_cap, name) for name in _CAPS})
        self._check_known_request()

    def _announce(self, rental: Rental) -> None:
        self.log.info("%s, rental key %s", started_text(rental), rental.key)

    def _find_left(self, context: Context, client: OctaClient) -> Rental | None:
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
        if self.run_bill is not None:
            self.run_bill.seen(session)
        push(context["ti"], session)
        return addresses_json(session)
