"""`octa-provider run IMAGE -- COMMAND`: a job from a shell. Its exit status is the job's."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octa_provider.cli.options.connection import add_connection_options, open_client, tell
from octa_provider.cli.options.durations import positive_seconds, seconds
from octa_provider.cli.options.job_parts import (
    add_label_option,
    env,
    input_pair,
    labels_once,
    once,
    output_pair,
    secret_env,
)
from octa_provider.cli.options.new_key import new_key
from octa_provider.cli.options.numbers import number, whole_number
from octa_provider.cli.options.parser import add_renamed
from octa_provider.cli.options.payer import add_payer_options
from octa_provider.cli.options.requirements import add_requirement_options, requirements_of
from octa_provider.cli.output.listing import print_json
from octa_provider.cli.output.shell_words import worded
from octa_provider.cli.output.stop_notice import StopNotice
from octa_provider.cli.output.wording import shown_cost, shown_text
from octa_provider.errors import OctaCancelledError, OctaConfigError
from octa_provider.job.result import JobOutcome, JobResult
from octa_provider.job.spec import JobSpec
from octa_provider.job.spec_checks import VIAS
from octa_provider.remote.target import check_key, ssh_key
from octa_provider.rental.clean_up import stop_signals_raise
from octa_provider.rental.key import checked_key
from octa_provider.text.quantities import shown_duration

if TYPE_CHECKING:
    from octa_provider.job.state import JobState
    from octa_provider.render.progress import ProgressTracker

#: Of what the command returns; `--json` tells all of it.
SHOWN_VALUE_CHARS = 1000

EXAMPLES = """examples:
  octa-provider run ubuntu:24.04 -- nvidia-smi
  octa-provider run blender:4.5 --gpu-model 4090 --max-cost-usd 2 \\
      --input scene.blend:scene.blend --output frames:frames -- \\
      blender -b scene.blend -o //frames/#### -s 1 -e 24 -a
  octa-provider run python:3.12 --secret-env HF_TOKEN --timeout 20m --log out.log -- 'pip list; exit 3'

One word after -- is a shell command line; several are a command and its arguments. The session is stopped on every way
out: Ctrl-C, a closed terminal, a pipe that nobody reads any more. Start it with nohup to let it go on then. Should this
machine lose power, run the same --key again, or `octa-provider reap --prefix cli`.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "run",
        help="rent a machine, run a command to completion, stop the machine",
        usage="octa-provider run IMAGE [options] -- COMMAND...",
        description="Rent a machine, run a command on it to completion, fetch its files, stop the machine.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("image", metavar="IMAGE", help="container image, such as blender:4.5")
    add(
        "--env",
        type=env,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="environment variable; NAME alone takes its value from this shell. The API shows them to the account",
    )
    add(
        "--secret-env",
        type=secret_env,
        action="append",
        default=[],
        metavar="NAME",
        help="environment variable whose value, from this shell, goes to the machine over SSH alone, never to the API",
    )
    add_label_option(parser, "the session", "the machine's owner")
    add(
        "--input",
        type=input_pair,
        action="append",
        default=[],
        metavar="LOCAL:REMOTE",
        help="file or folder to send (SSH); a REMOTE of . or with / at its end is the folder for it",
    )
    add(
        "--output",
        type=output_pair,
        action="append",
        default=[],
        metavar="REMOTE:LOCAL",
        help="file or folder to fetch when the command has ended (SSH); LOCAL is read as scp would",
    )
    add(
        "--result-file",
        metavar="REMOTE",
        help="JSON file that the command writes into its folder (SSH): its value is told at the end, and by --json",
    )
    add(
        "--http-port",
        type=whole_number,
        action="append",
        default=[],
        metavar="PORT",
        help="port to publish as a URL while the command runs; anybody who has the URL can use it",
    )
    add(
        "--port",
        type=whole_number,
        action="append",
        default=[],
        metavar="PORT",
        help="TCP port to expose while the command runs",
    )
    add_renamed(
        *(parser, "--disk-gb", "--disk"),
        type=whole_number,
        metavar="GB",
        help="disk to rent, and to ask of the machine (default: 10)",
    )
    add("--timeout", type=positive_seconds, default=3600.0, metavar="DURATION", help="for the command (default: 1h)")
    add(
        "--ready-timeout",
        type=positive_seconds,
        default=900.0,
        metavar="DURATION",
        help="for the machine to come up (default: 15m)",
    )
    add(
        "--start-attempts",
        type=whole_number,
        default=1,
        metavar="N",
        help="machines to try, one after the other, when one does not come up in time (default: 1)",
    )
    add(
        "--keep-failed",
        type=seconds,
        metavar="SECONDS",
        help="keep the machine of a command that fails, for a look: it bills on, for so long at most where "
        "`octa-provider reap` is run (default: it is stopped)",
    )
    add(
        "--wait-for-machine",
        type=seconds,
        default=0.0,
        metavar="DURATION",
        help="wait so long for a machine when none fits or all are taken (default: fail at once)",
    )
    add_renamed(
        *(parser, "--max-cost-usd", "--max-cost"),
        type=number,
        metavar="USD",
        help="stop the job when it has cost so much",
    )
    add(
        "--max-duration",
        type=positive_seconds,
        metavar="DURATION",
        help="stop the job when its machine has run so long; refuse machines that the balance can't pay for that long",
    )
    add(
        "--entrypoint",
        default="",
        metavar="PROGRAM",
        help="the container's entrypoint: a program that runs what it is given",
    )
    add("--app", default="", metavar="UUID", help="an app of OctaSpace's; IMAGE may then be ''")
    add(
        "--via",
        choices=VIAS,
        default="auto",
        help="how to run it: ssh when there are files to move or secrets (default: auto)",
    )
    add("--key", help="rental key: the same key carries on with the same machine (default: a new one, printed)")
    add("--ssh-key", type=Path, metavar="PATH", help="private key file (default: OCTA_SSH_KEY_FILE, the agent, ~/.ssh)")
    add("--log", type=Path, metavar="FILE", help="also write the command's output here")
    add(
        "--tool",
        help="what the bar is read from: blender, or a pattern with the named groups percent, or done and total "
        "(default: Blender's lines, else any 12%% or 3/25)",
    )
    add(
        "--total",
        type=whole_number,
        metavar="N",
        help="how many frames or steps there are (default: told from -s, -e or -f)",
    )
    add(
        "--poll",
        type=positive_seconds,
        default=5.0,
        metavar="DURATION",
        help="between two looks at the job (default: 5s)",
    )
    add("--json", action="store_true", help="print the result as JSON; the command's output goes to standard error")
    add_requirement_options(parser, disk=False)
    add_payer_options(parser)
    add_connection_options(parser)
    parser.set_defaults(run=run, takes_command=True)


