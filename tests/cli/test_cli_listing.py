"""machines, sessions, logs, stop, reap, doctor."""

from __future__ import annotations

import json
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from octa_provider.cli.commands import doctor
from octa_provider.cli.output import finding, streams
from octa_provider.client import OctaClient
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.errors import OctaStopError
from octa_provider.http.clock_skew import clock_skew_s
from octa_provider.market.request import MachineRequest

Cli = Callable[..., Any]
Start = Callable[..., str]


def test_machines_are_listed_the_cheapest_first(cli: Cli) -> None:
    shown = cli("machines", "--gpu-count", 1)
    prices = [line.split()[-1] for line in shown.out.splitlines()[1:]]
    known = [float(price) for price in prices if price != "-"]
    assert shown.status == 0
    assert known == sorted(known)
    assert len(known) > 3


@pytest.mark.parametrize("service", ["mr", "render", "vpn"])
def test_every_service_has_a_catalogue_as_json(cli: Cli, service: str) -> None:
    shown = cli("machines", "--service", service, "--json")
    machines = json.loads(shown.out)
    assert all(isinstance(machine["node_id"], int) and "raw" not in machine for machine in machines)
    assert machines


def test_vpn_exits_are_listed_as_a_table(cli: Cli) -> None:
    assert "USD/GB" in cli("machines", "--service", "vpn").out


def test_why_no_machine_fits_is_said_with_the_nearest_one(cli: Cli) -> None:
    shown = cli("machines", "--max-price-usd", 0.0001)
    assert (shown.status, shown.out) == (1, "")
    assert "too expensive" in shown.err
    assert "nearest: node" in shown.err
    assert cli("machines", "--max-price-usd", 0.0001, "--json").out == "[]\n"


def test_every_requirement_is_an_option(cli: Cli) -> None:
    shown = cli(
        *("machines", "--gpu-model", "rtx", "--gpu-count", 1, "--gpu-memory-gb", 1, "--cpu-cores", 1, "--memory-gb", 1),
        *("--disk-gb", 1, "--max-price-usd", 9, "--min-blender-score", 1, "--min-reliability", 0),
        *("--exclude-nodes", "1,2", "--exclude-nodes", "3", "--order-by", "score_per_usd"),
    )
    assert shown.status == 0
    assert cli("machines", "--node-id", 999999).status == 1
    assert cli("machines", "--country", "DE", "--service", "vpn").status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gpu-count", "-1"), "--gpu-count must be"),
        (("--max-price-usd", "0"), "no machine is free"),
        (("--exclude-nodes", "a,b"), "not a list of node ids"),
        (("--gpu-count", "many"), "is not a whole number"),
        (("--service", "vpn", "--gpu-model", "4090"), "can't be chosen by --gpu-model"),
        (("--order-by", "luck"), "invalid choice"),
        (("--gpu", "4090"), "no option --gpu"),
    ],
)
def test_impossible_filters_are_a_usage_error(cli: Cli, words: tuple[str, ...], said: str) -> None:
    shown = cli("machines", *words)
    assert shown.status == 2
    assert said in shown.err


