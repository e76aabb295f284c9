"""A PostgreSQL of a bench's own, where its programs are installed: gone with the bench."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["own_postgres"]

#: Where Debian has them, beside PATH.
PLACES = "/usr/lib/postgresql/*/bin"
STARTED_WITHIN_S = 300.0


@contextmanager
def own_postgres() -> Iterator[str | None]:
    """A server with an empty database, on a free port of this machine.

    Root may not run it: then the user `postgres` does, which Debian's package makes.

    Yields `host:port/database` with a user before it; None where PostgreSQL is not installed.
    """
    programs = _programs()
    if programs is None:
        yield None
        return
    as_whom: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    folder = Path(tempfile.mkdtemp(prefix="octa-bench-postgres-"))
    try:
        if as_whom:
            shutil.chown(folder, as_whom["user"], as_whom["group"])
        data = folder / "data"
        new: list[Path | str] = [programs / "initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-sync"]
        subprocess.run(new, check=True, cwd=folder, **as_whom, **quiet)
        serve: list[Path | str] = [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", port, "-k", folder]
        server = subprocess.Popen([*serve, "-c", "fsync=off"], cwd=folder, **as_whom, **quiet)
        try:
            _until_made([programs / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "bench", "bench"], server)
            yield f"bench@127.0.0.1:{port}/bench"
        finally:
            # At once, without waiting for who is still connected.
            server.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                server.wait(60)
            server.kill()
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    in_path = shutil.which("initdb")
    places = [Path(in_path).resolve().parent] if in_path else sorted(Path("/").glob(PLACES.lstrip("/")))
    return next((place for place in reversed(places) if (place / "initdb").exists()), None)


def _until_made(make: list[Path | str], server: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + STARTED_WITHIN_S
    while subprocess.run(make, check=False, capture_output=True).returncode != 0:
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError("PostgreSQL does not start")
        time.sleep(0.5)