def run(arguments: argparse.Namespace) -> int:
    """Run the job. Returns its exit status; 1 when it has none."""
    if not arguments.job_command:
        raise OctaConfigError(
            "there is no command: put it after --, as in: octa-provider run ubuntu:24.04 -- nvidia-smi"
        )
    if not (arguments.image.strip() or arguments.app):
        raise OctaConfigError("IMAGE is empty: name a container image, as in: octa-provider run ubuntu:24.04 -- true")
    spec = _spec(arguments)
    _check(arguments, spec)
    tracker = _tracker(arguments, spec)
    lacks_total = _lacks_total(arguments, tracker, spec)
    if lacks_total:
        tell("hint: how many frames there are can't be told from this command, so there is no bar: add --total N")
    key = new_key() if arguments.key is None else checked_key(arguments.key)
    # From here to the end, so that whatever comes when, the exit status says it: 128 and the signal's number.
    with StopNotice() as notice, stop_signals_raise():
        result = _run_job(arguments, spec, tracker, key, notice)
        if tracker.fraction is None and not lacks_total and (arguments.total or arguments.tool):
            given = "--total" if arguments.total else "--tool"
            tell(f"hint: {given} had no effect: no line of the output told how far the job was; see --tool in the help")
        if arguments.json:
            print_json(result)
        _tell_result(arguments, result)
        return exit_status(result)


def _run_job(
    arguments: argparse.Namespace, spec: JobSpec, tracker: ProgressTracker, key: str, notice: StopNotice
) -> JobResult:
    from octa_provider.cli.output.published_ports import PublishedPorts
    from octa_provider.cli.output.run_display import RunDisplay

    with open_client(arguments) as octa:
        # At once, so that whatever happens from here on can be found again.
        tell(f"rental key: {octa.rentals.full_key(key)}")
        with RunDisplay(tracker, sys.stderr if arguments.json else sys.stdout) as display:
            notice.show = display.notice
            ports = PublishedPorts(octa, spec, display.told)

            def on_state(state: JobState) -> None:
                display.state(state)
                ports.state(state)

            try:
                return octa.jobs.run(
                    spec,
                    key,
                    private_key=arguments.ssh_key,
                    log_path=arguments.log,
                    on_line=display.line,
                    on_unfinished=display.unfinished,
                    on_state=on_state,
                    poll_s=arguments.poll,
                    on_transfer=display.transfer,
                    is_cancelled=lambda: not display.has_reader,
                    wait_for_machine_s=arguments.wait_for_machine,
                )
            except OctaCancelledError:
                tell(f"nobody reads the output any more; nothing of {key} runs any more")
                raise BrokenPipeError from None
            except (KeyboardInterrupt, SystemExit) as error:
                # What could not be stopped has been told of, and noted in the error.
                if not getattr(error, "__notes__", None):
                    tell(f"nothing of {key} runs any more")
                raise


