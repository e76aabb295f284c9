"""What is about to be rented, kept on Prefect's server: the next try, on another computer, finds it there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from prefect.client.schemas.actions import VariableCreate
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectException
from prefect.settings import get_current_settings
from prefect.types import MAX_VARIABLE_VALUE_LENGTH

from octa_provider.errors import OctaConfigError
from octa_provider.rental.intents import Intent
from octa_provider.text.loggers import plain_logger
from prefect_blocks.impatient_client import impatient_client

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from octa_provider.rental.intents import Intents

__all__ = ["NAME_PREFIX", "TAG", "PrefectIntents", "away_until"]

log = plain_logger("prefect_blocks.intents")

T = TypeVar("T")

#: Names of the variables begin so; a variable each intent, so that two tries at once do not overwrite each other.
NAME_PREFIX = "octa_intent_"
TAG = "octaspace"
#: Seconds that the server has for an answer: a machine is being rented, or stopped, meanwhile.
TIMEOUT_S = 3.0
#: A server whose SQLite is busy is asked again after this, for as long.
BUSY_S = 0.5
#: A server that did not answer is not asked again for so long.
AWAY_S = 60.0
PAGE = 200

#: For each API until when it is not asked, on the monotonic clock; all clients of a process learn it together.
away_until: dict[str, float] = {}


class PrefectIntents:
    """Intents as Prefect Variables, small and gone with what they were for.

    What the server can't take goes into another store: when it is away, when there is none, and for a key that is too
    long for a variable.

    Args:
        otherwise: that store; it is read too.
    """

    def __init__(self, otherwise: Intents) -> None:
        self._otherwise = otherwise

    def read(self, key: str) -> tuple[Intent, ...]:
        """The intents of a rental key, oldest first.

        Args:
            key: the rental key, whole.
        """
        found = {intent.attempt: intent for intent in self._otherwise.read(key)}
        kept = self._ask(lambda client: _variables(client, f"{NAME_PREFIX}{_digest(key)}"))
        found.update({intent.attempt: intent for known, intent in kept or () if known == key})
        return tuple(sorted(found.values(), key=lambda intent: intent.at))

    def put(self, key: str, intent: Intent) -> None:
        """Keep an intent; it replaces the one with the same attempt.

        Args:
            key: the rental key, whole.
            intent: what is about to be rented.
        """
        value = {"key": key, **intent.to_dict()}
        name = _name(key, intent.attempt)
        is_small = len(json.dumps(value)) <= MAX_VARIABLE_VALUE_LENGTH
        if not is_small or self._ask(lambda client: _write(client, name, value)) is None:
            self._otherwise.put(key, intent)

    def remove(self, key: str, attempt: str) -> None:
        """Forget the intent of an attempt; one that is not known is fine too.

        Args:
            key: the rental key, whole.
            attempt: names the attempt.
        """
        self._ask(lambda client: _delete(client, _name(key, attempt)))
        self._otherwise.remove(key, attempt)

    def claimed(self) -> Mapping[str, str]:
        """Sessions that are known to belong to a key: uuid to key."""
        kept = self._ask(lambda client: _variables(client, NAME_PREFIX)) or []
        return {
            **self._otherwise.claimed(),
            **{uuid: key for key, intent in kept if (uuid := intent.claimed_uuid) is not None},
        }

    def pending(self) -> tuple[tuple[str, Intent], ...]:
        """The intents of every key whose session is not known yet, each with its key."""
        kept = self._ask(lambda client: _variables(client, NAME_PREFIX)) or []
        return (*self._otherwise.pending(), *((key, intent) for key, intent in kept if intent.uuid is None))

    def kept(self) -> tuple[tuple[str, Intent], ...]:
        """The notes of sessions that are kept although their work has failed, each with what it is noted as."""
        kept = self._ask(lambda client: _variables(client, NAME_PREFIX)) or []
        return (*self._otherwise.kept(), *((key, intent) for key, intent in kept if intent.kept_until is not None))

    def clear(self, active: Collection[str], now: float) -> int:
        """Forget what nobody will ask for any more: requests of long ago that left no session which still runs.

        Args:
            active: the uuids of the account's active sessions.
            now: Unix time in seconds.

        Returns:
            How many were forgotten.
        """
        kept = self._ask(lambda client: _variables(client, NAME_PREFIX)) or []
        old = [(key, one) for key, one in kept if one.may_be_forgotten(now, active)]
        for key, intent in old:
            self.remove(key, intent.attempt)
        return len(old)

    def _ask(self, question: Callable[[SyncPrefectClient], T]) -> T | None:
        """The server's answer; None when there is no server, or none that answers."""
        api = str(get_current_settings().api.url or "")
        if not _has_server(api) or time.monotonic() < away_until.get(api, 0.0):
            return None
        try:
            # Without a client of the run's own: that one is patient for minutes.
            with impatient_client(TIMEOUT_S) as client:
                until = time.monotonic() + TIMEOUT_S
                while True:
                    try:
                        return question(client)
                    except httpx.HTTPStatusError as error:
                        if error.response.status_code != 503 or time.monotonic() >= until:
                            raise
                        time.sleep(BUSY_S)
        except (httpx.HTTPError, PrefectException, RuntimeError) as error:
            away_until[api] = time.monotonic() + AWAY_S
            log.warning("Prefect's server does not keep what is about to be rented, this computer does: %s", error)
            return None


def _has_server(api: str) -> bool:
    # For a script without either, Prefect would start a server just for this.
    return bool(api) or FlowRunContext.get() is not None or TaskRunContext.get() is not None


def _write(client: SyncPrefectClient, name: str, value: dict[str, Any]) -> bool:
    try:
        client.create_variable(VariableCreate(name=name, value=value, tags=[TAG]))
    except ObjectAlreadyExists:
        client.request(
            "PATCH", "/variables/name/{name}", path_params={"name": name}, json={"value": value}
        ).raise_for_status()
    return True


def _delete(client: SyncPrefectClient, name: str) -> bool:
    with suppress(ObjectNotFound):
        client.delete_variable_by_name(name)
    return True


def _variables(client: SyncPrefectClient, prefix: str) -> list[tuple[str, Intent]]:
    found = []
    offset = 0
    while True:
        question = {"variables": {"name": {"like_": prefix}}, "limit": PAGE, "offset": offset, "sort": "NAME_ASC"}
        page = client.request("POST", "/variables/filter", json=question).json()
        for variable in page:
            if not str(variable["name"]).startswith(prefix):
                continue
            try:
                found.append((str(variable["value"]["key"]), Intent.from_dict(variable["value"])))
            except (KeyError, TypeError, OctaConfigError) as error:
                log.warning("the variable %s is not an intent and is left alone: %s", variable["name"], error)
        if len(page) < PAGE:
            return found
        offset += PAGE


def _name(key: str, attempt: str) -> str:
    return f"{NAME_PREFIX}{_digest(key)}_{_digest(attempt)[:16]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
