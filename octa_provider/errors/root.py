"""The root of all errors, and the words that more than one of them needs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from octa_provider.text.carried import sound
from octa_provider.text.plain_text import plain_message

#: Bodies kept in errors are cut to this many characters: enough to see what came, little enough to pickle and to log.
MAX_BODY_CHARS = 2000


def clip_body(body: str) -> str:
    """Cut a body to `MAX_BODY_CHARS`, saying how much was left off, as sound text. Clipping twice changes nothing."""
    body = sound(body)
    if len(body) <= MAX_BODY_CHARS:
        return body
    # The note counts towards the limit, otherwise clipping a clipped body would cut it again.
    note = f"... ({len(body)} characters in all)"
    return body[: MAX_BODY_CHARS - len(note)] + note


def without_user_info(url: str) -> str:
    """The URL without `user:password@`, which must not reach a log."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable URL)"
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def tell_also(error: BaseException, text: str) -> None:
    """Add to an error what came on top of it: to its message, or as a note where it is not ours.

    Args:
        error: what went wrong first, and is what the caller gets.
        text: a sentence.
    """
    if isinstance(error, OctaError):
        error.also(text)
    else:
        # As `add_note` of Python 3.11 does it.
        vars(error)["__notes__"] = [*getattr(error, "__notes__", ()), text]


class OctaError(Exception):
    """The root: `except OctaError` catches everything this library raises on purpose.

    Attributes:
        message: the text of the error: plain, and of no more than 10,000 characters.
    """

    def __init__(self, message: str = "") -> None:
        self.message = plain_message(message)
        super().__init__(self.message)

    def also(self, text: str) -> None:
        """Add a sentence to the message: what came on top of it must neither hide the error nor be hidden by it."""
        self.message = plain_message(f"{self.message.rstrip().rstrip('.')}. {text}")
        self.args = (self.message,)

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        # A kind that makes its message of other arguments would lose what was added to it on the way between processes.
        super().__setstate__(state)
        self.args = (self.message,)


class OctaConfigError(OctaError, ValueError):
    """An argument or setting is wrong. Raised before any request."""


class OctaDecodeError(OctaError):
    """An answer that is not what it must be: not JSON, or JSON of another shape.

    Attributes:
        what: what was being read, such as `session` or `GET /sessions`.
        body: what came, as text, clipped to `MAX_BODY_CHARS`.
    """

    def __init__(self, message: str = "", *, what: str = "", body: str = "") -> None:
        super().__init__(message)
        self.what = what
        self.body = clip_body(body)