def test_machines_that_can_not_be_read_are_counted(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = cli("machines")
    assert "can't be read, and left out" in shown.err
    assert "Look at .body" not in shown.err


def test_sessions_are_listed_with_key_and_cost(cli: Cli, start: Start) -> None:
    uuid = start("cli/list/one")
    row = next(line for line in cli("sessions").out.splitlines() if uuid in line)
    assert "cli/list/one" in row
    assert "OCTA" in row
    listed = {s["uuid"]: s for s in json.loads(cli("sessions", "--json").out)}
    assert listed[uuid]["rental_key"] == "cli/list/one"
    assert "user_envs" not in listed[uuid]


def test_sessions_are_found_by_their_labels(cli: Cli, start: Start, octa: OctaClient) -> None:
    plain = start("cli/label/none")
    assert "labels" not in cli("sessions").out.splitlines()[0]

    def labelled(key: str, **labels: str) -> str:
        return octa.rentals.start(MachineRequest("ubuntu:24.04", labels=labels), key=key).uuid

    atlas = labelled("cli/label/a", project="atlas", user="ana")
    other = labelled("cli/label/b", project="borealis")
    shown = cli("sessions").out.splitlines()
    assert shown[0].split()[-1] == "labels"
    assert next(line for line in shown if atlas in line).endswith("project=atlas, user=ana")
    assert next(line for line in shown if plain in line).endswith("  -")
    found = json.loads(cli("sessions", "--label", "project=atlas", "--label", "user=ana", "--json").out)
    assert [(one["uuid"], one["labels"]) for one in found] == [(atlas, {"project": "atlas", "user": "ana"})]
    none = cli("sessions", "--label", "project=atlas", "--label", "user=bob")
    assert (none.out, none.err.strip()) == ("", "no session with such labels runs")
    assert cli("stop", other).status == 0
    assert other in cli("sessions", "--recent", "--label", "project=borealis").out


def test_finished_sessions_are_listed_with_why_they_ended(cli: Cli, start: Start) -> None:
    uuid = start("cli/list/two")
    assert cli("stop", uuid).status == 0
    assert uuid not in cli("sessions").out
    assert uuid in cli("sessions", "--recent").out


def test_the_recent_sessions_are_those_that_have_ended_and_say_so_in_words(cli: Cli, start: Start) -> None:
    ended, running = start("cli/list/ended"), start("cli/list/running")
    assert cli("stop", ended).status == 0
    shown = cli("sessions", "--recent").out
    assert ended in shown
    assert "normal end" in shown
    assert running not in shown
    assert running not in cli("sessions", "--recent", "--json").out


def test_no_sessions_is_said_on_standard_error(cli: Cli) -> None:
    shown = cli("sessions")
    assert (shown.status, shown.out) == (0, "")
    assert "no session runs" in shown.err


def test_sessions_that_can_not_be_read_are_counted_since_they_bill(cli: Cli, emulator: EmulatorHandle) -> None:
    body = [None, {"uuid": "u-1", "progress": "\x1b[2Jready", "charge_amount": "2000000000000000000"}]
    emulator.faults({"kind": "status", "status": 200, "body": body, "path": "/sessions"})
    shown = cli("sessions")
    assert "1 session could not be read: not shown, though billed like any other" in shown.err
    assert "2.0000 OCTA" in shown.out
    assert "\x1b" not in shown.out


@pytest.mark.parametrize("started", [{}, {"started_at": 1_600_000_000_000}], ids=["no start", "another clock"])
def test_a_session_has_the_age_that_it_tells(cli: Cli, emulator: EmulatorHandle, started: dict[str, int]) -> None:
    body = [{"uuid": "u-1", "progress": "ready", "duration": 61, **started}]
    emulator.faults({"kind": "status", "status": 200, "body": body, "path": "/sessions"})
    assert "1m 1s" in cli("sessions").out


def test_stopping_prints_the_bill_and_the_score_arrives(cli: Cli, start: Start, emulator: EmulatorHandle) -> None:
    uuid = start("cli/stop/one")
    shown = cli("stop", uuid, "--score", 4)
    assert shown.out.startswith(f"stopped {uuid}: ")
    ended = next(s for s in emulator.ledger()["sessions"] if s["uuid"] == uuid)
    assert ended["stopped_ms"] is not None
    assert ended["score"] == 4


@pytest.mark.parametrize("score", [(), ("--score", "5")])
def test_stopping_a_key_stops_every_session_of_it(
    cli: Cli, start: Start, emulator: EmulatorHandle, score: tuple[str, ...]
) -> None:
    uuid = start("cli/stop/key")
    assert uuid in cli("stop", "--key", "cli/stop/key", *score).out
    assert emulator.ledger()["running"] == 0
    again = cli("stop", "--key", "cli/stop/key", *score)
    assert again.status == 0
    assert "no session of cli/stop/key runs" in again.err


def test_stopping_a_uuid_that_nobody_knows_is_a_failure(cli: Cli) -> None:
    shown = cli("stop", "no-such-session")
    assert (shown.status, shown.out) == (1, "")
    assert "see `octa-provider sessions`" in shown.err
    assert cli("stop", "").status == 2
    assert cli("stop").status == 2
    assert cli("stop", "no-such", "--key", "").status == 2
    # With a slash it is a key, and nothing of it runs.
    assert cli("stop", "a/../b").status == 0


@pytest.fixture
def start_in(emulator: EmulatorHandle) -> Iterator[Callable[[str, str], str]]:
    """Starts a session under a key of a namespace and returns its uuid."""
    from octa_provider import MachineRequest

    with ExitStack() as stack:

        def begin(namespace: str, key: str) -> str:
            client = OctaClient(emulator.api_key, base_url=emulator.base_url, namespace=namespace)
            request = MachineRequest(image="ubuntu:24.04", start_command="sleep 300")
            return stack.enter_context(client).rentals.start(request, key=key).uuid

        yield begin


@pytest.mark.parametrize("words", [(), ("--namespace", "prod"), ("--namespace", "dev")])
@pytest.mark.parametrize("score", [(), ("--score", "3")])
def test_a_key_is_stopped_as_a_list_shows_it_whatever_the_namespace_of_the_shell(
    cli: Cli,
    start_in: Callable[[str, str], str],
    emulator: EmulatorHandle,
    words: tuple[str, ...],
    score: tuple[str, ...],
) -> None:
    uuid = start_in("prod", "airflow/%D0%A0%20x/run/task/-1")
    key = next(s["rental_key"] for s in json.loads(cli("sessions", "--json").out) if s["uuid"] == uuid)
    assert key == "prod/airflow/%D0%A0%20x/run/task/-1"
    assert uuid in cli(*words, "stop", key, *score).out
    assert emulator.ledger()["running"] == 0


def test_within_a_namespace_a_work_key_is_enough(
    cli: Cli, start_in: Callable[[str, str], str], emulator: EmulatorHandle
) -> None:
    ours, theirs = start_in("prod", "nightly/one"), start_in("dev", "nightly/one")
    assert ours in cli("stop", "nightly/one", "--namespace", "prod").out
    assert emulator.ledger()["running_uuids"] == [theirs]


def test_the_namespace_of_the_environment_is_the_shells(
    cli: Cli, start_in: Callable[[str, str], str], emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_in("dev", "nightly/one")
    monkeypatch.setenv("OCTA_NAMESPACE", "dev")
    assert cli("stop", "nightly/one").status == 0
    assert emulator.ledger()["running"] == 0


def test_several_are_stopped_at_once_and_one_that_fails_keeps_none_running(
    cli: Cli, start: Start, emulator: EmulatorHandle
) -> None:
    uuids = [start(f"cli/several/{number}") for number in range(3)]
    shown = cli("stop", uuids[0], "no such uuid", "cli/several/1", uuids[2], "no-such-session")
    assert shown.status == 1
    assert all(uuid in shown.out for uuid in uuids)
    assert "no-such-session" in shown.err
    assert emulator.ledger()["running"] == 0


def test_a_key_whose_start_has_no_answer_is_told_with_what_to_do(
    cli: Cli, octa: OctaClient, emulator: EmulatorHandle
) -> None:
    from octa_provider import OctaError, VpnRequest

    emulator.faults({"kind": "drop_after", "method": "POST", "path": "^/services/vpn$"})
    with pytest.raises(OctaError) as caught:
        octa.rentals.start(VpnRequest(), key="cli/vpn", settle_s=0.2)
    command = re.search(r"octa-provider (stop [^.\s]+)", str(caught.value))
    assert command is not None
    shown = cli("stop", "cli/vpn")
    assert shown.status == 1
    assert "can't be told" in shown.err
    assert command[1] in " ".join(shown.err.split())
    # The command of the error works as it is pasted.
    assert cli(*shlex.split(command[1])).status == 0
    assert emulator.ledger()["running"] == 0


def test_a_key_without_its_namespace_is_the_own_installations(
    cli: Cli,
    start_in: Callable[[str, str], str],
    start: Start,
    emulator: EmulatorHandle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OCTA_NAMESPACE", "dev")
    bare, ours = start("nightly/shared"), start_in("dev", "nightly/shared")
    assert cli("stop", "nightly/shared").status == 0
    running = emulator.ledger(requests=False)["running_uuids"]
    assert bare in running
    assert ours not in running
    # Nothing of ours is left: the other one is named, and stays.
    shown = cli("stop", "nightly/shared")
    assert shown.status == 1
    assert f"octa-provider stop {bare}" in " ".join(shown.err.split())
    assert cli("stop", bare).status == 0


def test_sessions_show_whose_namespace_they_are_in(cli: Cli, start_in: Callable[[str, str], str], start: Start) -> None:
    ours, bare = start_in("prod", "nightly/one"), start("nightly/two")
    listed = {s["uuid"]: s["namespace"] for s in json.loads(cli("sessions", "--json").out)}
    assert (listed[ours], listed[bare]) == ("prod", None)
    assert "prod/nightly/one" in cli("sessions").out


def test_reap_sees_its_own_namespace_alone_unless_told_so(
    cli: Cli, start_in: Callable[[str, str], str], emulator: EmulatorHandle
) -> None:
    theirs = start_in("dev", "cli/one")
    ours = start_in("prod", "cli/one")
    mine = cli("reap", "--namespace", "prod", "--older-than", "0s", "--yes")
    assert ours in mine.out
    assert emulator.ledger()["running_uuids"] == [theirs]
    assert theirs in cli("reap", "--namespace", "prod", "--any-namespace", "--prefix", "dev", "--yes").out
    assert emulator.ledger()["running"] == 0


@pytest.mark.parametrize("namespace", ["prod", "-prod", "o'brien $HOME"])
@pytest.mark.parametrize("key", ["airflow/a", "--yes", "`id`;'\"&"])
def test_what_is_told_of_a_session_that_was_not_stopped_works_when_it_is_pasted(
    cli: Cli, emulator: EmulatorHandle, namespace: str, key: str
) -> None:
    where = {"base_url": emulator.base_url, "namespace": namespace}
    with OctaClient(emulator.api_key, **where) as client:
        uuid = client.rentals.start(MachineRequest(image="alpine:3"), key=key).uuid
        emulator.faults({"kind": "status", "status": 503, "method": "GET", "path": "/sessions*", "times": None})
        with pytest.raises(OctaStopError) as refused:
            client.rentals.stop(key, deadline_s=0.2)
        emulator.clear_faults()
    commands = re.search(r"Run: (.*), or find what is left: ([^\n]*?)\.?$", str(refused.value), re.MULTILINE)
    assert commands is not None, str(refused.value)
    _, *found = shlex.split(commands[2])
    assert uuid in cli(*found).out
    _, *stop = shlex.split(commands[1])
    assert cli(*stop).status == 0
    assert emulator.ledger()["running"] == 0


def test_the_name_of_the_work_alone_tells_what_runs_of_it_in_another_namespace(
    cli: Cli, start_in: Callable[[str, str], str], emulator: EmulatorHandle
) -> None:
    theirs = start_in("prod", "airflow/a/b/c/-1")
    shown = cli("stop", "--key", "airflow/a/b/c/-1")
    assert shown.status == 1
    assert "prod/airflow/a/b/c/-1 runs, in another namespace, and is left alone" in shown.err
    assert emulator.ledger()["running_uuids"] == [theirs]
    _, *command = shlex.split(shown.err.partition("all the same: ")[2])
    assert cli(*command).status == 0
    assert emulator.ledger()["running"] == 0


def test_reap_by_an_age_that_nobody_may_reach_takes_the_old_ones_alone(
    cli: Cli, start: Start, emulator: EmulatorHandle
) -> None:
    start("cli/reap/aging")
    young = cli("reap", "--max-age", "2h", "--yes", "--json")
    assert json.loads(young.out)["orphans"] == []
    time.sleep(1.1)
    assert cli("reap", "--max-age", "1s", "--yes").status == 0
    assert emulator.ledger()["running"] == 0


def test_reap_without_yes_stops_nothing(cli: Cli, start: Start, emulator: EmulatorHandle) -> None:
    uuid = start("cli/reap/one")
    shown = cli("reap", "--prefix", "cli/reap")
    assert uuid in shown.out
    assert "would stop 1 session: add --yes" in shown.err
    assert emulator.ledger()["running_uuids"] == [uuid]


def test_reap_with_yes_stops_what_matches_and_nothing_else(cli: Cli, start: Start, emulator: EmulatorHandle) -> None:
    start("cli/reap/two")
    other = start("airflow/a")
    shown = cli("reap", "--prefix", "cli", "--yes")
    assert shown.status == 0
    assert "stopped 1 session; 1 other session" in shown.err
    assert emulator.ledger()["running_uuids"] == [other]


def test_reap_leaves_sessions_alone_that_are_too_young(cli: Cli, start: Start, emulator: EmulatorHandle) -> None:
    start("cli/reap/young")
    shown = cli("reap", "--older-than", "2h", "--yes", "--json")
    assert json.loads(shown.out)["orphans"] == []
    assert "nothing to stop; 1 other session" in shown.err
    assert emulator.ledger()["running"] == 1


def test_reap_says_what_could_not_be_stopped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from octa_provider.rental.reap import Orphan, Reaped
    from octa_provider.rental.rentals import Rentals

    left = Reaped((Orphan("u1", "cli/x", 1, 60.0, 10**18),), (), ("u1",), 0)
    monkeypatch.setattr(Rentals, "reap", lambda self, prefix, **options: left)
    shown = cli("reap", "--prefix", "cli", "--yes")
    assert shown.status == 1
    assert shown.out.splitlines()[1].split()[-2:] == ["cli/x", "no"]
    assert "may still be billed" in shown.err


def test_reap_does_not_stop_everything_without_being_told_what(
    cli: Cli, start: Start, emulator: EmulatorHandle
) -> None:
    uuid = start("cli/reap/at-work", "sleep 300")
    shown = cli("reap", "--yes")
    assert shown.status == 2
    assert "--prefix or --older-than" in shown.err
    assert uuid in cli("sessions").out
    assert cli("reap", "--older-than", "0s", "--yes").status == 0
    assert uuid not in cli("sessions").out


def test_logs_print_what_the_container_and_the_platform_said(cli: Cli, start: Start) -> None:
    uuid = start("cli/logs/one", "printf 'one\\n\\033[31mtwo\\033[0m\\nthree'; sleep 300")
    _until(lambda: cli("logs", uuid).out == "one\ntwo\nthree\n")
    assert "service configured" in cli("logs", "--system", uuid).out
    cli("stop", uuid)
    assert "three" in cli("logs", uuid).out


def test_logs_follow_until_the_session_ends_through_outages(cli: Cli, start: Start, emulator: EmulatorHandle) -> None:
    uuid = start("cli/logs/two", "for i in 1 2 3 4; do echo line $i; sleep 0.2; done; printf end; sleep 300")
    emulator.faults({"kind": "status", "status": 503, "path": "/services/*/logs", "times": 8})
    timer = threading.Timer(3.0, emulator.end_session, (uuid,))
    timer.start()
    shown = cli("logs", "-f", "--poll", "0.1s", uuid)
    timer.join()
    assert shown.status == 0
    assert shown.out.splitlines()[:5] == ["line 1", "line 2", "line 3", "line 4", "end"]
    assert shown.err.count("asking again") == 1


def test_logs_of_a_session_that_nobody_knows_are_a_failure(cli: Cli) -> None:
    for follow in ((), ("-f",)):
        shown = cli("logs", *follow, "no-such-session")
        assert (shown.status, shown.out) == (1, "")
        assert "no session no-such-session runs or ran lately" in shown.err


def test_following_ends_when_the_key_is_refused(cli: Cli, start: Start, emulator: EmulatorHandle) -> None:
    uuid = start("cli/logs/three")
    emulator.faults({"kind": "status", "status": 401, "path": "/services/*/info"})
    shown = cli("logs", "-f", uuid)
    assert shown.status == 1
    assert "Check the API key" in shown.err


def test_doctor_finds_everything_in_place(cli: Cli) -> None:
    shown = cli("doctor")
    assert shown.status == 0
    assert "key        is accepted" in shown.out
    assert "✗" not in shown.out
    assert {f["name"] for f in json.loads(cli("doctor", "--json").out)} >= {"version", "connection", "clock", "balance"}


def test_doctor_tells_a_missing_key_from_a_wrong_one(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OCTA_API_KEY", "")
    shown = cli("doctor")
    assert shown.status == 1
    assert "✗ key        there is none: put it into the environment variable OCTA_API_KEY" in shown.out
    monkeypatch.setenv("OCTA_API_KEY", "wrong-key-12345")
    shown = cli("doctor")
    assert shown.status == 1
    assert "✗ key" in shown.out
    assert "wrong-key" not in shown.out
    shown = cli("doctor", "--api-key-file", tmp_path / "missing")
    assert shown.status == 1
    assert "✗ settings" in shown.out


def test_doctor_says_what_to_do_without_a_connection(cli: Cli) -> None:
    shown = cli("doctor", "--base-url", "http://127.0.0.1:9")
    assert shown.status == 1
    assert "✗ connection" in shown.out
    assert "Check the network" in shown.out


def test_doctor_notices_an_empty_account_and_a_service_that_fails(cli: Cli, emulator: EmulatorHandle) -> None:
    emulator.faults(
        {"kind": "status", "status": 200, "body": {"balance": 0}, "path": "/accounts/balance"},
        {"kind": "status", "status": 404, "path": "/sessions"},
    )
    shown = cli("doctor")
    assert shown.status == 1
    assert "top the account up" in shown.out
    assert "✗ sessions" in shown.out
    emulator.faults({"kind": "status", "status": 200, "body": {}, "path": "/accounts/balance"})
    assert "the API does not tell it" in cli("doctor").out


def test_doctor_notices_another_service_at_the_address(cli: Cli, emulator: EmulatorHandle) -> None:
    emulator.faults({"kind": "status", "status": 404, "path": "/network", "times": None})
    assert "does the OctaSpace API live there" in cli("doctor").out


def test_doctor_counts_sessions(cli: Cli, start: Start) -> None:
    start("cli/doctor")
    assert "1 runs, 1 with a rental key" in cli("doctor").out


@pytest.mark.parametrize(("skew_s", "ok"), [(None, None), (1.0, True), (3600.0, False), (-3600.0, False)])
def test_doctor_compares_the_clocks(skew_s: float | None, ok: bool | None) -> None:
    found = finding.clock_finding(skew_s)
    assert found.ok is ok
    if skew_s and ok is False:
        assert ("ahead of" if skew_s > 0 else "behind") in found.text


def test_doctor_can_not_compare_clocks_with_nobody() -> None:
    assert clock_skew_s("http://127.0.0.1:9", 5.0) is None


def test_doctor_says_how_tls_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/own.pem")
    assert finding.tls_finding("https://api.example.org").text == "verified against /etc/own.pem"
    from octa_provider.errors import OctaNetworkError

    assert "REQUESTS_CA_BUNDLE" in finding.connection_advice(OctaNetworkError("SSLCertVerificationError"))


def test_doctor_and_json_manage_without_unicode(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ascii:
        encoding = "ascii"

    monkeypatch.setattr(doctor.sys, "stdout", Ascii())
    assert finding.marks_for(doctor.sys.stdout)[False] == "FAIL"
    assert not streams.takes_unicode(doctor.sys.stdout)


def test_doctor_tells_missing_extras(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)

    def unknown(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", unknown)
    out = cli("doctor").out
    assert "pip install 'octa-provider[ssh]'" in out
    assert "of an unknown version" in out


def _until(condition: Callable[[], Any], deadline_s: float = 600.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)
