"""A session's http ports at real URLs, and its TCP ports."""

import asyncio
import socket
import threading
from pathlib import Path

import requests
from tenancy import eventually

from octa_provider.emulator.container.free_port import free_port
from octa_provider.emulator.container.proxy import HttpPortProxy

SERVE = "echo served > index.html; exec python3 -m http.server --bind 127.0.0.1 $OCTA_HTTP_PORT_8080"


def test_a_url_reaches_the_sessions_process(tenant):
    uuid = tenant.ready(SERVE, http_ports=[8080])
    url = tenant.info(uuid)["urls"]["8080"]
    page = eventually(lambda: (answer := requests.get(url, timeout=600)).ok and answer)
    assert page.text == "served\n"
    tenant.stop(uuid)
    try:
        requests.get(url, timeout=600)
    except requests.ConnectionError:
        return
    raise AssertionError("the URL still answers")


def test_a_url_says_502_while_nothing_listens(tenant):
    uuid = tenant.ready(http_ports=[8080])
    answer = requests.get(tenant.info(uuid)["urls"]["8080"], timeout=600)
    assert answer.status_code == 502
    assert "8080" in answer.text


def test_every_port_is_told_to_the_process(tenant):
    uuid = tenant.ready("env | sort; echo done", http_ports=[8080, 8081], ports=[22, 5000])
    log = tenant.printed(uuid, "done")
    lines = dict(line.split("=", 1) for line in log.splitlines() if "=" in line)
    assert lines["PORT"] == lines["OCTA_HTTP_PORT_8080"] != lines["OCTA_HTTP_PORT_8081"]
    assert lines["OCTA_PORT_5000"] == str(tenant.info(uuid)["ports_matrix"]["5000"])
    assert set(tenant.info(uuid)["ports_matrix"]) == {"22", "5000"}


def test_bytes_stream_through_both_ways_before_either_side_ends():
    async def main():
        inner = socket.create_server(("127.0.0.1", 0))

        def echo():
            connection, _ = inner.accept()
            with connection:
                while data := connection.recv(100):
                    connection.sendall(data.upper())

        threading.Thread(target=echo, daemon=True).start()
        proxy = HttpPortProxy(inner.getsockname()[1], "1")
        reader, writer = await asyncio.open_connection("127.0.0.1", await proxy.start())
        for word in (b"one", b"two"):
            writer.write(word)
            assert await reader.read(10) == word.upper()
        await proxy.close()
        assert await reader.read() == b""
        writer.close()
        inner.close()

    asyncio.run(main())


def test_a_proxy_takes_another_port_when_its_old_one_is_taken():
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            proxy = HttpPortProxy(free_port(), "1")
            port = await proxy.start(taken.getsockname()[1])
            assert port != taken.getsockname()[1]
            await proxy.close()

    asyncio.run(main())


def test_a_port_for_later_is_none_that_the_system_gives_to_a_connection_meanwhile() -> None:
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not [port for port in (free_port() for _ in range(100)) if lowest <= port <= highest]
