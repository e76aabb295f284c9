"""`OctaJob`: a command run to completion on a rented machine, as a Prefect job block."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from prefect.blocks.abstract import JobBlock
from pydantic import Field, HttpUrl

from octa_provider.files.placed import check_log_place
from octa_provider.job.events import OnEvent, checked_on_event
from octa_provider.job.result import JobResult
from octa_provider.job.spec import JobSpec
from octa_provider.remote.target import check_key, ssh_key
from octa_provider.render.progress import ProgressTracker
from prefect_blocks.at_exit import hearing_signals
from prefect_blocks.awaitable import awaitable_too
from prefect_blocks.cap_fields import CapOrNone, StartAttempts
from prefect_blocks.container_fields import ContainerFields
from prefect_blocks.cost_artifact import flow_name_here
from prefect_blocks.events import emit
from prefect_blocks.in_thread import cancellation, run_in_thread_or_undo
from prefect_blocks.job_command import JobCommand
from prefect_blocks.job_follower import JobFollower, follower_of
from prefect_blocks.job_report import JobReport
from prefect_blocks.job_run import JobFailedError, OctaJobRun
from prefect_blocks.known_names import KnownFields
from prefect_blocks.lifetime import Lifetime
from prefect_blocks.logo import LOGO_URL
from prefect_blocks.rental_key import rental_key
from prefect_blocks.requirement_fields import RequirementFields
from prefect_blocks.secret_values import shown_values
from prefect_blocks.stop_on_error import stop_on_error

__all__ = ["JobFailedError", "OctaJob", "OctaJobRun"]

#: What the core gives a machine to be stopped, and a little.
ENDING_S = 330.0


class OctaJob(KnownFields, ContainerFields, RequirementFields, JobCommand, JobBlock[JobResult]):
    """A command on a rented machine: started once, followed with its log, and the machine stopped for certain.

    Tries of the same flow run or task run carry on with the same machine and the same running command.

    Example:
        ```python
        from prefect_blocks import OctaJob

        job = OctaJob.load("BLOCK_NAME")
        print(job.run().cost_usd)
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
        default="auto", description="How the command is run; auto takes SSH when there are files to move or secrets."
    )
    max_cost_usd: CapOrNone = Field(
        default=None, title="Cost Cap (USD)", description="The job is stopped when it has cost so much."
    )
    max_duration_s: CapOrNone = Field(
        default=None,
        title="Time Cap",
        description="Seconds that its machine may run, whatever it does; the job is stopped then. Machines that the "
        "balance can't pay for that long are refused.",
    )
    wait_for_machine_s: float = Field(
        default=0.0,
        ge=0,
        title="Wait for a Machine",
        description="Seconds to wait for a machine when none fits or all are taken; 0 fails at once.",
    )
    start_attempts: StartAttempts = 1
    keep_failed_s: float | None = Field(
        default=None,
        gt=0,
        title="Keep What Failed",
        description="Seconds for which the machine of a command that failed is kept, for a look: it bills on, for so "
        "long at most where the reaper flow runs. Nothing stops it.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Words of your own on the session, to find it and to split a bill by. Whoever has the account's "
        "key, and the machine's owner, read them: no secrets.",
    )
    log_path: str | None = Field(default=None, description="A local file that gets the command's output.")
    progress: str | None = Field(
        default=None,
        description="How to read progress from the output: blender, a regular expression, or nothing for 12% and 3/25.",
    )
    progress_total: int | None = Field(default=None, description="How many steps there are; for Blender the frames.")
    poll_s: float = Field(default=5.0, gt=0, title="Poll Interval", description="Seconds between two looks.")

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As of every block; Prefect's server hides each value of a mapping only where the schema says `.*`."""
        schema = super().model_json_schema(*args, **kwargs)
        hidden = schema.get("secret_fields", [])
        return schema | {"secret_fields": [f"{name}.*" if name == "secret_envs" else name for name in hidden]}

    def spec(self) -> JobSpec:
        """The same for the core.

        Raises:
            OctaConfigError: a value that can't work, before any money is spent.
        """
        return JobSpec(
            image=self.image,
            command=self.command,
            envs=self.envs,
            secret_envs=shown_values(self.secret_envs),
            inputs={_local(path): remote for path, remote in self.inputs.items()},
            outputs={remote: _local(path) for remote, path in self.outputs.items()},
            disk_gb=self.disk_gb,
            requirements=self.requirements(),
            timeout_s=self.timeout_s,
            ready_timeout_s=self.ready_timeout_s,
            via=self.via,
            max_cost_usd=self.max_cost_usd,
            max_duration_s=self.max_duration_s,
            http_ports=tuple(self.http_ports),
            ports=tuple(self.ports),
            entrypoint=self.entrypoint,
            app=self.app,
            start_attempts=self.start_attempts,
            result_file=self.result_file,
            keep_failed_s=self.keep_failed_s,
            labels=self.labels,
        )

    @awaitable_too
    def trigger(  # type: ignore[override]
        self, key: str | None = None, *, outlives_flow: bool = False, on_event: OnEvent | None = None
    ) -> OctaJobRun:
        """Rent a machine for the job, or carry on with the one that an earlier try of this run has.

        The job is followed from here on: its log comes, its caps hold and its machine is stopped at its end, whether
        anybody waits for it or not. What still runs when the flow run (or outside of one, the process) ends, however
        it ends, is stopped then. Triggered several times, jobs run side by side. `await` on it works too, but holds
        the event loop up meanwhile, as on every plain verb; `atrigger` does not.

        Args:
            key: names the job within the flow run, where two that look the same are not.
            outlives_flow: let it run on when its flow run has ended; the end of the process still ends it, and so does
                `reap_orphans_flow`, which goes by flow runs.
            on_event: called with each thing that happens, the core's `JobEvent`, in the job's own thread with this
                run's context. What it raises is logged once, and does not end the job. A try in the same process that
                carries on with the job takes its place.

        Returns:
            The run, which is followed already.

        Raises:
            OctaNoMachineError, OctaBudgetError: nothing could be rented.
            OctaConfigError: a value that can't work, or, where it is needed, an SSH key that can't be read, or none.
        """
        spec = self.spec()
        if on_event is not None:
            checked_on_event(on_event)
        private_key = ssh_key(self.credentials.private_key)
        if spec.over_ssh:
            check_key(private_key)
        tracker = ProgressTracker(self.progress, self.progress_total)
        report = JobReport(self._name(key), self.logger, tracker)
        lifetime = Lifetime(None) if outlives_flow else Lifetime.of_this_run()
        if self.log_path is not None:
            check_log_place(self.log_path)
        with (
            hearing_signals(),
            self.credentials.get_client() as client,
            stop_on_error() as on_started,
        ):
            made: list[object] = [self.outputs] if self.result_file is None else [self.outputs, self.result_file]
            work = rental_key([spec.fingerprint, self.requirements().__dict__, *made], key)
            name = (client.transport.account, client.rentals.full_key(work))
            if (earlier := self._followed(name, spec, lifetime, on_event)) is not None:
                return OctaJobRun(self.credentials, earlier)
            state = client.jobs.start(
                spec,
                work,
                is_cancelled=cancellation(),
                on_started=on_started,
                private_key=private_key,
                wait_for_machine_s=self.wait_for_machine_s,
                on_waiting=self.logger.info,
            )
            rental = client.rentals.restore(state.rental)
            emit("adopted" if rental.adopted else "started", rental, name=report.about)
            verb = "Carrying on with" if rental.adopted else "Started"
            self.logger.info("%s session %s on node %s, rental key %s", verb, rental.uuid, rental.node_id, rental.key)
            follower = JobFollower(
                self.credentials,
                spec,
                state,
                report,
                lifetime,
                log_path=None if self.log_path is None else Path(self.log_path).expanduser(),
                poll_s=self.poll_s,
                on_event=on_event,
                tracker=ProgressTracker(self.progress, self.progress_total),
            )
            follower.start(name)
            return OctaJobRun(self.credentials, follower)

    async def atrigger(
        self, key: str | None = None, *, outlives_flow: bool = False, on_event: OnEvent | None = None
    ) -> OctaJobRun:
        """As `trigger`, for coroutines; a run that nobody got, since its coroutine was cancelled, is stopped.

        Args:
            key: names the job within the flow run, where two that look the same are not.
            outlives_flow: let it run on when its flow run has ended.
            on_event: as of `trigger`; called in a thread, not on the event loop.

        Returns:
            The run, which is followed already.

        Raises:
            OctaNoMachineError, OctaBudgetError: nothing could be rented.
            OctaConfigError: a value that can't work, or, where it is needed, an SSH key that can't be read, or none.
        """
        trigger = partial(self.trigger, key, outlives_flow=outlives_flow, on_event=on_event)
        return await run_in_thread_or_undo(trigger, lambda run: run.stop())

    @awaitable_too
    def run(self, key: str | None = None, *, on_event: OnEvent | None = None) -> JobResult:
        """Trigger the job, wait for its end, and return what it came to. Its machine is stopped on every way out.

        Args:
            key: names the job within the flow run, where two that look the same are not.
            on_event: as of `trigger`.

        Returns:
            The core's result, always of a success.

        Raises:
            JobFailedError: it was no success; the error has the result.
            OctaNoMachineError, OctaBudgetError: nothing could be rented.
            OctaConfigError: a value that can't work, or, where it is needed, an SSH key that can't be read, or none.
            OctaCancelledError: the run is being ended; the machine was stopped.
            OctaStopError: the machine could not be stopped in time, and may still bill.
        """
        triggered = self.trigger(key, on_event=on_event)
        triggered.wait_for_completion()
        return triggered.fetch_result()

    async def arun(self, key: str | None = None, *, on_event: OnEvent | None = None) -> JobResult:
        """As `run`, for coroutines; when the coroutine is cancelled, the machine is stopped.

        Args:
            key: names the job within the flow run, where two that look the same are not.
            on_event: as of `atrigger`.

        Returns:
            The core's result, always of a success.

        Raises:
            JobFailedError: it was no success; the error has the result.
            OctaNoMachineError, OctaBudgetError: nothing could be rented.
            OctaConfigError: a value that can't work, or, where it is needed, an SSH key that can't be read, or none.
            OctaCancelledError: the run is being ended; the machine was stopped.
            OctaStopError: the machine could not be stopped in time, and may still bill.
        """
        triggered = await self.atrigger(key, on_event=on_event)
        await triggered.await_for_completion()
        return await triggered.afetch_result()

    def _followed(
        self, name: Hashable, spec: JobSpec, lifetime: Lifetime, on_event: OnEvent | None
    ) -> JobFollower | None:
        """Who follows the job in this process, since an earlier try of this run triggered it."""
        follower = follower_of(name)
        if follower is None or follower.spec.fingerprint != spec.fingerprint:
            return None
        if not follower.carry_on(lifetime, on_event):
            # It is being ended: what is started anew must not be taken for it.
            follower.wait(ENDING_S)
            return None
        state = follower.state
        self.logger.info("Carrying on with session %s, rental key %s", state.rental.uuid, state.key)
        return follower

    def _name(self, key: str | None) -> str:
        """What the job is called: by the work, since many jobs have the same image."""
        named = self.name or self._block_document_name
        if named and key:
            return f"{named} {key}"
        return named or key or flow_name_here() or Path(self.image.partition(":")[0]).name or self.app


def _local(path: str) -> str:
    # A slash at the end, which a Path does not keep, has a meaning.
    return str(Path(path).expanduser()) + ("/" if path.endswith("/") else "")
