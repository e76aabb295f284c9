"""Quote, approve and render an animation on emulated machines, from an Airflow DAG or a Prefect flow: `make demo`.

Nothing is imitated but the marketplace: Airflow is Airflow (scheduler, API server, SQLite) and Prefect is Prefect, the
machines are processes on this computer that are reached over real SSH, and the frames come out of Blender. The market's
time runs ten times faster, so that start-ups of minutes are shown in seconds. In the middle one machine is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from demo.airflow_render import AirflowRender
from demo.bill import MachineBill, bill_table, machine_name, manifest_file, quote_table, read_bills, total_usd, usd_text
from demo.child_processes import Child, ChildProcesses, ProcessEndedError
from demo.contact_sheet import check_frames, write_contact_sheet
from demo.emulator_process import Emulator, EmulatorError, start_emulator
from demo.machine_killer import MachineKiller
from demo.market_clock import SPEED, closing_lines
from demo.orchestrator import Orchestrator, OrchestratorError, RenderOrder, State
from demo.prefect_render import PrefectRender
from demo.quoted import Quoted
from demo.render_progress import RenderProgress
from octa_provider.batch.folder.status import status
from octa_provider.errors import OctaConfigError

FRAMES = range(1, 25)
MACHINES = 3
SIZE = (320, 180)
#: What a frame takes, in the market's seconds: as it is told, and at least. So the batch is behind, and keeps three.
FRAME_S, LEAST_FRAME_S = 60.0, 75.0
#: For which three machines are planned.
WITHIN_MIN = 13.0
MAX_COST_USD = 1.0
#: So many frames are there when a machine is killed.
IN_THE_MIDDLE = 8
RUN_DEADLINE_S = 900.0
SCENE_DEADLINE_S = 120.0
REPOSITORY = Path(__file__).resolve().parents[1]

ORCHESTRATORS: dict[str, type[AirflowRender] | type[PrefectRender]] = {
    "airflow": AirflowRender,
    "prefect": PrefectRender,
}


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


@dataclass
class Outcome:
    """What came out of it.

    Attributes:
        bills: one a machine.
        problems: everything that is not as it must be; empty when the demo succeeded.
        whole: how many frames are there, and whole.
        quoted: what was approved.
        killed: the session of the machine that was killed; empty when none was.
        killed_name: how that machine is called.
        running: sessions still running, from the ledger.
    """

    bills: list[MachineBill] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    whole: int = 0
    quoted: Quoted | None = None
    killed: str = ""
    killed_name: str = ""
    running: int | None = None


class Demo:
    """One run of the demo, in a folder of its own.

    Args:
        console: where it tells what it does.
        output: the folder for all runs.
        blender_python: interpreter that has bpy; None uses an installed Blender.
        orchestrator: one of `ORCHESTRATORS`.
    """

    def __init__(self, console: Console, output: Path, blender_python: Path | None, orchestrator: str) -> None:
        self.console = console
        self.output = output
        self.blender_python = blender_python
        self.orchestrator = orchestrator
        self.folder = output / time.strftime("run-%Y%m%d-%H%M%S")
        self.scene = self.folder / "scene.blend"
        self.frames = self.folder / "render"
        self.logs = self.folder / "logs"
        self.sheet = output / "contact_sheet.png"
        self.gpus: dict[int, str] = {}

    def run(self, *, keep: bool) -> Outcome:
        """Do it all.

        Args:
            keep: leave the orchestrator up at the end, until Ctrl-C.

        Raises:
            DemoError, OrchestratorError, EmulatorError, ProcessEndedError: it cannot go on.
        """
        scene_command = self.scene_command()
        self.frames.mkdir(parents=True)
        self.logs.mkdir()
        log_to(self.logs / "demo.log")
        outcome = Outcome()
        # The emulator outlives the orchestrator: its ledger has the last word.
        with ChildProcesses() as machines:
            emulator = start_emulator(
                machines, self.folder / "emulator", self.blender_python, self.logs / "emulator.log"
            )
            self.gpus = emulator.gpus()
            offer = f"{len(self.gpus)} machines on offer; its time runs {SPEED:.0f} times faster"
            self.tell("emulator", f"{emulator.base_url}, {offer}")
            with ChildProcesses() as services:
                orchestrator: Orchestrator = ORCHESTRATORS[self.orchestrator](
                    services, emulator, self.folder, self.logs, closing_lines(time.time())
                )
                self.start(orchestrator, scene_command)
                try:
                    killer = MachineKiller(emulator, at_frames=IN_THE_MIDDLE, machines=MACHINES)
                    state = self.follow(orchestrator, killer, outcome)
                    self.collect(orchestrator, state, outcome)
                    if keep:
                        self.keep_up(orchestrator, services)
                finally:
                    with contextlib.suppress(OrchestratorError):
                        orchestrator.keep_logs()
            self.compare_with_ledger(outcome, emulator)
        self.check_frames(outcome)
        return outcome

    def start(self, orchestrator: Orchestrator, scene_command: Sequence[str | Path]) -> None:
        """Make the scene and start the orchestrator, at the same time."""
        started = time.monotonic()
        with ChildProcesses() as helpers:
            maker = helpers.start("the scene's maker", scene_command, self.logs / "scene.log", os.environ)
            with self.console.status(f"  making the scene, starting {orchestrator.name}"):
                orchestrator.start()
                self.wait_for_scene(maker)
        self.tell("scene", f"{len(FRAMES)} frames of {SIZE[0]}x{SIZE[1]}, {shown(self.scene)}")
        self.tell(orchestrator.name, f"{orchestrator.version()}, up in {time.monotonic() - started:.0f} s")

    def scene_command(self) -> Sequence[str | Path]:
        script = REPOSITORY / "demo" / "make_scene.py"
        arguments: list[str | Path] = [self.scene, "--frames", str(len(FRAMES)), "--size", *map(str, SIZE)]
        arguments += ["--samples", "8", "--least-s", str(LEAST_FRAME_S / SPEED)]
        if self.blender_python is not None:
            return [self.blender_python, script, *arguments]
        blender = shutil.which("blender")
        if blender is None:
            raise DemoError("There is no Blender here: run `make blender`, which says what to install.")
        return [blender, "-b", "--factory-startup", "--python-exit-code", "1", "--python", script, "--", *arguments]

    def wait_for_scene(self, maker: Child) -> None:
        try:
            exit_code = maker.process.wait(SCENE_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise DemoError(f"Making the scene takes too long: see {shown(maker.log)}") from None
        if exit_code or not self.scene.is_file():
            raise DemoError(f"Making the scene failed:\n{maker.log_tail()}")

    def follow(self, orchestrator: Orchestrator, killer: MachineKiller, outcome: Outcome) -> State:
        """Start the run, approve its quote, kill a machine, and show how far it is; returns the run's last state."""
        order = RenderOrder(self.scene, FRAMES, MACHINES, self.frames, FRAME_S, WITHIN_MIN, MAX_COST_USD)
        orchestrator.trigger(order)
        self.tell(orchestrator.noun, f"{orchestrator.pipeline}; {orchestrator.run_url()}")
        deadline = time.monotonic() + RUN_DEADLINE_S
        is_approved = False
        with RenderProgress(self.console, len(FRAMES)) as progress:
            while True:
                state = orchestrator.state()
                if not is_approved and (question := orchestrator.asked()) is not None:
                    self.tell("quote", question)
                    orchestrator.approve()
                    is_approved = True
                    self.tell("approved", f"by the demo, through {orchestrator.name}'s API, as a click does it")
                done = self.done()
                if is_approved and killer.look(done):
                    outcome.killed = killer.killed
                    outcome.killed_name = machine_name(killer.node_id, self.gpus.get(killer.node_id, ""))
                    self.tell("killed", f"{outcome.killed_name}, at {done} of {len(FRAMES)} frames")
                has_ended = state in ("succeeded", "failed")
                progress.show(done, state if has_ended else orchestrator.stage())
                if has_ended:
                    return state
                if time.monotonic() > deadline:
                    raise DemoError(f"The run did not end within {RUN_DEADLINE_S:.0f} s: see {shown(self.logs)}")
                time.sleep(0.5)

    def done(self) -> int:
        """How many frames the batch has accepted by now."""
        try:
            return status(self.frames).done
        except OctaConfigError:
            return 0  # it has not begun

    def collect(self, orchestrator: Orchestrator, state: State, outcome: Outcome) -> None:
        """Read what the run came to, and say what of it is not as it must be."""
        if state != "succeeded":
            outcome.problems.append(f"the {orchestrator.noun}'s run has {state}")
        outcome.problems += orchestrator.problems()
        outcome.bills = read_bills(self.frames, self.gpus)
        outcome.quoted = orchestrator.quoted()
        if outcome.quoted is None:
            outcome.problems.append("nobody knows what was quoted")
        elif (billed_usd := total_usd(outcome.bills)) is None or billed_usd > Decimal(str(outcome.quoted.most)):
            outcome.problems.append(f"billed: {usd_text(billed_usd)} USD; quoted: {outcome.quoted.most} at most")
        if not outcome.killed:
            outcome.problems.append("no machine was killed")
        elif not any(bill.uuid == outcome.killed for bill in outcome.bills):
            outcome.problems.append(f"{outcome.killed_name}, which was killed, is not on the bill")
        if len(outcome.bills) < MACHINES:
            outcome.problems.append(f"{len(outcome.bills)} of {MACHINES} machines are on the bill")
        billed = sorted(number for bill in outcome.bills for number in bill.frames)
        if billed != list(FRAMES):
            outcome.problems.append(f"the frames on the bill are {billed}")

    def compare_with_ledger(self, outcome: Outcome, emulator: Emulator) -> None:
        """What runs and what was billed is for the ledger to say, not for those who were to stop it."""
        ledger = emulator.ledger()
        outcome.running = int(ledger["running"])
        if outcome.running:
            outcome.problems.append(f"sessions that still run and bill: {outcome.running}")
        told = sum(bill.charge_wei for bill in outcome.bills)
        if told != int(ledger["billed_wei"]):
            outcome.problems.append(f"the bill says {told} wei, the ledger {ledger['billed_wei']}")

    def keep_up(self, orchestrator: Orchestrator, services: ChildProcesses) -> None:
        where = f"{orchestrator.name} stays up at {orchestrator.run_url()} until Ctrl-C"
        self.console.print(f"\n  {where}", highlight=False, soft_wrap=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                services.check()
                time.sleep(1)

    def check_frames(self, outcome: Outcome) -> None:
        """Check every frame, and write the contact sheet."""
        frames, problems = check_frames(self.frames, FRAMES, SIZE)
        outcome.problems += problems
        outcome.whole = len(frames)
        if frames:
            machines = {number: bill.name for bill in outcome.bills for number in bill.frames}
            name = ORCHESTRATORS[self.orchestrator].name
            heading = f"{len(frames)} frames by {len({*machines.values()})} machines in one {name} run"
            killed = f"; {outcome.killed_name} was killed in the middle" if outcome.killed else ""
            write_contact_sheet(self.sheet, frames, machines, heading + killed)

    def tell(self, what: str, text: str) -> None:
        self.console.print(f"  {what:<10} {text}", highlight=False, soft_wrap=True)

    def summarise(self, outcome: Outcome, seconds: float) -> None:
        """The end of what the user sees."""
        self.console.print()
        self.console.print(bill_table(outcome.bills, outcome.killed))
        if outcome.quoted is not None:
            self.console.print()
            self.console.print(quote_table(outcome.quoted, outcome.bills))
        self.console.print()
        self.tell("frames", f"{outcome.whole} of {len(FRAMES)} whole, in {shown(self.frames)}")
        self.tell("killed", outcome.killed_name or "no machine")
        self.tell("running", f"{outcome.running} sessions")
        self.tell("sheet", shown(self.sheet))
        self.tell("bill", shown(manifest_file(self.frames).with_name("cost.csv")))
        self.tell("logs", shown(self.logs))
        for problem in outcome.problems:
            self.console.print(f"  [red]wrong:[/red] {problem}", highlight=False, soft_wrap=True)
        self.console.print(f"  {'failed' if outcome.problems else 'done'} in {seconds:.0f} s", highlight=False)


def log_to(path: Path) -> None:
    """Put what the client logs, such as an odd record in the catalogue, where it does not disturb."""
    logger = logging.getLogger("octa_provider")
    logger.addHandler(logging.FileHandler(path))
    logger.propagate = False


def shown(path: Path) -> str:
    """A path as the user can paste it: from the current folder where it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def stop_like_ctrl_c(_number: int, _frame: object) -> None:
    """SIGTERM ends the demo as Ctrl-C does: with everything that it started."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Command line; the exit status is 0 when nothing is missing."""
    parser = argparse.ArgumentParser(prog="make demo", description="Quote, approve and render on emulated machines.")
    parser.add_argument("--orchestrator", choices=sorted(ORCHESTRATORS), default="airflow")
    parser.add_argument("--blender-python", type=Path, help="interpreter that has bpy")
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    parser.add_argument("--keep", action="store_true", help="leave the orchestrator up at the end, until Ctrl-C")
    options = parser.parse_args(arguments)
    console = Console()
    python = options.blender_python
    # Kept with its links: a virtual environment's interpreter is one. Made absolute: it is run from other folders.
    has_python = python is not None and python.exists()
    demo = Demo(console, options.output.absolute(), python.absolute() if has_python else None, options.orchestrator)
    chosen = ORCHESTRATORS[options.orchestrator]
    console.print(f"\nA Blender animation on rented machines, by {chosen.run_by}\n", style="bold")
    started = time.monotonic()
    before = signal.signal(signal.SIGTERM, stop_like_ctrl_c)
    try:
        outcome = demo.run(keep=options.keep)
    except KeyboardInterrupt:
        console.print("\n  stopped; everything that was started has ended", highlight=False)
        return 130
    except (DemoError, OrchestratorError, EmulatorError, ProcessEndedError) as error:
        console.print(f"\n  {error}\n  logs: {shown(demo.logs)}", style="red", highlight=False, markup=False)
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    demo.summarise(outcome, time.monotonic() - started)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
