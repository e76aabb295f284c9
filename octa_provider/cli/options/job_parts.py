"""What a job is given on a command line: environment variables, and pairs of paths."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from octa_provider.errors import OctaConfigError
from octa_provider.market.request_checks import is_env_name

__all__ = ["add_label_option", "env", "input_pair", "label", "labels_once", "once", "output_pair", "secret_env"]


def env(text: str) -> tuple[str, str]:
    """An environment variable from `NAME=VALUE`; one whose name is given alone has its value in this shell."""
    name, given, value = text.partition("=")
    if given:
        return name, value
    if name not in os.environ:
        raise argparse.ArgumentTypeError(f"{name} is not set in this shell: write {name}=VALUE, or export it")
    return name, os.environ[name]


def label(text: str) -> tuple[str, str]:
    """A label from `NAME=VALUE`."""
    name, given, value = text.partition("=")
    if not given:
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=VALUE, as in project=atlas")
    return name, value


def add_label_option(parser: argparse._ActionsContainer, whose: str, read_by: str) -> None:
    """The option for labels, which `labels_once` makes one value of.

    Args:
        parser: a parser, or a group of its options, which gets it.
        whose: the sessions that are labelled, for the help.
        read_by: who reads it there besides the account, for the help.
    """
    parser.add_argument(
        "--label",
        type=label,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"words of your own on {whose}, to find it and to split a bill by. The account and {read_by} read them",
    )


def secret_env(text: str) -> tuple[str, str]:
    """An environment variable whose name alone is given, with its value from this shell."""
    name, given, _ = text.partition("=")
    # Neither is repeated: it may be the secret.
    if given:
        raise argparse.ArgumentTypeError(
            "write the name alone: a value on the command line is shown to everybody by ps, and stays in the shell's "
            "history. Export it, and its value is taken from this shell"
        )
    if not is_env_name(name):
        raise argparse.ArgumentTypeError("what is given is not a name of an environment variable: write its name alone")
    if name not in os.environ:
        raise argparse.ArgumentTypeError(f"{name} is not set in this shell: export it")
    return name, os.environ[name]


def input_pair(text: str) -> tuple[str, str]:
    """What is to be sent, and as what, from `LOCAL:REMOTE`; the last colon parts them."""
    local, colon, remote = text.rpartition(":")
    if not colon or not local or not remote:
        raise argparse.ArgumentTypeError(f"{text!r} must be LOCAL:REMOTE, as in scene.blend:scene.blend")
    return local, remote


def output_pair(text: str) -> tuple[str, str]:
    """What is to be fetched, and to where, from `REMOTE:LOCAL`; the first colon parts them."""
    remote, colon, local = text.partition(":")
    if not colon or not local or not remote:
        raise argparse.ArgumentTypeError(f"{text!r} must be REMOTE:LOCAL, as in frames:./frames")
    return remote, local


def once(pairs: list[tuple[str, str]], option: str) -> Mapping[str | os.PathLike[str], str]:
    """The pairs by their first half, none of which may be lost.

    Args:
        pairs: as they were given.
        option: that they were given with.

    Raises:
        OctaConfigError: two have the same first half and another second one.
    """
    once: dict[str | os.PathLike[str], str] = dict(pairs)
    for first, second in pairs:
        if once[first] != second:
            raise OctaConfigError(
                f"{option} names {first} twice, for {second} and {once[first]}: name it once, and copy it there"
            )
    return once


def labels_once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The labels by their names, none of which may be lost.

    Args:
        pairs: as they were given.

    Raises:
        OctaConfigError: two have the same name and another value.
    """
    labels = dict(pairs)
    for name, value in pairs:
        if labels[name] != value:
            raise OctaConfigError(f"--label gives {name} twice, with two values: a session has one of each name")
    return labels
