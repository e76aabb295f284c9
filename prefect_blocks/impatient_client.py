"""A client of Prefect's API that asks once and briefly: a machine is being rented, or stopped, meanwhile.

One a process: to make one takes 0.05 s of CPU, mostly to read settings and certificates again, and each start of a
machine asks several times.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
from prefect.client.orchestration import get_client
from prefect.context import SettingsContext, get_settings_context
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, Settings, temporary_settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

__all__ = ["impatient_client"]

#: A connection that the server has closed meanwhile would be told as a server that is away, so none is kept.
_NONE_KEPT = httpx.Limits(max_connections=None, max_keepalive_connections=0)


@dataclass(frozen=True)
class _Made:
    of: Settings
    timeout_s: float
    process: int
    settings: Settings
    client: SyncPrefectClient


_lock = threading.Lock()
_made: _Made | None = None


@contextmanager
def impatient_client(timeout_s: float) -> Iterator[SyncPrefectClient]:
    """A client whose requests are not repeated for the length of the block; for any thread.

    Args:
        timeout_s: seconds that the server has for an answer.

    Yields the client, with the settings that are in force here.
    """
    context = get_settings_context()
    if not context.settings.api.url:
        # A run with a server of its own, which lives no longer than that run.
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), _client(timeout_s) as client:
            yield client
        return
    made = _made_for(context.settings, timeout_s)
    # To check the settings again would change them meanwhile, and what other threads check then fails (KeyError).
    with SettingsContext.model_construct(profile=context.profile, settings=made.settings):
        yield made.client


def _made_for(settings: Settings, timeout_s: float) -> _Made:
    global _made
    process = os.getpid()
    with _lock:
        # One of the process that this one was forked from has locks that nobody may ever open here.
        if _made is None or _made.of is not settings or (_made.timeout_s, _made.process) != (timeout_s, process):
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}) as impatient:
                # Never closed: another thread may be using it when settings change. It keeps no connection.
                _made = _Made(settings, timeout_s, process, impatient, _client(timeout_s).__enter__())
        return _made


def _client(timeout_s: float) -> SyncPrefectClient:
    return get_client(sync_client=True, httpx_settings={"timeout": timeout_s, "limits": _NONE_KEPT})
