"""What to rent, checked before any money is spent, and the bodies it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from octa_provider import MachineRequest, OctaConfigError, RenderRequest, VpnRequest


def test_a_machine_becomes_an_array_of_one_item() -> None:
    request = MachineRequest("blender:4.5", disk_gb=20, envs={"A": "1"}, ports=[5000], http_ports={8080})  # type: ignore[arg-type]
    assert request.payload(7) == [
        {
            "id": 0,
            "node_id": 7,
            "disk_size": 20,
            "image": "blender:4.5",
            "app": "",
            "envs": {"A": "1"},
            "ports": [5000],
            "http_ports": [8080],
            "start_command": "",
            "entrypoint": "",
        }
    ]
    assert request.service == "mr"


def test_who_pays_is_sent_only_when_it_is_said() -> None:
    (item,) = MachineRequest("i", organization_id=3, project_id="p").payload(7)  # type: ignore[misc,var-annotated,attr-defined]
    assert (item["organization_id"], item["project_id"]) == (3, "p")


def test_an_app_needs_no_image() -> None:
    (item,) = MachineRequest("", app="app-1").payload(7)  # type: ignore[misc,var-annotated,attr-defined]
    assert (item["image"], item["app"]) == ("", "app-1")


def test_a_render_session_sends_only_what_was_said() -> None:
    assert RenderRequest().payload(7) == {"node_id": 7, "disk_size": 10}
    assert RenderRequest(50, {"A": "1"}, False).payload(7) == {
        "node_id": 7,
        "disk_size": 50,
        "envs": {"A": "1"},
        "multi-gpu-worker": False,
    }
    assert RenderRequest.service == "render"


def test_a_vpn_session_names_its_kind() -> None:
    assert VpnRequest("wg").payload(7) == {"node_id": 7, "subkind": "wg"}
    assert VpnRequest("v2ray", "vmess").payload(7) == {"node_id": 7, "subkind": "v2ray", "protocol": "vmess"}
    assert VpnRequest.service == "vpn"


def test_a_vpn_is_wireguard_and_v2ray_trojan_unless_told_otherwise() -> None:
    assert VpnRequest() == VpnRequest(None) == VpnRequest("wg")
    assert VpnRequest().payload(7) == {"node_id": 7, "subkind": "wg"}
    assert VpnRequest("v2ray") == VpnRequest("v2ray", "trojan")
    assert VpnRequest("v2ray").payload(7) == {"node_id": 7, "subkind": "v2ray", "protocol": "trojan"}


@pytest.mark.parametrize("make", [lambda envs: MachineRequest("i", envs=envs), lambda envs: RenderRequest(envs=envs)])
def test_environment_is_added_to_a_copy(make: Callable[[dict[str, str]], MachineRequest | RenderRequest]) -> None:
    given = {"A": "1"}
    request = make(given)
    more = request.with_envs({"B": "2", "A": "3"})
    given["A"] = "changed"
    assert request.envs == {"A": "1"}
    assert more.envs == {"A": "3", "B": "2"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: MachineRequest(""),
        lambda: MachineRequest("two words"),
        lambda: MachineRequest(" blender"),
        lambda: MachineRequest("a\nb"),
        lambda: MachineRequest("a\0b"),
        lambda: MachineRequest(" bad ", app="app-1"),
        lambda: MachineRequest(None),  # type: ignore[arg-type]
        lambda: MachineRequest("i", app=None),  # type: ignore[arg-type]
        lambda: MachineRequest("i", disk_gb=0),
        lambda: MachineRequest("i", disk_gb=100_001),
        lambda: MachineRequest("i", disk_gb=1.5),  # type: ignore[arg-type]
        lambda: MachineRequest("i", disk_gb=True),
        lambda: MachineRequest("i", envs={"1A": "x"}),
        lambda: MachineRequest("i", envs={"A=B": "x"}),
        lambda: MachineRequest("i", envs={"A": 1}),  # type: ignore[dict-item]
        lambda: MachineRequest("i", envs={"A": "a\0b"}),
        lambda: MachineRequest("i", envs={"A": "\ud800"}),
        lambda: MachineRequest("i", envs={7: "x"}),  # type: ignore[dict-item]
        lambda: MachineRequest("i", envs=None),  # type: ignore[arg-type]
        lambda: MachineRequest("i", envs=[("A", "1")]),  # type: ignore[arg-type]
        lambda: MachineRequest("i", ports=(0,)),
        lambda: MachineRequest("i", ports=(65536,)),
        lambda: MachineRequest("i", ports=("80",)),  # type: ignore[arg-type]
        lambda: MachineRequest("i", ports="80"),  # type: ignore[arg-type]
        lambda: MachineRequest("i", http_ports=(True,)),
        lambda: MachineRequest("i", start_command="a\0b"),
        lambda: MachineRequest("i", entrypoint=7),  # type: ignore[arg-type]
        lambda: RenderRequest(disk_gb=-1),
        lambda: RenderRequest(envs={"": "x"}),
        lambda: RenderRequest(multi_gpu_worker="yes"),  # type: ignore[arg-type]
        lambda: RenderRequest(multi_gpu_worker=1),  # type: ignore[arg-type]
        lambda: VpnRequest("pptp"),
        lambda: VpnRequest(""),
        lambda: VpnRequest(protocol="vmess"),
        lambda: VpnRequest("v2ray", "http"),
        lambda: VpnRequest("wg", "vmess"),
    ],
)
def test_what_the_api_could_only_refuse_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(OctaConfigError):
        make()


def test_a_refused_environment_value_is_not_shown() -> None:
    with pytest.raises(OctaConfigError) as caught:
        MachineRequest("i", envs={"TOKEN": "hf_secret\0"})
    assert "TOKEN" in str(caught.value)
    assert "hf_secret" not in str(caught.value)


@pytest.mark.parametrize("request_type", [MachineRequest, RenderRequest])
def test_the_repr_of_a_request_shows_no_value_of_an_environment_variable(
    request_type: type[MachineRequest] | type[RenderRequest],
) -> None:
    image = {"image": "ubuntu"} if request_type is MachineRequest else {}
    assert "hunter2" not in repr(request_type(envs={"PASSWORD": "hunter2"}, **image))
