"""The page of running sessions in Airflow's own API server: who sees what, who may stop, and what never shows."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from a_page import STOP, Visitor, airflow_with_the_page
from airflow.models.log import Log
from airflow.utils.session import create_session

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.intents import VARIABLE_PREFIX, VariableIntents
from airflow_provider.variables import forget_variable, read_variable, variable_names, write_variable
from octa_provider import JobSpec, MachineRequest, OctaClient, VpnRequest
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.rental.key import rental_key

HERE = "this-airflow"
A_TASK = rental_key("airflow", "nightly", "manual__1", "render", "3")
EVERYTHING = {"method": "*", "path": "*", "times": None}


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    with airflow_with_the_page() as app:
        yield app


@pytest.fixture
def octa(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorHandle]:
    """An emulator of the test's own: what runs on an account is kept for as long as a page is not asked again."""
    with start_emulator(in_process=True, start_delay_s=0, balance_octa=10**6) as emulator:
        connection = {
            "conn_type": "octa",
            "host": emulator.base_url,
            "password": emulator.api_key,
            "extra": {"namespace": HERE},
        }
        monkeypatch.setenv("AIRFLOW_CONN_OCTA_DEFAULT", json.dumps(connection))
        yield emulator
        emulator.clear_faults()


@pytest.fixture
def visitor(app: Any) -> Callable[[str | None], Visitor]:
    return lambda role: Visitor(app, role)


def rented(octa: EmulatorHandle, key: str = A_TASK, namespace: str = HERE, **labels: str) -> str:
    with OctaClient(octa.api_key, base_url=octa.base_url, namespace=namespace) as client:
        return client.rentals.start(MachineRequest("alpine:3", disk_gb=5, labels=labels), key=key).uuid


def keyless(octa: EmulatorHandle, **fields: object) -> str:
    item = {"id": 0, "node_id": 1003, "disk_size": 5, "image": "alpine:3", "envs": {}} | fields
    answer = octa.request("POST", "/services/mr", json=[item]).json()
    return str((answer[0] if isinstance(answer, list) else answer)["uuid"])


def running(octa: EmulatorHandle) -> list[str]:
    return list(octa.ledger(requests=False)["running_uuids"])


def test_a_viewer_sees_what_runs_whose_it_is_and_what_it_costs(octa: EmulatorHandle, visitor: Any) -> None:
    uuid = rented(octa)
    octa.advance_clock(3600)
    page = visitor("VIEWER").page()
    assert page.status_code == 200
    assert uuid in page.text
    for said in ("nightly", "manual__1", "render", "map index 3", "1h", "1 session runs", "OCTA (", "USD/h"):
        assert said in page.text, said
    assert "/dags/nightly/runs/manual__1/tasks/render/mapped/3" in page.text


def test_airflow_lists_the_page_in_its_menu(octa: EmulatorHandle, visitor: Any) -> None:
    plugins = visitor("VIEWER").http.get("/api/v2/plugins").json()["plugins"]
    (ours,) = [plugin for plugin in plugins if plugin["name"] == "octaspace"]
    (view,) = ours["external_views"]
    assert (view["href"], view["category"]) == ("/octaspace/", "browse")


@pytest.mark.parametrize("path", ["/octaspace/", "/octaspace/sessions"])
def test_nobody_sees_it_without_logging_in(octa: EmulatorHandle, visitor: Any, path: str) -> None:
    uuid = rented(octa)
    refused = visitor(None).http.get(path)
    assert refused.status_code == 401
    assert "You are not logged in to Airflow" in refused.text
    assert uuid not in refused.text


def test_nobody_stops_anything_without_logging_in(octa: EmulatorHandle, visitor: Any) -> None:
    uuid = rented(octa)
    assert visitor(None).stop(uuid).status_code == 401
    assert running(octa) == [uuid]


@pytest.mark.parametrize("role", ["USER", "ADMIN"])
def test_who_may_clear_the_task_may_stop_its_session(octa: EmulatorHandle, visitor: Any, role: str) -> None:
    uuid = rented(octa)
    octa.advance_clock(3600)
    assert '<button type="button" class="stop"' in visitor(role).page().text
    stopped = visitor(role).stop(uuid)
    assert stopped.status_code == 200, stopped.text
    assert stopped.json()["sentence"].startswith(f"Stopped session {uuid}: ")
    assert "OCTA (" in stopped.json()["sentence"]
    assert running(octa) == []
    assert uuid not in visitor("VIEWER").page().text


