"""One small GET over TLS on a connection that stays: bare requests, urllib3, httpx where it is installed, ours."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path

from benchmarks.interleaved import Goal, Row, calls, in_turn

BODY = json.dumps({"balance": 31428028938060847852}).encode()
KEY = "0123456789abcdef" * 2
GOAL = Goal("ours", "requests.Session", 0.50)


def measure(rounds: int, times: int = 40) -> Row:
    """Ask for a balance again and again.

    Args:
        rounds: how often each takes its turn.
        times: requests in one turn.
    """
    import requests
    import urllib3
    from self_signed import certificate

    from octa_provider import OctaClient

    with tempfile.TemporaryDirectory() as folder:
        trusted = str(certificate(Path(folder)).path)
        server = subprocess.Popen(
            [sys.executable, __file__, trusted, str(Path(trusted).with_suffix(".key"))],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            base_url = f"https://127.0.0.1:{int(server.stdout.readline())}"
            url, headers = f"{base_url}/accounts/balance", {"Authorization": KEY}
            before = os.environ.get("REQUESTS_CA_BUNDLE")
            os.environ["REQUESTS_CA_BUNDLE"] = trusted
            session, pool = requests.Session(), urllib3.PoolManager(ca_certs=trusted)
            octa = OctaClient(KEY, base_url=base_url)
            subjects = {
                "requests.Session": calls(lambda: session.get(url, headers=headers, timeout=30).json(), times),
                "urllib3": calls(lambda: pool.request("GET", url, headers=headers, timeout=30).json(), times),
                "ours": calls(octa.accounts.balance, times),
            }
            if find_spec("httpx"):
                import httpx

                client = httpx.Client(verify=ssl.create_default_context(cafile=trusted))
                subjects["httpx"] = calls(lambda: client.get(url, headers=headers).json(), times)
            seconds = in_turn(subjects, rounds)
            octa.close()
            if before is None:
                del os.environ["REQUESTS_CA_BUNDLE"]
            else:
                os.environ["REQUESTS_CA_BUNDLE"] = before
        finally:
            server.kill()
            server.wait()
    return Row("one small GET over TLS, CPU of the client", "requests.Session", seconds, GOAL)


def _serve(certificate: str, key: str) -> None:
    """Answer every request on every connection, at as little cost as can be, until it is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: 0123456789\r\nContent-Length: "
    answer = f"{head}{len(BODY)}\r\n\r\n".encode() + BODY

    def serve(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as connection:
            read = b""
            while data := connection.recv(65536):
                read += data
                while b"\r\n\r\n" in read:
                    read = read.partition(b"\r\n\r\n")[2]
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
