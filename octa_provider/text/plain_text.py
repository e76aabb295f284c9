"""What strangers wrote made harmless: whatever it holds, a terminal or an orchestrator's log only shows text.

Escape sequences can move the cursor, rewrite what stands above, set the clipboard or the window's title, and
bidirectional overrides can show a text in another order than it is written. A line end makes a forged line of its own,
and `::group::` lets Airflow's log, as GitHub's, fold away all that follows.
"""

from __future__ import annotations

import re

__all__ = ["plain", "plain_message", "plain_words"]

#: The longest message of an error, or line of a log of ours.
MESSAGE_CHARS = 10_000
_KEPT_AT_END = 3_000
#: Stands in front of every line of a message but the first, so that none passes for a message of its own.
INDENT = "  "

# Every class in here stops before the next introducer, so that no input makes the search slower than linear.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, erase
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])(?:[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\|\x9c))?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"  # the two and three letter ones
)
_BREAKS = re.compile("[\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_ODD = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]")
_FOLDS = re.compile(r"::(?=(?:end)?group::)", re.IGNORECASE)


def plain(line: str) -> str:
    """A line with nothing in it but text and tabs.

    Escape sequences go, with what they carry; of one that has no end only the introducer goes, so that it can't hide
    the rest. Of a line that was overwritten with carriage returns, such as a progress bar, the last state stays. What
    breaks lines becomes a space, half a surrogate pair U+FFFD. Nothing visible is changed.

    Args:
        line: one line, without its end.
    """
    if not _ODD.search(line):
        return line
    line = _ESCAPES.sub("", line)
    if "\r" in line:
        line = next((state for state in reversed(line.split("\r")) if state), "")
    line = _BREAKS.sub(" ", line)
    line = _CONTROLS.sub("", line)
    return _SURROGATES.sub("\ufffd", line)


def plain_words(text: str) -> str:
    """Text as a part of one line of a log: as `plain`, nothing overwritten, line ends as spaces, no folding marks."""
    if _ODD.search(text):
        text = plain(text.replace("\r", " "))
    return _FOLDS.sub(": :", text) if "::" in text else text


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
