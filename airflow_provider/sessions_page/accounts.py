"""The accounts of the page: which connections an administrator has named, and a client for one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, conf

from airflow_provider.connection_form import DEFAULT_CONN_ID
from airflow_provider.connection_settings import ConnectionSettings
from airflow_provider.hooks.octa import mask_secrets
from airflow_provider.sessions_page.refusal import PageError
from octa_provider.errors import (
    OctaApiError,
    OctaAuthenticationError,
    OctaConfigError,
    OctaError,
    OctaForbiddenError,
    OctaNetworkError,
    OctaTimeoutError,
)
from octa_provider.text.loggers import plain_logger
from octa_provider.text.plain_text import plain_words

if TYPE_CHECKING:
    from octa_provider import OctaClient

__all__ = ["account", "connection_ids"]

log = plain_logger(__name__)

#: Seconds: who looks at a page goes away after that.
_ANSWER_S = 10.0
_SAID_CHARS = 300


def connection_ids() -> tuple[str, ...]:
    """The connections whose accounts the page shows: `[octa] page_connections`, with commas between them."""
    told = str(conf.get("octa", "page_connections", fallback="") or "")
    named = [name.strip() for name in told.split(",")]
    return tuple(dict.fromkeys(name for name in named if name)) or (DEFAULT_CONN_ID,)


@contextmanager
def account(connection_id: str) -> Iterator[OctaClient]:
    """A client for one of the accounts, for a `with` block; what goes wrong in it becomes one sentence.

    Args:
        connection_id: one of `connection_ids()`; any other is refused, whatever it leads to.

    Raises:
        PageError: with what to tell.
    """
    if connection_id not in connection_ids():
        raise PageError(
            404, "This page shows no such connection: an administrator names them in [octa] page_connections."
        )
    try:
        with _client(connection_id) as client:
            yield client
    except (OctaAuthenticationError, OctaForbiddenError):
        raise PageError(502, f"OctaSpace refuses the API key of the connection {connection_id}.") from None
    except OctaError as error:
        log.warning("the account of the connection %s can't be asked: %s", connection_id, error)
        raise PageError(503, _why_away(error)) from None


def _why_away(error: OctaError) -> str:
    """One sentence; the rest is for the log."""
    if isinstance(error, OctaApiError) and error.status:
        return f"OctaSpace can't be asked now: it answers {error.status}."
    if isinstance(error, OctaTimeoutError):
        return "OctaSpace can't be asked now: it does not answer in time."
    if isinstance(error, OctaNetworkError):
        return "OctaSpace can't be asked now: it can't be reached from Airflow's API server."
    return f"OctaSpace can't be asked now: {_cut(str(error))}"


def _client(connection_id: str) -> OctaClient:
    from airflow_provider.intents import VariableIntents

    try:
        settings = _settings(connection_id)
        return settings.client(timeout=min(settings.timeout, _ANSWER_S), retries=0, intents=VariableIntents())
    except (OctaConfigError, ValueError) as error:
        # Its message names the field, and holds no secret of it.
        raise PageError(502, f"The connection {connection_id} can't be used: {_cut(str(error))}") from None


def _settings(connection_id: str) -> ConnectionSettings:
    from airflow.models.connection import Connection

    try:
        settings = ConnectionSettings.from_connection(Connection.get_connection_from_secrets(connection_id))
        mask_secrets(settings)
        return settings.named()
    except AirflowNotFoundException:
        raise PageError(404, f"There is no connection {connection_id} yet: make one of the type OctaSpace.") from None
    except AirflowException as error:
        raise PageError(502, f"The connection {connection_id} can't be used now: {_cut(str(error))}") from None


def _cut(text: str) -> str:
    said = plain_words(text)
    return said if len(said) <= _SAID_CHARS else f"{said[:_SAID_CHARS]}…"
