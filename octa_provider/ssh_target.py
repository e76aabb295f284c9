"""Where an SSH connection goes, as whom, and with which key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaConfigError, OctaSshError
from octa_provider.pem_text import is_pem_text, pem_lines

if TYPE_CHECKING:
    from octa_provider.models import Session


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
    """

    host: str
    port: int
    username: str = "root"
    private_key: str | Path | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    host_key: str | None = None

    @classmethod
    def of(
        cls,
        session: Session,
        *,
        private_key: str | Path | None = None,
        passphrase: str | None = None,
        host_key: str | None = None,
    ) -> SshTarget:
        """The target of a ready session: its direct address, else its proxy.

        Raises:
            OctaSshError: the session tells neither. A single answer can lack what the next one has: ask again.
        """
        endpoint = session.ssh_direct or session.ssh_proxy
        if endpoint is None:
            raise OctaSshError(
                f"session {session.uuid} tells no SSH address: is it ready, and of a kind that has SSH?", lost=True
            )
        return cls(endpoint.host, endpoint.port, private_key=private_key, passphrase=passphrase, host_key=host_key)


def client_keys(target: SshTarget) -> Any:
    """What asyncssh takes as client keys: ours alone when one is given, else the agent's and the default files."""
    try:
        import asyncssh
    except ImportError as error:
        raise OctaConfigError("SSH needs asyncssh: pip install 'octa-provider[ssh]'") from error
    given = target.private_key
    if given is None:
        return ()
    try:
        if is_pem_text(str(given)):
            return [asyncssh.import_private_key(pem_lines(str(given)), target.passphrase)]
        return [asyncssh.read_private_key(str(Path(given).expanduser()), target.passphrase)]
    except (OSError, ValueError) as error:
        # The text of a key is not quoted, not even a broken one that was taken for a path; nor may the cause do so.
        is_path = "\n" not in str(given) and "PRIVATE KEY" not in str(given) and len(str(given)) < 200
        shown = str(given) if is_path else "the given text"
        reason = error.strerror if isinstance(error, OSError) else error
        raise OctaConfigError(f"{shown} can't be read as a private key: {reason}") from None
