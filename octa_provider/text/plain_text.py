"""What strangers wrote made harmless: whatever it holds, a terminal or an orchestrator's log only shows text.

Escape sequences can move the cursor, rewrite what stands above, set the clipboard or the window's title, and
bidirectional overrides can show a text in another order than it is written. A line end makes a forged line of its own,
and `::group::` lets Airflow's log, as GitHub's, fold away all that follows.
"""

from __future__ import annotations

__all__ = ["plain", "plain_message", "plain_words"]

#: The longest message of an error, or line of a log of ours.
MESSAGE_CHARS = 10_000
_KEPT_AT_END = 3_000
#: Stands in front of every line of a message but the first, so that none passes for a message of its own.
INDENT = "  "


def plain(line: str) -> str:
    """A line with nothing in it but text and tabs.

    Escape sequences go, with what they carry; of one that has no end only the introducer goes, so that it can't hide
    the rest. Of a line that was overwritten with carriage returns, such as a progress bar, the last state stays. What
    breaks lines becomes a space, half a surrogate pair U+FFFD. Nothing visible is changed.

    Args:
        line: one line, without its end.
    """
    if line.isprintable():
        return line
    from octa_provider.text import odd_text

    if not odd_text.ODD.search(line):
        return line
    line = odd_text.ESCAPES.sub("", line)
    if "\r" in line:
        line = next((state for state in reversed(line.split("\r")) if state), "")
    line = odd_text.BREAKS.sub(" ", line)
    line = odd_text.CONTROLS.sub("", line)
    return odd_text.SURROGATES.sub("\ufffd", line)


def plain_words(text: str) -> str:
    """Text as a part of one line of a log: as `plain`, nothing overwritten, line ends as spaces, no folding marks."""
    if not text.isprintable():
        text = plain(text.replace("\r", " "))
    if "::" not in text:
        return text
    from octa_provider.text.odd_text import FOLDS

    return FOLDS.sub(": :", text)


def plain_message(text: str) -> str:
    """A message of one or several lines: each as `plain_words` makes it, all but the first indented, cut when long.

    Doing it twice changes nothing.
    """
    first, *others = (plain_words(line) for line in text.split("\n"))
    text = "\n".join([first, *(line if line.startswith(INDENT) or not line else INDENT + line for line in others)])
    if len(text) <= MESSAGE_CHARS:
        return text
    note = f" [... {len(text)} characters in all ...] "
    return text[: MESSAGE_CHARS - _KEPT_AT_END - len(note)] + note + text[-_KEPT_AT_END:]
