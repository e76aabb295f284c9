"""Base URLs that are safe to send a key to, and paths that stay where they belong."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider.errors import OctaConfigError
from octa_provider.http.urls import checked_base_url, is_loopback, path_of


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_a_path_leads_back_to_exactly_its_segments_or_is_refused(segments: list[str]) -> None:
    try:
        path = path_of(*segments)
    except OctaConfigError:
        return
    assert [unquote(part) for part in path.split("/")[1:]] == segments
    assert urlsplit(f"https://host{path}").path == path
    assert not {"", ".", ".."} & set(segments)


def test_a_segment_with_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(OctaConfigError):
        path_of("nodes", "\ud800")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "localhost.example.com", "10.0.0.1", "0.0.0.0", "127.0.0.1.example.com"])
def test_everything_else_is_not(host: str | None) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:9", "https://api.octa.computer/v1"]
)
def test_https_and_loopback_are_taken(url: str) -> None:
    assert checked_base_url(f" {url}/ ") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.octa.computer",
        "http://10.0.0.1",
        "http://0.0.0.0:1",
        "http://localhost.example.com",
        "HTTP://example.com",
    ],
)
def test_plain_http_to_another_machine_is_refused_unless_allowed(url: str) -> None:
    with pytest.raises(OctaConfigError, match="plain http"):
        checked_base_url(url)
    assert checked_base_url(url, allow_http=True) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.octa.computer",
        "ftp://api.octa.computer",
        "https://",
        "https://user@host",
        "https://user:secret@host",
        "https://host?key=secret",
        "https://host#fragment",
        "https://[::1",
        "https://host:99999",
        "https://host:port",
        "https://api.octa.computer\\.example.com",
        "http://example.com\\@127.0.0.1",
        "https://api .octa.computer",
        "https://api\n.octa.computer",
    ],
)
def test_what_is_no_plain_base_url_is_refused_without_showing_secrets(url: str) -> None:
    with pytest.raises(OctaConfigError) as caught:
        checked_base_url(url)
    assert "secret" not in str(caught.value)
