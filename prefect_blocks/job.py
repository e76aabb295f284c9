"""`OctaJob`: a command run to completion on a rented machine, as a Prefect job block."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prefect.blocks.abstract import JobBlock, JobRun
from pydantic import Field, HttpUrl

from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.job_spec import JobSpec
from octa_provider.job_state import JobPhase, JobResult, JobState
from octa_provider.progress import ProgressTracker
from prefect_blocks.events import emit
from prefect_blocks.handing_over import stopped_unless_handed_over
from prefect_blocks.in_thread import cancellation, in_thread, in_thread_or_undone
from prefect_blocks.job_command import JobCommand
from prefect_blocks.job_report import JobReport
from prefect_blocks.logo import LOGO_URL
from prefect_blocks.machine_choice import MachineChoice
from prefect_blocks.rental_key import rental_key

if TYPE_CHECKING:
    from octa_provider import Rental

__all__ = ["JobFailedError", "OctaJob", "OctaJobRun"]


class JobFailedError(OctaError):
    """The job ended, and not as a success.

    Attributes:
        result: what it came to.
    """

    def __init__(self, result: JobResult) -> None:
        super().__init__(f"{result.outcome.value}: {result.message}")
        self.result = result


class OctaJob(MachineChoice, JobCommand, JobBlock[JobResult]):
    """A command on a rented machine: started once, followed with its log, and the machine stopped for certain.

    Tries of the same flow run or task run carry on with the same machine and the same running command.

    Example:
        ```python
        from prefect_blocks import OctaJob

        job = OctaJob.load("BLOCK_NAME")
        run = job.trigger()
        run.wait_for_completion()
        print(run.fetch_result().cost_usd)
        ```
    """

    _block_type_name = "OctaSpace Job"
    _block_type_slug = "octaspace-job"
    _logo_url = HttpUrl(LOGO_URL)
    _documentation_url = HttpUrl("https://octa.space")

    disk_gb: int = Field(default=10, title="Disk (GB)", description="Disk in GB.")
    timeout_s: float = Field(
        default=3600.0, title="Timeout", description="Seconds that the command may run; the machine ends it itself."
    )
    ready_timeout_s: float = Field(
        default=900.0, title="Ready Timeout", description="Seconds that the machine may take to come up."
    )
    via: Literal["auto", "container", "ssh"] = Field(
        default="auto", description="How the command is run; auto takes SSH when there are files to move."
    )
    max_cost_usd: float | None = Field(
        default=None, title="Cost Cap (USD)", description="The job is stopped when it has cost so much."
    )
    http_ports: list[int] = Field(default_factory=list, description="Ports to publish as URLs while it runs.")
    log_path: str | None = Field(default=None, description="A local file that gets the command's output.")
    progress: str | None = Field(
        default=None,
        description="How to read progress from the output: blender, a regular expression, or nothing for 12% and 3/25.",
    )
    progress_total: int | None = Field(default=None, description="How many steps there are; for Blender the frames.")
    poll_s: float = Field(default=5.0, gt=0, title="Poll Interval", description="Seconds between two looks.")

    def spec(self) -> JobSpec:
        """The same for the core.

        Raises:
            OctaConfigError: a value that can't work, before any money is spent.
        """
        inputs: dict[Any, str] = {Path(local).expanduser(): remote for local, remote in self.inputs.items()}
        return JobSpec(
            image=self.image,
            command=self.command,
            envs=self.envs,
            inputs=inputs,
            outputs={remote: Path(local).expanduser() for remote, local in self.outputs.items()},
            disk_gb=self.disk_gb,
            requirements=self.requirements(),
            timeout_s=self.timeout_s,
            ready_timeout_s=self.ready_timeout_s,
            via=self.via,
            max_cost_usd=self.max_cost_usd,
            http_ports=tuple(self.http_ports),
        )

    def trigger(self, key: str | None = None) -> OctaJobRun:  # type: ignore[override]
        """Rent a machine for the job, or carry on with the one that an earlier try of this run has.

        It bills until `wait_for_completion` has returned, or `stop` was called. A flow that may be left before that
        takes the hook `stop_left_sessions`.

        Args:
            key: names the job within the flow run, where two that look the same are not.

        Raises:
            OctaNoMachineError, OctaBudgetError: nothing could be rented.
            OctaConfigError: a value that can't work.
        """
        spec = self.spec()
        tracker = ProgressTracker(self.progress, self.progress_total)
        report = JobReport(self._name(), self.logger, tracker, about=key)
        with self.credentials.get_client() as client, stopped_unless_handed_over() as on_started:
            name = rental_key([spec.fingerprint, self.requirements().__dict__, self.outputs], key)
            state = client.jobs.start(spec, name, is_cancelled=cancellation(), on_started=on_started)
            rental = client.rentals.restore(state.rental)
            emit("adopted" if rental.adopted else "started", rental, price_usd=rental.price_usd)
            verb = "Carrying on with" if rental.adopted else "Started"
            self.logger.info("%s session %s on node %s, rental key %s", verb, rental.uuid, rental.node_id, rental.key)
            return OctaJobRun(self, spec, state, report)

    async def atrigger(self, key: str | None = None) -> OctaJobRun:
        """As `trigger`, for coroutines; a run that nobody got, since its coroutine was cancelled, is stopped."""
        return await in_thread_or_undone(partial(self.trigger, key), lambda run: run.stop())

    def _name(self) -> str:
        return self._block_document_name or Path(self.image.partition(":")[0]).name


class OctaJobRun(JobRun[JobResult]):
    """A job that has been started. Wait for it, or stop it: until then its machine bills.

    Attributes:
        state: how far it is; a JSON value by `to_dict`.
        is_watched: whether somebody has begun to follow it, who stops it on every way out.
    """

    def __init__(self, job: OctaJob, spec: JobSpec, state: JobState, report: JobReport) -> None:
        self.state = state
        self.is_watched = False
        self._job = job
        self._spec = spec
        self._report = report
        self._result: JobResult | None = None
        self._urls: dict[int | str, str] = {}

    @property
    def uuid(self) -> str:
        """The session."""
        return str(self.state.rental["uuid"])

    def wait_for_completion(self) -> None:  # type: ignore[override]
        """Follow the job to its end, with its log in the run's logger. The machine is stopped on every way out.

        How it ended is for `fetch_result` to say.

        Raises:
            OctaCancelledError: the run is being ended; the machine was stopped.
            OctaStopError: the machine could not be stopped in time, and may still bill.
        """
        if self._result is not None:
            return
        with self._job.credentials.get_client() as client:
            rental = client.rentals.restore(self.state.rental)

            def remember(state: JobState) -> None:
                before, self.state = self.state, state
                if before.phase is JobPhase.STARTING and state.phase is not JobPhase.STARTING and not state.ended:
                    emit("ready", rental)
                    self._remember_urls(rental)

            self.is_watched = True
            self._result = client.jobs.watch(
                self.state,
                self._spec,
                private_key=self._job.credentials.private_key,
                log_path=None if self._job.log_path is None else Path(self._job.log_path).expanduser(),
                on_line=self._report.line,
                on_state=remember,
                is_cancelled=cancellation(),
                poll_s=self._job.poll_s,
            )
            emit("ended", rental, outcome=self._result.outcome.value, cost_usd=self._result.cost_usd)
        self._report.ended(self._result, self._urls)

    async def await_for_completion(self) -> None:
        """As `wait_for_completion`, for coroutines."""
        await in_thread(self.wait_for_completion)

    def fetch_result(self) -> JobResult:  # type: ignore[override]
        """What the job came to.

        Raises:
            JobFailedError: it was no success; the error has the result.
            OctaConfigError: nobody has waited for it.
        """
        if self._result is None:
            raise OctaConfigError("the job has not ended yet: call wait_for_completion() first")
        if not self._result.succeeded:
            raise JobFailedError(self._result)
        return self._result

    async def afetch_result(self) -> JobResult:
        """As `fetch_result`, for coroutines."""
        return self.fetch_result()

    def stop(self) -> None:
        """Stop the machine without waiting for the command. Safe to repeat."""
        with self._job.credentials.get_client() as client:
            rental = client.rentals.restore(self.state.rental)
            bill = rental.stop()
            emit("stopped", rental, **bill.to_dict())

    async def astop(self) -> None:
        """As `stop`, for coroutines."""
        await in_thread(self.stop)

    def _remember_urls(self, rental: Rental) -> None:
        try:
            self._urls = dict(rental.info().urls)
        except OctaError as error:
            # Only what is nice to have.
            self.logger.info("Where session %s answers can't be read: %s", rental.uuid, error)
        for port, url in self._urls.items():
            self.logger.info("Port %s answers at %s", port, url)
