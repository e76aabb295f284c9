"""Words of a command line that a message tells, such that it works when it is pasted."""

from __future__ import annotations

__all__ = ["option_words"]


def option_words(name: str, value: str) -> list[str]:
    """An option and its value, as words that are still to be quoted.

    Args:
        name: the option's, such as `--key`.
        value: any text; what begins with a dash would be read as another option, were it a word of its own.
    """
    return [f"{name}={value}"] if value.startswith("-") else [name, value]
