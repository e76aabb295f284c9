"""What the triggers of one connection share in a process: one client, one watcher."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider.connection_settings import ConnectionSettings
from airflow_provider.supervisor import asks_on_loop
from airflow_provider.triggers.worker_threads import in_thread, threads_of, to_the_end
from octa_provider.text.loggers import plain_logger
from octa_provider.watch.shared import SharedByUsers

if TYPE_CHECKING:
    from octa_provider import OctaClient
    from octa_provider.watch.watcher import Watcher

__all__ = ["Account", "account", "settings_in_trigger"]

log = plain_logger(__name__)

#: Seconds between tries to read a connection. Airflow's API server may be starting anew, and the session runs.
ASK_AGAIN_AFTER_S = (1.0, 2.0, 4.0, 8.0, 15.0)

_clients: SharedByUsers[OctaClient] = SharedByUsers()
_masked: set[ConnectionSettings] = set()


@dataclass(frozen=True)
class Account:
    """An account, as a trigger uses it.

    Attributes:
        client: shared by the triggers of the same connection; safe between threads.
        watcher: shared by all triggers of the account.
    """

    client: OctaClient
    watcher: Watcher


@contextmanager
def account(settings: ConnectionSettings, poll_s: float) -> Iterator[Account]:
    """The account of a connection, for the length of a `with` block.

    Args:
        settings: the connection's.
        poll_s: seconds between two list calls; the shortest that anybody asks for counts.
    """
    from airflow_provider.intents import VariableIntents
    from octa_provider.watch.watcher import watcher_for

    def connect() -> OctaClient:
        return settings.client(intents=VariableIntents())

    with (
        threads_of(settings),
        _clients.use(settings, connect) as client,
        watcher_for(client, poll_s) as watcher,
    ):
        yield Account(client, watcher)


async def settings_in_trigger(octa_conn_id: str, namespace: str | None = None) -> ConnectionSettings:
    """A connection's settings, asked of Airflow without blocking the loop, and again when it does not answer.

    Args:
        octa_conn_id: the connection.
        namespace: the one that the worker used; None for what was deferred before there were any.

    Raises:
        ValueError: the connection holds something it cannot.
        Exception: Airflow does not tell the connection; it makes no difference between one that is missing and an API
            server that is away for a moment.
    """
    from asgiref.sync import sync_to_async

    from airflow_provider.hooks.octa import mask_secrets

    for pause_s in ASK_AGAIN_AFTER_S:
        try:
            settings = await _ask(octa_conn_id, namespace)
            break
        except ValueError:
            raise
        except Exception as error:  # noqa: BLE001 - each Airflow has its own
            log.warning("Connection %r can't be read, asking again: %s", octa_conn_id, error)
            await asyncio.sleep(pause_s)
    else:
        settings = await _ask(octa_conn_id, namespace)
    if settings not in _masked:
        # It tells the supervisor and waits for its answer: once is enough for a thousand triggers.
        await to_the_end(sync_to_async(mask_secrets)(settings))
        _masked.add(settings)
    return settings


async def _ask(octa_conn_id: str, namespace: str | None) -> ConnectionSettings:
    from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson

    try:
        # Before Airflow 3.2.2 an answer that nobody reads is taken for that of the next question: the triggerer ends
        # (apache/airflow#64620).
        connection = await to_the_end(get_async_connection(octa_conn_id))
        extra = await to_the_end(get_async_extra_dejson(connection))
        settings = ConnectionSettings.from_connection(connection, extra)
    except ValueError:
        raise
    except Exception as error:
        if asks_on_loop():
            raise
        # `airflow dags test` of Airflow 3 runs a trigger where only what is not asynchronous can be asked.
        try:
            settings = ConnectionSettings.from_connection(await in_thread(_connection, octa_conn_id))
        except ValueError:
            raise
        except Exception:  # noqa: BLE001 - as above; what was asked first says why
            raise error from None
    # It may have to ask Airflow.
    return await in_thread(settings.named, namespace)


def _connection(octa_conn_id: str) -> Any:
    from airflow.providers.common.compat.sdk import BaseHook

    return BaseHook.get_connection(octa_conn_id)
