"""How far this machine's clock is from the API's, by the date of an answer."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import requests

from octa_provider.http.session import new_session

__all__ = ["clock_skew_s"]


def clock_skew_s(base_url: str, timeout_s: float) -> float | None:
    """Seconds that this machine's clock is ahead of the API's; None when it can't be told.

    Args:
        base_url: where the API is served; no key is sent there.
        timeout_s: seconds to wait for its answer.
    """
    with new_session((base_url,)) as session:
        try:
            with session.get(f"{base_url}/network", timeout=timeout_s, stream=True, allow_redirects=False) as answer:
                now = datetime.now(timezone.utc)
                said = parsedate_to_datetime(answer.headers["Date"])
        except (requests.RequestException, KeyError, ValueError):
            return None
    # The header has whole seconds: on average its moment is half a second later than it says.
    return (now - said.astimezone(timezone.utc)).total_seconds() - 0.5
