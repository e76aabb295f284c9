"""Strangers' words in Markdown: shown as they are, and nothing else."""

from __future__ import annotations

import re

from octa_provider.http.web_address import web_address
from octa_provider.text.plain_text import plain_words

__all__ = ["code", "link"]

_TICKS = re.compile("`+")


def code(text: str) -> str:
    """Text as a code span, which nothing in it can end.

    Args:
        text: a stranger's.
    """
    text = plain_words(text)
    fence = "`" * (1 + max((len(ticks) for ticks in _TICKS.findall(text)), default=0))
    # A space beside each fence, where the text begins or ends with a tick; Markdown takes it off again.
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def link(url: str) -> str:
    """A link to a web page that is shown as what it leads to; a code span for an address that leads elsewhere.

    Args:
        url: a stranger's.
    """
    address = web_address(url)
    return code(url) if address is None else f"<{address}>"
