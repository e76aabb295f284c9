"""Labels: words of the user's own that travel with a session, told wherever it is told, and no part of what it does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from job_bench import Bench, bench, emulator

from octa_provider import JobSpec, MachineRequest, OctaConfigError, RenderRequest
from octa_provider.models import Session
from octa_provider.rental.mark import fingerprint_of
from octa_provider.rental.terms import Terms
from octa_provider.wire.labels import LABELS_ENV, MOST_LABELS, checked_labels, label_texts, read_labels

__all__ = ["bench", "emulator"]

LABELS = {"project": "atlas", "shot/take": "010 ünï", "empty": ""}


def spec(command: str = "true", **changes: Any) -> JobSpec:
    return JobSpec(**({"image": "ubuntu:24.04", "command": command} | changes))


def told(text: object) -> dict[str, str]:
    """What is read of a session that carries this."""
    return Session.from_payload({"uuid": "u", "user_envs": {LABELS_ENV: text}}).labels


@pytest.mark.parametrize(
    "labels",
    [
        None,
        ["project"],
        "project=atlas",
        {"": "x"},
        {"a" * 64: "x"},
        {"a=b": "x"},
        {" a": "x"},
        {"a\n": "x"},
        {"a\u202e": "x"},
        {7: "x"},
        {"a": 7},
        {"a": None},
        {"a": "x" * 129},
        {"a": "x\x1b[2J"},
        {"a": "x\nforged"},
        {"a": "\ud800"},
        {"a": "x "},
        {f"a{n}": "x" for n in range(MOST_LABELS + 1)},
    ],
)
@pytest.mark.parametrize("make", [checked_labels, lambda of: spec(labels=of), lambda of: RenderRequest(labels=of)])
def test_what_can_be_no_label_is_refused_in_one_line_before_any_money_is_spent(make: Any, labels: Any) -> None:
    with pytest.raises(OctaConfigError, match=r"^labels[: ]") as refused:
        make(labels)
    assert str(refused.value).isprintable()


def test_a_refused_value_is_not_shown() -> None:
    with pytest.raises(OctaConfigError, match="the value of token must be text") as refused:
        spec(labels={"token": "hunter2" * 100})
    assert "hunter2" not in str(refused.value)


def test_the_longest_labels_come_back_as_they_were_given() -> None:
    longest = {f"{n:02}" + "\U0001f600" * 61: '"\\' * 64 for n in range(MOST_LABELS)}
    envs = MachineRequest("i", labels=longest).payload(7)[0]["envs"]  # type: ignore[index]
    assert len(f"{LABELS_ENV}={envs[LABELS_ENV]}".encode()) < 128 * 1024
    assert read_labels(envs) == longest
    # As the API might have taken the text apart, and put it together again.
    assert told(json.loads(envs[LABELS_ENV])) == longest


def test_labels_are_no_part_of_what_is_asked_for_and_no_variable_of_the_users() -> None:
    assert spec(labels=LABELS).fingerprint == spec().fingerprint
    for request in (MachineRequest, RenderRequest):
        image = {"image": "i"} if request is MachineRequest else {}
        assert fingerprint_of(request(**image, labels=LABELS)) == fingerprint_of(request(**image))
        with pytest.raises(OctaConfigError, match=f"envs must not set {LABELS_ENV}"):
            request(**image, envs={LABELS_ENV: "{}"})
    for where in ("envs", "secret_envs"):
        with pytest.raises(OctaConfigError, match=f"{where} must not set {LABELS_ENV}"):
            spec(**{where: {LABELS_ENV: "{}"}})
    assert LABELS_ENV not in str(MachineRequest("i").payload(7))
    assert "envs" not in RenderRequest().payload(7)  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[]",
        '"text"',
        "null",
        "{" * 70_000,
        "[" * 70_000,
        '{"a": {"b": 1}}',
        '{"a": 1' + "0" * 60_000 + "}",
        '{"a": "' + "x" * 10_000_000 + '"}',
        7,
        None,
        ["a"],
    ],
)
def test_what_is_no_labels_is_none(text: object) -> None:
    assert told(text) == {}


def test_a_hostile_label_is_made_plain_and_short() -> None:
    odd = {
        "<b>": "<script>alert(1)</script>",
        "\x1b[2Jred": "a\r\nforged line \x1b]0;title\x07 ::group::x",
        "a=b": "\u202ebackwards\ud800",
        "long" * 100: "x" * 1_000,
        "\x00": "no name",
        **{f"n{n}": "" for n in range(100)},
    }
    found = told(json.dumps(odd))
    assert checked_labels(found) == found
    assert (len(found), found["<b>"]) == (MOST_LABELS, "<script>alert(1)</script>")
    assert found["red"] == "a  forged line  : :group::x"
    assert found["a b"].startswith("backwards")
    assert "no name" not in found.values()


def test_labels_travel_with_a_job_and_are_told_with_its_session_and_its_command_sees_none(bench: Bench) -> None:
    lines: list[str] = []
    begun: list[Terms] = []

    def on_state(state: Any) -> None:
        begun.append(state.rental)
        if len(begun) == 1:
            mine = [one for one in bench.client.rentals.running().sessions if one.uuid == state.rental.uuid]
            assert [one.labels for one in mine] == [LABELS]

    job = spec(f"env | grep -c {LABELS_ENV}; env | grep -c atlas", labels=LABELS, envs={"A": "1"})
    result = bench.client.jobs.run(job, bench.key, on_line=lines.append, on_state=on_state, poll_s=0.2)
    assert lines == ["0", "0"]
    assert {tuple(terms.labels.items()) for terms in begun} == {tuple(LABELS.items())}
    assert Terms.from_dict(json.loads(json.dumps(begun[0].to_dict()))) == begun[0]
    ended = bench.client.rentals.look_up(result.uuid)
    assert ended is not None
    assert ended.labels == LABELS
    assert label_texts(ended.labels) == ["project=atlas", "shot/take=010 ünï", "empty="]


def test_over_ssh_the_command_sees_no_labels_either(bench: Bench) -> None:
    lines: list[str] = []
    job = spec(f"env | grep -c {LABELS_ENV}", labels=LABELS, via="ssh")
    bench.client.jobs.run(job, bench.key, on_line=lines.append, private_key=bench.ssh_key, poll_s=0.2)
    assert lines == ["0"]


def test_with_other_labels_it_is_the_same_work_and_what_is_adopted_keeps_its_own(bench: Bench) -> None:
    first = bench.client.jobs.start(spec("sleep 60", labels=LABELS), bench.key)
    second = bench.client.jobs.start(spec("sleep 60", labels={"project": "borealis"}), bench.key)
    assert (second.rental.uuid, second.rental.adopted) == (first.rental.uuid, True)
    assert second.rental.labels == LABELS
    bench.client.rentals.stop(bench.key)
    rented = bench.client.rentals.start(MachineRequest("ubuntu:24.04", labels=LABELS), key=bench.key)
    adopted = bench.client.rentals.start(MachineRequest("ubuntu:24.04"), key=bench.key)
    assert (adopted.uuid, adopted.labels) == (rented.uuid, rented.labels) == (rented.uuid, LABELS)
    assert adopted == bench.client.rentals.restore(adopted.to_dict())
    assert len({rented, rented}) == 1


def test_a_strangers_labels_keep_no_account_from_being_listed(bench: Bench) -> None:
    for text in ("[" * 70_000, json.dumps({"\x1b[2J<b>": "a\nb"})):
        item = {"id": 0, "node_id": 1003, "disk_size": 5, "image": "ubuntu:24.04", "start_command": "sleep 600"}
        bench.emulator.request(
            "POST", "/services/mr", json=[item | {"envs": {"OCTA_RENTAL_KEY": bench.key, LABELS_ENV: text}}]
        )
    mine = [one for one in bench.client.rentals.running().sessions if one.key == bench.key]
    assert sorted(map(str, (one.labels for one in mine))) == ["{'<b>': 'a b'}", "{}"]
