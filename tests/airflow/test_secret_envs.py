"""`secret_envs`: the command gets them, and they are in no log, XCom, rendered template, table or request."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, redact, task
from airflow.serialization.helpers import serialize_template_field
from airflow_runs import Renting, run

from airflow_provider.operators.job import OctaRunJobOperator

HOME = Path(os.environ["AIRFLOW_HOME"])
#: Tells which value arrived without showing it.
SUM = 'printf %s "$TOKEN" | sha256sum'


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    """A secret of the connection `huggingface`."""
    value = f"hf_{secrets.token_hex(12)}"
    monkeypatch.setenv("AIRFLOW_CONN_HUGGINGFACE", json.dumps({"conn_type": "http", "password": value}))
    return value


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def deferrable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def job(**arguments: Any) -> Any:
    defaults = {"task_id": "job", "image": "alpine:3", "command": SUM, "poll_interval": 0.2}
    return OctaRunJobOperator(**(defaults | arguments))


def told(capfd: pytest.CaptureFixture[str]) -> str:
    return "".join(capfd.readouterr())


def where_it_stands(value: str, renting: Renting, *texts: str) -> list[str]:
    """Everywhere that a secret can be read: what was printed, Airflow's database and log files, the API."""
    places = {str(number): text for number, text in enumerate(texts)}
    places["the API"] = json.dumps(renting.emulator.ledger())
    found = [place for place, text in places.items() if value in text]
    for path in HOME.rglob("*"):
        if path.is_file() and path.name != "airflow.cfg" and value.encode() in path.read_bytes():
            found.append(str(path))
    return found


def rendered(ti: Any, field: str = "secret_envs") -> Any:
    from airflow.models.renderedtifields import RenderedTaskInstanceFields

    return (RenderedTaskInstanceFields.get_templated_fields(ti) or {})[field]