def test_a_viewer_has_no_button_and_may_not_stop(octa: EmulatorHandle, visitor: Any) -> None:
    uuid = rented(octa)
    assert 'class="stop"' not in visitor("VIEWER").page().text
    refused = visitor("VIEWER").stop(uuid)
    assert (refused.status_code, running(octa)) == (403, [uuid])
    assert "it takes the permission to clear tasks of nightly" in refused.json()["sentence"]


@pytest.mark.parametrize("of", ["another Airflow", "nobody", "the command line"])
def test_a_session_of_no_dag_here_is_stopped_by_who_may_edit_the_connection(
    octa: EmulatorHandle, visitor: Any, of: str
) -> None:
    if of == "nobody":
        uuid, key = keyless(octa), "no key at all"
    elif of == "another Airflow":
        uuid, key = rented(octa, namespace="farm"), f"farm/{A_TASK}"
    else:
        uuid, key = rented(octa, rental_key("cli", "ada", "x")), f"{HERE}/cli/ada/x"
    page = visitor("USER").page().text
    assert uuid in page
    assert 'class="stop"' not in page
    # It may name DAGs of an Airflow that is not the reader's.
    assert key not in page
    said = {"nobody": "Unknown", "another Airflow": "Another Airflow, in the namespace farm"}
    assert said.get(of, "The command line, in the namespace of this Airflow") in page
    assert (visitor("USER").stop(uuid).status_code, running(octa)) == (403, [uuid])
    assert of == "nobody" or key in visitor("OP").page().text
    assert (visitor("OP").stop(uuid).status_code, running(octa)) == (200, [])


