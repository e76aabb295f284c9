"""The text of a private key, whatever a form, a YAML file or a shell has made of it."""

from __future__ import annotations

import base64
import binascii
import re

__all__ = ["is_pem_text", "pem_lines"]

_PEM = re.compile(
    r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----)(.+)(-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)", re.DOTALL
)
_LINE = 64
#: How the base64 of a whole key file begins: that of `-----BEGIN`.
_ENCODED = "LS0tLS1CRUdJTi"
_MARK = "PRIVATE KEY-----"


def is_pem_text(given: str) -> bool:
    """Whether it is the text of a private key, rather than the path of one."""
    return _MARK in _decoded(given)


def pem_lines(text: str) -> str:
    r"""A key's text with its lines as they must be.

    A browser pastes a text of several lines into a field of one line with spaces between them (Chromium, into the
    connection form of Airflow 3); environment variables and JSON often have `\n` as two characters; YAML indents;
    Terraform leaves quotes; an editor writes a byte order mark; secret stores keep the base64 of the whole file.

    Args:
        text: of a key file.
    """
    text = _decoded(text).replace("\\r", "").replace("\\n", "\n")
    parts = _PEM.search(text)
    if parts is None:
        return text.strip() + "\n"
    lines = [line.strip() for line in parts[2].strip().splitlines()]
    if len(lines) == 1 or (":" not in parts[2] and any(" " in line for line in lines)):
        body = "".join(parts[2].split())
        lines = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    return "\n".join([parts[1], *lines, parts[3]]) + "\n"


def _decoded(text: str) -> str:
    text = text.strip().lstrip("\ufeff").strip().strip("\"'").strip()
    if not text.startswith(_ENCODED):
        return text
    try:
        # Not validated: line ends within are skipped.
        return base64.b64decode(text).decode("ascii").strip()
    except (binascii.Error, UnicodeDecodeError):
        return text
