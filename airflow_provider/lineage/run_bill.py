"""What one try of a task has rented, made and come to, as plain values that outlast the task's own.

It is filled on the way and read at the end, perhaps in another process: OpenLineage's listener forks. So nothing in it
needs a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider import Bill
    from octa_provider.models import Session
    from octa_provider.rental.terms import Terms

__all__ = ["RunBill", "SessionBill", "whole_wei"]

log = plain_logger(__name__)

Note = TypeVar("Note", bound=Callable[..., None])


def _ends_no_task(note: Note) -> Note:
    """What is noted on a task's way, such as what another version of this package has told, and must not end it."""

    @wraps(note)
    def noted(*arguments: Any) -> None:
        try:
            note(*arguments)
        except Exception as error:  # noqa: BLE001 - for want of lineage no task is lost
            log.warning("OpenLineage is not told all of this task: %s: %s", type(error).__name__, error)

    return noted  # type: ignore[return-value]


@dataclass
class SessionBill:
    """One session.

    Attributes:
        uuid: the session.
        node_id: the machine.
        gpu: its graphics cards, such as `2 × NVIDIA GeForce RTX 4090`; empty when unknown.
        price_usd: USD per hour.
        cost_wei: what it was charged, in wei; None as long as it runs, or where the API does not tell.
        cost_usd: the same in USD.
        billed_s: seconds that it ran.
        labels: what it was labelled with.
    """

    uuid: str
    node_id: int | None = None
    gpu: str = ""
    price_usd: float | None = None
    cost_wei: int | None = None
    cost_usd: float | None = None
    billed_s: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass
class RunBill:
    """What one try of a task has rented, made and come to.

    Attributes:
        sessions: by uuid, in the order in which they became known.
        outcome: how the work ended; None as long as it runs.
        exit_code: the command's.
        tries: how many tries have worked on it.
        cost_wei: what all came to, in wei; None where it is not known of all.
        cost_usd: the same in USD.
        fetched: the local files that were fetched, or the first of them.
        fetched_count: how many files were fetched.
        log: where the command's output was written to.
        frames: of a batch, how many frames were asked for, are done, and were rendered by this try; None otherwise.
        folder: of a batch, where its frames lie.
        manifest: of a batch, what tells its machines.
        rented_machines: how many machines a batch has rented; None for what tells each of its sessions.
    """

    sessions: dict[str, SessionBill] = field(default_factory=dict)
    outcome: str | None = None
    exit_code: int | None = None
    tries: int | None = None
    cost_wei: int | None = None
    cost_usd: float | None = None
    fetched: tuple[str, ...] = ()
    fetched_count: int = 0
    log: str | None = None
    frames: Mapping[str, Any] | None = None
    folder: str | None = None
    manifest: str | None = None
    rented_machines: int | None = None

    @property
    def is_told(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.sessions) or self.outcome is not None or self.frames is not None

    @property
    def machines(self) -> int:
        """How many machines were rented."""
        return len(self.sessions) if self.rented_machines is None else self.rented_machines

    def session(self, uuid: str) -> SessionBill:
        """The session of this uuid, which is noted where it is new."""
        return self.sessions.setdefault(uuid, SessionBill(uuid))

    @_ends_no_task
    def rented(self, terms: Terms) -> None:
        """A session was started, or taken over."""
        one = self.session(terms.uuid)
        one.node_id = terms.node_id if terms.node_id is not None else one.node_id
        one.price_usd = terms.price_usd if terms.price_usd is not None else one.price_usd
        one.labels = terms.labels or one.labels

    @_ends_no_task
    def seen(self, session: Session) -> None:
        """The API has shown a session."""
        self.session(session.uuid).gpu = "" if session.hardware is None else session.hardware.cards

    @_ends_no_task
    def stopped(self, bills: Iterable[Bill]) -> None:
        """Sessions have ended; what they came to is the cost of all, unless a result tells more."""
        for bill in bills:
            one = self.session(bill.uuid)
            one.cost_wei = one.cost_wei if bill.charge_wei is None else bill.charge_wei
            one.cost_usd = one.cost_usd if bill.charge_usd is None else bill.charge_usd
            one.billed_s = one.billed_s if bill.duration_s is None else bill.duration_s
        self.cost_wei = _total(one.cost_wei for one in self.sessions.values())
        self.cost_usd = _total(one.cost_usd for one in self.sessions.values())

    @_ends_no_task
    def job_ended(self, result: Mapping[str, Any]) -> None:
        """A job has ended.

        Args:
            result: all of `JobResult.to_json`.
        """
        self.outcome, self.exit_code, self.tries = result["outcome"], result["exit_code"], result["attempts"]
        self.fetched, self.log = tuple(result["outputs"]), result["logs_path"]
        self.fetched_count = result.get("outputs_count", len(self.fetched))
        wei: list[Any] = [whole_wei(one["cost_wei"]) for one in (result, *result["tried"])]
        usd = [one["cost_usd"] for one in (result, *result["tried"])]
        self.cost_wei, self.cost_usd = wei[0], usd[0]
        for told in result["tried"]:
            self.had_before(told)
        # The result's cost is that of all machines.
        last = self.session(result["uuid"])
        last.node_id, last.billed_s = result["node_id"], result["duration_s"]
        last.cost_wei = None if None in wei else wei[0] - sum(wei[1:])
        last.cost_usd = None if None in usd else max(0.0, usd[0] - sum(usd[1:]))

    @_ends_no_task
    def had_before(self, told: Mapping[str, Any]) -> None:
        """A job had a machine before, which was stopped: it never came up, or another one took its place.

        Args:
            told: `TriedMachine` as a dict.
        """
        one = self.session(told["uuid"])
        one.node_id, one.price_usd, one.billed_s = told["node_id"], told["price_usd"], told["duration_s"]
        one.cost_wei, one.cost_usd = whole_wei(told["cost_wei"]), told["cost_usd"]

    @_ends_no_task
    def batch_ended(self, told: Mapping[str, Any]) -> None:
        """A batch has ended.

        Args:
            told: what its task returns.
        """
        self.outcome, self.cost_wei, self.cost_usd = told["outcome"], whole_wei(told["cost_wei"]), told["cost_usd"]
        self.frames = {name: told[name] for name in ("frames", "done", "rendered")}
        self.folder, self.manifest, self.rented_machines = told["output"], told["manifest"], told["machines"]


def whole_wei(wei: Any) -> int | None:
    """An amount that travelled as text; None for what is none."""
    try:
        return None if wei is None else int(wei)
    except (TypeError, ValueError):
        return None


def _total(amounts: Iterable[Any]) -> Any:
    known = list(amounts)
    return None if not known or None in known else sum(known)
