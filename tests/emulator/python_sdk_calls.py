"""Every documented call of the official Python SDK, as a program of its own: the tests run it in the SDK's environment.

Its README's lines are kept as they are, but for ids of nodes that exist here. Prints what the SDK made of the answers.
"""

from __future__ import annotations

import json
import os
import time

from octaspace import NotFoundError, OctaSpaceClient, OctaSpaceError
from octaspace.models import Account, Balance, Node, Session

URL = {"base_url": os.environ["OCTA_BASE_URL"]}
seen: dict[str, object] = {}


def ready(uuid: str) -> dict[str, object]:
    """The session as soon as its flag says that it is ready."""
    deadline = time.monotonic() + 600
    while not (info := client.services.session(uuid).info().data)["is_ready"]:
        assert time.monotonic() < deadline, info
        time.sleep(0.1)
    return dict(info)


def first_uuid(answer: object) -> str:
    """The uuid in the answer to a machine's start: an array."""
    return str(answer[0]["uuid"])  # type: ignore[index]


with OctaSpaceClient(**URL) as client:
    seen["network"] = sorted(client.network.info().data)

with OctaSpaceClient(api_key=os.environ["OCTA_API_KEY"], **URL) as client:
    seen["account"] = Account.from_dict(client.accounts.profile().data).email
    seen["balance"] = Balance.from_dict(client.accounts.balance().data).amount
    seen["wallet"] = client.accounts.generate_wallet().data["address"]

    node_id = client.nodes.list().data[0]["id"]
    seen["nodes"] = [Node.from_dict(node).online for node in client.nodes.list().data]
    seen["online"] = len(client.nodes.list(state="online").data)
    seen["node"] = Node.from_dict(client.nodes.find(node_id).data).online
    seen["ident"] = len(client.nodes.download_ident(node_id).body)
    seen["logs"] = len(client.nodes.download_logs(node_id).body)
    client.nodes.update_prices(node_id, gpu_hour=0.5)
    seen["gpu_hour"] = client.nodes.list().data[0]["prices"]["gpu_hour"]
    client.nodes.reboot(node_id)
    try:
        client.nodes.find(999_999)
    except NotFoundError as error:
        seen["not found"] = bool(error.request_id)

    seen["apps"] = [app["name"] for app in client.apps.list().data]
    seen["category"] = {app["category"] for app in client.apps.list(category="AI").data} == {"AI"}

    machines = client.services.mr.list().data
    seen["machines"] = len([machine for machine in machines if machine.get("total_price_usd")])
    uuids = [
        first_uuid(
            client.services.mr.create(
                node_id=machines[0]["node_id"], disk_size=10, image="ubuntu:24.04", app=app_id
            ).data
        )
        for app_id in ("249b4cb3-3db1-4c06-98a4-772ba88cd81c", "406c0b3f-6726-4169-a3b4-6322995cd755")
    ]
    seen["app names"] = [Session.from_dict(ready(uuid)).app_name for uuid in uuids]

    vpns = client.services.vpn.list().data
    for kind in ({"subkind": "wg"}, {}, {"subkind": "v2ray"}):
        uuids.append(client.services.vpn.create(node_id=vpns[0]["node_id"], **kind).data["uuid"])
        seen[f"config {kind}"] = str(ready(uuids[-1])["config"])[:9]

    renders = client.services.render.list().data
    uuids.append(client.services.render.create(node_id=renders[0]["node_id"], disk_size=100).data["uuid"])
    ready(uuids[-1])
    for refused in (client.services.render, client.services.vpn):
        try:
            refused.create(node_id=1, disk_size=100)
        except OctaSpaceError as error:
            seen[f"refused {type(refused).__name__}"] = str(error)

    seen["active"] = sorted(session["uuid"] for session in client.sessions.list().data) == sorted(uuids)
    for uuid in uuids:
        session = client.services.session(uuid)
        seen["system log"] = [line["msg"] for line in session.logs().data["system"]][-1]
        session.stop(score=5)
    recent = client.sessions.list(recent=True).data
    seen["recent"] = {session["uuid"] for session in recent} == set(uuids)
    seen["ended"] = {int(session["termination_reason"]) for session in recent}.pop()

    seen["idle"] = client.idle_jobs.find(node_id=node_id, job_id=42).data["status"]
    seen["idle log"] = bool(client.idle_jobs.logs(node_id=node_id, job_id=42).data["data"])

print(json.dumps(seen))
