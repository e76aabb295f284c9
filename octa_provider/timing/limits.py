"""The numbers that a caller gives, checked once before anything is sent: NaN never passes, a pause of 0 is none."""

from __future__ import annotations

import sys

from octa_provider import errors

MAX_TIMEOUT_S = 86_400.0
MAX_RETRIES = 100
#: More than any answer of the API (a catalogue of 100,000 machines is a third of it), little enough to hold.
MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_ERROR_BYTES = 1024 * 1024
#: How many times its length on the wire an answer may unpack to, beyond the first MB: a list of sessions or machines
#: packs to a twentieth, and a few KB that were made for it unpack to a GB.
MAX_UNPACKED_RATIO = 100
FREELY_UNPACKED_BYTES = 1024 * 1024
#: Values in one answer, as its commas tell them: each costs memory, however short it is written.
MAX_ANSWER_VALUES = 8_000_000
#: Longer than anything here is waited for; what is longer is a mistake, or means "for ever", which nothing may.
MAX_WAIT_S = 366 * 86_400.0
#: A shorter pause asks as fast as the API answers.
MIN_PAUSE_S = 0.01
#: Time that a command, or a machine that comes up, may take: above 0.
MIN_RUN_S = 0.001


def checked_timeout(seconds: object) -> float:
    """The timeout in seconds; raises OctaConfigError unless it is above 0 and at most a day."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_TIMEOUT_S:
        raise errors.OctaConfigError(
            f"timeout must be a number of seconds above 0 and at most {MAX_TIMEOUT_S:g}, not {seconds!r}"
        )
    return float(seconds)


def checked_retries(retries: object) -> int:
    """How many more times a GET is sent; raises OctaConfigError unless it is a whole number from 0 to 100."""
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MAX_RETRIES:
        raise errors.OctaConfigError(f"retries must be a whole number from 0 to {MAX_RETRIES}, not {retries!r}")
    return retries


def checked_max_retry_after(seconds: object) -> float:
    """The longest wait a server can ask for, in seconds; raises OctaConfigError unless it is 0 to a day."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_TIMEOUT_S:
        raise errors.OctaConfigError(
            f"max_retry_after must be a number of seconds from 0 to {MAX_TIMEOUT_S:g}, not {seconds!r}"
        )
    return float(seconds)


def checked_seconds(name: str, seconds: object, *, least_s: float = 0.0) -> float:
    """A length of time that a caller gave, such as a deadline.

    Args:
        name: what the caller calls it, for the error.
        seconds: what the caller gave.
        least_s: the shortest that makes sense.

    Raises:
        OctaConfigError: it is no number, NaN, infinite, shorter than `least_s`, or longer than a year.
    """
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    # NaN fails this comparison too.
    if not is_number or not least_s <= seconds <= MAX_WAIT_S:  # type: ignore[operator]
        raise errors.OctaConfigError(
            f"{name} must be a number of seconds from {least_s:g} to {MAX_WAIT_S:.0f} (a year), not {seconds!r}"
        )
    return float(seconds)  # type: ignore[arg-type]


def checked_pause(name: str, seconds: object) -> float:
    """A pause between two questions; raises OctaConfigError as `checked_seconds`, and below a hundredth of a second.

    Args:
        name: what the caller calls it.
        seconds: what the caller gave.
    """
    return checked_seconds(name, seconds, least_s=MIN_PAUSE_S)


def usable_seconds(name: str, seconds: object, otherwise_s: float) -> float:
    """The same for a stop, which nothing may keep from happening: what can't be used is told, and another one taken.

    Args:
        name: what the caller calls it.
        seconds: what the caller gave; below 0 is 0.
        otherwise_s: taken for what is no number.
    """
    try:
        return checked_seconds(name, 0 if isinstance(seconds, (int, float)) and seconds < 0 else seconds)
    except errors.OctaConfigError as error:
        from octa_provider.text.loggers import plain_logger

        plain_logger(__name__).warning("%s; %g is taken", error, otherwise_s)
        return otherwise_s


def checked_cap(name: str, value: object) -> float | None:
    """A cap as a number; raises OctaConfigError unless it is a finite number above 0, or left out.

    Args:
        name: what the caller calls it.
        value: what the caller gave.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= sys.float_info.max:
        raise errors.OctaConfigError(f"{name} must be a number above 0, or left out, not {value!r}")
    return float(value)
