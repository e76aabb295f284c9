"""Where an SSH connection goes, as whom, and with which key."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError, OctaSshError
from octa_provider.remote.private_key import is_pem_text, pem_lines

if TYPE_CHECKING:
    import asyncssh

    from octa_provider.models import Session

#: What `ssh` tries when it is told no key.
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_dsa", "id_ed448", "id_ed25519_sk", "id_ecdsa_sk", "id_xmss")
#: More is no key: a path that is a mistake must not be read whole.
MAX_KEY_BYTES = 1024 * 1024
KEY_FILE_ENV = "OCTA_SSH_KEY_FILE"


@dataclass(frozen=True)
class SshTarget:
    """Where to connect, and as whom.

    Args:
        host: name or address.
        port: TCP port.
        username: `root` on OctaSpace (C).
        private_key: the private key, as the text of a key file or as a path; None for the agent and the default files.
        passphrase: of the private key.
        host_key: the machine's public key in OpenSSH form; None pins the first one seen.
        others: more addresses of the same machine, host and port, tried in this order when the first one is closed.
    """

    host: str
    port: int
    username: str = "root"
    private_key: str | Path | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    host_key: str | None = None
    others: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(
        cls,
        session: Session,
        *,
        private_key: str | Path | None = None,
        passphrase: str | None = None,
        host_key: str | None = None,
    ) -> SshTarget:
        """The target of a ready session: its direct address, then its proxy.

        Args:
            session: a session that is ready.
            private_key: the key or the path of its file; None takes what this user has.
            passphrase: of the key, where it has one.
            host_key: the machine's public key, when it was seen before.

        Raises:
            OctaSshError: the session tells neither. A single answer can lack what the next one has: ask again.
        """
        addresses = [(end.host, end.port) for end in (session.ssh_direct, session.ssh_proxy) if end is not None]
        if not addresses:
            raise OctaSshError(
                f"session {session.uuid} tells no SSH address: is it ready, and of a kind that has SSH?", lost=True
            )
        first, *others = dict.fromkeys(addresses)
        return cls(*first, private_key=private_key, passphrase=passphrase, host_key=host_key, others=tuple(others))

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Every address, in the order in which they are tried."""
        return ((self.host, self.port), *self.others)


def client_keys(target: SshTarget) -> list[asyncssh.SSHKey] | tuple[()]:
    """What asyncssh takes as client keys: ours alone when one is given, else the agent's and the default files.

    Raises:
        OctaConfigError: asyncssh is not installed, or the key can't be read.
    """
    try:
        import asyncssh
    except ImportError as error:
        raise OctaConfigError("SSH needs asyncssh: pip install 'octa-provider[ssh]'") from error
    given = target.private_key
    if given is None:
        return ()
    try:
        return [asyncssh.import_private_key(_key_data(given), target.passphrase)]
    except (OSError, ValueError) as error:
        # The text of a key is not quoted, not even a broken one that was taken for a path; nor may the cause do so.
        is_path = "\n" not in str(given) and "PRIVATE KEY" not in str(given) and len(str(given)) < 200
        shown = str(given) if is_path else "the given text"
        reason = error.strerror if isinstance(error, OSError) else error
        raise OctaConfigError(f"{shown} can't be read as a private key: {reason}") from None


def ssh_key(private_key: str | Path | None) -> str | Path | None:
    """The private key to use: the given one, else the file that the environment names, else None for the agent."""
    return private_key if private_key is not None else os.environ.get(KEY_FILE_ENV) or None


def check_key(private_key: str | Path | None) -> None:
    """Refuse, before any money is spent, a key that can't be read, and no key at all.

    Args:
        private_key: the text of a private key, or the path of its file; None for the agent and the default files.

    Raises:
        OctaConfigError: asyncssh is not installed, the key can't be read, or there is none.
    """
    client_keys(SshTarget("", 0, private_key=private_key))
    if private_key is not None or os.environ.get("SSH_AUTH_SOCK"):
        return
    folder = Path("~/.ssh")
    # Without a home folder there is no file in it.
    with suppress(RuntimeError):
        folder = folder.expanduser()
    if not any((folder / name).exists() for name in DEFAULT_KEYS):
        raise OctaConfigError(
            "there is no SSH key to log in with: give the private key whose public half is in your OctaSpace account "
            f"(--ssh-key, private_key=, or the environment variable OCTA_SSH_KEY_FILE), or put it into {folder}"
        )


def _key_data(given: str | Path) -> str | bytes:
    if is_pem_text(str(given)):
        return pem_lines(str(given))
    try:
        path = Path(given).expanduser()
    except RuntimeError:
        raise ValueError("there is no such home folder: give the whole path") from None
    with path.open("rb") as file:
        data = file.read(MAX_KEY_BYTES)
    text = data.decode("utf-8", "replace")
    if is_pem_text(text):
        return pem_lines(text)
    if text.startswith("PuTTY-User-Key-File"):
        raise ValueError("it is a PuTTY key: convert it with: puttygen KEY.ppk -O private-openssh -o KEY")
    if text.split(" ", 1)[0].startswith(("ssh-", "ecdsa-", "sk-")):
        raise ValueError("it is the public half: give the file without .pub")
    return data
