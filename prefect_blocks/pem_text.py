"""A private key whose lines were lost on the way."""

from __future__ import annotations

import re

__all__ = ["pem_text"]

_ONE_LINE = re.compile(r"(-----BEGIN [A-Z0-9 ]+-----) *([A-Za-z0-9+/= ]+?) *(-----END [A-Z0-9 ]+-----)")
_LINE = 64


def pem_text(text: str) -> str:
    """A PEM key with its lines.

    The form of Prefect's newer UI has one line for a secret: the browser takes the line ends out of what is pasted.

    Args:
        text: the key, in one line or several; anything else comes back as it is.
    """
    found = _ONE_LINE.fullmatch(text.strip())
    if found is None:
        return text
    begin, body, end = found.groups()
    body = "".join(body.split())
    lines = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    return "\n".join([begin, *lines, end, ""])
