"""A private key's text works also when a form has made one line of it."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

from octa_provider.errors import OctaConfigError
from octa_provider.remote.private_key import is_pem_text, pem_lines
from octa_provider.remote.target import SshTarget, check_key, client_keys

KINDS = [("ssh-ed25519", "openssh"), ("ssh-rsa", "pkcs1-pem"), ("ecdsa-sha2-nistp256", "pkcs8-pem")]


@pytest.mark.parametrize(
    "between", ["\n", "\r\n", " ", "", "\\n"], ids=["lines", "crlf", "spaces", "nothing", "escaped"]
)
@pytest.mark.parametrize(("algorithm", "form"), KINDS)
def test_a_key_is_read_whatever_stands_between_its_lines(algorithm: str, form: str, between: str) -> None:
    key = asyncssh.generate_private_key(algorithm)
    text = key.export_private_key(form).decode().strip().replace("\n", between)
    assert is_pem_text(text)
    (read,) = client_keys(SshTarget("127.0.0.1", 22, private_key=text))
    assert read.export_public_key() == key.export_public_key()


def test_a_key_with_its_lines_is_left_alone() -> None:
    text = asyncssh.generate_private_key("ssh-rsa").export_private_key("pkcs1-pem").decode()
    assert pem_lines(f"\n{text}\n ") == text


def test_a_path_is_no_key() -> None:
    assert not is_pem_text("/home/me/.ssh/id_ed25519")


def test_the_key_of_a_user_that_nobody_knows_is_refused_with_what_to_do() -> None:
    with pytest.raises(OctaConfigError, match=r"~no-such-user/key .* no such home folder: give the whole path"):
        client_keys(SshTarget("127.0.0.1", 22, private_key="~no-such-user/key"))


def test_a_user_without_a_home_folder_and_a_key_is_told_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nobody)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(OctaConfigError, match="there is no SSH key to log in with"):
        check_key(None)
