"""What is about to be rented, kept as Airflow Variables: the next try may run on another worker than the one that died.

The task's own store of Airflow 3.3 would do for the next try of the same task. But the stop is another task, and so is
the reaper, and they have to know as well what a session is that shows no rental key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from airflow_provider.variables import forget_variable, read_variable, variable_names, write_variable
from octa_provider.rental.intents import EXPIRES_S, Intent
from octa_provider.text.loggers import plain_logger

__all__ = ["VARIABLE_PREFIX", "VariableIntents"]

log = plain_logger(__name__)

#: What the names of these Variables begin with.
VARIABLE_PREFIX = "octa_intents_"
_DESCRIPTION = "What octa-provider is about to rent, or has rented without an echo. It removes this itself."


class VariableIntents:
    """Intents as Airflow Variables, one for each rental key that has any. What can't be kept is logged.

    See `octa_provider.rental.intents.Intents` for the methods.
    """

    def read(self, key: str) -> tuple[Intent, ...]:
        """The intents of a rental key, oldest first.

        Args:
            key: the rental key.
        """
        try:
            found = _unpacked(read_variable(_name(key)))
        except Exception as error:  # noqa: BLE001 - each Airflow has its own
            log.warning("What an earlier try was about to rent can't be asked: %s: %s", type(error).__name__, error)
            return ()
        return tuple(sorted(found[1], key=lambda intent: intent.at)) if found is not None and found[0] == key else ()

    def put(self, key: str, intent: Intent) -> None:
        """Keep an intent; it replaces the one with the same attempt.

        Args:
            key: the rental key.
            intent: what is about to be rented, or has been.
        """
        self._keep(key, [*(one for one in self.read(key) if one.attempt != intent.attempt), intent])

    def remove(self, key: str, attempt: str) -> None:
        """Forget the intent of an attempt.

        Args:
            key: the rental key.
            attempt: which of its intents.
        """
        before = self.read(key)
        left = [one for one in before if one.attempt != attempt]
        if len(left) != len(before):
            self._keep(key, left)

    def claimed(self) -> Mapping[str, str]:
        """Every session whose uuid is known here: uuid to key."""
        return {uuid: key for key, intent in self._all() if (uuid := intent.claimed_uuid) is not None}

    def pending(self) -> tuple[tuple[str, Intent], ...]:
        """The intents of every key whose session is not known yet, each with its key."""
        return tuple((key, intent) for key, intent in self._all() if intent.uuid is None)

    def kept(self) -> tuple[Intent, ...]:
        """The notes of every session that is kept for a look."""
        return tuple(intent for _, intent in self._all() if intent.kept_until is not None)

    def forget_what_is_over(self, now: float, active: Collection[str]) -> None:
        """Remove what nobody asks for again: requests long past, and sessions that are gone.

        Args:
            now: Unix time in seconds.
            active: the uuids of the account's sessions that run.
        """
        for key, intent in self._all():
            if intent.is_over(now) or (intent.uuid not in {None, *active} and now - intent.at > EXPIRES_S):
                self.remove(key, intent.attempt)

    def _all(self) -> list[tuple[str, Intent]]:
        """The intents of every key; none on an Airflow that does not list its Variables for a task (3.0 to 3.2)."""
        try:
            found = [_unpacked(read_variable(name)) for name in variable_names(VARIABLE_PREFIX)]
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("What other tasks have rented can't be asked: %s: %s", type(error).__name__, error)
            return []
        return [(key, intent) for key, intents in (one for one in found if one is not None) for intent in intents]

    def _keep(self, key: str, intents: list[Intent]) -> None:
        try:
            if intents:
                value = json.dumps({"key": key, "intents": [intent.to_dict() for intent in intents]})
                write_variable(_name(key), value, _DESCRIPTION)
            else:
                forget_variable(_name(key))
        except Exception as error:  # noqa: BLE001 - as above
            log.warning(
                "What is about to be rented under %s can't be written down as an Airflow Variable (%s: %s): a process "
                "that is killed now may leave a machine that the next try can't tell",
                key,
                type(error).__name__,
                error,
            )


def _name(key: str) -> str:
    return VARIABLE_PREFIX + hashlib.sha256(key.encode()).hexdigest()[:32]


def _unpacked(value: str) -> tuple[str, list[Intent]] | None:
    """A rental key and its intents; None for what is none, such as what another version wrote."""
    if not value:
        return None
    try:
        told: Any = json.loads(value)
        return str(told["key"]), [Intent.from_dict(one) for one in told["intents"]]
    except (ValueError, KeyError, TypeError) as error:
        log.warning("An Airflow Variable %s... holds no intents, and is left alone: %s", VARIABLE_PREFIX, error)
        return None
