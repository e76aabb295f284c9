"""What a session's progress text means. The API documents only a few of them, so a text is read by its words."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["means_failed", "means_ready", "means_starting", "means_stopping"]

_READY_WORDS = frozenset({"service configured", "configured", "running", "ready"})
_STARTING_PARTS = (
    "prepar",
    "config",
    "start",
    "deploy",
    "queue",
    "provision",
    "pending",
    "build",
    "pull",
    "create",
    "init",
)

# What is put away while a session comes up is not the session: `removing the old container`.
_NOT_AN_OLD_ONE = (
    r"(?![ ](?:(?:the|any|an|a)[ ])?"
    r"(?:old|older|previous|former|stale|unused|leftover|orphaned|dangling|intermediate|temporary|temp|cached?|caches)\b)"
)
# `stop` is also a later day's (`will stop at noon`, `auto stop in 1 h`), and a step's (`before stop`).
_ENDING = re.compile(
    rf"""
    (?<!will\ )(?<!auto\ )(?<!before\ )\bstop(?!ped|s\b|\ (?:in|at)\ [0-9]) | \bterminat(?!ed)
    | \bshut(?:ting)?\ ?down | \btear(?:ing)?\ ?down | \b(?:going|taking|taken|winding)\ down
    | \b(?:power|turn|switch)(?:ing)?\ off
    | \bun\ ?deploying | \bde\ ?(?:provision|commission|allocat|activat)ing
    | \b(?:removing|deleting|destroying|clean(?:ing)?\ ?up|wiping|purging|releasing){_NOT_AN_OLD_ONE}
    | \b(?:removal|deletion|destruction|killing|cancell?ing|halting|exiting|closing|ending|evicting|draining|destroy)\b
    """,
    re.VERBOSE,
)
_END = (
    r"(?:stop(?:ping)?|terminat(?:e|ion|ing)|shut(?:ting)? ?down|remov(?:e|al)|delet(?:e|ion)|destroy|destruction"
    r"|clean ?up|tear ?down)\b"
)
# An end that was asked for, wherever that stands in the text: `running, stop requested`, `pending removal`.
_END_ASKED_FOR = re.compile(
    rf"\b{_END} (?:(?:was|is|has|been|being) )*"
    r"(?:request|pending|schedul|queue|order|in progress|received|initiat|start|accept|under ?way)"
    rf"|\b(?:request|pending|schedul|queue|initiat|start|begin|prepar|order|ask|about|wait)\w*"
    rf"(?: (?:for|to|a|an|the|of|its|be))* {_END}"
    r"|\bbeing (?:stopped|terminated|shut down|removed|deleted|destroyed|killed|cancell?ed)\b"
)
_ENDED = re.compile(
    r"\b(?:stopped|terminated|removed|deleted|destroyed|killed|cancell?ed|exited|halted|undeployed|released|expired|evicted|preempted"
    r"|de ?(?:provision|commission|allocat|activat)ed)\b"
)
_FAILED = re.compile(r"\b(fail|error|crash|abort)", re.IGNORECASE)
_READ_CHARS = 300
_WORDS_RUN_TOGETHER = re.compile(r"(?<=[a-z])(?=[A-Z])|[\s_-]+")


def means_ready(progress: str | None) -> bool:
    """Whether the text is one of those documented for a session that can be used: exactly, in any case."""
    return progress is not None and progress.strip().lower() in _READY_WORDS


def means_starting(progress: str | None) -> bool:
    """Whether the text holds one of the documented parts for a session that comes up."""
    # Every look at every session asks this too.
    if progress is None or len(progress) > _READ_CHARS:
        return _holds_a_start(progress or "")
    return _known_to_hold_a_start(progress)


def _holds_a_start(progress: str) -> bool:
    written = progress.lower()
    return any(part in written for part in _STARTING_PARTS)


_known_to_hold_a_start = lru_cache(maxsize=1024)(_holds_a_start)


def means_failed(progress: str | None) -> bool:
    """Whether the text tells of a failure, such as `pull failed`."""
    return _FAILED.search(progress or "") is not None


def means_stopping(progress: str | None) -> bool:
    """Whether the text says that the session is being stopped, or was.

    Args:
        progress: such as `stopping`, `Stop requested`, `service is shutting down`, `terminated`. What a session does
            while it comes up is none, though it names an end: `starting (stopping the old container first)`.
    """
    # Every look at every session asks, and there are few texts. A long one has said what it is by then.
    return progress is not None and _tells_of_its_end(progress[:_READ_CHARS])


@lru_cache(maxsize=1024)
def _tells_of_its_end(progress: str) -> bool:
    if means_ready(progress):
        return False
    written = _WORDS_RUN_TOGETHER.sub(" ", progress).strip().lower()
    if _END_ASKED_FOR.search(written):
        return True
    ending = _ENDING.search(written)
    if ending is not None:
        # `stopping the build` and `building (stopping the old one)`: whichever comes first is what happens.
        return ending.start() < _first_start(written)
    return _ENDED.search(written) is not None and not means_starting(written)


def _first_start(written: str) -> int:
    # A service that was configured is up: what follows is news.
    told = written.replace("configured", "_" * len("configured"))
    found = [at for at in (told.find(part) for part in _STARTING_PARTS) if at >= 0]
    return min(found, default=len(written))
