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
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec

from octa_provider.files.whole_file import whole_file
from octa_provider.text.loggers import plain_logger
from octa_provider.wire.state import read_state

if TYPE_CHECKING:
    from octa_provider.timing.clock import Clock

__all__ = ["FolderIntents", "Intent", "Intents", "state_folder"]

log = plain_logger("octa_provider.rental.intents")

STATE_FOLDER_ENV = "OCTA_STATE_DIR"
#: An intent without a uuid is forgotten after this: what it may have left has been told of by then.
EXPIRES_S = 3600.0
#: And any file, whatever it says, after this: no rental is meant to run for so long.
KEPT_S = 90 * 86_400.0
#: So often an intent is written, should somebody remove the folder meanwhile.
WRITES = 20


# Neither infinite nor NaN, which no age could be told from.
_Time = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]


class Intent(msgspec.Struct, frozen=True):
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
        boot: since when `counted` counts: `Clock.boot`; empty for an intent that knows the wall clock alone.
        counted: the time of the request as `Clock.monotonic` told it, in seconds: no wall clock that is set moves it.
        kept_until: of a session that is kept although its work has failed, the Unix time until which; such a note is
            no request. See `octa_provider.rental.kept`.
    """

    attempt: str
    fingerprint: str
    service: str
    node_id: int
    before: tuple[str, ...]
    at: _Time
    uuid: str | None = None
    namespace: str = ""
    boot: str = ""
    counted: _Time = 0.0
    kept_until: _Time | None = None

    def age_s(self, clock: Clock) -> float:
        """Seconds since the request; below 0 when the wall clock was set back, or another machine's is ahead.

        Args:
            clock: of this process.
        """
        if self.boot and self.boot == clock.boot:
            return clock.monotonic() - self.counted
        return clock.time() - self.at

    def started(self, uuid: str) -> Intent:
        """The same, once the session is known.

        Args:
            uuid: the session.
        """
        return msgspec.structs.replace(self, uuid=uuid)

    def kept(self, until: float) -> Intent:
        """The same as the note of a session that is kept.

        Args:
            until: Unix time until which.
        """
        return msgspec.structs.replace(self, kept_until=until)

    @property
    def claimed_uuid(self) -> str | None:
        """The session that it has become; None for a request without an answer, and for a note of one that is kept."""
        return self.uuid if self.kept_until is None else None

    def may_be_forgotten(self, now: float, active: Collection[str]) -> bool:
        """True when nobody asks for it again: a request long past, or a session that is gone, as far as is known.

        Args:
            now: Unix time in seconds.
            active: the uuids of the account's sessions that run. A store may hold what was rented on another account.
        """
        return self.uuid not in active and now - max(self.at, self.kept_until or self.at) > EXPIRES_S

    def to_dict(self) -> dict[str, Any]:
        """The intent as a small JSON value without secrets."""
        return {**msgspec.to_builtins(self), "before": list(self.before)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Intent:
        """The intent that `to_dict` made the value of; names that are not known are left out.

        Args:
            value: as `to_dict` gave it; integers may have become text on the way, as in an XCom.

        Raises:
            OctaConfigError: it is not an intent.
        """
        return read_state(Intent, value, "an intent")


class Intents(Protocol):
    """Where intents are kept. Several tries of one key may use it at once.

    A store that can't be written costs the start nothing: it must not raise for that, but say so in its log.
    """

    def read(self, key: str) -> tuple[Intent, ...]:
        """The intents of a rental key, oldest first; none when there are none, or they can't be read.

        Args:
            key: the rental key, whole.
        """

    def put(self, key: str, intent: Intent) -> None:
        """Keep an intent; it replaces the one with the same attempt.

        Args:
            key: the rental key, whole.
            intent: what is about to be rented, or has been.
        """

    def remove(self, key: str, attempt: str) -> None:
        """Forget the intent of an attempt; one that is not there is fine.

        Args:
            key: the rental key, whole.
            attempt: the intent's.
        """

    def claimed(self) -> Mapping[str, str]:
        """Sessions that are known to belong to a key, as far as this store sees them: uuid to key."""

    def pending(self) -> tuple[tuple[str, Intent], ...]:
        """The intents of every key whose session is not known yet, each with its key."""

    def kept(self) -> tuple[tuple[str, Intent], ...]:
        """The notes of sessions that are kept although their work has failed, each with what it is noted as."""


class FolderIntents:
    """Intents in a folder, one small file each. What can't be read or written is logged and passed over.

    Args:
        folder: made when it is first written to.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def read(self, key: str) -> tuple[Intent, ...]:
        """The intents of a rental key, oldest first.

        Args:
            key: the rental key, whole.
        """
        found = [intent for known, intent in self._all(f"{_digest(key)}.*.json") if known == key]
        return tuple(sorted(found, key=lambda intent: intent.at))

    def put(self, key: str, intent: Intent) -> None:
        """Keep an intent; it replaces the one with the same attempt.

        Args:
            key: the rental key, whole.
            intent: what is about to be rented, or has been.
        """
        path = self._path(key, intent.attempt)
        try:
            for left in reversed(range(WRITES)):
                try:
                    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    with whole_file(path) as file:
                        file.write(json.dumps({"key": key, **intent.to_dict()}).encode())
                    break
                except (FileNotFoundError, FileExistsError):
                    # Whoever removes the last intent removes the folder too, perhaps between these steps.
                    if not left:
                        raise
            self._prune()
        except OSError as error:
            log.warning(
                "what is about to be rented under %s can't be written down in %s (%s): a process that is killed now "
                "may leave a machine that the next try can't tell. Set %s to a folder that can be written",
                key,
                self._folder,
                error.strerror or error,
                STATE_FOLDER_ENV,
            )

    def _prune(self) -> None:
        """Remove what nobody has asked for in a long time: a key that was killed and never tried again."""
        for path in self._folder.glob("*.json"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > KEPT_S:
                    path.unlink()

    def remove(self, key: str, attempt: str) -> None:
        """Forget the intent of an attempt.

        Args:
            key: the rental key, whole.
            attempt: the intent's.
        """
        try:
            self._path(key, attempt).unlink(missing_ok=True)
            # Fails while others are in it, as it should.
            self._folder.rmdir()
        except OSError as error:
            log.debug("the folder of intents stays: %s", error)

    def claimed(self) -> Mapping[str, str]:
        """Every session whose uuid is known here."""
        return {uuid: key for key, intent in self._all("*.json") if (uuid := intent.claimed_uuid) is not None}

    def pending(self) -> tuple[tuple[str, Intent], ...]:
        """Every intent whose session is not known yet."""
        return tuple((key, intent) for key, intent in self._all("*.json") if intent.uuid is None)

    def kept(self) -> tuple[tuple[str, Intent], ...]:
        """Every note of a session that is kept."""
        return tuple((key, intent) for key, intent in self._all("*.json") if intent.kept_until is not None)

    def _path(self, key: str, attempt: str) -> Path:
        return self._folder / f"{_digest(key)}.{_digest(attempt)[:16]}.json"

    def _all(self, pattern: str) -> list[tuple[str, Intent]]:
        found: list[tuple[str, Intent]] = []
        try:
            if not _is_ours(self._folder):
                return found
            for path in sorted(self._folder.glob(pattern)):
                try:
                    value = json.loads(path.read_text(encoding="utf-8"))
                    found.append((str(value["key"]), Intent.from_dict(value)))
                except FileNotFoundError:
                    # Another try has just ended.
                    continue
                except (ValueError, KeyError, TypeError) as error:
                    log.warning("%s is not an intent and is left alone: %s", path, error)
        except FileNotFoundError:
            # The last of them has just ended, and their folder with it.
            return found
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
    try:
        home = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        root = Path(given).expanduser() if given else home / "octa-provider"
    except RuntimeError:
        # A container may run as a user that nobody knows, without a home.
        root = Path(tempfile.gettempdir()) / f"octa-provider-{os.getuid() if hasattr(os, 'getuid') else 'state'}"
    return root / _digest("\n".join(account))[:16]


def _is_ours(folder: Path) -> bool:
    """Whether a folder is there, and this user's: in a shared one anybody could tell us what is ours."""
    if not folder.is_dir():
        return False
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        log.warning("%s belongs to another user, so nothing in it is believed", folder)
        return False
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
