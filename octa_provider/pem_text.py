"""The text of a private key, whose lines a form may have lost."""

from __future__ import annotations

import re

__all__ = ["is_pem_text", "pem_lines"]

_PEM = re.compile(r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----)(.+)(-----END [A-Z0-9 ]*PRIVATE KEY-----)", re.DOTALL)
_LINE = 64


def is_pem_text(given: str) -> bool:
    """Whether it is the text of a private key, rather than the path of one."""
    return "PRIVATE KEY-----" in given


def pem_lines(text: str) -> str:
    r"""A key's text with its lines as they must be.

    A browser pastes a text of several lines into a field of one line with spaces between them (Chromium, into the
    connection form of Airflow 3); environment variables and JSON often have `\n` as two characters.

    Args:
        text: of a key file; one with lines is returned as it is, but for white space around it.
    """
    text = text.strip().replace("\\r", "").replace("\\n", "\n")
    parts = None if "\n" in text else _PEM.fullmatch(text)
    if parts is None:
        return text + "\n"
    body = "".join(parts[2].split())
    lines = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    return "\n".join([parts[1], *lines, parts[3]]) + "\n"
