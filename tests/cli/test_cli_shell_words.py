"""An error at a shell speaks of options, never of the library's arguments or Python's types."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Callable
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from octa_provider.commands.shell_words import OPTIONS, in_shell_words
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.marketplace import Requirements

Cli = Callable[..., Any]
#: `name_of_something`, `name=`, `SomeError:`, `[Errno 2]`.
PYTHON = re.compile(r"(?<![\w/.'-])(?:[a-z]+_[a-z_]+\b|[a-z]+=(?!\S*:)|[A-Z]\w+(?:Error|Exception)\b|\[Errno)")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("machines --gpu-count -1", "--gpu-count must be"),
        ("machines --max-price-usd 0", "--max-price-usd must be above 0"),
        ("machines --service vpn --gpu-model 4090", "--gpu-model"),
        ("machines --node-id 3 --exclude-nodes 3", "take it out of --exclude-nodes"),
        ("machines --base-url nowhere", "--base-url must start with https://"),
        ("machines --base-url http://example.org", "use https"),
        ("machines --base-url https://me:pw@example.org", "put the key into OCTA_API_KEY"),
        ("machines --base-url http://127.0.0.1:1", "127.0.0.1"),
        ("run ubuntu --disk 0 -- ls", "--disk-gb must be"),
        ("run ubuntu --max-cost 0 -- ls", "--max-cost-usd must be a number above 0"),
        ("run ubuntu --max-cost 0.0000001 -- ls", "--max-cost-usd 1e-07 does not pay"),
        ("run ubuntu --via container --output a:b -- ls", "use --via ssh or --via auto"),
        ("run ubuntu --env 1A=1 -- ls", "--env '1A' is not a name"),
        ("run ubuntu --secret-env PATH --env PATH -- ls", "PATH is given with --env and with --secret-env"),
        ("run ubuntu --secret-env PATH --via container -- ls", "--secret-env needs SSH, which keeps it from the API"),
        ("run ubuntu --total -1 -- ls", "total must be"),
        ("run ubuntu --max-price-usd 0.0001 -- ls", "no machine fits"),
        ("logs a/b", "'a/b'"),
        ("stop u --deadline 0", "no time at all"),
        ("doctor --base-url http://127.0.0.1:1", "connection"),
    ],
)
def test_no_message_holds_a_python_name(cli: Cli, words: str, said: str) -> None:
    shown = cli(*shlex.split(words))
    assert shown.status in {1, 2}
    told = (shown.out if "doctor" in words else "") + shown.err
    assert said in told
    assert PYTHON.findall(told) == []


def test_a_wrong_key_is_told_in_the_shells_words(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTA_API_KEY", "another-key")
    for command in ("machines", "sessions", "doctor"):
        shown = cli(command)
        assert "OCTA_API_KEY or --api-key-file" in shown.out + shown.err
        assert "password" not in shown.out + shown.err


@pytest.mark.parametrize("status", [400, 403, 404, 418, 422, 429, 500])
def test_no_error_of_the_api_is_told_with_a_python_name(cli: Cli, emulator: EmulatorHandle, status: int) -> None:
    emulator.faults({"kind": "status", "status": status, "path": "/sessions", "times": None})
    shown = cli("sessions")
    assert shown.status == 1
    assert PYTHON.findall(shown.err) == []
    assert "the body" not in shown.err


def test_a_limit_on_cost_that_was_reached_is_told_by_its_option(cli: Cli, emulator: EmulatorHandle) -> None:
    shown = cli("run", "ubuntu:24.04", "--poll", "0.1s", "--max-cost", "0.01", "--tool", "(", "--", "true")
    assert shown.status == 2
    assert PYTHON.findall(shown.err) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("max_cost_usd=2.5 can't be held", "--max-cost-usd 2.5 can't be held"),
        ("above max_price_usd=0.4: raise max_price_usd.", "above --max-price-usd 0.4: raise --max-price-usd."),
        ("poll_s must be above 0", "--poll must be above 0"),
        (
            "the input max_cost_usd.txt, ./timeout_s or 'disk_gb'",
            "the input max_cost_usd.txt, ./timeout_s or 'disk_gb'",
        ),
        ("longer than max_duration_s=60", "longer than the cap on its duration"),
        ("(nothing was sent; ConnectionRefusedError: [Errno 111] refused)", "(nothing was sent; refused)"),
        ("plain text", "plain text"),
    ],
)
def test_a_message_is_put_into_the_shells_words(text: str, shown: str) -> None:
    assert in_shell_words(text) == shown


def test_every_requirement_is_known_by_its_option() -> None:
    # One word is the same in both.
    names = {field.name for field in fields(Requirements) if "_" in field.name}
    assert {name: OPTIONS.get(name) for name in names} == {name: f"--{name.replace('_', '-')}" for name in names}


def test_what_the_system_says_is_told_with_the_file(cli: Cli, tmp_path: Path) -> None:
    shown = cli("machines", "--api-key-file", tmp_path / "missing")
    assert shown.status == 2
    assert "No such file" in shown.err
    assert "Errno" not in shown.err


def test_a_redirect_to_another_host_is_told_with_the_option_to_set(cli: Cli, emulator: EmulatorHandle) -> None:
    class Old(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(301)
            self.send_header("Location", emulator.base_url + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Old) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            shown = cli("sessions", "--base-url", f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()
    assert shown.status == 1
    assert f"redirected to {emulator.base_url}/sessions, another host" in shown.err
    assert f"set --base-url {emulator.base_url}\n" in shown.err
