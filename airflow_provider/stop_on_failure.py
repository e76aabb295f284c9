"""What a task that fails does about what it, or an earlier try of it, has started."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from airflow_provider.exceptions import OctaTaskKilledError
from octa_provider.errors import OctaBudgetError, OctaNetworkError, OctaNoMachineError, OctaStartUnclearError
from octa_provider.rental.key import namespace_words
from octa_provider.text.command_line import option_words
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import Bill, OctaClient

__all__ = ["stop_after", "stop_batch_after", "tell_what_may_run", "tell_which_batch_may_run"]

log = plain_logger(__name__)

#: Seconds to stop what a task that failed leaves; after that the log names what may still run.
STOP_S = 60.0


def stop_after(
    error: BaseException, client: OctaClient, key: str, uuid: str | None = None, *, context: Context | None = None
) -> list[Bill] | None:
    """Stop every session of a rental key, since the task ends with an error. What can't be stopped is named in the log.

    Whatever goes wrong here is logged, and hides nothing. A first try that never reached the API has started nothing,
    so there is nothing to stop, and nothing to be alarmed about. Nor has one that got no machine: what runs under the
    key then is another try's, which Airflow may have taken for dead.

    Args:
        error: what the task ends with.
        client: the API.
        key: the rental key.
        uuid: the session, if it is known: a VPN carries no key, and a key may not be echoed.
        context: of the task that runs, where an error may be its first try's.

    Returns:
        What was stopped; None where that is not certain.
    """
    if uuid is None and (_got_no_machine(error) or (_is_first_try(context) and _never_asked_for_any(error))):
        return []
    try:
        bills = [*client.rentals.stop(key, deadline_s=STOP_S, leaves_kept=True)]
        if uuid is not None and uuid not in {bill.uuid for bill in bills}:
            bills.append(client.rentals.open(uuid).stop(deadline_s=STOP_S))
    except Exception as stop_error:  # noqa: BLE001 - the task's own error must not be lost
        tell_what_may_run(client.rentals.full_key(key), uuid, stop_error)
        return None
    for bill in bills:
        if isinstance(error, OctaTaskKilledError):
            # Somebody has ended it on purpose, perhaps as a success.
            log.info("Stopped session %s, since the task was killed", bill.uuid)
        else:
            log.warning("Stopped session %s, since the task ended with %s", bill.uuid, type(error).__name__)
    return bills


def stop_batch_after(error: BaseException, client: OctaClient, key: str) -> None:
    """Stop every machine of a batch, since its task ends with an error. What can't be stopped is named in the log.

    Args:
        error: what the task ends with.
        client: the API.
        key: the rental key of the task, with which those of the machines begin.
    """
    try:
        reaped = client.rentals.reap(_of_batch(key), dry_run=False, deadline_s=STOP_S)
    except Exception as stop_error:  # noqa: BLE001 - the task's own error must not be lost
        tell_which_batch_may_run(key, client.namespace, stop_error)
        return
    for uuid in reaped.stopped:
        log.warning("Stopped session %s of the batch, since the task ended with %s", uuid, type(error).__name__)
    if reaped.failed:
        tell_which_batch_may_run(key, client.namespace, f"not seen stopped in time: {', '.join(reaped.failed)}")


def tell_which_batch_may_run(key: str, namespace: str | None = None, why: object = "") -> None:
    """Say in the task's log that machines of a batch may still bill, and how to stop them.

    Args:
        key: the rental key of the task.
        namespace: of the machines' keys, where it is known.
        why: what stood in the way.
    """
    if namespace is None:
        # A key without its namespace finds nothing, and a key of any namespace may be another Airflow's.
        log.error(
            "Machines of the batch may still run and bill: clear this task, or look for those whose key ends in "
            "%s/... and stop each by its uuid: octa-provider sessions",
            _of_batch(key),
        )
    else:
        words = [*namespace_words(namespace), *option_words("--prefix", _of_batch(key)), "--yes"]
        command = shlex.join(["octa-provider", "reap", *words])
        log.error("Machines of the batch may still run and bill: clear this task, or stop them: %s", command)
    if why:
        log.error("They could not be stopped: %s", why)


def _of_batch(key: str) -> str:
    return f"{key}/batch"


def tell_what_may_run(key: str, uuid: str | None = None, why: object = "") -> None:
    """Say in the task's log what may still bill, and how to stop it.

    Args:
        key: the rental key, whole.
        uuid: the session, if it is known.
        why: what stood in the way.
    """
    # Only what fails needs the command line's words.
    from octa_provider.rental.stop import stop_command

    # Each on a line of its own: the command is to be copied.
    log.error(
        "A session of %s may still run and bill. Clear this task, or run: %s",
        key,
        stop_command([] if uuid is None else [uuid], key),
    )
    if why:
        log.error("It could not be stopped: %s", why)


def _got_no_machine(error: BaseException) -> bool:
    """Whether a start was refused everywhere: it has stopped what it had started itself."""
    told: BaseException | None = error
    while told is not None and not isinstance(told, (OctaNoMachineError, OctaBudgetError, OctaStartUnclearError)):
        told = told.__cause__
    return told is not None


def _is_first_try(context: Context | None) -> bool:
    return context is not None and getattr(context["ti"], "try_number", None) == 1


def _never_asked_for_any(error: BaseException) -> bool:
    """Whether the API was never asked to start anything, as far as this error tells.

    What a start itself has asked for in vain, it has looked for itself, and says so.
    """
    told: BaseException | None = error
    while told is not None and not isinstance(told, OctaNetworkError):
        told = told.__cause__
    return told is not None and (not told.maybe_sent or told.method == "GET")
