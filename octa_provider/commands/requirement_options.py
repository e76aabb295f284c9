"""Which machine: each field of `Requirements` as an option."""

from __future__ import annotations

import argparse
from dataclasses import fields

from octa_provider.marketplace import ORDERS, Requirements


def add_requirement_options(parser: argparse.ArgumentParser, *, disk_gb: bool = True) -> None:
    """Give a parser the options; `requirements_of` reads them.

    Args:
        parser: gets them.
        disk_gb: whether `--disk-gb` is one of them.
    """
    add = parser.add_argument_group("which machine").add_argument
    add("--node-id", type=int, metavar="ID", help="this machine and no other")
    add("--gpu-model", metavar="TEXT", help="part of the GPU's name, in any case: 4090")
    add("--gpu-count", type=int, metavar="N", help="at least so many GPUs (of that model)")
    add("--gpu-memory-gb", type=float, metavar="GB", help="at least so much memory on each GPU")
    add("--cpu-cores", type=int, metavar="N", help="at least so many cores")
    add("--memory-gb", type=float, metavar="GB", help="at least so much main memory")
    if disk_gb:
        add("--disk-gb", type=float, metavar="GB", help="at least so much free disk")
    add("--max-price-usd", type=float, metavar="USD", help="at most so much per hour")
    add("--country", metavar="NAME", help="ISO code or name")
    add("--min-blender-score", type=float, metavar="SCORE", help="at least so fast in Blender's benchmark")
    add("--min-reliability", type=float, metavar="PERCENT", help="at least so many sessions ended as they should")
    add(
        "--exclude-nodes",
        type=_nodes,
        action="extend",
        metavar="ID,ID",
        help="machines not to take; can be given several times",
    )
    add("--order-by", choices=ORDERS, default=ORDERS[0], help="which one comes first (default: %(default)s)")


def requirements_of(arguments: argparse.Namespace, **more: object) -> Requirements:
    """What the options ask for; OctaConfigError when no machine could meet it."""
    given = {field.name: getattr(arguments, field.name, None) for field in fields(Requirements)}
    given.update(more)
    return Requirements.from_mapping({name: value for name, value in given.items() if value is not None})


def _nodes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of node ids, such as 12,15") from None
