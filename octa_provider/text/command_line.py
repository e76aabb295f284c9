"""Words of a command line that a message tells, such that it works when it is pasted."""

from __future__ import annotations

__all__ = ["operand_words", "option_words"]


def option_words(name: str, value: str) -> list[str]:
    """An option and its value, as words that are still to be quoted.

    Args:
        name: the option's, such as `--key`.
        value: any text; what begins with a dash would be read as another option, were it a word of its own.
    """
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def operand_words(value: str) -> list[str]:
    """A word that is no option's value, as the last of a command line, still to be quoted.

    Args:
        value: any text; what begins with a dash would be read as an option.
    """
    return ["--", value] if value.startswith("-") else [value]
