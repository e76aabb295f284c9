"""Reading an answer whole, and letting no key and no secret of it into errors, logs and databases."""

from __future__ import annotations

import logging

from octa_provider.http.answers import Answer, Arrived
from octa_provider.http.redaction import loggable_body
from octa_provider.http.redirects import told_of_redirect
from octa_provider.text.loggers import plain_logger
from octa_provider.wire.secret_fields import MASK

__all__ = ["read_answer"]

log = plain_logger("octa_provider.http.read_answer")


def read_answer(arrived: Arrived, most_bytes: int, *, api_key: str | None, sent: object = None) -> Answer:
    """The whole answer; when it echoes the key, without it: errors, logs and databases take it from here.

    Args:
        arrived: the answer, its body not read yet.
        most_bytes: a longer body is an error.
        api_key: what must not show.
        sent: the body of the request, whose secrets must not show in the log either.
    """
    body = arrived.whole(most_bytes)
    if api_key:
        body = body.replace(api_key.encode(), MASK.encode())
    if log.isEnabledFor(logging.DEBUG):
        log.debug("%s %s answered %d %s", arrived.method, arrived.url, arrived.status, loggable_body(body, sent))
    elsewhere = told_of_redirect(arrived.response, arrived.url)
    return Answer(arrived.status, body, arrived.method, arrived.url, elsewhere)
