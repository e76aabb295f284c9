"""`octa-provider render`: an animation over many machines, asked for once, with the number."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, TextIO

from octa_provider.batch.result import BatchOutcome, BatchResult
from octa_provider.cli.options.batch_parts import add_batch_options, batch_of, changes_of
from octa_provider.cli.options.connection import add_connection_options, open_client, tell
from octa_provider.cli.options.durations import positive_seconds
from octa_provider.cli.options.new_key import new_key
from octa_provider.cli.options.payer import add_payer_options
from octa_provider.cli.options.ssh_login import add_ssh_key_option, check_ssh_login
from octa_provider.cli.output.batch_display import BatchDisplay
from octa_provider.cli.output.listing import print_json
from octa_provider.cli.output.question import ask, can_ask
from octa_provider.cli.output.resume_command import resume_command
from octa_provider.cli.output.shell_words import worded
from octa_provider.cli.output.stop_notice import StopNotice
from octa_provider.cli.output.wording import shown_cost, shown_text
from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.rental.clean_up import stop_signals_raise
from octa_provider.rental.key import checked_key
from octa_provider.text.quantities import counted, shown_duration, shown_usd

if TYPE_CHECKING:
    from octa_provider.batch.batch import Batch
    from octa_provider.batch.plan import Plan
    from octa_provider.client import OctaClient

STATUS = {
    BatchOutcome.WHOLE: 0,
    BatchOutcome.LATE: 0,
    BatchOutcome.INCOMPLETE: 3,
    BatchOutcome.OVER_BUDGET: 4,
    BatchOutcome.SCENE_ERROR: 5,
    BatchOutcome.CANCELLED: 1,
}
#: A machine that has measured waits for the answer, and costs: not the whole night.
ANSWER_WITHIN_S = 600.0
#: More frames with reasons of their own are counted.
MOST_REASONS = 10

EXAMPLES = """examples:
  octa-provider render shot.blend --frames 1-240 --output out
  octa-provider render shot.blend --frames 1-240 --output out --by 18:00 --max-cost-usd 5 --yes
  octa-provider render shots --main 010/shot.blend --frames 1001-1100x10 --output out --gpu-memory-gb 16
  octa-provider render --resume out
  octa-provider render glass.pov --frames 1-90 --output out --image povray:3.7 \\
      --command 'povray +I{scene} +O{output}/glass_{frame:04d}.png +K{frame} -D' --file glass_{frame:04d}.png

