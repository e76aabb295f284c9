"""Starting a job: a machine is rented for it, or the run that its key already has is carried on with."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from octa_provider.api.sessions import APPEARING_S
from octa_provider.errors import OctaConfigError
from octa_provider.job.mark import JobMark
from octa_provider.job.script import container_command, log_keeper_command
from octa_provider.job.spec import JobSpec
from octa_provider.job.state import JobPhase, JobState
from octa_provider.models import SessionPhase
from octa_provider.remote.target import SshTarget, client_keys, ssh_key
from octa_provider.rental.elsewhere import but_not_on, cap_for_another
from octa_provider.rental.leaving import Leaving
from octa_provider.rental.rental import Rental
from octa_provider.rental.stop import stop_command
from octa_provider.rental.tried_machine import TriedMachine, all_before, cap_left
from octa_provider.rental.tried_mark import tried_before, tried_envs
from octa_provider.rental.wait import look
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.limits import checked_seconds

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.rentals import Rentals
    from octa_provider.timing.clock import Clock

__all__ = ["start_job"]

log = plain_logger("octa_provider.job.start")

#: A session that is adopted is asked which run it is for so long.
ADOPT_S = 60.0


def start_job(
    api: RentalApi,
    rentals: Rentals,
    spec: JobSpec,
    key: str,
    *,
    earlier: JobState | None,
    is_cancelled: Callable[[], bool],
    on_started: Callable[[Rental], object] | None,
    private_key: str | Path | None,
    wait_for_machine_s: float,
    machine_poll_s: float,
    on_waiting: Callable[[str], object] | None,
    leaving: Leaving | None = None,
    tried: tuple[TriedMachine, ...] = (),
) -> JobState:
    """Rent a machine for a job, or adopt the one that its key already has: see `Jobs.start`.

    Args:
        api: the API.
        rentals: what starts and stops on it.
        spec, key, earlier, is_cancelled, on_started, private_key, wait_for_machine_s, machine_poll_s, on_waiting,
            leaving: as in `Jobs.start`.
        tried: machines before that never came up, and were stopped: none of them is taken again, what they have cost is
            taken off the cap, and a session of them that shows again is stopped again.

    Raises:
        OctaConfigError: as in `Jobs.start`.
        OctaError: as `Rentals.start`.
    """
    fingerprint = spec.fingerprint_of(spec.check_inputs())
    spec.check_outputs()
    if spec.over_ssh:
        client_keys(SshTarget("", 0, private_key=ssh_key(private_key)))
    nonce = secrets.token_hex(8)
    command = log_keeper_command() if spec.over_ssh else container_command(spec.command_line, spec.timeout_s)
    before = {one.uuid: one for one in tried}

    def count(one: TriedMachine) -> None:
        before.setdefault(one.uuid, one)

    stopped = {one.uuid for one in (*tried, *(() if earlier is None else earlier.tried))}

    def is_this_job(session: Session) -> bool:
        return session.uuid not in stopped and _run_of(session, key, fingerprint) is not None

    waits_until = Deadline(api.clock, checked_seconds("wait_for_machine_s", wait_for_machine_s))
    for _ in range(2):
        rental = rentals.start(
            spec.request(command, JobMark(nonce, fingerprint).envs() | tried_envs(before.values())),
            key=key,
            requirements=but_not_on(spec.requirements, tried),
            max_cost_usd=cap_for_another(spec.max_cost_usd, [*before.values()]),
            max_duration_s=spec.max_duration_s,
            fingerprint=fingerprint,
            attempt=nonce,
            is_wanted=is_this_job,
            replaces=stopped,
            on_replaced=count,
            is_cancelled=is_cancelled,
            on_started=on_started,
            wait_for_machine_s=max(0.0, waits_until.left_s),
            machine_poll_s=machine_poll_s,
            on_waiting=on_waiting,
            leaving=leaving,
        )
        session = _seen(api, rental) if rental.adopted else None
        run = _run_of_rental(session, rental, fingerprint, nonce) if rental.adopted else nonce
        for one in () if session is None else tried_before(session):
            count(one)
        if run is not None:
            if earlier is not None and (earlier.nonce, earlier.rental.uuid) == (run, rental.uuid):
                return _carry_on(earlier, spec, rental, tuple(before.values()))
            return _begin_state(api.clock, rental, spec, run, tuple(before.values()), attempts=1 if run == nonce else 2)
        log.warning("the session of %s is gone: started anew", key)
        count(TriedMachine.of(rental, rental.stop(leaves_replacement=True), "it was gone", replaced=True))
        stopped.add(rental.uuid)
    raise OctaConfigError(
        f"the key {key} is used for two different jobs at the same time: give each its own, or each installation on "
        "this account a namespace of its own"
    )


def _begin_state(
    clock: Clock, rental: Rental, spec: JobSpec, nonce: str, tried: tuple[TriedMachine, ...], attempts: int
) -> JobState:
    now = clock.steady_time()
    return JobState(
        key=rental.key or "",
        rental=msgspec.structs.replace(rental.terms, max_cost_usd=cap_left(spec.max_cost_usd, tried)),
        nonce=nonce,
        over_ssh=spec.over_ssh,
        timeout_s=spec.timeout_s,
        appear_by=now + APPEARING_S,
        ready_by=now + spec.ready_timeout_s,
        ready_timeout_s=spec.ready_timeout_s,
        clock=clock.identity,
        outputs=_local_names(spec),
        attempts=attempts,
        result_file=spec.result_file,
        start_attempts=spec.start_attempts,
        tried=tried,
        keep_failed_s=spec.keep_failed_s,
    )


def _carry_on(earlier: JobState, spec: JobSpec, rental: Rental, tried: tuple[TriedMachine, ...]) -> JobState:
    tried = all_before(tried, earlier.tried)
    # What the earlier try has fetched may lie on another worker: this one fetches it again.
    return earlier.having(
        # With the caps of now; when it was first rented, its price was known better.
        rental=msgspec.structs.replace(
            earlier.rental,
            max_cost_usd=cap_left(spec.max_cost_usd, tried),
            max_duration_s=rental.max_duration_s,
            max_price_usd=rental.max_price_usd,
            key=rental.key,
            claim=rental.claim,
        ),
        attempts=earlier.attempts + 1,
        tried=tried,
        outputs=_local_names(spec),
        phase=JobPhase.EXITED if earlier.ended else earlier.phase,
        collected=(),
        result_file=spec.result_file,
        value=None,
        start_attempts=spec.start_attempts,
        keep_failed_s=spec.keep_failed_s,
    )


def _seen(api: RentalApi, rental: Rental) -> Session | None:
    deadline = Deadline(api.clock, ADOPT_S)
    return ask_until(deadline, lambda: look(api.within(deadline), rental.uuid))


def _run_of_rental(session: Session | None, rental: Rental, fingerprint: str, ours: str) -> str | None:
    """Which run an adopted session is, by its nonce; None when it is another job than this one, or gone."""
    if session is None or session.phase is SessionPhase.FINISHED:
        return None
    if session.rental_key is None:
        # Not echoed: what the try that started it wrote down names the run.
        return rental.claim or ours
    return _run_of(session, rental.key or "", fingerprint)


def _run_of(session: Session, key: str, wanted: str) -> str | None:
    """The nonce of the run that a session is; None when it is another job than this one.

    Raises:
        OctaConfigError: it is no job at all, so that somebody may be using it.
    """
    if session.rental_key is None:
        return ""
    mark = JobMark.of(session)
    if not mark.fingerprint:
        raise OctaConfigError(
            f"{key} is the key of session {session.uuid}, which is no job: stop it first: "
            f"{stop_command([session.uuid])}"
        )
    return mark.nonce if mark.fingerprint == wanted else None


def _local_names(spec: JobSpec) -> dict[str, str]:
    return {remote: os.fspath(local) for remote, local in spec.outputs.items()}