def exit_status(result: JobResult) -> int:
    """The job's exit code, as far as a shell can take it; 1 for a job that left none, or failed with code 0."""
    if result.outcome is JobOutcome.SUCCEEDED:
        return 0
    code = result.exit_code
    return code if code is not None and 0 < code < 256 else 1


def _spec(arguments: argparse.Namespace) -> JobSpec:
    words = arguments.job_command
    return JobSpec(
        image=arguments.image,
        command=words[0] if len(words) == 1 else words,
        envs=dict(arguments.env),
        secret_envs=dict(arguments.secret_env),
        inputs=once(arguments.input, "--input"),
        outputs={str(remote): local for remote, local in once(arguments.output, "--output").items()},
        disk_gb=10 if arguments.disk_gb is None else arguments.disk_gb,
        requirements=requirements_of(arguments, disk_gb=arguments.disk_gb),
        timeout_s=arguments.timeout,
        ready_timeout_s=arguments.ready_timeout,
        via=arguments.via,
        ports=tuple(arguments.port),
        http_ports=tuple(arguments.http_port),
        max_cost_usd=arguments.max_cost_usd,
        max_duration_s=arguments.max_duration,
        entrypoint=arguments.entrypoint,
        app=arguments.app,
        start_attempts=arguments.start_attempts,
        result_file=arguments.result_file,
        keep_failed_s=arguments.keep_failed,
        labels=labels_once(arguments.label),
    )


def _check(arguments: argparse.Namespace, spec: JobSpec) -> None:
    """What would fail only once a machine is rented."""
    from octa_provider.files.local_files import expanded

    spec.check_inputs()
    spec.check_outputs()
    if arguments.ssh_key is not None and not expanded(arguments.ssh_key).is_file():
        raise OctaConfigError(f"the SSH key {arguments.ssh_key} is not a file")
    if spec.over_ssh and find_spec("asyncssh") is None:
        raise OctaConfigError("the job runs over SSH, which is not installed: pip install 'octa-provider[ssh]'")
    if spec.over_ssh:
        check_key(ssh_key(arguments.ssh_key))
    if arguments.log is not None and not arguments.log.absolute().parent.is_dir():
        raise OctaConfigError(f"{arguments.log.absolute().parent} is not a folder: make it first")
    if arguments.log is not None and arguments.log.is_dir():
        raise OctaConfigError(f"{arguments.log} is a folder: --log needs the name of a file")
    if spec.inputs and not spec.outputs:
        tell("hint: files are sent, and none is fetched: add --output for what the command writes, else it is lost")


def _tracker(arguments: argparse.Namespace, spec: JobSpec) -> ProgressTracker:
    from octa_provider.render.blender_frames import blender_frames
    from octa_provider.render.progress import ProgressTracker

    blender = "blender" in f"{spec.image} {spec.command_line}".lower()
    tool = arguments.tool or ("blender" if blender else None)
    total = arguments.total or (blender_frames(spec.command_line) if blender else None)
    return ProgressTracker(tool, total)


def _lacks_total(arguments: argparse.Namespace, tracker: ProgressTracker, spec: JobSpec) -> bool:
    """Whether Blender renders frames of which nobody knows how many there are."""
    from octa_provider.render.blender_frames import renders_frames

    if not tracker.counts_frames or tracker.total is not None:
        return False
    return arguments.tool is not None or renders_frames(spec.command_line)


def _tell_result(arguments: argparse.Namespace, result: JobResult) -> None:
    if result.message:
        tell(f"octa-provider: {worded(arguments, result.message)}")
    for path in result.outputs:
        tell(f"fetched {shown_text(path)}")
    if arguments.result_file is not None and result.succeeded:
        text = json.dumps(result.value, ensure_ascii=False)
        cut = "" if len(text) <= SHOWN_VALUE_CHARS else f"... ({len(text)} characters: see --json)"
        tell(f"returned {shown_text(text[:SHOWN_VALUE_CHARS])}{cut}")
    cost = shown_cost(result.cost_wei, result.cost_usd)
    tell(f"{result.outcome.value} on node {result.node_id}: {shown_duration(result.duration_s)}, {cost}")
    if result.kept_until is not None:
        from octa_provider.job.keeping import when_text
        from octa_provider.rental.stop import stop_command

        tell(
            f"it is kept and bills on, until {when_text(result.kept_until)} at most where `octa-provider reap` "
            f"is run. Stop it now: {stop_command([result.uuid])}"
        )