Only frames that are missing are rendered. It asks once, with the number; --yes answers. Exit status 0 when every frame
is there and whole, 3 when some are missing, 4 when the budget was reached or no plan meets what is asked for, 5 when
the scene can't be rendered, 130 after Ctrl-C. Machines are stopped on every way out; start it with nohup to let it go
on. Should this machine lose power, run --resume OUT: what still runs is found again.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "render",
        help="render an animation over many machines; asks once, with the number",
        usage="octa-provider render SCENE --frames RANGE --output OUT [options]\n"
        "       octa-provider render --resume OUT [options]",
        description="Render an animation over many rented machines. A frame counts when its picture was checked.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("scene", nargs="?", metavar="SCENE", help="the scene's file, or the folder with it and all that it needs")
    add("--output", metavar="OUT", help="the folder that gets the frames; made when missing")
    add("--resume", metavar="OUT", help="go on with the batch of this folder; needs nothing else")
    add("--yes", action="store_true", help="rent without asking")
    add(
        "--poll",
        type=positive_seconds,
        default=2.0,
        metavar="DURATION",
        help="between two looks at a machine (default: 2s)",
    )
    add("--key", help="rental key of a new batch (default: a new one)")
    add("--json", action="store_true", help="print the result as JSON; everything else goes to standard error")
    add_batch_options(parser)
    add_ssh_key_option(parser)
    add_payer_options(parser)
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Render the batch. Returns how it ended, as in `STATUS`."""
    changes, batch = _asked(arguments)
    check_ssh_login(arguments)
    if not arguments.yes and not can_ask():
        raise OctaConfigError(
            "nobody can be asked, as there is no terminal: add --yes to rent without a question, and --max-cost-usd "
            "for a limit"
        )
    # From here to the end, so that whatever comes when, the exit status says it: 128 and the signal's number.
    with StopNotice("the machines") as notice, stop_signals_raise():
        approval = _Approval(is_given=arguments.yes)
        result = _run_batch(arguments, batch, changes, approval, notice)
        if result is None:
            return STATUS[BatchOutcome.OVER_BUDGET]
        if arguments.json:
            print_json(result.to_dict())
        _tell_result(arguments, result, sys.stderr if arguments.json else sys.stdout)
        return STATUS[result.outcome]


def _asked(arguments: argparse.Namespace) -> tuple[dict[str, Any], Batch | None]:
    """What a resume changes, or the new batch."""
    if arguments.resume is not None:
        changes = changes_of(arguments)
        if arguments.key is not None:
            raise OctaConfigError("--resume OUT knows --key: leave it out, or render without --resume")
        return changes, None
    if arguments.scene is None:
        raise OctaConfigError(
            "say what to render, as in: octa-provider render shot.blend --frames 1-240 --output out; "
            "or which folder goes on: octa-provider render --resume out"
        )
    if not arguments.output:
        raise OctaConfigError("say which folder gets the frames: --output OUT")
    arguments.key = _key_of_folder(arguments.output) if arguments.key is None else checked_key(arguments.key)
    return {}, batch_of(arguments)


def _key_of_folder(output: str) -> str:
    """The key of the batch that was begun there, so that machines it has left are gone on with; else a new one."""
    from octa_provider.batch.folder.batch_record import recorded

    try:
        return recorded(output).key
    except OctaError:
        # None was begun, or what lies there is told of by the run.
        return new_key()


class _Approval:
    """The one question.

    Args:
        is_given: whether it was answered on the command line.
    """

    def __init__(self, *, is_given: bool) -> None:
        self._is_given = is_given
        self.display: BatchDisplay | None = None

    def __call__(self, plan: Plan) -> bool:
        """Whether the plan may be carried out."""
        from octa_provider.batch.batch_quote import QuoteOption

        line, display = plan.chosen, self.display
        if line is None or display is None:
            return False
        display.planned_usd = line.cost_usd.p50 or None
        text = QuoteOption.of(line).text(plan.frames)
        if self._is_given:
            display.line(text)
            return True
        waits = display.machines > 0
        with display.paused():
            if waits:
                tell("one machine has measured this, and waits for the answer, which costs")
            return ask(f"{text}. Rent", ANSWER_WITHIN_S if waits else None)


def _run_batch(
    arguments: argparse.Namespace,
    batch: Batch | None,
    changes: dict[str, Any],
    approval: _Approval,
    notice: StopNotice,
) -> BatchResult | None:
    from octa_provider.batch.run.parts import Pacing
    from octa_provider.errors import OctaPlanError

    with open_client(arguments) as octa, BatchDisplay(sys.stderr if arguments.json else sys.stdout) as display:
        notice.show = display.notice
        approval.display = display
        options: dict[str, Any] = {
            "private_key": arguments.ssh_key,
            "on_event": display.event,
            "approve": approval,
            "is_cancelled": lambda: not display.has_reader,
            "pacing": Pacing(poll_s=arguments.poll, quiet_s=min(arguments.poll, Pacing.quiet_s)),
        }
        try:
            if batch is None:
                result = octa.batches.resume(arguments.resume, **options, **changes)
            else:
                # At once, so that whatever happens from here on can be found again.
                tell(f"rental key: {octa.rentals.full_key(arguments.key)}")
                result = octa.batches.run(batch, arguments.key, **options)
        except OctaPlanError as error:
            tell(f"octa-provider: {worded(arguments, str(error))}")
            return None
        except (KeyboardInterrupt, SystemExit) as error:
            # What could not be stopped has been told of, and noted in the error.
            if not getattr(error, "__notes__", None):
                tell("none of the batch's machines runs any more")
            _tell_how_to_go_on(octa, arguments.resume or arguments.output)
            raise
        if not display.has_reader:
            tell("nobody reads the output any more; none of the batch's machines runs any more")
            raise BrokenPipeError
        return result


def _tell_how_to_go_on(octa: OctaClient, output: str) -> None:
    """How far a batch is that was interrupted, where it had begun."""
    try:
        told = octa.batches.status(output)
    except OctaError:
        return
    tell(f"{told.done} of {counted(told.frames, 'frame')} are there; go on with: {resume_command(told.output)}")


def _tell_result(arguments: argparse.Namespace, result: BatchResult, out: TextIO) -> None:
    def say(text: str) -> None:
        print(text, file=out, flush=True)

    say(
        f"{result.outcome.value}: {result.done} of {counted(result.frames, 'frame')} in {shown_text(result.output)}, "
        f"{result.rendered} rendered now by {counted(result.machines, 'machine')} in {shown_duration(result.seconds)}"
    )
    planned = result.planned_cost_usd
    beside = (
        ""
        if planned is None or not planned[0]
        else f"; planned {shown_usd(planned[0])} USD, nine times in ten under {shown_usd(planned[1])}"
    )
    say(f"cost of the batch: {shown_cost(result.cost_wei, result.cost_usd)}{beside}")
    if result.message:
        say(worded(arguments, result.message))
    if result.missing:
        say(f"missing: {result.missing}")
    reasons: dict[str, list[int]] = {}
    for number, why in (result.failed or {}).items():
        reasons.setdefault(why, []).append(number)
    for why, numbers in list(reasons.items())[:MOST_REASONS]:
        say(f"  {_range(numbers)}: {shown_text(why)}")
    if len(reasons) > MOST_REASONS:
        say(f"  and {len(reasons) - MOST_REASONS} other reasons")
    if result.missing and result.outcome is not BatchOutcome.SCENE_ERROR:
        say(f"go on with: {resume_command(result.output)}")


def _range(numbers: list[int]) -> str:
    from octa_provider.render.frames import Frames

    return str(Frames(tuple(sorted(numbers))))