def test_a_secret_reaches_the_command_and_nothing_else(
    renting: Renting, token: str, deferrable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    with DAG("secret_job", schedule=None) as dag:
        job(secret_envs={"TOKEN": "{{ conn.huggingface.password }}"}, envs={"SHOWN": "as ever"}, deferrable=deferrable)
    ended = run(dag)
    assert ended.state == "success"
    log = told(capfd)
    assert f"[job] {hashlib.sha256(token.encode()).hexdigest()}" in log
    assert renting.sessions[0]["user_envs"]["SHOWN"] == "as ever"
    assert "TOKEN" not in renting.sessions[0]["user_envs"]
    assert where_it_stands(token, renting, log) == []
    assert rendered(ended.ti("job")) == "***"
    assert rendered(ended.ti("job"), "envs") == {"SHOWN": "as ever"}
    assert renting.running() == []


def test_a_function_gets_its_secrets(renting: Renting, token: str, capfd: pytest.CaptureFixture[str]) -> None:
    with DAG("secret_function", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, secret_envs={"TOKEN": "{{ conn.huggingface.password }}"})
        def length() -> int:
            import os

            return len(os.environ["TOKEN"])

        length()
    ended = run(dag)
    assert ended.result("length") == len(token)
    assert where_it_stands(token, renting, told(capfd)) == []
    assert rendered(ended.ti("length")) == "***"


def test_mapped_jobs_get_their_secrets(renting: Renting, token: str, capfd: pytest.CaptureFixture[str]) -> None:
    with DAG("secret_mapped", schedule=None) as dag:
        OctaRunJobOperator.partial(task_id="all", image="alpine:3", command=SUM, poll_interval=0.2).expand(
            secret_envs=[{"TOKEN": "{{ conn.huggingface.password }}"}]
        )
        OctaRunJobOperator.partial(
            task_id="each",
            image="alpine:3",
            poll_interval=0.2,
            secret_envs={"TOKEN": "{{ conn.huggingface.password }}"},
        ).expand(command=[SUM])
    ended = run(dag)
    assert ended.state == "success"
    log = told(capfd)
    assert log.count(f"[job] {hashlib.sha256(token.encode()).hexdigest()}") >= 2
    assert where_it_stands(token, renting, log) == []
    assert [rendered(ended.ti(name)) for name in ("all[0]", "each[0]")] == ["***", "***"]


def test_the_result_of_a_task_can_be_a_secret(renting: Renting, capfd: pytest.CaptureFixture[str]) -> None:
    with DAG("secret_result", schedule=None) as dag:

        @task
        def borrowed() -> str:
            return "for an hour"

        job(secret_envs={"TOKEN": borrowed(), "OTHER": "{{ run_id }}"})
    ended = run(dag)
    assert ended.state == "success"
    assert f"[job] {hashlib.sha256(b'for an hour').hexdigest()}" in told(capfd)
    assert rendered(ended.ti("job")) == "***"


def test_airflow_masks_each_line_of_a_secret_from_then_on(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log comes line by line."""
    lines = [secrets.token_hex(12) for _ in range(2)]
    monkeypatch.setenv("AIRFLOW_VAR_TWO_LINES", "\n".join(lines))
    with DAG("secret_lines", schedule=None) as dag:
        job(secret_envs={"TOKEN": "{{ var.value.two_lines }}", "FLAG": "x"})
    assert run(dag).state == "success"
    assert [redact(f"it: {line}") for line in lines] == ["it: ***"] * 2
    # What is short stands everywhere.
    assert redact("an ox") == "an ox"


@pytest.mark.parametrize("values", [{"TOKEN": "a literal"}, {"TOKEN": "{{ conn.huggingface.password }}"}])
def test_an_argument_with_secrets_is_text_without_them(token: str, values: Mapping[str, str]) -> None:
    """Also where Airflow is configured to hide nothing, stores a DAG, or prints a task's templates."""
    operator = job(secret_envs=values)
    operator.secret_envs = operator.render_template(
        operator.secret_envs, {"conn": {"huggingface": {"password": token}}}
    )
    assert dict(operator.secret_envs) == {"TOKEN": token if "{{" in values["TOKEN"] else "a literal"}
    shown = [serialize_template_field(operator.secret_envs, "any_name"), str(operator.secret_envs), vars(operator)]
    assert shown[:2] == ["{'TOKEN': '***'}"] * 2
    assert not any(secret in repr(shown) for secret in (token, "a literal"))


def test_a_stored_dag_holds_the_names_of_secrets_alone() -> None:
    """A DAG file that reads a secret while it is parsed."""
    try:
        from airflow.serialization.serialized_objects import DagSerialization
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
    with DAG("secret_stored", schedule=None) as dag:
        job(secret_envs={"TOKEN": "hunter2hunter2"})
    stored = json.dumps(DagSerialization.to_dict(dag))
    assert "TOKEN" in stored
    assert "hunter2" not in stored


def test_what_another_task_returned_is_no_template(
    renting: Renting, token: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither a secret nor a file's name: whoever chooses them could read every connection."""
    odd = tmp_path / "{{ conn.huggingface.password }}.txt"
    odd.write_text("sent")
    secret = "{{ conn.huggingface.password }} as it is"
    with DAG("secret_data", schedule=None) as dag:

        @task
        def secrets_of_another() -> list[dict[str, str]]:
            return [{"TOKEN": secret}]

        @task
        def files_of_another() -> list[dict[str, str]]:
            return [{str(odd): "in.txt"}]

        OctaRunJobOperator.partial(
            task_id="job", image="alpine:3", command=f"cat in.txt; {SUM}", poll_interval=0.2
        ).expand(secret_envs=secrets_of_another(), inputs=files_of_another())
    ended = run(dag)
    log = told(capfd)
    assert ended.state == "success"
    assert hashlib.sha256(secret.encode()).hexdigest() in log
    assert token not in log


def test_a_secret_that_native_rendering_changes_is_refused_without_showing_it(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_PIN", "8675309421")
    with DAG("secret_native", schedule=None, render_template_as_native_obj=True) as dag:
        job(secret_envs={"PIN": "{{ var.value.pin }}"})
    assert run(dag).tasks == {"job": "failed"}
    log = told(capfd)
    assert "secret_envs['PIN'] is a int, and text was wanted" in log
    assert "8675309421" not in log
    assert renting.sessions == []


def test_a_secret_that_is_quoted_survives_native_rendering(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_PIN", "8675309421")
    with DAG("secret_quoted", schedule=None, render_template_as_native_obj=True) as dag:
        job(secret_envs={"TOKEN": "{{ var.value.pin | tojson }}"})
    assert run(dag).state == "success"
    assert f"[job] {hashlib.sha256(b'8675309421').hexdigest()}" in told(capfd)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"via": "container"}, "secret_envs needs SSH"),
        ({"envs": {"TOKEN": "twice"}}, "TOKEN is in envs and in secret_envs"),
        ({"secret_envs": {"not a name": "{{ x }}"}}, "not a name of an environment variable"),
        ({"secret_envs": {"OCTA_JOB": "{{ x }}"}}, "must not set OCTA_JOB"),
        ({"secret_envs": ["hunter2hunter2"]}, "secret_envs is a list; give a mapping"),
    ],
)
def test_secrets_that_cannot_be_handed_over_are_refused_when_parsed(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        job(**({"secret_envs": {"TOKEN": "hunter2hunter2"}} | arguments))
    assert "hunter2" not in str(raised.value)


def test_a_job_with_secrets_is_waited_for(renting: Renting, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="is for jobs without inputs, outputs, secret_envs and result_file"):
        job(secret_envs={"TOKEN": "{{ run_id }}"}, wait_for_completion=False)
    with DAG("secret_unwaited", schedule=None) as dag:

        @task
        def secrets_of_another() -> dict[str, str]:
            return {"TOKEN": "x"}

        job(secret_envs=secrets_of_another(), wait_for_completion=False)
    assert run(dag).tasks == {"secrets_of_another": "success", "job": "failed"}
    assert "is for jobs without inputs, outputs, secret_envs and result_file" in told(capfd)
    assert renting.sessions == []
