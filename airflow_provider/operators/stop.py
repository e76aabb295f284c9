"""Stop a session for certain, and tell what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowFailException, conf

from airflow_provider.exceptions import OctaNotStoppedError
from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.lineage.run_bill import RunBill
from airflow_provider.lineage.tells_lineage import TellsLineage
from airflow_provider.private_names import is_made_anew
from airflow_provider.rendering import RendersWhatIsWritten
from airflow_provider.rental_key import rental_key, rental_key_of_all_indexes
from airflow_provider.session_reference import SessionArgument, SessionReference, started_by
from airflow_provider.task_states import FAILED, states_of
from airflow_provider.templated import as_int, check_known, checked_deadline, is_known
from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.text.carried import carried_dict
from octa_provider.wire.money import cost_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.providers.common.compat.sdk import Context

    from octa_provider import Bill, OctaClient

__all__ = ["OctaStopSessionOperator"]

_DEADLINE_S = 300.0
#: A machine bills until it is stopped, and most of what stands in the way is over soon. A team's own `retries` and
#: `default_args` win.
_RETRIES = max(3, conf.getint("core", "default_task_retries", fallback=0))
_RETRY_DELAY = timedelta(seconds=min(60.0, conf.getfloat("core", "default_task_retry_delay", fallback=300.0)))
#: So many sessions of a mapped start are stopped at the same time.
_AT_ONCE = 16


class OctaStopSessionOperator(RendersWhatIsWritten, TellsLineage):
    """Stop a session, see it stopped, and return the bill. Made to be a teardown:
    `.as_teardown(setups=start, on_failure_fail_dagrun=True)`.

    Whatever else was started under the same rental key is stopped too. When the start left no uuid behind (it failed,
    was skipped, or died in between), the rental key alone is swept; nothing to stop is fine. It is tried three more
    times, unless you say otherwise.

    Give a teardown `on_failure_fail_dagrun=True`: else a DAG run is a success while its machine bills. Airflow then
    looks at the teardown alone, and no more at the tasks before it; so this one fails too, once it has stopped the
    session, when a task before it has failed that no other task comes after.

    Args:
        session: the start operator's output, or a uuid. The output of a mapped start, or a list, means all of them.
        start_task_id: the task that started the session, with its task groups, such as `group.start`; needed only when
            `session` is not that task's output. A list means several. Of a mapped task every index is meant, unless
            this task is mapped in the same way.
        score: what the machine was worth, 1 to 5; one that is rendered to something else is left out.
        deadline_s: seconds to try for; the task then fails, since the session still bills. Let it retry.
        octa_conn_id: the connection.
        retries: how often to try again.
        retry_delay: how long to wait before.
        kwargs: as of every operator.

    Returns (XCom): the bill: `uuid`, `charge_wei` (as text: it outgrows 64 bits), `charge_usd`, `duration_s`,
        `termination_reason`; a list of bills when several sessions were meant or found; None when nothing ran.

    Raises:
        ValueError: when the DAG file is parsed: an argument that can never work.
        OctaNotStoppedError: it was not seen stopped in time.

    Example:
        >>> OctaStopSessionOperator(task_id="stop", session=start.output).as_teardown(
        ...     setups=start, on_failure_fail_dagrun=True)
    """

    template_fields: Sequence[str] = ("octa_conn_id", "session", "start_task_id", "score", "deadline_s")
    mapping_fields: ClassVar[frozenset[str]] = frozenset({"session"})
    ui_color = "#f6d9d5"
    #: What must never keep a session from being stopped, when it can't be rendered.
    _may_be_lost = ("session", "start_task_id", "score", "deadline_s")

    def __init__(
        self,
        *,
        session: SessionArgument | Sequence[SessionArgument] | None = None,
        start_task_id: str | Sequence[str] | None = None,
        score: int | str | None = None,
        deadline_s: float | str = _DEADLINE_S,
        octa_conn_id: str = OctaHook.default_conn_name,
        retries: int | None = _RETRIES,
        retry_delay: timedelta | float = _RETRY_DELAY,
        **kwargs: Any,
    ) -> None:
        super().__init__(retries=retries, retry_delay=retry_delay, **kwargs)
        self.session = session
        self.start_task_id = start_task_id
        self.score = score
        self.deadline_s = deadline_s
        self.octa_conn_id = octa_conn_id
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """Refuse what can never work, as far as it is known when the DAG file is parsed; note whose output is stopped.

        Raises:
            ValueError: naming the argument and what to do.
        """
        # What is rendered tells no more whose output it was.
        self._started_by = () if self.start_task_id else started_by(self.session)
        # A mapped task is made anew when it runs, from what other tasks returned: then it is too late to refuse.
        if is_made_anew(self):
            return
        _refuse_what_stops_nothing(self.session, self.start_task_id)
        check_known(self, score=_checked_score, deadline_s=checked_deadline)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As of every operator; also a mapped stop is tried again."""
        made = super().partial(**kwargs)
        given = {*kwargs, *(kwargs.get("default_args") or ())}
        for around in (made.kwargs.get("dag"), made.kwargs.get("task_group")):
            given |= set(getattr(around, "default_args", None) or ())
        defaults = {"retries": _RETRIES, "retry_delay": _RETRY_DELAY}
        # Not every Airflow takes them from the operator's own signature.
        made.kwargs.update((name, value) for name, value in defaults.items() if name not in given)
        return made

    def render_template(self, content: Any, *arguments: Any, **options: Any) -> Any:
        """As of every operator; but a template that fails keeps no session from being stopped."""
        try:
            return super().render_template(content, *arguments, **options)
        except Exception as error:
            name = next((name for name in self._may_be_lost if getattr(self, name) is content), None)
            if content is None or name is None:
                raise
            # Such as the XCom of a start that failed before it had any.
            self.log.warning("%s can't be rendered, so it is left out: %s: %s", name, type(error).__name__, error)
            return None

    def execute(self, context: Context) -> dict[str, Any] | list[dict[str, Any]] | None:
        """Stop; returns the bill."""
        deadline_s, score = self._deadline(), self._score()
        try:
            client = OctaHook(self.octa_conn_id).get_conn()
        except (OctaError, ValueError) as error:
            fail_task(error)
        problems: list[str] = []
        try:
            references = SessionReference.all_of(self.session)
        except ValueError as error:
            references = ()
            problems.append(str(error))
        starts = self._start_task_ids()
        if problems and starts:
            self.log.warning("%s What %s started is stopped by its rental key.", problems.pop(), " and ".join(starts))
        bills: dict[str, Bill] = {}
        for steps in (
            [_stops_one(client, reference, score, deadline_s) for reference in references],
            # Afterwards: only the first stop of a session takes the score along.
            [self._stops_key(context, client, task_id, score, deadline_s) for task_id in starts],
        ):
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="octa-stop") as threads:
                for ended in [threads.submit(step) for step in steps]:
                    try:
                        bills |= {bill.uuid: bill for bill in ended.result() if bill.uuid not in bills}
                    except (OctaError, ValueError) as error:
                        problems.append(str(error))
        self.run_bill = RunBill()
        self.run_bill.stopped(bills.values())
        told = [self._tell(bill) for bill in bills.values()]
        if problems:
            # Also when the key was refused: whoever mends that, the next try stops it.
            raise OctaNotStoppedError(" ".join(problems))
        result: dict[str, Any] | list[dict[str, Any]] | None = told
        if not told:
            self.log.info("Nothing was started, so there is nothing to stop.")
            result = None
        elif len(references) == 1 or (len(told) == 1 and not _is_several(self.session)):
            result = told[0]
        if failed := self._failures_that_nobody_tells(context):
            context["ti"].xcom_push(key="return_value", value=result)
            raise AirflowFailException(
                f"Nothing runs any more, but {', '.join(failed)} failed: with on_failure_fail_dagrun=True the DAG run "
                "would be a success if this task were one. Put a task of its own behind what may fail to tell it there."
            )
        return result

    def _failures_that_nobody_tells(self, context: Context) -> list[str]:
        """The tasks before this teardown that failed, and that Airflow does not look at for the DAG run's state."""
        if not self.is_teardown or not self.on_failure_fail_dagrun or self.dag is None:
            return []
        hidden = [task.task_id for task in self.upstream_list if not task.is_setup and _tells_nobody(task)]
        if not hidden:
            return []
        ti = context["ti"]
        index = ti.map_index if ti.map_index is not None and ti.map_index >= 0 else None
        try:
            states = states_of(ti.dag_id, ti.run_id, hidden, index)
        except Exception as error:  # noqa: BLE001 - each Airflow has its own; the session has been stopped
            self.log.warning("Whether a task before this one failed can't be told: %s", error)
            return []
        return sorted(name for name, state in states.items() if state in FAILED)

    def _start_task_ids(self) -> tuple[str, ...]:
        given = self.start_task_id or self._started_by
        return tuple(task_id for task_id in ([given] if isinstance(given, str) else given or ()) if task_id)

    def _stops_key(
        self, context: Context, client: OctaClient, task_id: str, score: int | None, deadline_s: float
    ) -> Callable[[], Iterable[Bill]]:
        """What stops all that one start task started, in this map index, or in all when this task has none."""
        key, prefix = rental_key(context, task_id), rental_key_of_all_indexes(context, task_id)
        index = context["ti"].map_index

        def stop() -> Iterable[Bill]:
            own = client.rentals.stop(key, deadline_s=deadline_s)
            if index is not None and index >= 0:
                return own
            reaped = client.rentals.reap(prefix, dry_run=False, deadline_s=deadline_s)
            # They are gone; this tells what they came to.
            bills = [client.rentals.open(uuid).stop(score=score, deadline_s=deadline_s) for uuid in reaped.stopped]
            if reaped.failed:
                from octa_provider.rental.stop import stop_command

                command = stop_command(reaped.failed)
                raise OctaError(f"Not seen stopped in time, so perhaps still billing. Run: {command}")
            return (*own, *bills)

        return stop

    def _deadline(self) -> float:
        try:
            return checked_deadline(self.deadline_s)
        except ValueError as error:
            self.log.warning("%s It is tried for %g s.", error, _DEADLINE_S)
            return _DEADLINE_S

    def _score(self) -> int | None:
        try:
            return _checked_score(self.score)
        except ValueError as error:
            self.log.warning("%s It is stopped without one.", error)
            return None

    def _tell(self, bill: Bill) -> dict[str, Any]:
        cost = cost_text(bill.charge_wei, bill.charge_usd, octa_digits=6, unknown="unknown")
        self.log.info("Session %s has stopped; cost %s", bill.uuid, cost)
        return carried_dict(bill.to_dict())


