"""Whether a regular expression is slower than linear, found out by texts that are made from the pattern itself."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as sre_constants
    from re import _parser as sre_parse
else:
    import sre_constants
    import sre_parse

SIZES = (22, 24, 256, 2048, 16384, 32768, 65536)
#: Tried when the one before it took long, so that what is found is not measured at its longest.
BETWEEN = 32768
#: Of CPU, for a text of the sizes above. Linear takes about a hundredth of it, quadratic ten times as much.
MOST_S = 0.2
_CANDIDATES = "a0 A\n\x00-_./:;'\"%é\x1b[]@\x80\u2028"


def slow_text(pattern: re.Pattern[Any], most_chars: int = SIZES[-1]) -> str | None:
    """A text of at most so many characters that takes the pattern too long, told by what it repeats; None for none."""
    for prefix, unit, suffix in _attacks(pattern):
        took_s = 0.0
        for size in SIZES:
            if size > most_chars:
                break
            if size == BETWEEN and took_s < MOST_S / 8:
                continue
            text: Any = prefix + unit * (size // len(unit)) + suffix
            if isinstance(pattern.pattern, bytes):
                text = text.encode("latin-1", "replace")
            # Twice: something else may have happened in this process meanwhile.
            took_s = _cpu_s(pattern, text)
            if took_s > MOST_S and _cpu_s(pattern, text) > MOST_S:
                return f"{prefix!r} + {unit!r} * {size // len(unit)} + {suffix!r}"
    return None


def _cpu_s(pattern: re.Pattern[Any], text: Any) -> float:
    begun = time.thread_time()
    for _ in pattern.finditer(text):
        pass
    pattern.fullmatch(text)
    return time.thread_time() - begun


def _attacks(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str, str]]:
    source = pattern.pattern
    tree = sre_parse.parse(
        source.decode("latin-1") if isinstance(source, bytes) else source, pattern.flags & ~re.LOCALE
    )
    units = [unit for unit in dict.fromkeys(_units(list(tree))) if unit]
    whole = "".join(_sample(node) for node in tree)
    prefixes = dict.fromkeys(["", *(unit for unit in units if len(unit) > 1)][:6])
    for unit in dict.fromkeys([*units, whole]):
        if unit:
            for prefix in prefixes:
                if prefix == unit:
                    # The same text as without it, one unit longer.
                    continue
                for suffix in ("", "\x01"):
                    yield prefix, unit, suffix


def _units(nodes: list[Any]) -> Iterator[str]:
    """Samples of every part of a pattern, and of every run of neighbours up to three."""
    samples = [""]
    was_letter = False
    for node in nodes:
        # A word in the pattern is one part of it.
        is_letter = node[0] is sre_constants.LITERAL
        if is_letter and was_letter:
            samples[-1] += _sample(node)
        else:
            samples.append(_sample(node))
        was_letter = is_letter
    for length in range(1, 4):
        for start in range(len(samples) - length + 1):
            yield "".join(samples[start : start + length])
    for kind, argument in nodes:
        for inner in _inside(kind, argument):
            yield from _units(inner)


def _inside(kind: Any, argument: Any) -> list[list[Any]]:
    if kind is sre_constants.BRANCH:
        return [list(branch) for branch in argument[1]]
    if kind is sre_constants.SUBPATTERN:
        return [list(argument[3])]
    if kind in (sre_constants.MAX_REPEAT, sre_constants.MIN_REPEAT):
        return [list(argument[2])]
    return []


def _sample(node: Any) -> str:
    """A text that one part of a pattern matches."""
    kind, argument = node
    if kind is sre_constants.LITERAL:
        return chr(argument)
    if kind is sre_constants.NOT_LITERAL:
        return next(c for c in _CANDIDATES if ord(c) != argument)
    if kind is sre_constants.ANY:
        return "a"
    if kind is sre_constants.IN:
        return _of_set(argument)
    if kind in (sre_constants.MAX_REPEAT, sre_constants.MIN_REPEAT):
        return "".join(map(_sample, argument[2])) * min(max(argument[0], 1), 4)
    inside = _inside(kind, argument)
    return "".join(map(_sample, inside[0])) if inside else ""


def _of_set(members: list[Any]) -> str:
    negated = bool(members) and members[0][0] is sre_constants.NEGATE
    matches = re.compile("".join(f"[{'^' if negated else ''}{''.join(map(_member, members))}]"))
    found = next((c for c in _CANDIDATES if matches.fullmatch(c)), None)
    if found is not None:
        return found
    kind, argument = members[0]
    return chr(argument if kind is sre_constants.LITERAL else argument[0])


def _member(member: Any) -> str:
    kind, argument = member
    if kind is sre_constants.LITERAL:
        return re.escape(chr(argument))
    if kind is sre_constants.RANGE:
        return f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}"
    if kind is sre_constants.CATEGORY:
        return {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}.get(str(argument).rpartition("_")[2], "")
    return ""
