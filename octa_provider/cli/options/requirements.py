"""Which machine: each field of `Requirements` as an option."""

from __future__ import annotations

import argparse
from dataclasses import fields

from octa_provider.cli.options.numbers import nodes, number, whole_number
from octa_provider.cli.options.parser import add_renamed
from octa_provider.market.requirements import ORDERS, Requirements


def add_requirement_options(parser: argparse.ArgumentParser, *, disk: bool = True) -> None:
    """Give a parser the options; `requirements_of` reads them.

    Args:
        parser: gets them.
        disk: whether `--disk-gb` is one of them.
    """
    group = parser.add_argument_group("which machine")
    add = group.add_argument
    add("--node-id", type=whole_number, metavar="ID", help="this machine and no other")
    add(
        "--gpu-model",
        action="append",
        metavar="TEXT",
        help="part of the GPU's name, in any case: 4090; given several times, one of them will do",
    )
    add("--gpu-count", type=whole_number, metavar="N", help="at least so many GPUs (of that model)")
    add("--gpu-memory-gb", type=number, metavar="GB", help="at least so much memory on each GPU")
    add("--cpu-cores", type=whole_number, metavar="N", help="at least so many cores")
    add("--memory-gb", type=number, metavar="GB", help="at least so much main memory")
    if disk:
        add_renamed(group, "--disk-gb", "--disk", type=number, metavar="GB", help="at least so much free disk")
    add("--max-price-usd", type=number, metavar="USD", help="at most so much per hour")
    add("--country", action="append", metavar="NAME", help="ISO code or name; given several times, one of them will do")
    add("--min-blender-score", type=number, metavar="SCORE", help="at least so fast in Blender's benchmark")
    add("--min-reliability", type=number, metavar="PERCENT", help="at least so many sessions ended as they should")
    add(
        "--exclude-nodes",
        type=nodes,
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
