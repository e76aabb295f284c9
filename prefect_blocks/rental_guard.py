"""Machines that a flow holds while it does something else: their caps hold, and they end with the flow.

One thread of the process looks after all of them, with one list call per interval and account.
"""

from __future__ import annotations

import os
import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING

from octa_provider.errors import OctaBudgetError, OctaError, OctaStopError
from octa_provider.rental.caps import cap_error, over_budget
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.deadline import Deadline
from prefect_blocks.at_exit import PROCESS_ENDS, end_with_process, note_ended
from prefect_blocks.events import emit

if TYPE_CHECKING:
    from collections.abc import Hashable

    from prefect.blocks.abstract import LoggerOrAdapter

    from octa_provider import Rental
    from octa_provider.models import Session
    from prefect_blocks.credentials import OctaCredentials
    from prefect_blocks.lifetime import Lifetime

__all__ = ["GuardedRental", "guard", "let_go"]

log = plain_logger("prefect_blocks.rental_guard")

#: Seconds between two looks at what the machines cost, and at whether their flows are over.
POLL_S = 5.0
LOOK_S = 0.5
#: A look that gets no answer is given up after so long.
ANSWER_S = 10.0


class GuardedRental:
    """A machine that is looked after until it is let go.

    Args:
        rental: the machine.
        credentials: the account.
        lifetime: the machine is stopped with it.
        logger: told when it was stopped.
        name: what the work is called; as of `emit` when empty.

    Attributes:
        error: which cap was reached, once it was stopped for that.
    """

    def __init__(
        self, rental: Rental, credentials: OctaCredentials, lifetime: Lifetime, logger: LoggerOrAdapter, name: str = ""
    ) -> None:
        self.rental = rental
        self.lifetime = lifetime
        self.error: OctaBudgetError | None = None
        self._client = credentials.get_client()
        self._logger = logger
        self._name = name
        self._context = copy_context()
        self._why = ""
        self._is_stopping = False
        self._has_ended = threading.Event()

    @property
    def account(self) -> Hashable:
        """Tells accounts apart."""
        return self._client.transport.account

    @property
    def ended(self) -> bool:
        """Whether it is looked after no more: stopped, or let go."""
        return self._has_ended.is_set()

    def end(self, why: str) -> None:
        """Have it stopped; returns at once, and is safe in a signal's handler.

        Args:
            why: in words, for the run's log.
        """
        self._why = self._why or why

    def let_go(self) -> None:
        """It is somebody else's to stop, or has been stopped."""
        if self._is_stopping:
            return
        note_ended(self)
        self._has_ended.set()
        self._client.close()

    def listed(self) -> dict[str, Session]:
        """The account's active sessions by their uuids."""
        octa = self._client.within(Deadline(self._client.clock, ANSWER_S))
        return {session.uuid: session for session in octa.sessions.list()}

    def look(self, session: Session) -> None:
        """See whether a cap has been reached; a session that echoes no price is seen to by its duration.

        Args:
            session: as the list has just shown it.
        """
        why = over_budget(self.rental, session, self._client.clock)
        if why is not None and not self._why:
            self._why = f"it {why}"
            self.error = cap_error(self.rental, why)

    def stop_if_over(self) -> None:
        """Begin to stop it if it has to end, in a thread of its own: it may take a while."""
        if not self._why and self.lifetime.is_over():
            self._why = "its flow run is over"
        if self._why and not self._is_stopping:
            self._is_stopping = True
            thread = threading.Thread(target=self._context.run, args=(self._stop,), name="octa-stop", daemon=True)
            thread.start()

    def _stop(self) -> None:
        rental = self._client.rentals.restore(self.rental.to_dict())
        try:
            while True:
                try:
                    bill = rental.stop()
                except OctaStopError as error:
                    # As long as this process lives, somebody tries.
                    log.error("%s", error)
                    continue
                break
            if self._why == PROCESS_ENDS:
                # What sends events and logs to Prefect has ended before.
                log.warning("Session %s was stopped: %s", rental.uuid, self._why)
            else:
                self._logger.warning("Session %s was stopped: %s", rental.uuid, self._why)
                emit("stopped", rental, bill=bill, reason=self._why, name=self._name)
        except OctaError as error:
            log.error("session %s can't be stopped, and bills on: %s", rental.uuid, error)
        finally:
            note_ended(self)
            self._has_ended.set()
            self._client.close()


_lock = threading.Lock()
_guarded: dict[str, GuardedRental] = {}
_thread: threading.Thread | None = None


def guard(
    rental: Rental, credentials: OctaCredentials, lifetime: Lifetime, logger: LoggerOrAdapter, name: str = ""
) -> GuardedRental:
    """Look after a machine from here on; one that is looked after already is from now on as this says.

    Args:
        rental: the machine, with its caps.
        credentials: the account.
        lifetime: the machine is stopped with it, and when the process ends before; without an end, by its caps alone.
        logger: told when it was stopped.
        name: what the work is called; as of `emit` when empty.

    Returns:
        The machine as it is looked after.
    """
    global _thread
    new = GuardedRental(rental, credentials, lifetime, logger, name)
    let_go(rental.uuid)
    if lifetime.has_end:
        end_with_process(new)
    with _lock:
        _guarded[rental.uuid] = new
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_look_after_all, name="octa-guard", daemon=True)
            _thread.start()
    return new


def let_go(uuid: str) -> GuardedRental | None:
    """Look after a machine no more, since it was stopped, or somebody else does.

    Args:
        uuid: the session; one that is not looked after is fine too.

    Returns:
        Who looked after it; None where nobody did.
    """
    with _lock:
        known = _guarded.pop(uuid, None)
    if known is not None:
        known.let_go()
    return known


def _look_after_all() -> None:
    global _thread
    look_at = time.monotonic()
    while True:
        with _lock:
            for uuid in [uuid for uuid, one in _guarded.items() if one.ended]:
                del _guarded[uuid]
            if not _guarded:
                _thread = None
                return
            every = list(_guarded.values())
        try:
            for one in every:
                one.stop_if_over()
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + POLL_S
                _look_at_caps([one for one in every if one.rental.is_capped and not one.ended])
        except Exception:
            # Whatever it is, the others are looked after.
            log.exception("looking after the machines of this process")
        time.sleep(LOOK_S)


def _look_at_caps(capped: list[GuardedRental]) -> None:
    accounts: dict[Hashable, dict[str, Session]] = {}
    for one in capped:
        try:
            if one.account not in accounts:
                accounts[one.account] = {}
                accounts[one.account] = one.listed()
        except OctaError as error:
            log.warning("what session %s costs can't be seen now: %s", one.rental.uuid, error)
            continue
        if (session := accounts[one.account].get(one.rental.uuid)) is not None:
            one.look(session)


def _forget_all() -> None:
    # A forked child has none of its parent's threads: its machines are the parent's.
    global _lock, _thread
    _lock = threading.Lock()
    _guarded.clear()
    _thread = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
