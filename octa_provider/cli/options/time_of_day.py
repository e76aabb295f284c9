"""A moment that something is to be done by, as people write it: `18:00`, `2026-11-30 08:00`."""

from __future__ import annotations

import argparse
import re
from datetime import datetime, time, timedelta

from octa_provider.cli.options.durations import positive_seconds

_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")


def seconds_until(text: str, now: datetime | None = None) -> float:
    """Seconds until a moment of this machine's clock: today's, tomorrow's where that has passed, or a date's.

    Args:
        text: `18:00`, or `2026-11-30 08:00`.
        now: what it is counted from, in local time without a time zone; the clock's when left out.

    Raises:
        argparse.ArgumentTypeError: it is no such moment, has passed, or is more than a year away.
    """
    now = now or datetime.now()
    moment = _moment(text.strip(), now)
    # By Unix time: a day on which the clock is put forward has 23 hours.
    left = moment.timestamp() - now.timestamp()
    if left <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} has passed: name a moment that is to come")
    return positive_seconds(f"{left:.3f}")


def _moment(text: str, now: datetime) -> datetime:
    try:
        if match := _TIME.fullmatch(text):
            at = time(int(match[1]), int(match[2]))
            today = datetime.combine(now.date(), at)
            return today if today > now else datetime.combine(now.date() + timedelta(days=1), at)
        moment = datetime.fromisoformat(text)
        if len(text) > len("2026-11-30"):
            return moment.astimezone().replace(tzinfo=None)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no moment: write it like 18:00 or '2026-11-30 08:00'")
