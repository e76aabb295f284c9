"""What a renderer's log says about why it failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from octa_provider.errors import OctaConfigError
from octa_provider.text.plain_text import plain_words

__all__ = ["KINDS", "Failure", "LogRule", "failure_in"]

#: What can be said of a failure; `failed` when nothing tells.
KINDS = ("scene error", "no device", "out of memory", "disk full")
#: Killed by the system: nearly always since the memory was used up.
KILLED = 137
MOST_LINES = 400
MOST_LINE_CHARS = 1_000
MESSAGE_CHARS = 300

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]{0,999}\]")
_REFERENCE = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")


@dataclass(frozen=True)
class LogRule:
    """A line of the log that tells why a renderer failed.

    Args:
        pattern: a regular expression, searched for in each line of the end of the log, of which it sees the first
            1,000 characters.
        kind: `scene error` (the same everywhere), `no device`, `out of memory`, or `disk full`.

    Raises:
        OctaConfigError: the pattern is no regular expression, or there is no such kind.
    """

    pattern: str
    kind: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except (re.error, TypeError) as error:
            raise OctaConfigError(f"the log rule {self.pattern!r} is no regular expression: {error}") from None
        if _can_hang(self.pattern):
            raise OctaConfigError(
                f"the log rule {self.pattern!r} could take for ever on a hostile log: repeat no group that repeats "
                "something itself, and refer to no group"
            )
        if self.kind not in KINDS:
            raise OctaConfigError(f"a log rule's kind must be one of {', '.join(KINDS)}, not {self.kind!r}")


@dataclass(frozen=True)
class Failure:
    """Why a process failed.

    Attributes:
        kind: as a `LogRule` has it, or `failed`.
        message: one line: what the log says, made plain.
    """

    kind: str
    message: str


def failure_in(rules: Sequence[LogRule], log_tail: str, exit_code: int | None) -> Failure | None:
    """What the end of a log and the exit code say.

    Args:
        rules: the first one that matches counts, of all lines.
        log_tail: the end of the log, a stranger's text.
        exit_code: of the process; None when it is not known.

    Returns:
        The failure; None for exit code 0 when no rule matches.
    """
    lines = [line[:MOST_LINE_CHARS] for line in log_tail.splitlines()[-MOST_LINES:]]
    for rule in rules:
        pattern = re.compile(rule.pattern)
        for line in lines:
            if pattern.search(line):
                return Failure(rule.kind, _told(line))
    if exit_code == 0:
        return None
    if exit_code in (KILLED, -9):
        return Failure("out of memory", "killed by the system, as when the memory is used up (137)")
    last = next((told for line in reversed(lines) if (told := _told(line))), "it wrote no log")
    ended = "ended in a way nobody saw" if exit_code is None else f"exit code {exit_code}"
    return Failure("failed", f"{ended}: {last}")


def _told(line: str) -> str:
    return plain_words(line).strip()[:MESSAGE_CHARS]


def _can_hang(pattern: str) -> bool:
    """Whether a group that repeats something is repeated itself, or is referred to: exponential on the wrong text."""
    if _REFERENCE.search(pattern):
        return True
    bare = _CLASS.sub("c", _ESCAPE.sub("e", pattern))
    repeats = [False]
    for at, sign in enumerate(bare):
        if sign == "(":
            repeats.append(False)
        elif sign == ")" and len(repeats) > 1:
            inner = repeats.pop()
            if inner and bare[at + 1 : at + 2] in ("*", "+", "{"):
                return True
            repeats[-1] |= inner
        elif sign in "*+{" or (sign == "?" and at and bare[at - 1] not in "(*+?}"):
            repeats[-1] = True
    return False
