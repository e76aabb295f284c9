"""Downloads arrive whole or not at all, at a path or in a file object, and are tried again."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from odd_server import OddServer, answer, chunked, hang_up, truncated, zipped

from octa_provider import OctaClient, OctaConfigError, OctaNetworkError, OctaNotFoundError

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]
FILE = os.urandom(300_000)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("way", [answer(200, FILE), chunked(FILE[:99], FILE[99:]), zipped(FILE)])
def test_a_download_to_a_path_arrives_whole(way: Any, serve: Serve, connect: Connect, tmp_path: Path) -> None:
    target = tmp_path / "ident.bin"
    target.write_bytes(b"what was there before")
    server = serve(way)
    assert connect(server).nodes.download_ident(7, target) == len(FILE)
    assert target.read_bytes() == FILE
    assert names(tmp_path) == ["ident.bin"]
    assert server.received[0].path == "/nodes/7/ident"


def test_a_download_to_a_file_object_arrives_whole(serve: Serve, connect: Connect) -> None:
    file = io.BytesIO()
    server = serve(answer(200, FILE))
    assert connect(server).nodes.download_logs(7, file) == len(FILE)
    assert file.getvalue() == FILE
    assert server.received[0].path == "/nodes/7/logs"


def test_a_text_path_will_do(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    connect(serve(answer(200, b"x"))).nodes.download_logs(7, str(tmp_path / "logs"))
    assert (tmp_path / "logs").read_bytes() == b"x"


@pytest.mark.parametrize("trouble", [truncated(100, b"half"), answer(503, b"busy"), hang_up])
def test_a_download_that_failed_is_tried_again_from_its_start(
    trouble: Any, serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    file = io.BytesIO()
    client = connect(serve(trouble, answer(200, FILE), trouble, answer(200, FILE)))
    assert client.nodes.download_logs(7, file) == len(FILE)
    assert client.nodes.download_logs(7, tmp_path / "logs") == len(FILE)
    assert file.getvalue() == (tmp_path / "logs").read_bytes() == FILE


def test_a_download_that_never_succeeds_leaves_what_was_there(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    target, file = tmp_path / "logs", io.BytesIO(b"old")
    target.write_bytes(b"old")
    server = serve(truncated(100, b"half"))
    client = connect(server)
    with pytest.raises(OctaNetworkError):
        client.nodes.download_logs(7, target, retries=1)
    with pytest.raises(OctaNetworkError):
        client.nodes.download_logs(7, file, retries=0, timeout=2)
    assert target.read_bytes() == file.getvalue() == b"old"
    assert names(tmp_path) == ["logs"]
    assert len(server.received) == 3


def test_the_body_of_an_error_never_becomes_the_file(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(OctaNotFoundError):
        connect(serve(answer(404, b"no such node"))).nodes.download_logs(7, tmp_path / "logs")
    assert names(tmp_path) == []


@pytest.mark.parametrize("where", ["missing/logs", "."])
def test_a_path_that_cannot_be_written_is_refused_before_any_request(
    where: str, serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    server = serve()
    with pytest.raises(OctaConfigError):
        connect(server).nodes.download_logs(7, tmp_path / where)
    assert server.accepts == 0


def test_a_full_disk_is_told_as_such_and_leaves_the_client_usable(
    serve: Serve, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    real = os.fdopen

    def full(handle: int, mode: str) -> Any:
        real(handle, mode).close()
        return Full()

    server = serve(answer(200, FILE))
    client = connect(server)
    with monkeypatch.context() as patched:
        patched.setattr("octa_provider.files.whole_file.os.fdopen", full)
        with pytest.raises(OSError, match="No space left"):
            client.nodes.download_logs(7, tmp_path / "logs")
    assert names(tmp_path) == []
    assert len(server.received) == 1
    assert client.nodes.download_logs(7, tmp_path / "logs") == len(FILE)
    assert server.accepts == 2
