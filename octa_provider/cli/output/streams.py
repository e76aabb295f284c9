"""The standard streams of a command: they may be closed, a pipe whose reader has gone, or a terminal that has."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

#: The terminal behind a stream is gone, or the stream itself.
_GONE = {errno.EIO, errno.EBADF, errno.ENXIO, errno.ENODEV}


def open_closed_streams() -> None:
    """Give the standard streams that this process was started without (`>&-`) an end where everything is lost.

    Else the next file or socket would get their number, and whatever writes there would write into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it stays open


def show_what_can_be_shown() -> None:
    """A character that the terminal's encoding does not have is shown as its escape: nothing may fail for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def takes_unicode(stream: TextIO) -> bool:
    """Whether everything that there is can be shown in this stream as it is."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") in {"utf8", "utf16", "utf32"}


def is_gone(error: OSError) -> bool:
    """Whether an error of writing says that the terminal is gone; a pipe that nobody reads any more is not that."""
    return error.errno in _GONE


def drop(stream: TextIO) -> None:
    """What is written to this stream from now on, and what waits in it, goes nowhere."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        # Not a file at all: nothing will be flushed into it either.
        return


def settle() -> None:
    """Flush what waits in the streams; what nobody takes is dropped, so that it does not change the exit status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            drop(stream)