def _stops_one(
    client: OctaClient, reference: SessionReference, score: int | None, deadline_s: float
) -> Callable[[], Iterable[Bill]]:
    return lambda: (reference.rental(client, to_stop=True).stop(score=score, deadline_s=deadline_s),)


def _refuse_what_stops_nothing(session: object, start_task_id: object) -> None:
    """Raise ValueError for arguments that never stop anything, as far as they are known when the DAG is parsed."""
    parts = [start_task_id] if isinstance(start_task_id, str) or start_task_id is None else start_task_id
    if not isinstance(parts, list | tuple) or any(part is not None and not isinstance(part, str) for part in parts):
        raise ValueError(f"start_task_id={start_task_id!r} is no task id: give the id of the start task, as text.")
    if any(parts):
        if is_known(session):
            SessionReference.all_of(session)
        return
    if is_known(session) and not SessionReference.all_of(session):
        raise ValueError("session is missing: give the start task's output (session=start.output), or start_task_id.")


def _tells_nobody(task: Any) -> bool:
    """Whether Airflow's look at a DAG run's leaves passes over a task that stands before a teardown."""
    after = task.downstream_list
    return all(one.is_teardown for one in after) and any(one.on_failure_fail_dagrun for one in after)


def _is_several(session: object) -> bool:
    return isinstance(session, Sequence) and not isinstance(session, str)


def _checked_score(score: int | str | None) -> int | None:
    known = as_int("score", score)
    if known is not None and known not in range(1, 6):
        raise OctaConfigError(f"score={known} is not a score: give 1 to 5, or leave it out.")
    return known
