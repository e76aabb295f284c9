"""Stop what was left behind where Airflow gave no chance to stop it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider.exceptions import OctaNotStoppedError
from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.namespace import shares_namespace_text
from airflow_provider.owner import is_owner_alive, rental_told_by_owner
from airflow_provider.rendering import RendersWhatIsWritten
from airflow_provider.templated import as_float, check_known, checked_cap, checked_deadline, refuse_text_flags
from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.rental.json_values import orphan_json
from octa_provider.rental.key import rental_key

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import OctaClient
    from octa_provider.models import Session

__all__ = ["OctaReapOperator"]


class OctaReapOperator(RendersWhatIsWritten):
    """Find sessions whose task is over, and stop them.

    Airflow is asked about the task of each session that was started from this Airflow, as its namespace tells: it is
    left alone while the task is not over, and while a DAG run goes on in which it succeeded; but not beyond a cap of
    its own, which nobody holds while the task can't run. Sessions without a rental key, with one of another tool, or of
    another Airflow on the same account are never touched.

    Args:
        dag_ids: only sessions of these DAGs; all of them when left out.
        older_than_s: only sessions that have run so many seconds.
        max_age_s: this Airflow's sessions that have run so many seconds are stopped although their task is not over:
            one that can't run, of a paused DAG or without a slot, would let them bill for ever. None for no limit.
        any_namespace: also sessions of another namespace whose DAG run this Airflow has and that is over, as after you
            gave it another namespace. Not where another Airflow of the account has DAGs of the same names.
        dry_run: only tell what would be stopped.
        deadline_s: seconds to try to stop for, all together.
        octa_conn_id: the connection.
        kwargs: as of every operator.

    Returns (XCom): `orphans` (each with `uuid`, `key`, `node_id`, `age_s`, `charge_wei` as text), `stopped`
        (uuids).

    Raises:
        OctaNotStoppedError: some could not be stopped in time, and may still bill. Let it retry.

    Example:
        >>> OctaReapOperator(task_id="reap", dag_ids=["render_animation"])
    """

    template_fields: Sequence[str] = ("octa_conn_id", "dag_ids", "older_than_s", "max_age_s", "deadline_s")
    ui_color = "#f0e0f5"

    def __init__(
        self,
        *,
        dag_ids: Sequence[str] | str | None = None,
        older_than_s: float | str = 300.0,
        max_age_s: float | str | None = None,
        any_namespace: bool = False,
        dry_run: bool = False,
        deadline_s: float | str = 300.0,
        octa_conn_id: str = OctaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dag_ids = dag_ids
        self.older_than_s = older_than_s
        self.max_age_s = max_age_s
        self.any_namespace = any_namespace
        # `dry_run` is a method of every operator.
        self.only_tell = dry_run
        self.deadline_s = deadline_s
        self.octa_conn_id = octa_conn_id
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """Refuse what can never work, as far as it is known when the DAG file is parsed.

        Raises:
            ValueError: naming the argument and what to do.
        """
        refuse_text_flags(any_namespace=self.any_namespace, dry_run=self.only_tell)
        check_known(
            self,
            older_than_s=partial(_seconds, "older_than_s"),
            max_age_s=partial(checked_cap, "max_age_s"),
            deadline_s=checked_deadline,
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Look and stop; returns what was found."""
        dag_ids = [self.dag_ids] if isinstance(self.dag_ids, str) else self.dag_ids
        found: dict[str, Any] = {"orphans": [], "stopped": []}
        failed: list[str] = []
        unknown: set[str] = set()
        try:
            older_than_s, max_age_s = (
                _seconds("older_than_s", self.older_than_s),
                checked_cap("max_age_s", self.max_age_s),
            )
            deadline_s = checked_deadline(self.deadline_s)
            client = OctaHook(self.octa_conn_id).get_conn()
            unknown_text = (
                ": this Airflow does not know its task. If that was not deleted here, then "
                f"{shares_namespace_text(client.namespace)}: give each Airflow a namespace of its own"
            )

            def reap(prefix: str, **options: Any) -> None:
                reaped = client.rentals.reap(
                    prefix, older_than_s=older_than_s, dry_run=self.only_tell, deadline_s=deadline_s, **options
                )
                for orphan in reaped.orphans:
                    self.log.warning(
                        "Session %s of %s was left behind%s",
                        orphan.uuid,
                        orphan.key,
                        unknown_text if orphan.key in unknown else "",
                    )
                    found["orphans"].append(orphan_json(orphan))
                found["stopped"] += reaped.stopped
                failed.extend(reaped.failed)

            def is_alive(key: str) -> bool | None:
                alive = is_owner_alive(key)
                if alive is None:
                    unknown.add(key)
                return False if alive and self._is_over_a_cap(client, key, active) else alive

            active = client.sessions.list()
            for prefix in ["airflow"] if dag_ids is None else [rental_key("airflow", dag_id) for dag_id in dag_ids]:
                reap(prefix, is_alive=is_alive, max_age_s=max_age_s)
            if self.any_namespace:
                # Elsewhere a prefix would have to name the namespace.
                reap("", is_alive=lambda key: not _is_of(key, dag_ids) or is_owner_alive(key), any_namespace=True)
            if not self.only_tell:
                from airflow_provider.intents import VariableIntents

                VariableIntents().forget_what_is_over(client.clock.time(), [session.uuid for session in active])
        except (OctaError, ValueError) as error:
            fail_task(error)
        if failed:
            from octa_provider.rental.stop import stop_command

            raise OctaNotStoppedError(
                f"Not seen stopped in time, so perhaps still billing. Run: {stop_command(failed)}"
            )
        self.log.info("Stopped %d of %d sessions left behind", len(found["stopped"]), len(found["orphans"]))
        return found

    def _is_over_a_cap(self, client: OctaClient, key: str, active: Iterable[Session]) -> bool:
        """Whether a session has passed a cap of its own although its task is not over: nobody watches it then."""
        from octa_provider.rental.caps import over_budget

        try:
            told = rental_told_by_owner(key)
            rental = None if told is None else client.rentals.restore(told)
        except Exception as error:  # noqa: BLE001 - each Airflow has its own; such a session is as good as any other
            self.log.warning("The caps of %s can't be asked: %s: %s", key, type(error).__name__, error)
            return False
        if rental is None:
            return False
        session = next((one for one in active if one.uuid == rental.uuid), None)
        why = None if session is None else over_budget(rental, session, client.clock)
        if why is not None:
            self.log.warning("Session %s of %s %s, and its task does not end it", rental.uuid, key, why)
        return why is not None


def _is_of(key: str, dag_ids: Sequence[str] | None) -> bool:
    """Whether a key of any namespace is of one of these DAGs."""
    return dag_ids is None or any(f"/{rental_key('airflow', dag_id)}/" in f"/{key}" for dag_id in dag_ids)


def _seconds(name: str, value: float | str) -> float:
    known = as_float(name, value)
    if known is None or not (math.isfinite(known) and known >= 0):
        raise OctaConfigError(f"{name}={value!r}: give a number of seconds, 0 or more.")
    return known
