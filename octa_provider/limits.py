"""The numbers that bound a request, checked before anything is sent."""

from __future__ import annotations

from octa_provider.errors import OctaConfigError

MAX_TIMEOUT_S = 86_400.0
MAX_RETRIES = 100
#: More than any answer of the API (a catalogue of 100,000 machines is a third of it), little enough to hold.
MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_ERROR_BYTES = 1024 * 1024


def checked_timeout(seconds: object) -> float:
    """The timeout in seconds; raises OctaConfigError unless it is above 0 and at most a day."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_TIMEOUT_S:
        raise OctaConfigError(
            f"timeout must be a number of seconds above 0 and at most {MAX_TIMEOUT_S:g}, not {seconds!r}"
        )
    return float(seconds)


def checked_retries(retries: object) -> int:
    """How many more times a GET is sent; raises OctaConfigError unless it is a whole number from 0 to 100."""
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MAX_RETRIES:
        raise OctaConfigError(f"retries must be a whole number from 0 to {MAX_RETRIES}, not {retries!r}")
    return retries


def checked_max_retry_after(seconds: object) -> float:
    """The longest wait a server can ask for, in seconds; raises OctaConfigError unless it is 0 to a day."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_TIMEOUT_S:
        raise OctaConfigError(
            f"max_retry_after must be a number of seconds from 0 to {MAX_TIMEOUT_S:g}, not {seconds!r}"
        )
    return float(seconds)
