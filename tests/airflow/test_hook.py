"""The hook and its connection."""

from __future__ import annotations

import subprocess
import sys

import pytest
from airflow_runs import Renting

from airflow_provider.connection_settings import ConnectionSettings
from airflow_provider.hooks.octa import OctaHook

try:
    from airflow.sdk import Connection
except ImportError:
    from airflow.models.connection import Connection


def settings(**fields: object) -> ConnectionSettings:
    return ConnectionSettings.from_connection(Connection(conn_id="x", conn_type="octa", **fields))


def test_a_connection_becomes_a_client_that_works(renting: Renting) -> None:
    assert OctaHook().get_conn().accounts.get().email


def test_the_client_is_made_once(renting: Renting) -> None:
    hook = OctaHook()
    assert hook.get_conn() is hook.get_conn()


def test_the_extra_is_read() -> None:
    extra = '{"timeout": "7.5", "retries": 4, "ssh_key_file": "/k", "allow_http": "true"}'
    found = settings(host="https://a.example", password="the-key", extra=extra)
    assert (found.timeout, found.retries, found.ssh_private_key, found.allow_http) == (7.5, 4, "/k", True)


def test_an_empty_form_means_the_defaults() -> None:
    extra = '{"timeout": null, "retries": "", "ssh_key_file": "", "ssh_private_key": null, "allow_http": false}'
    found = settings(host="", password="", extra=extra)
    assert found == ConnectionSettings()


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://a.example/"}, "https://a.example/"),
        ({"host": "a.example"}, "https://a.example"),
        ({"host": "localhost", "port": 8080, "schema": "http"}, "http://localhost:8080"),
        ({"host": "https://a.example, b.example"}, "https://a.example,https://b.example"),
    ],
)
def test_the_base_url_is_understood(fields: dict[str, object], url: str) -> None:
    assert settings(**fields).base_url == url


def test_a_wrong_field_is_named_with_its_connection(renting: Renting) -> None:
    renting.connection("octa_odd", extra={"retries": "many"})
    with pytest.raises(ValueError, match=r"'octa_odd': retries='many' is not a whole number"):
        OctaHook("octa_odd").get_conn()


@pytest.mark.parametrize("extra", ['{"timeout": 5}', '"{\\"timeout\\": 5}"', "{'timeout': 5}"])
def test_an_extra_may_be_encoded_twice_or_be_pythons_text_of_one(extra: str) -> None:
    assert settings(extra=extra).timeout == 5


@pytest.mark.parametrize("extra", ["[1]", "7", "{'timeout': ", "timeout"])
def test_an_extra_that_is_no_object_is_told_with_its_connection(renting: Renting, extra: str) -> None:
    renting.connection("octa_odd_extra", extra=extra)
    works, message = OctaHook("octa_odd_extra").test_connection()
    assert not works
    assert "'octa_odd_extra': its extra is" in message


def test_settings_show_no_secret() -> None:
    shown = repr(settings(password="the-key", extra='{"ssh_private_key": "-----BEGIN\\nabc"}'))
    assert "the-key" not in shown
    assert "abc" not in shown


def test_several_base_urls_fail_over(renting: Renting, nobodys_url: str) -> None:
    renting.connection("octa_two", host=f"{nobodys_url}, {renting.emulator.base_url}")
    assert OctaHook("octa_two").test_connection()[0]


def test_test_connection_tells_who_is_connected(renting: Renting) -> None:
    works, message = OctaHook().test_connection()
    assert works
    assert message.startswith(f"Connected to {renting.emulator.base_url} as ")
    assert message.endswith(" OCTA.")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"password": "wrong-key-wrong-key"}, "refused the API key"),
        ({"password": ""}, "key"),
        ({"host": "http://octa.example"}, "plain http"),
        ({"extra": {"timeout": "soon"}}, "timeout='soon' is not a number"),
        ({"extra": {"ssh_key_file": "/no/such/id_ed25519"}}, "/no/such/id_ed25519"),
        ({"extra": {"ssh_private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nbroken"}}, "key"),
    ],
)
def test_test_connection_says_what_to_do(renting: Renting, fields: dict[str, object], told: str) -> None:
    renting.connection("octa_bad", **fields)
    works, message = OctaHook("octa_bad").test_connection()
    assert not works
    assert told in message
    assert "wrong-key" not in message
    assert renting.emulator.api_key not in message


def test_test_connection_says_when_nobody_answers(renting: Renting, nobodys_url: str) -> None:
    renting.connection("octa_gone", host=nobodys_url)
    works, message = OctaHook("octa_gone").test_connection()
    assert not works
    assert "127.0.0.1" in message
    assert renting.emulator.api_key not in message


def test_test_connection_says_when_the_answer_is_late(renting: Renting) -> None:
    renting.connection("octa_slow", extra={"timeout": 0.2})
    renting.emulator.faults({"kind": "delay", "path": "*", "method": "*", "seconds": 3600, "times": None})
    assert OctaHook("octa_slow").test_connection() == (
        False,
        f"{renting.emulator.base_url} did not answer within 0.2 seconds: check the base URL and the network.",
    )


def test_test_connection_says_when_the_key_may_not(renting: Renting) -> None:
    renting.emulator.faults({"kind": "status", "path": "/accounts", "status": 403})
    works, message = OctaHook().test_connection()
    assert not works
    assert "may not read its account" in message


def test_a_record_that_can_not_be_read_is_not_told_by_every_task(renting: Renting) -> None:
    """Each task is a process of its own."""
    code = (
        "import logging; logging.basicConfig(level=logging.INFO)\n"
        "from airflow_provider.hooks.octa import OctaHook\n"
        "print(len(OctaHook().get_conn().services.mr.available().odd))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=800, check=True)
    assert done.stdout.strip().splitlines()[-1] == "1"
    assert "could not be read" not in done.stdout + done.stderr
