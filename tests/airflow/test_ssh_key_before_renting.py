"""A key that can't log in anywhere is found out before a machine is rented."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run

from airflow_provider.operators.job import OctaRunJobOperator


def with_files(folder: Path, **arguments: Any) -> None:
    OctaRunJobOperator(
        task_id="task",
        image="alpine:3",
        command="true",
        outputs={"a": str(folder / "a")},
        poll_interval=0.2,
        **arguments,
    )


def function(folder: Path, **arguments: Any) -> None:
    @task.octa(task_id="task", image="python:3.12", poll_interval=0.2, **arguments)
    def nothing() -> None: ...

    nothing()


BROKEN = {"ssh_key_file": "broken"}
UNREADABLE = "can't be read as a private key"


@pytest.mark.parametrize(
    ("make", "deferrable", "extra", "environment", "told"),
    [
        (with_files, False, BROKEN, None, UNREADABLE),
        (with_files, True, BROKEN, None, UNREADABLE),
        (function, False, BROKEN, None, UNREADABLE),
        (with_files, False, {"ssh_key_file": "missing"}, None, UNREADABLE),
        (with_files, False, {"ssh_private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n"}, None, UNREADABLE),
        (with_files, False, {}, "broken", UNREADABLE),
        (with_files, True, {}, None, "there is no SSH key to log in with"),
    ],
    ids=["broken", "broken, deferred", "broken, of a function", "missing", "broken text", "of the environment", "none"],
)
def test_a_bad_ssh_key_rents_nothing(
    renting: Renting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    make: Callable[..., None],
    deferrable: bool,
    extra: dict[str, str],
    environment: str | None,
    told: str,
) -> None:
    (tmp_path / "broken").write_text("no key at all\n")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    if environment is not None:
        monkeypatch.setenv("OCTA_SSH_KEY_FILE", str(tmp_path / environment))
    paths = {name: str(tmp_path / value) if name == "ssh_key_file" else value for name, value in extra.items()}
    renting.connection("octa_key", extra=paths)
    with DAG("bad_key", schedule=None) as dag:
        make(tmp_path, octa_conn_id="octa_key", retries=2, retry_delay=timedelta(0), deferrable=deferrable)
    ended = run(dag)
    assert ended.tasks == {"task": "failed"}
    assert ended.ti("task").try_number == 1
    assert told in "".join(capfd.readouterr())
    assert renting.sessions == []
