"""Which answers to a start say for certain that nothing was started: refusals in the API's own words, and no others.

A gateway, a firewall or a login page may answer with any status after the machine was started; a `303 See Other` even
says that something was. Whoever takes that for a refusal asks the next machine, and the first one bills unknown.
"""

from __future__ import annotations

from octa_provider.errors import OctaApiError, OctaDecodeError, OctaError, OctaNetworkError
from octa_provider.models import decode_json

__all__ = ["deserves_a_look", "may_have_started"]

#: With which the API itself refuses (evidence S; C for 400 and 402). Whoever stands in front of it answers with each of
#: them as well, in the same words (`{"message": "Forbidden"}`): one look at what runs, and it is believed.
_REFUSING = frozenset({400, 401, 402, 403, 404, 422, 429})
#: One of which every refusal of the API holds (evidence C).
_WORDS = ("message", "error", "detail", "reason")


def may_have_started(error: OctaError) -> bool:
    """Whether a start that ended with this error may have started something all the same, so that it is looked for."""
    if isinstance(error, OctaNetworkError):
        return error.maybe_sent
    if isinstance(error, OctaApiError):
        return error.status not in _REFUSING or not _has_own_words(error.body)
    return isinstance(error, OctaDecodeError)


def deserves_a_look(error: OctaError) -> bool:
    """Whether an error that says that nothing was started is believed only when the list of sessions says so too."""
    return isinstance(error, OctaApiError) and error.status in _REFUSING


def _has_own_words(body: str) -> bool:
    try:
        said = decode_json(body)
    except ValueError:
        return False
    return isinstance(said, dict) and any(isinstance(said.get(name), str) and said[name].strip() for name in _WORDS)
