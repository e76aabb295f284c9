"""The state folder: what outlives the emulator's process."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import uuid
from pathlib import Path
from typing import Any

import asyncssh

from octa_provider.errors import OctaConfigError
from octa_provider.files.whole_file import PRIVATE, whole_file


class StateFolder:
    """The files of one emulated account. One emulator at a time may hold a folder.

    Attributes:
        root: the folder.
        api_key: the account's API key.
        account: the account's identity: `account_uuid`, `email`, `uid`, `wallet`, `ref_code`.
        ssh_private_key: path of the account's private key, readable by its owner only.
    """

    def __init__(self, root: Path, api_key: str | None = None) -> None:
        self.root = root.absolute()
        for folder in (self.root, self.sessions, self.logs, self.host_keys, self.images):
            folder.mkdir(parents=True, exist_ok=True)
        # Sessions hold whatever their commands write: nobody else's business.
        self.root.chmod(0o700)
        self._lock = self._take_lock()
        try:
            self.account = self._load_account(api_key)
            self.api_key = str(self.account["api_key"])
            self.ssh_private_key = self.root / "id_ed25519"
            self._ssh_key = self._load_key(self.ssh_private_key)
        except BaseException:
            self.close()
            raise

    @property
    def sessions(self) -> Path:
        """One folder a session: its commands' home."""
        return self.root / "sessions"

    @property
    def logs(self) -> Path:
        """One file a session: what its container printed."""
        return self.root / "logs"

    @property
    def host_keys(self) -> Path:
        """One SSH host key a session."""
        return self.root / "host_keys"

    @property
    def images(self) -> Path:
        """The commands that images put on the PATH."""
        return self.root / "images"

    @property
    def ledger(self) -> Path:
        """What happened, one JSON object a line."""
        return self.root / "ledger.jsonl"

    @property
    def public_key(self) -> asyncssh.SSHKey:
        """The key that SSH logins must show."""
        return self._ssh_key.convert_to_public()

    def host_key(self, session_uuid: str) -> asyncssh.SSHKey:
        """The host key of a session, made on first use."""
        return self._load_key(self.host_keys / session_uuid)

    def close(self) -> None:
        """Let another emulator have the folder."""
        os.close(self._lock)

    def _take_lock(self) -> int:
        lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise OctaConfigError(
                f"Another emulator is using {self.root}: stop it, or give another state folder."
            ) from None
        return lock

    def _load_account(self, api_key: str | None) -> dict[str, Any]:
        path = self.root / "account.json"
        if path.exists():
            account: dict[str, Any] = json.loads(path.read_text())
            if api_key is None or account["api_key"] == api_key:
                return account
            account["api_key"] = api_key
        else:
            account = {
                "api_key": api_key or secrets.token_hex(32),
                "account_uuid": str(uuid.uuid4()),
                "email": "artist@example.com",
                "uid": secrets.randbelow(90_000) + 10_000,
                "wallet": "0x" + secrets.token_hex(20),
                "ref_code": secrets.token_hex(4),
            }
        _write_private(path, json.dumps(account).encode())
        return account

    def _load_key(self, path: Path) -> asyncssh.SSHKey:
        if not path.exists():
            _write_private(path, asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        return asyncssh.import_private_key(path.read_bytes())


def _write_private(path: Path, content: bytes) -> None:
    # Whole or not at all: a killed emulator must not leave half a key.
    with whole_file(path, mode=PRIVATE) as file:
        file.write(content)
