"""`octa-provider machines`: what is on offer, and why the rest does not fit."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from octa_provider.cli.options.connection import add_connection_options, open_client, tell
from octa_provider.cli.options.requirements import add_requirement_options, requirements_of
from octa_provider.cli.output.listing import add_json_option, print_json, print_table
from octa_provider.market.ranking import rank, rank_vpn
from octa_provider.text.quantities import counted

if TYPE_CHECKING:
    from octa_provider.models import Machine, Records, VpnMachine

_MIB_OF_GB = 10**9 / 1024**2

EXAMPLES = """examples:
  octa-provider machines
  octa-provider machines --gpu-model 4090 --max-price-usd 0.6 --order-by score_per_usd
  octa-provider machines --service vpn --country DE --json
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "machines",
        help="list the machines on offer",
        description="List the machines on offer that fit, best first. Exit status 1 when none does, with the reasons.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "--service",
        choices=("mr", "render", "vpn"),
        default="mr",
        help="mr: machines for any image; render: render workers; vpn: exits (default: %(default)s)",
    )
    add_json_option(parser)
    add_requirement_options(parser)
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List machines. Returns 1 when none fits."""
    requirements = requirements_of(arguments)
    with open_client(arguments) as octa:
        if arguments.service == "vpn":
            exits = octa.services.vpn.available()
            _tell_odd(exits)
            _print(arguments, rank_vpn(exits, requirements), _VPN_COLUMNS, _vpn_row)
            return 0
        service = octa.services.mr if arguments.service == "mr" else octa.services.render
        machines = service.available()
    _tell_odd(machines)
    ranking = rank(machines, requirements)
    if arguments.json or ranking.machines:
        _print(arguments, ranking.machines, _COLUMNS, _row)
    if not ranking.machines:
        tell(f"octa-provider: {ranking.explain()}")
        return 1
    return 0


_COLUMNS = (">node", "GPUs", ">each GB", ">cores", ">RAM GB", ">disk GB", "in", ">Blender", ">rating", ">USD/h")
_VPN_COLUMNS = (">node", "in", "city", "residential", ">down Mbit/s", ">up Mbit/s", ">USD/GB")


def _row(machine: Machine) -> Sequence[object]:
    reliability = machine.reliability
    return (
        machine.node_id,
        f"{machine.gpu_count} x {_short(machine.gpu_model)}" if machine.gpus else None,
        _divided(machine.gpu_memory_mb, _MIB_OF_GB),
        machine.cpu_cores,
        _divided(machine.memory_bytes, 10**9),
        _divided(machine.free_disk_bytes, 10**9),
        machine.country_iso or machine.country,
        _divided(machine.blender_score, 1),
        None if reliability is None or reliability.score is None else f"{reliability.score:.1f}",
        None if machine.price_usd is None else f"{machine.price_usd:.3f}",
    )


def _vpn_row(machine: VpnMachine) -> Sequence[object]:
    price = machine.traffic_price_usd
    return (
        machine.node_id,
        machine.country_iso or machine.country,
        machine.city,
        {True: "yes", False: "no", None: None}[machine.residential],
        _divided(machine.net_down_mbps, 1),
        _divided(machine.net_up_mbps, 1),
        None if price is None else f"{price:.4f}",
    )


def _short(model: str | None) -> str:
    """A card's name without what every card of its maker begins with."""
    return (model or "unknown").removeprefix("NVIDIA ").removeprefix("GeForce ")


def _divided(value: float | None, unit: float) -> str | None:
    return None if value is None else f"{value / unit:.0f}"


def _print(arguments: argparse.Namespace, machines: Sequence[Any], columns: Sequence[str], row: Any) -> None:
    if arguments.json:
        print_json(machines)
    else:
        print_table(columns, [row(machine) for machine in machines])


def _tell_odd(machines: Records[Any]) -> None:
    if machines.odd:
        tell(f"octa-provider: {counted(len(machines.odd), 'machine')} can't be read, and left out")