def test_a_dag_that_a_user_may_not_see_is_counted_and_not_named(
    octa: EmulatorHandle, visitor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    hidden, seen = rented(octa), rented(octa, rental_key("airflow", "daily", "r", "t", "-1"))
    monkeypatch.setattr(SimpleAuthManager, "is_authorized_dag", lambda self, **asked: asked["details"].id == "daily")
    page = visitor("USER").page().text
    assert seen in page
    assert hidden not in page
    assert "nightly" not in page
    assert "1 session of DAGs that you may not see" in page
    assert (visitor("USER").stop(hidden).status_code, sorted(running(octa))) == (404, sorted([hidden, seen]))


def test_the_page_is_for_those_whom_airflow_shows_its_plugins(
    octa: EmulatorHandle, visitor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    uuid = rented(octa)
    monkeypatch.setattr(SimpleAuthManager, "is_authorized_view", lambda self, **asked: False)
    for refused in (visitor("ADMIN").page(), visitor("ADMIN").sessions(), visitor("ADMIN").stop(uuid)):
        assert refused.status_code == 403
    assert running(octa) == [uuid]


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Octa-Page": "x"}, {**STOP, "Sec-Fetch-Site": "cross-site"}, {**STOP, "Sec-Fetch-Site": "same-site"}],
)
def test_another_page_cannot_stop_with_a_users_cookie(octa: EmulatorHandle, visitor: Any, headers: Any) -> None:
    uuid = rented(octa)
    assert visitor("ADMIN").stop(uuid, headers=headers).status_code == 403
    # A form of another site can't send headers at all.
    assert visitor("ADMIN").http.post("/octaspace/stop", data={"uuid": uuid}).status_code == 403
    assert visitor("ADMIN").http.get("/octaspace/stop").status_code == 405
    assert running(octa) == [uuid]


def test_a_stop_is_harmless_twice_and_tells_again_what_it_cost(octa: EmulatorHandle, visitor: Any) -> None:
    uuid = rented(octa)
    octa.advance_clock(3600)
    first, second = (visitor("USER").stop(uuid).json()["sentence"] for _ in range(2))
    assert second.startswith(f"Session {uuid} had ended already: ")
    assert first.split(": ")[1] == second.split(": ")[1]


def test_a_stopped_vpn_leaves_no_variable_behind(octa: EmulatorHandle, visitor: Any) -> None:
    """No session of it tells its key: a Variable does."""
    client = OctaHook().get_conn()
    # Other tests of this Airflow may have left some.
    before = set(variable_names(VARIABLE_PREFIX))
    rental = client.rentals.start(VpnRequest("wg"), key=A_TASK)
    assert (rental.claim is not None, len(set(variable_names(VARIABLE_PREFIX)) - before)) == (True, 1)
    assert visitor("OP").stop(rental.uuid).status_code == 200
    assert (running(octa), set(variable_names(VARIABLE_PREFIX)) - before) == ([], set())


def test_what_is_no_session_of_the_account_is_not_stopped(octa: EmulatorHandle, visitor: Any) -> None:
    for uuid in ("00000000-0000-4000-8000-000000000000", "../../nodes", "<b>"):
        refused = visitor("ADMIN").stop(uuid)
        assert refused.status_code == 404
        assert "No such session" in refused.json()["sentence"]
    assert visitor("ADMIN").http.post("/octaspace/stop", content=b"[1", headers=STOP).status_code == 400


@pytest.mark.parametrize("body", ["", "1", "{", '{"connection": 1, "uuid": "x"}', "[" * 100_000])
def test_what_is_no_request_to_stop_is_refused_in_a_sentence(octa: EmulatorHandle, visitor: Any, body: str) -> None:
    answer = visitor("ADMIN").http.post("/octaspace/stop", content=body, headers=STOP)
    assert (answer.status_code, answer.json()["sentence"][:25]) == (400, "Say which session to stop")


def test_only_connections_that_an_administrator_named_are_shown(
    octa: EmulatorHandle, visitor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SECRET_ACCOUNT", json.dumps({"conn_type": "octa", "host": octa.base_url}))
    assert visitor("ADMIN").page(connection="secret_account").status_code == 404
    assert visitor("ADMIN").stop("x", connection="secret_account").status_code == 404
    monkeypatch.setenv("AIRFLOW__OCTA__PAGE_CONNECTIONS", "octa_default, octa_studio")
    page = visitor("VIEWER").page().text
    assert "?connection=octa_studio" in page
    missing = visitor("VIEWER").sessions(connection="octa_studio")
    assert "There is no connection octa_studio yet" in missing.json()["sentence"]


def test_what_strangers_wrote_is_text(octa: EmulatorHandle, visitor: Any) -> None:
    evil = "<script>alert(1)</script>"
    rented(octa, rental_key("airflow", evil, f'"onload="{evil}', "\u202et", "-1"))
    page = visitor("ADMIN").page().text
    assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert '"onload=' not in page
    assert "\u202e" not in page


def test_labels_are_shown_to_who_sees_the_work(octa: EmulatorHandle, visitor: Any) -> None:
    rented(octa, project="atlas", user="<b>ana</b>")
    rented(octa, namespace="farm", project="secret-film")
    page = visitor("VIEWER").page().text
    assert "project=atlas, user=&lt;b&gt;ana&lt;/b&gt;" in page
    # As its key, it may name work of an Airflow that is not the reader's.
    assert "secret-film" not in page
    assert "secret-film" in visitor("OP").page().text


def test_a_session_that_is_kept_for_a_look_tells_so_and_that_nothing_waits_for_it(
    octa: EmulatorHandle, visitor: Any
) -> None:
    with OctaClient(octa.api_key, base_url=octa.base_url, namespace=HERE, intents=VariableIntents()) as client:
        spec = JobSpec("alpine:3", "exit 3", keep_failed_s=600)
        result = client.jobs.run(spec, A_TASK, poll_s=0.2)
        page = visitor("VIEWER").page().text
        assert result.uuid in page
        assert "its command failed: kept until " in page
        page = visitor("ADMIN").page().text
        assert "Its command has failed: nothing waits for it." in page
        assert "Its task will find it gone" not in page
        # What somebody made of its note keeps nobody from the page.
        (name,) = variable_names(VARIABLE_PREFIX)
        note = json.loads(read_variable(name))
        note["intents"][0] |= {"kept_until": 1e300, "at": 1e300}
        write_variable(name, json.dumps(note), "odd")
        assert visitor("VIEWER").page().status_code == 200
        forget_variable(name)


@pytest.mark.parametrize(
    "text",
    ["[" * 70_000, '{"a": "' + "x" * 10_000_000 + '"}', "no JSON", json.dumps({"\x1b[2J": "\u202e<script>" * 9_000})],
)
def test_hostile_labels_keep_nobody_from_the_page(octa: EmulatorHandle, visitor: Any, text: str) -> None:
    uuid = keyless(octa, envs={"OCTA_LABELS": text})
    page = visitor("ADMIN").page()
    assert (page.status_code, uuid in page.text, "\u202e" in page.text) == (200, True, False)
    assert len(page.text) < 20_000


def test_no_script_of_a_stranger_would_run(octa: EmulatorHandle, visitor: Any) -> None:
    page = visitor("VIEWER").page()
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    for name in ("page.js", "page.css", "theme.js"):
        assert visitor("VIEWER").http.get(f"/octaspace/static/{name}").status_code == 200


def test_the_key_never_shows(octa: EmulatorHandle, visitor: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    uuid = rented(octa)
    told = [visitor("ADMIN").page().text, visitor("ADMIN").sessions().text, visitor("ADMIN").stop(uuid).text]
    octa.faults({"kind": "status", "status": 401, **EVERYTHING})
    told += [visitor("ADMIN").stop(uuid).text, visitor("ADMIN").page().text]
    assert "refuses the API key of the connection octa_default" in told[-2]
    assert all(octa.api_key not in text for text in [*told, caplog.text])


def test_while_the_api_is_away_the_page_says_so_in_one_sentence(octa: EmulatorHandle, visitor: Any) -> None:
    uuid = rented(octa)
    octa.faults({"kind": "status", "status": 503, **EVERYTHING})
    page, asked, stopped = visitor("ADMIN").page(), visitor("ADMIN").sessions(), visitor("ADMIN").stop(uuid)
    # The page stays, and asks again by itself.
    assert page.status_code == 200
    assert "OctaSpace can&#39;t be asked now: " in page.text
    assert (asked.status_code, stopped.status_code) == (503, 503)
    assert asked.json()["sentence"] == "OctaSpace can't be asked now: it answers 503."
    octa.clear_faults()
    assert running(octa) == [uuid]


def test_a_host_that_is_not_there_is_one_sentence_too(octa: EmulatorHandle, visitor: Any, monkeypatch: Any) -> None:
    nowhere = {"conn_type": "octa", "host": "http://127.0.0.1:9", "password": "x", "extra": {"namespace": HERE}}
    monkeypatch.setenv("AIRFLOW_CONN_OCTA_DEFAULT", json.dumps(nowhere))
    said = visitor("VIEWER").sessions().json()["sentence"]
    assert said == "OctaSpace can't be asked now: it can't be reached from Airflow's API server."
    monkeypatch.setenv("AIRFLOW_CONN_OCTA_DEFAULT", json.dumps(nowhere | {"host": "http://example.org"}))
    assert "The connection octa_default can't be used: " in visitor("VIEWER").sessions().json()["sentence"]


def test_all_who_look_share_one_request(octa: EmulatorHandle, visitor: Any) -> None:
    rented(octa)
    before = len(octa.ledger()["requests"])
    for role in ("VIEWER", "USER", "ADMIN", "VIEWER"):
        assert visitor(role).sessions().status_code == 200
    assert [request["route"] for request in octa.ledger()["requests"][before:]] == ["/sessions"]


def test_who_stopped_what_is_in_the_audit_log(octa: EmulatorHandle, visitor: Any) -> None:
    uuid = rented(octa)
    visitor("USER").stop(uuid)
    with create_session() as session:
        (noted,) = [one for one in session.query(Log).filter_by(event="octa_stop_session") if uuid in one.extra]
        assert (noted.owner, noted.dag_id, noted.run_id) == ("a-user", "nightly", "manual__1")
        assert (noted.task_id, noted.map_index) == ("render", 3)
