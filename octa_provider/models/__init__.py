"""Typed, tolerant views of the API's payloads.

Every model is frozen, keeps the payload in `.raw`, and is made by `from_payload(payload)`, where an odd field becomes
None or empty and never raises. Importing this imports no `requests`.
"""

from __future__ import annotations

from octa_provider.models.account import Account, Balance, Wallet
from octa_provider.models.app import App
from octa_provider.models.hardware import Gpu, NodeHardware, Reliability
from octa_provider.models.idle_job import IdleJob, IdleJobLogs
from octa_provider.models.machine import Machine, VpnMachine
from octa_provider.models.network import GpuMarket, Network
from octa_provider.models.node import Node, NodePrices
from octa_provider.models.session import Endpoint, Proxy, Session, SessionPhase, SessionPrices
from octa_provider.models.session_logs import Logs, SystemEntry
from octa_provider.models.started_session import StartedSession
from octa_provider.wire.exact_json import decode_json
from octa_provider.wire.model import Model
from octa_provider.wire.records import Records, decode_list

__all__ = [
    "Account",
    "App",
    "Balance",
    "Endpoint",
    "Gpu",
    "GpuMarket",
    "IdleJob",
    "IdleJobLogs",
    "Logs",
    "Machine",
    "Model",
    "Network",
    "Node",
    "NodeHardware",
    "NodePrices",
    "Proxy",
    "Records",
    "Reliability",
    "Session",
    "SessionPhase",
    "SessionPrices",
    "StartedSession",
    "SystemEntry",
    "VpnMachine",
    "Wallet",
    "decode_json",
    "decode_list",
]
