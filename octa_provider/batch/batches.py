"""`client.batches`: an animation over many rented machines, from the quote to the last frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octa_provider.batch.batch import Batch
from octa_provider.batch.batch_quote import BatchQuote
from octa_provider.batch.estimate import SceneEstimate
from octa_provider.batch.folder.batch_folder import BatchFolder
from octa_provider.batch.folder.batch_record import recorded
from octa_provider.batch.folder.fingerprint import fingerprint_of
from octa_provider.batch.folder.status import BatchStatus, status
from octa_provider.batch.plan import Plan
from octa_provider.batch.renderers.local_preflight import local_preflight
from octa_provider.batch.renderers.preflight import Preflight
from octa_provider.batch.result import BatchResult
from octa_provider.batch.run.batch_run import BatchRun
from octa_provider.batch.run.machine_wait import MachineWait
from octa_provider.batch.run.market import Market, scene_of
from octa_provider.batch.run.parts import BatchParts, Pacing
from octa_provider.batch.run.pausing import checked_pause_s
from octa_provider.batch.run.quote import chosen_line
from octa_provider.batch.run.stopping import stop_batch, tell_left_after
from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.files.local_files import LocalTree
from octa_provider.remote.target import check_key, ssh_key
from octa_provider.render.frames import parse
from octa_provider.rental.key import split_namespace
from octa_provider.rental.rentals import Rentals
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.batch.events import OnEvent
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.terms import Bill

__all__ = ["Batches"]

log = plain_logger("octa_provider.batch")


class Batches:
    """`client.batches`: quotes, renders and resumes.

    Args:
        api: the API.
        rentals: what starts and stops on it.
    """

    def __init__(self, api: RentalApi, rentals: Rentals) -> None:
        self._api = api
        self._rentals = rentals

    def plan(
        self,
        batch: Batch,
        scene: SceneEstimate | None = None,
        *,
        is_cancelled: Callable[[], bool] = lambda: False,
        on_waiting: Callable[[str], object] = log.info,
    ) -> Plan:
        """What a batch would cost, and when it would be done. Spends nothing, and changes nothing.

        Args:
            batch: what is to be rendered; with `wait_for_machine_s` it is waited while no machine fits.
            scene: what is known of the work; when left out, what was measured before into the output folder, else
                `Batch.seconds_per_frame`.
            is_cancelled: asked again and again while it waits.
            on_waiting: told that it waits, and why, and that it goes on; the log when left out.

        Raises:
            OctaConfigError: nothing tells what a frame takes.
            OctaNoMachineError: it has waited, and still no machine fits; without a wait the plan says why.
            OctaCancelledError: `is_cancelled` said yes.
            OctaError: the API can't be reached, or refused the key.
        """
        told = self._told(batch)
        if scene is None:
            size = LocalTree.at(batch.scene_path).size
            missing = len(_missing(batch, told))
            scene = scene_of(batch, max(1, missing), size, None if told is None else told.measured)
        if scene is None:
            raise OctaConfigError(
                "nothing tells what a frame takes: say so (seconds_per_frame, --seconds-per-frame), or have it "
                "measured (--measure with --output)"
            )
        # Where nothing is missing, nothing is waited for.
        is_missing = told is None or _missing(batch, told)
        market = self._on_offer(batch, is_cancelled, on_waiting) if is_missing else Market.of(self._api, batch)
        return market.plan(
            scene,
            left_s=batch.finish_within_s,
            longest_s=batch.max_duration_s,
            budget_usd=batch.max_cost_usd,
            spent_wei=0 if told is None else told.spent_wei,
            measured={},
        )

    def quote(
        self,
        batch: Batch,
        *,
        is_cancelled: Callable[[], bool] = lambda: False,
        on_waiting: Callable[[str], object] = log.info,
    ) -> BatchQuote:
        """What a person is asked to approve: the plan as a small value. Spends nothing.

        Args:
            batch: what is to be rendered; what was rendered into its output folder before is left out.
            is_cancelled, on_waiting: as of `plan`.

        Raises:
            OctaConfigError: nothing tells what a frame takes: measure it first, or say so (`seconds_per_frame`).
            OctaPlanError: no plan meets the deadline or the budget.
            OctaNoMachineError: no machine fits.
            OctaCancelledError: `is_cancelled` said yes.
            OctaError: the API can't be reached, or refused the key.
        """
        told = self._told(batch)
        fingerprint = fingerprint_of(batch.scene_path, batch.main_file, batch.renderer)
        spent_wei, now = 0 if told is None else told.spent_wei, self._api.clock.time()
        if not _missing(batch, told):
            return BatchQuote.of_nothing(fingerprint=fingerprint, spent_wei=spent_wei, now=now)
        plan = self.plan(batch, is_cancelled=is_cancelled, on_waiting=on_waiting)
        return BatchQuote.of(plan, chosen_line(plan), fingerprint=fingerprint, spent_wei=spent_wei, now=now)

    def inspect(self, batch: Batch, *, blender: str = "blender") -> Preflight:
        """What the scene says of itself, asked with a renderer of this computer. Nothing is rented.

        Args:
            batch: what is to be rendered.
            blender: the command that starts Blender here.

        Raises:
            OctaConfigError: the renderer can't be asked, or there is no such command.
        """
        return local_preflight(batch.renderer, batch.scene_path, batch.main_file, blender=blender)

    def measure(
        self,
        batch: Batch,
        key: str,
        *,
        private_key: str | Path | None = None,
        on_event: OnEvent | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        pacing: Pacing | None = None,
    ) -> Plan:
        """Rent one machine, ask the scene, render the first, the middle and the last frame, and plan with that.

        The frames are kept where they are whole, and what was measured too: a run afterwards begins with both.

        Args:
            batch: what is to be rendered.
            key: the rental key of the whole.
            private_key: for SSH, as in `Jobs.run`.
            on_event: told what happens.
            is_cancelled: asked again and again; when it says yes the machine is stopped.
            pacing: how often is looked.

        Raises:
            OctaSceneError: the scene can't be rendered.
            OctaCancelledError: `is_cancelled` said yes.
            OctaError: the API or this computer stood in the way. No session of the batch runs.
        """
        with self._parts(batch, key, private_key, pacing) as parts:
            run = BatchRun(parts, on_event=on_event, approve=lambda plan: True, is_cancelled=is_cancelled)
            return run.measure()

    def run(
        self,
        batch: Batch,
        key: str,
        *,
        private_key: str | Path | None = None,
        on_event: OnEvent | None = None,
        approve: Callable[[Plan], bool] = lambda plan: True,
        quote: BatchQuote | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        pacing: Pacing | None = None,
        pause_s: float | None = None,
    ) -> BatchResult:
        """Render the frames that are missing, and return when no session of the batch runs (or paused, see below).

        What an earlier run has rendered is kept, what it has left running is gone on with. When nothing is missing,
        nothing is rented.

        Args:
            batch: what is to be rendered.
            key: the rental key of the whole, with which each machine's begins. What an earlier run under another key
                has left running is stopped.
            private_key: for SSH, as in `Jobs.run`.
            on_event: told what happens; what it raises ends the run, with all sessions stopped.
            approve: told the plan once, before machines are rented; where nothing told what a frame takes, when one
                machine has measured it, which waits and bills meanwhile. False ends the run as cancelled.
            quote: what was approved before: the batch never costs more than its "at most", and nothing is rented where
                today's market can't keep it, or the scene changed since.
            is_cancelled: asked again and again; when it says yes the run ends as cancelled.
            pacing: how often is looked.
            pause_s: return as paused, with the machines rendering on and billing, where nothing is to be decided for
                this many seconds; None never does. The same call goes on: make it `wake_after_s` later, at the latest.
                Nobody else ends such machines: see `stop`.

        Returns:
            How it ended. An incomplete batch is a result, no error.

        Raises:
            OctaConfigError: something can't work; nothing was rented.
            OctaNoMachineError: nothing fits, or all that fit refused.
            OctaPlanError: no plan meets the deadline, the budget or the quote; nothing was rented.
            OctaLocalFileError: this computer's disk or folder refused.
            OctaStopError: a session could not be stopped; says which, and how to stop it.
            OctaError: the API could not be reached, or refused the key.
        """
        pause_s = checked_pause_s(pause_s)
        with self._parts(batch, key, private_key, pacing, quote) as parts:
            run = BatchRun(parts, on_event=on_event, approve=approve, is_cancelled=is_cancelled, pause_s=pause_s)
            return run.run()

    def resume(self, output: str | Path, **options: Any) -> BatchResult:
        """Go on with the batch of an output folder, which knows the rest.

        Args:
            output: the folder.
            options: arguments of `run`, and those of `Batch` that are to be others now, such as `max_cost_usd`.

        Raises:
            OctaConfigError: no batch has been rendered into it, or as `run`.
            OctaError: as `run`.
        """
        record = recorded(output)
        changes = {name: options.pop(name) for name in list(options) if name in Batch.__dataclass_fields__}
        return self.run(record.batch(Path(output), changes), record.key, **options)

    def stop(self, output: str | Path, *, deadline_s: float = 300.0) -> dict[str, Bill]:
        """Stop every machine of an output folder's batch for certain, such as those that a paused run has left.

        Whoever renders into the folder at the moment is not waited for: their run goes on, and may rent others.

        Args:
            output: the folder.
            deadline_s: seconds to try for.

        Returns:
            What each came to, by its session.

        Raises:
            OctaConfigError: no batch has been rendered into it.
            OctaStopError: a session could not be stopped; says which, and how to stop it.
            OctaError: the API could not be reached, or refused the key.
        """
        return stop_batch(self._api, self._rentals, Path(output), deadline_s=deadline_s)

    def status(self, output: str | Path) -> BatchStatus:
        """How far the batch of an output folder is. No network, and nothing is changed.

        Args:
            output: the folder.

        Raises:
            OctaConfigError: no batch has been rendered into it.
        """
        return status(Path(output))

    def _on_offer(self, batch: Batch, is_cancelled: Callable[[], bool], on_waiting: Callable[[str], object]) -> Market:
        """What is on offer; of a batch that waits for machines, once there is one that fits."""
        market = Market.of(self._api, batch)
        if not batch.wait_for_machine_s or market.ranking.machines:
            return market
        wait = MachineWait(
            self._api, batch, is_cancelled, lambda reason: on_waiting(f"waiting for a machine: {reason}")
        )
        market = wait.until_on_offer(market.ranking.error())
        wait.ends()
        return market

    def _told(self, batch: Batch) -> BatchStatus | None:
        """What earlier runs of the same batch have left; None where there were none."""
        try:
            told = status(batch.output_path)
        except OctaConfigError:
            return None
        return told if told.fingerprint == fingerprint_of(batch.scene_path, batch.main_file, batch.renderer) else None

    @contextmanager
    def _parts(
        self,
        batch: Batch,
        key: str,
        private_key: str | Path | None,
        pacing: Pacing | None,
        quote: BatchQuote | None = None,
    ) -> Iterator[BatchParts]:
        """Everything that can be refused before any money is spent."""
        try:
            check_key(ssh_key(private_key))
            main = batch.main_file
            tree = LocalTree.at(batch.scene_path)
            fingerprint = fingerprint_of(batch.scene_path, main, batch.renderer)
            whole = self._rentals.full_key(key)
            opened = BatchFolder.open(batch, fingerprint, split_namespace(whole, self._api.namespace) or key)
        except OctaError as error:
            tell_left_after(error, self._api, self._rentals, batch.output_path)
            raise
        with opened as folder:
            yield BatchParts(
                api=self._api,
                rentals=self._rentals,
                batch=batch,
                folder=folder,
                tree=tree,
                main=main,
                key=folder.key,
                fingerprint=fingerprint,
                private_key=private_key,
                pacing=pacing or Pacing(),
                quote=quote,
            )


def _missing(batch: Batch, told: BatchStatus | None) -> list[int]:
    """The frames that are asked for and not there, as an earlier run has left them."""
    done = set() if told is None else {*parse(told.asked)} - {*(parse(told.missing) if told.missing else ())}
    return [number for number in batch.numbers if number not in done]
