"""`octa-provider plan`: what a batch would cost, before anything is rented."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from octa_provider.cli.options.batch_parts import add_batch_options, batch_of
from octa_provider.cli.options.connection import add_connection_options, open_client, tell
from octa_provider.cli.options.new_key import new_key
from octa_provider.cli.options.ssh_login import add_ssh_key_option, check_ssh_login
from octa_provider.cli.output.batch_display import BatchDisplay
from octa_provider.cli.output.listing import add_json_option, plain, print_json
from octa_provider.cli.output.plan_text import print_plan
from octa_provider.cli.output.shell_words import worded
from octa_provider.cli.output.stop_notice import StopNotice
from octa_provider.cli.output.wording import shown_text
from octa_provider.errors import OctaCancelledError, OctaConfigError

if TYPE_CHECKING:
    from octa_provider.batch.batch import Batch
    from octa_provider.batch.plan import Plan
    from octa_provider.batch.renderers.preflight import Preflight
    from octa_provider.client import OctaClient

NOT_MET = 4
SCENE_ERROR = 5

EXAMPLES = """examples:
  octa-provider plan shot.blend --frames 1-240 --seconds-per-frame 90
  octa-provider plan shot.blend --frames 1-240 --seconds-per-frame 90 --by 18:00 --max-cost-usd 5 --max-machines 20
  octa-provider plan shot.blend --frames 1-240 --measure --output out --ssh-key ~/.ssh/id_ed25519
  octa-provider plan shots --main 010/shot.blend --frames 1-240 --seconds-per-frame 90 --blender blender

It spends nothing, unless --measure rents one machine, which is stopped at the end. SCENE is a file, or a folder with
all that the scene needs. Exit status 0, 4 when deadline or budget can't be met, 5 when --blender finds it broken.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "plan",
        help="what rendering an animation over many machines would cost; spends nothing",
        usage="octa-provider plan SCENE --frames RANGE [options]",
        description="Say which machines would render an animation, what that costs and when it ends: the cheapest way, "
        "the cheapest by a deadline, the fastest for a budget. Spends nothing.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("scene", metavar="SCENE", help="the scene's file, or the folder with it and all that it needs")
    add("--output", metavar="OUT", help="the folder that gets the frames: those that are there are left out")
    add(
        "--measure",
        action="store_true",
        help="rent one machine and render the first, last and middle frame, kept in OUT; needs --output",
    )
    add("--blender", metavar="PATH", help="a Blender here that is asked first what the scene lacks")
    add_batch_options(parser)
    add_ssh_key_option(parser)
    add_json_option(parser)
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan. Returns 4 when what was asked for can't be met, 5 when the scene is broken."""
    batch = batch_of(arguments)
    if arguments.measure and not arguments.output:
        raise OctaConfigError("--measure keeps the frames that it renders: say where, with --output OUT")
    if arguments.measure:
        check_ssh_login(arguments)
    with open_client(arguments) as octa:
        preflight = None
        if arguments.blender:
            preflight = octa.batches.inspect(batch, blender=arguments.blender)
            if preflight.problems:
                return _broken(arguments, preflight)
        plan = _measured(arguments, octa, batch) if arguments.measure else octa.batches.plan(batch, on_waiting=tell)
    if plan is None:
        return SCENE_ERROR
    if arguments.json:
        value = plain(plan)
        print_json(value if preflight is None else {**value, "preflight": plain(preflight)})
    else:
        if preflight is not None:
            for warning in preflight.warnings:
                tell(f"hint: {shown_text(warning)}")
        print_plan(plan)
    return 0 if plan.chosen is not None else NOT_MET


def _measured(arguments: argparse.Namespace, octa: OctaClient, batch: Batch) -> Plan | None:
    from octa_provider.errors import OctaSceneError
    from octa_provider.rental.clean_up import stop_signals_raise

    key = new_key()
    with StopNotice() as notice, stop_signals_raise():
        tell(f"rental key: {octa.rentals.full_key(key)}")
        with BatchDisplay(sys.stderr) as display:
            notice.show = display.notice
            try:
                return octa.batches.measure(
                    batch,
                    key,
                    private_key=arguments.ssh_key,
                    on_event=display.event,
                    is_cancelled=lambda: not display.has_reader,
                )
            except OctaCancelledError:
                raise BrokenPipeError from None
            except OctaSceneError as error:
                tell(f"octa-provider: {worded(arguments, str(error))}")
                return None


def _broken(arguments: argparse.Namespace, preflight: Preflight) -> int:
    if arguments.json:
        print_json({"preflight": plain(preflight)})
    for problem in preflight.problems:
        tell(f"octa-provider: {shown_text(problem)}")
    return SCENE_ERROR
