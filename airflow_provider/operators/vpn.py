"""Start a VPN session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.session_reference import SessionReference, rental_xcom
from airflow_provider.starting_session import StartsSession
from airflow_provider.task_memory import TaskMemory
from airflow_provider.templated import as_text, is_known
from octa_provider.market.request import VpnRequest

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import OctaClient, Rental

__all__ = ["OctaStartVpnOperator"]

_CHOSEN_BY = frozenset({"node_id", "country", "exclude_nodes"})


class OctaStartVpnOperator(StartsSession):
    """Rent a VPN exit. Use it as a setup, with `OctaStopSessionOperator` as its teardown.

    A VPN session carries no environment, and so no rental key. A try that dies once the API has told the uuid leaves a
    session that the next try knows: it was written down. One that dies before leaves what can't be told from a VPN that
    somebody else started there; then the task fails, and its error tells how to look. The configuration is a secret,
    and stays out of XCom: `OctaHook().get_conn().services.session(uuid).info().config` tells it.

    Args:
        subkind: `wg`, `openvpn`, `ss`, `v2ray`, ... as the core's `VpnRequest` knows them.
        protocol: `trojan`, `vmess` or `vless`: for v2ray alone, where `trojan` is meant unless it says so.
        node_id: this exit and no other.
        country: ISO code or name; the cheapest traffic of those that fit.
        exclude_nodes: exits not to take.
        max_cost_usd: refuse, and while the ready sensor waits for it also stop, what costs more.
        max_duration_s: refuse what the balance can't pay for so many seconds, and while the ready sensor waits also
            stop what has run longer.
        deadline_s: seconds to try to start for, through outages of the API and from exit to exit.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 (default) fails at once.
        deferrable: whether to wait for a machine in the triggerer, without a worker slot; Airflow's
            `[operators] default_deferrable` when left out.
        octa_conn_id: the connection.
        kwargs: as of every operator. What chooses a machine otherwise is refused.

    Returns (XCom), Raises: as `OctaStartMachineOperator`.
    """

    template_fields: Sequence[str] = (*StartsSession.template_fields, "subkind", "protocol")

    def __init__(
        self,
        *,
        subkind: str = "wg",
        protocol: str | None = None,
        node_id: int | str | None = None,
        country: str | Sequence[str] | None = None,
        exclude_nodes: Sequence[int] | str | None = None,
        max_cost_usd: float | str | None = None,
        max_duration_s: float | str | None = None,
        deadline_s: float | str = 300.0,
        wait_for_machine_s: float | str = 0.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        octa_conn_id: str = OctaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        for name in ("disk_gb", "envs", "labels"):
            if name in kwargs:
                raise ValueError(f"{name} is not for a VPN: leave it out.")
        super().__init__(
            node_id=node_id,
            country=country,
            exclude_nodes=exclude_nodes,
            max_cost_usd=max_cost_usd,
            max_duration_s=max_duration_s,
            deadline_s=deadline_s,
            wait_for_machine_s=wait_for_machine_s,
            deferrable=deferrable,
            octa_conn_id=octa_conn_id,
            **kwargs,
        )
        self.subkind = subkind
        self.protocol = protocol
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """As of every operator that starts; and nothing that chooses a machine, but no VPN exit."""
        super().check_known_arguments()
        if self.requirements is not None:
            raise ValueError("requirements is not for a VPN: give node_id, country or exclude_nodes.")
        if others := sorted(
            name for name, value in self._requirement_arguments().items() if value and name not in _CHOSEN_BY
        ):
            raise ValueError(
                f"A VPN exit can't be chosen by {', '.join(others)}: give node_id, country, exclude_nodes."
            )

    def execute(self, context: Context) -> dict[str, Any]:
        """Start, or adopt what an earlier try wrote down."""
        self._memory = TaskMemory(context)
        return super().execute(context)

    def _request(self) -> VpnRequest:
        """What to rent, from rendered arguments."""
        return VpnRequest(self.subkind, as_text("protocol", self.protocol))

    def _check_known_request(self) -> None:
        if is_known(self.subkind) and is_known(self.protocol):
            VpnRequest(self.subkind, self.protocol)

    def _find_left(self, context: Context, client: OctaClient) -> Rental | None:
        reference = SessionReference.from_argument(self._memory.session())
        if reference is not None and self.kill_switch is not None:
            self.kill_switch.uuid = reference.uuid
        if reference is None or all(session.uuid != reference.uuid for session in client.sessions.list()):
            return None
        return reference.rental(client)

    def _announce(self, rental: Rental) -> None:
        self._memory.keep_session(rental_xcom(rental))
        super()._announce(rental)
