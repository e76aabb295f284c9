"""Redirects: followed for reads alone, never with the key to another host, never out of TLS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from odd_server import OddServer, answer, hang_up, redirect

from octa_provider import (
    OctaApiError,
    OctaAuthenticationError,
    OctaClient,
    OctaConfigError,
    OctaDecodeError,
    OctaNetworkError,
)

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]
STATUSES = [301, 302, 303, 307, 308]


@pytest.mark.parametrize("status", STATUSES)
def test_a_redirect_to_another_host_never_carries_the_key(status: int, serve: Serve, connect: Connect) -> None:
    other = serve(answer(body=[]))
    server = serve(redirect(status, f"{other.url}/elsewhere"))
    assert list(connect(server).sessions.list()) == []
    assert other.received[0].path == "/elsewhere"
    assert "authorization" not in other.received[0].headers
    assert "cookie" not in other.received[0].headers


def test_the_same_address_under_another_name_is_another_host(serve: Serve, connect: Connect) -> None:
    server = serve()
    server.steps = [redirect(302, f"http://localhost:{server.port}/again"), answer()]
    connect(server).sessions.list()
    assert "authorization" not in server.received[1].headers


def test_a_redirect_on_the_same_host_keeps_the_key(serve: Serve, connect: Connect) -> None:
    server = serve(redirect(307, "/v2/sessions?recent=true"), answer())
    connect(server).sessions.list(recent=True)
    assert [request.path for request in server.received] == ["/sessions?recent=true", "/v2/sessions?recent=true"]
    assert "authorization" in server.received[1].headers


def test_the_key_stays_behind_when_another_host_sends_the_client_back(serve: Serve, connect: Connect) -> None:
    server, other = serve(), serve()
    server.steps = [redirect(302, f"{other.url}/away"), answer()]
    other.steps = [redirect(302, f"{server.url}/nodes/1/reboot")]
    connect(server).sessions.list()
    assert server.received[1].path == "/nodes/1/reboot"
    assert "authorization" not in server.received[1].headers


def test_a_download_may_be_redirected_to_a_store_of_files(serve: Serve, connect: Connect) -> None:
    import io

    store = serve(answer(body=b"the logs"))
    server = serve(redirect(302, f"{store.url}/bucket/logs?signature=s"))
    file = io.BytesIO()
    assert connect(server).nodes.download_logs(1, file) == 8
    assert file.getvalue() == b"the logs"
    assert "authorization" not in store.received[0].headers


@pytest.mark.parametrize("location", ["http://203.0.113.9/sessions", "//203.0.113.9/sessions"])
def test_a_redirect_to_plain_http_is_refused(location: str, serve: Serve, connect: Connect) -> None:
    server = serve(redirect(302, location))
    with pytest.raises(OctaConfigError, match=r"plain http at 203\.0\.113\.9"):
        connect(server).sessions.list()


def test_a_redirect_to_plain_http_is_followed_when_that_is_allowed(serve: Serve, connect: Connect) -> None:
    server = serve(redirect(302, "http://a..b/sessions"))
    with pytest.raises(OctaNetworkError):
        connect(server, allow_http=True, retries=0).sessions.list()


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    "effect",
    [
        lambda c: c.services.render.start(node_id=1),
        lambda c: c.services.session("u").stop(),
        lambda c: c.nodes.update_prices(1, base_wei=1, storage_wei=1, traffic_wei=1),
        lambda c: c.nodes.reboot(1),
    ],
)
def test_a_side_effect_is_not_sent_on_to_where_a_redirect_leads(
    status: int, effect: Callable[[OctaClient], object], serve: Serve, connect: Connect
) -> None:
    other = serve()
    server = serve(redirect(status, f"{other.url}/x"))
    with pytest.raises(OctaApiError) as caught:
        effect(connect(server))
    assert caught.value.status == status
    assert other.accepts == 0
    assert len(server.received) == 1


def test_a_circle_of_redirects_ends_as_an_error(serve: Serve, connect: Connect) -> None:
    server = serve(redirect(302, "/sessions"))
    with pytest.raises(OctaApiError) as caught:
        connect(server).sessions.list()
    assert caught.value.status == 302
    assert len(server.received) == 6


@pytest.mark.parametrize(
    "location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://[::1", "http://user:pw@127.0.0.1/x", "https://"]
)
def test_a_redirect_to_what_is_no_web_address_is_an_error(location: str, serve: Serve, connect: Connect) -> None:
    server = serve(redirect(302, location))
    with pytest.raises(OctaApiError) as caught:
        connect(server).sessions.list()
    assert caught.value.status == 302


def test_an_address_that_two_parsers_read_differently_does_not_get_the_key(serve: Serve, connect: Connect) -> None:
    other = serve()
    server = serve()
    server.steps = [redirect(302, f"{other.url}\\@127.0.0.1:{server.port}/"), answer()]
    connect(server).sessions.list()
    assert [request.path for request in server.received] == ["/sessions"]
    assert "authorization" not in other.received[0].headers


def test_a_redirect_target_that_fails_is_told_with_its_url_but_not_its_query(serve: Serve, connect: Connect) -> None:
    other = serve(hang_up)
    server = serve(redirect(302, f"{other.url}/file?signature=secret"))
    with pytest.raises(OctaNetworkError) as caught:
        connect(server, retries=0).sessions.list()
    assert caught.value.url == f"{other.url}/file"
    assert "secret" not in str(caught.value)


def test_the_body_of_a_redirect_is_not_read(serve: Serve, connect: Connect) -> None:
    from odd_server import raw

    head = b"HTTP/1.1 302 X\r\nLocation: /again\r\nContent-Length: 99999999999\r\n\r\n"
    server = serve(raw(head), answer())
    connect(server).sessions.list()
    assert [request.path for request in server.received] == ["/sessions", "/again"]


def test_an_error_behind_a_redirect_names_the_other_host_and_the_base_url_to_use(
    serve: Serve, connect: Connect
) -> None:
    other = serve(answer(401, {"message": "no key"}))
    server = serve(redirect(301, f"{other.url}/v2/sessions?signature=secret"))
    with pytest.raises(OctaAuthenticationError) as caught:
        connect(server).sessions.list()
    told = str(caught.value)
    assert f"redirected to {other.url}/v2/sessions, another host, which is not shown the key" in told
    assert told.endswith(f"set base_url={other.url}/v2")
    assert "secret" not in told


def test_a_side_effect_that_is_redirected_says_that_nothing_was_sent_there(serve: Serve, connect: Connect) -> None:
    other = serve()
    server = serve(redirect(308, f"{other.url}/nodes/1/reboot"))
    with pytest.raises(OctaApiError) as caught:
        connect(server).nodes.reboot(1)
    assert f"redirects to {other.url}/nodes/1/reboot, another host, where nothing was sent" in str(caught.value)
    assert str(caught.value).endswith(f"set base_url={other.url}")


def test_a_page_of_another_host_is_told_as_one(serve: Serve, connect: Connect) -> None:
    other = serve(answer(body=b"<html>please log in</html>"))
    server = serve(redirect(302, f"{other.url}/login"))
    with pytest.raises(OctaDecodeError, match=f"redirected to {other.url}/login, another host"):
        connect(server).sessions.list()


@pytest.mark.parametrize("location", ["/elsewhere", "http://[::1", "ftp://127.0.0.1"])
def test_an_error_on_the_same_host_or_behind_no_address_says_nothing_of_another(
    location: str, serve: Serve, connect: Connect
) -> None:
    server = serve(redirect(302, location), answer(401, {}))
    with pytest.raises(OctaApiError) as caught:
        connect(server).sessions.list()
    assert "redirected to" not in str(caught.value)
