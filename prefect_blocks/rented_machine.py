"""`rented_machine`: a machine for the length of a `with` or `async with` block, stopped on every way out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from pydantic import SecretStr

from octa_provider.rental.start_attempts import check_start_attempts
from octa_provider.text.stays_here import stays_here
from octa_provider.timing.limits import checked_cap, checked_seconds
from prefect_blocks.at_exit import hearing_signals
from prefect_blocks.awaitable import awaitable_too
from prefect_blocks.cost_artifact import flow_name_here
from prefect_blocks.credentials import OctaCredentials, account_of
from prefect_blocks.in_thread import cancellation, run_in_thread, run_in_thread_or_leave, run_in_thread_or_undo
from prefect_blocks.lifetime import Lifetime
from prefect_blocks.machine_report import MachineReport
from prefect_blocks.rental_guard import GuardedRental, guard, let_go
from prefect_blocks.rental_key import rental_key, rented_on
from prefect_blocks.requirement_fields import requirements_of
from prefect_blocks.secret_values import shown_values

if TYPE_CHECKING:
    from prefect.blocks.abstract import LoggerOrAdapter

    from octa_provider import Rental
    from octa_provider.market.request import MachineRequest, RenderRequest
    from octa_provider.market.requirements import Requirements
    from octa_provider.models import Session
    from octa_provider.remote.command import CommandResult
    from octa_provider.remote.machine import RemoteMachine

__all__ = ["RentedMachine", "rented_machine"]


class RentedMachine:
    """A machine that is up.

    Args:
        rental: the core's handle on it.
        session: its addresses, as they were when it became ready.
        private_key: the text of an SSH private key; None leaves it to `OCTA_SSH_KEY_FILE`, the agent and the default
            files.
        on_line: gets each line of commands that say nothing else; such as the run's log.

    Attributes:
        rental: the core's handle on it.
        session: its addresses, as they were when it became ready.
    """

    def __init__(
        self, rental: Rental, session: Session, private_key: str | None, on_line: Callable[[str], object] | None = None
    ) -> None:
        self.rental = rental
        self.session = session
        self._on_line = on_line
        self._private_key = private_key

    def __reduce__(self) -> tuple[object, ...]:
        return stays_here("a rented machine stays with its `with` block, so hand its uuid over")

    @awaitable_too
    def run(
        self,
        command: str,
        *,
        envs: Mapping[str, str | SecretStr] | None = None,
        timeout_s: float | None = None,
        on_line: Callable[[str], object] | None = None,
    ) -> CommandResult:
        """Run one command over SSH and wait for its end; needs the extra `ssh`. See `octa_provider.remote.machine`.

        Args:
            command: as the machine's shell reads it; quote arguments with `shlex.join`.
            envs: environment variables for it, secrets too: they go to this command alone, over SSH, in no command
                line, and never to the API.
            timeout_s: seconds after which it is ended; None waits for ever.
            on_line: called with each line as it comes, both streams; else they go to the run's log.

        Returns:
            Its exit status, and the end of its output.

        Raises:
            OctaConfigError: a name in `envs` is none, or a value is no text.
            OctaSshError: no connection, or it was lost: the command may go on.
        """
        with self.ssh() as shell:
            shown = shown_values(envs or {})
            return shell.run(command, envs=shown, timeout_s=timeout_s, on_line=on_line or self._on_line)

    async def arun(
        self,
        command: str,
        *,
        envs: Mapping[str, str | SecretStr] | None = None,
        timeout_s: float | None = None,
        on_line: Callable[[str], object] | None = None,
    ) -> CommandResult:
        """As `run`, for coroutines; a command whose coroutine is cancelled is left to end with its machine.

        Args:
            command: as the machine's shell reads it; quote arguments with `shlex.join`.
            envs: environment variables for it, secrets too: they go to this command alone, over SSH, in no command
                line, and never to the API.
            timeout_s: seconds after which it is ended; None waits for ever.
            on_line: called with each line as it comes, both streams, in another thread; else they go to the run's log.

        Returns:
            Its exit status, and the end of its output.

        Raises:
            OctaConfigError: a name in `envs` is none, or a value is no text.
            OctaSshError: no connection, or it was lost: the command may go on.
        """
        return await run_in_thread_or_leave(self.run, command, envs=envs, timeout_s=timeout_s, on_line=on_line)

    @awaitable_too
    def ssh(self) -> RemoteMachine:
        """A connection over SSH, for a `with` block: `run`, `put`, `get`. Needs the extra `ssh`.

        It blocks, so in a coroutine all of it belongs into a thread: `await asyncio.to_thread(script, machine)`.

        Raises:
            OctaSshError: the session tells no address for SSH.
            OctaConfigError: the extra is not installed, or the private key can't be read.
        """
        from octa_provider.remote.machine import RemoteMachine
        from octa_provider.remote.target import SshTarget, ssh_key

        return RemoteMachine(SshTarget.of(self.session, private_key=ssh_key(self._private_key)))


class rented_machine(AbstractContextManager["RentedMachine"]):
    """Rent a machine for a block of code, sync or async, and have it up. It is stopped on every way out.

    That includes cancellation and termination of the flow run, which are no `Exception`. A process that is killed with
    -9 stops nothing: the next try of the run adopts the machine, else `reap_orphans_flow` finds it.

    Args:
        request: what to rent: the core's `MachineRequest` or `RenderRequest`.
        requirements: which machine: fields of the core's `Requirements`; the cheapest when left out.
        ready_deadline_s: seconds that it may take to come up.
        start_attempts: how many machines are tried, one after the other, when one does not come up in that time or says
            that it failed: 1 to 10. Each is seen gone before the next, and counts towards `max_cost_usd`.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 fails at once.
        max_cost_usd: refuse what can't be paid, and stop what has cost so much, in USD, also while the block works; of
            all machines tried.
        max_duration_s: refuse what the balance can't pay for that long, and stop what has run so many seconds.
        key: names the machine within the flow run, where two that look the same are not.
        name: what the work is called in events and artifacts; when left out, as the key or the flow is.
        credentials: the account, a block or the name of a saved one; the environment's when left out.
        poll_s: seconds between two looks while it comes up.

    Raises:
        OctaNoMachineError, OctaBudgetError: nothing could be rented.
        OctaConfigError: a value that can't work, before any money is spent.
        OctaWaitTimeoutError, OctaSessionFailedError: none came up; each was stopped.
        OctaBudgetError: at the end: a cap was reached, and the machine was stopped while the block worked on it.
        OctaStopError: at the end it was not seen gone in time, and may still bill.

    Example:
        >>> with rented_machine(MachineRequest("blender:4.5", start_command="sleep infinity")) as machine:
        ...     machine.run("blender --version", on_line=print)
    """

    def __init__(
        self,
        request: MachineRequest | RenderRequest,
        *,
        requirements: Mapping[str, Any] | Requirements | None = None,
        ready_deadline_s: float = 900.0,
        start_attempts: int = 1,
        wait_for_machine_s: float = 0.0,
        max_cost_usd: float | None = None,
        max_duration_s: float | None = None,
        key: str | None = None,
        name: str = "",
        credentials: OctaCredentials | str | None = None,
        poll_s: float = 5.0,
    ) -> None:
        self._request = request
        self._requirements = requirements_of(requirements)
        self._ready_deadline_s = checked_seconds("ready_deadline_s", ready_deadline_s)
        check_start_attempts(start_attempts, self._requirements.node_id)
        self._start_attempts = start_attempts
        self._wait_for_machine_s = checked_seconds("wait_for_machine_s", wait_for_machine_s)
        self._max_cost_usd = checked_cap("max_cost_usd", max_cost_usd)
        self._max_duration_s = checked_cap("max_duration_s", max_duration_s)
        self._key = key
        self._name = name
        self._credentials = account_of(credentials)
        self._poll_s = poll_s
        self._open: ExitStack | None = None
        self._rental: Rental | None = None
        self._guarded: GuardedRental | None = None
        self._report: MachineReport | None = None

    def __enter__(self) -> RentedMachine:
        self._report = report = MachineReport(self._name or self._key or flow_name_here() or "machine", _logger())
        up: list[Session] = []
        with ExitStack() as stack:
            client = stack.enter_context(self._credentials.get_client())
            rental = stack.enter_context(
                client.rentals.rent(
                    self._request,
                    key=rental_key(rented_on(self._request, self._requirements), self._key),
                    requirements=self._requirements,
                    max_cost_usd=self._max_cost_usd,
                    max_duration_s=self._max_duration_s,
                    ready_timeout_s=self._ready_deadline_s,
                    start_attempts=self._start_attempts,
                    poll_s=self._poll_s,
                    is_cancelled=cancellation(),
                    on_started=report.rented,
                    on_ready=lambda rental, session: up.append(session),
                    on_stopped=report.stopped,
                    wait_for_machine_s=self._wait_for_machine_s,
                    on_waiting=_logger().info,
                )
            )
            self._rental = rental
            report.rented(rental)
            report.ready()
            if rental.is_capped:
                # The block ends it; until then its caps are looked after.
                self._guarded = guard(rental, self._credentials, Lifetime(None), _logger(), report.name)
            self._open = stack.pop_all()
        return RentedMachine(rental, up[0], self._credentials.private_key, on_line=report.line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._open is None or self._rental is None:
            return
        stack, self._open = self._open, None
        if self._guarded is not None and self._report is not None:
            self._report.is_stop_told = self._guarded.error is not None
        # Only closed: the error goes on its way by itself, and must not be taken for one of the stop's own.
        stack.close()
        let_go(self._rental.uuid)
        if self._guarded is not None and self._guarded.error is not None and isinstance(error, Exception | None):
            # What the block met, such as a lost connection, comes of this.
            raise self._guarded.error from error

    async def __aenter__(self) -> RentedMachine:
        # Signals reach the main thread alone, and the block is there.
        self._signals = hearing_signals()
        self._signals.__enter__()
        try:
            return await run_in_thread_or_undo(self.__enter__, lambda machine: self.__exit__(None, None, None))
        except BaseException:
            self._signals.__exit__(None, None, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await run_in_thread(self.__exit__, kind, error, traceback)
        finally:
            self._signals.__exit__(None, None, None)


def _logger() -> LoggerOrAdapter:
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("prefect_blocks.rented_machine")
