"""What is about to be rented, written down before the money is spent.

A session that echoes its environment is found by its key. One that does not (a VPN, or an API that keeps `user_envs` to
itself) can be found only by what was known before: which node was asked, what ran there, and when. Whoever is killed
between the request and its answer leaves that behind for the next try, in a store that the next try sees: a folder on
this machine, or one that the orchestrator keeps.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from octa_provider.errors import OctaConfigError
from octa_provider.plain_log import plain_logger

__all__ = ["FolderIntents", "Intent", "Intents", "state_folder"]

log = plain_logger("octa_provider.intents")

STATE_FOLDER_ENV = "OCTA_STATE_DIR"
#: An intent without a uuid is forgotten after this: what it may have left has been told of by then.
EXPIRES_S = 3600.0


@dataclass(frozen=True)
class Intent:
    """One request for one machine, as it was known before it was sent.

    Attributes:
        attempt: which call of `start` it belongs to; see `RentalMark`.
        fingerprint: what was asked for; see `RentalMark`.
        service: `mr`, `render` or `vpn`.
        node_id: the machine that was asked.
        before: the uuids of the account's sessions of that service on that machine, before the request.
        at: Unix time of the request, in seconds.
        uuid: the session, once the API has told it.
        namespace: of the installation; empty for none.
    """

    attempt: str
    fingerprint: str
    service: str
    node_id: int
    before: tuple[str, ...]
    at: float
    uuid: str | None = None
    namespace: str = ""

    def started(self, uuid: str) -> Intent:
        """The same, once the session is known."""
        return replace(self, uuid=uuid)

    def is_over(self, now: float) -> bool:
        """True when it is too old to act on.

        Args:
            now: Unix time in seconds.
        """
        return self.uuid is None and now - self.at > EXPIRES_S

    def to_dict(self) -> dict[str, Any]:
        """The intent as a small JSON value without secrets."""
        return {**asdict(self), "before": list(self.before)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Intent:
        """The intent that `to_dict` made the value of; raises OctaConfigError for anything else."""
        try:
            uuid = value.get("uuid")
            return cls(
                attempt=str(value["attempt"]),
                fingerprint=str(value["fingerprint"]),
                service=str(value["service"]),
                node_id=int(value["node_id"]),
                before=tuple(str(known) for known in value["before"]),
                at=float(value["at"]),
                uuid=None if uuid is None else str(uuid),
                namespace=str(value.get("namespace", "")),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise OctaConfigError(f"this is not an intent: {error!r}") from None


class Intents(Protocol):
    """Where intents are kept. Several tries of one key may use it at once.

    A store that can't be written costs the start nothing: it must not raise for that, but say so in its log.
    """

    def read(self, key: str) -> tuple[Intent, ...]:
        """The intents of a rental key, oldest first; none when there are none, or they can't be read."""

    def put(self, key: str, intent: Intent) -> None:
        """Keep an intent; it replaces the one with the same attempt."""

    def remove(self, key: str, attempt: str) -> None:
        """Forget the intent of an attempt; one that is not there is fine."""

    def claimed(self) -> Mapping[str, str]:
        """Sessions that are known to belong to a key, as far as this store sees them: uuid to key."""


class FolderIntents:
    """Intents in a folder, one small file each. What can't be read or written is logged and passed over.

    Args:
        folder: made when it is first written to.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def read(self, key: str) -> tuple[Intent, ...]:
        """The intents of a rental key, oldest first."""
        found = [intent for known, intent in self._all(f"{_digest(key)}.*.json") if known == key]
        return tuple(sorted(found, key=lambda intent: intent.at))

    def put(self, key: str, intent: Intent) -> None:
        """Keep an intent; it replaces the one with the same attempt."""
        path = self._path(key, intent.attempt)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.write_text(json.dumps({"key": key, **intent.to_dict()}), encoding="utf-8")
            part.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            log.warning(
                "what is about to be rented under %s can't be written down in %s (%s): a process that is killed now "
                "may leave a machine that the next try can't tell. Set %s to a folder that can be written",
                key,
                self._folder,
                error.strerror or error,
                STATE_FOLDER_ENV,
            )

    def remove(self, key: str, attempt: str) -> None:
        """Forget the intent of an attempt."""
        try:
            self._path(key, attempt).unlink(missing_ok=True)
            # Fails while others are in it, as it should.
            self._folder.rmdir()
        except OSError as error:
            log.debug("the folder of intents stays: %s", error)

    def claimed(self) -> Mapping[str, str]:
        """Every session whose uuid is known here."""
        return {intent.uuid: key for key, intent in self._all("*.json") if intent.uuid is not None}

    def _path(self, key: str, attempt: str) -> Path:
        return self._folder / f"{_digest(key)}.{_digest(attempt)[:16]}.json"

    def _all(self, pattern: str) -> list[tuple[str, Intent]]:
        found = []
        try:
            for path in sorted(self._folder.glob(pattern)):
                try:
                    value = json.loads(path.read_text(encoding="utf-8"))
                    found.append((str(value["key"]), Intent.from_dict(value)))
                except FileNotFoundError:
                    # Another try has just ended.
                    continue
                except (ValueError, KeyError, TypeError) as error:
                    log.warning("%s is not an intent and is left alone: %s", path, error)
        except OSError as error:
            log.warning("the intents in %s can't be read: %s", self._folder, error)
        return found


def state_folder(account: tuple[str, ...]) -> Path:
    """The folder in which this machine's user keeps what belongs to an account.

    `OCTA_STATE_DIR`, else `octa-provider` below `XDG_STATE_HOME`, else below `~/.local/state`.

    Args:
        account: tells accounts apart, without the key itself: `Transport.account`.
    """
    given = os.environ.get(STATE_FOLDER_ENV)
    home = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    root = Path(given).expanduser() if given else home / "octa-provider"
    return root / _digest("\n".join(account))[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
