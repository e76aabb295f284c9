"""Faults on demand: which requests they meet, and what they do to them.

A fault is a JSON object with a `kind` and any of these:

    method       "POST", or "*"                default: what the kind is about
    path         a glob on the path ("/services/*/stop"), or a regular expression when it begins with "^"
    node_id      only requests whose body names this node; for `odd_price`, only the records of this node
    times        how many requests it meets; null: all of them      default 1
    after        let so many matching requests pass first           default 0
    probability  meet a matching request only with this chance      default 1.0; drawn from `seed` (default 0)

| kind | what happens | options |
| --- | --- | --- |
| `refuse` | a 2xx that starts nothing | `reason` |
| `status` | that status; `effect: true` lets it happen all the same | `status` (503), `retry_after`, `body`, `effect` |
| `delay` | the request waits, then happens; `after_effect: true` waits with the answer | `seconds` (1) at most |
| `drop_before` | the connection closes, nothing happened | `seconds` (0) to wait first, `reset: true` for a TCP reset |
| `drop_after` | it happens, the connection closes before a byte of the answer | the same |
| `garbage` | it happens, the answer is no JSON | `status` (200), `body` |
| `truncate` | it happens, the answer breaks off halfway | |
| `late_commit` | an error, then it happens | `seconds` (1), `answer` (500): a status, "drop", "hang" |
| `late_listing` | the session starts, lists show it `seconds` later | `seconds` (1) |
| `raise_price` | just before the start the node's price becomes `factor` times as high | `factor` (5) |
| `never_ready` | the session stays in its startup phase | |
| `slow_start` | the session comes up so much later | `seconds` (1) |
| `node_dies` | the node goes `seconds` after the start; with `node_id` alone, `seconds` from now | `seconds` (1) |
| `no_user_envs` | answers lack `user_envs` | `form`: "missing", "null" or "empty" |
| `missing_fields` | records lack these fields | `fields`: a list of names |
| `drip` | it happens, the answer arrives byte by byte | `seconds` (1) that it takes |
| `seconds` | times of sessions and their logs are Unix seconds, not milliseconds | |
| `odd_price` | a catalogue tells no price, or none that can be | `form`: "missing", "null", "zero" or "negative" |
| `bare_uuid` | a machine's start is answered by an object, without the array around it | |
| `duplicate_entry`, `missing_entry` | a list's last entry comes twice, or not at all | `index` (-1), `all: true` |
| `render` | a machine renders as its `form` says | `form`, `frame`, `factor` (5), `devices`, `scene` |
| `site_vanishes` | every node of `country` (its name or ISO code) goes, `seconds` from now | `country`, `seconds` (1) |

A `render` fault is met by frames (or by processes that render), not by requests: `node_id` is the node that renders,
`times` and `after` count frames.
"""

from __future__ import annotations

import asyncio
import fnmatch
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from octa_provider.errors import OctaConfigError

_START = r"^/services/(mr|render|vpn)$"
_CATALOGUES = r"^/services/(mr|render|vpn)$"
_LISTS = r"^/sessions$"

# Kind -> the method and path that it meets when the fault names none.
_DEFAULTS: dict[str, tuple[str, str]] = {
    "refuse": ("POST", _START),
    "status": ("*", "*"),
    "delay": ("*", "*"),
    "drop_before": ("*", "*"),
    "drop_after": ("*", "*"),
    "garbage": ("*", "*"),
    "truncate": ("*", "*"),
    "late_commit": ("POST", _START),
    "late_listing": ("POST", _START),
    "raise_price": ("POST", _START),
    "never_ready": ("POST", _START),
    "slow_start": ("POST", _START),
    "node_dies": ("POST", _START),
    "no_user_envs": ("GET", r"^/(sessions|services/[^/]+/info)$"),
    "missing_fields": ("GET", r"^/(sessions|services/[^/]+/info)$"),
    "drip": ("*", "*"),
    "seconds": ("GET", r"^/(sessions|services/[^/]+/(info|logs))$"),
    "odd_price": ("GET", _CATALOGUES),
    "bare_uuid": ("POST", r"^/services/mr$"),
    "duplicate_entry": ("GET", _LISTS),
    "missing_entry": ("GET", _LISTS),
    # No request meets it.
    "render": ("", ""),
    "site_vanishes": ("", ""),
}

KINDS = tuple(_DEFAULTS)

#: After one of these, the request has its answer and no other fault meets it.
FINAL_KINDS = frozenset({"refuse", "status", "drop_before", "late_commit"})

#: What may happen to a machine that renders, and what meets it: a process that starts or ends, or a frame.
RENDER_FORMS = {
    "no_device": "start",
    "log_of_5": "start",
    "slow": "frame",
    "black": "frame",
    "cut": "frame",
    "disk_full": "frame",
    "node_dies": "frame",
    "killed": "frame",
    "out_of_memory": "frame",
    "wrong_number": "frame",
    "wrong_scene": "frame",
    "wrong_format": "frame",
    "hostile_names": "frame",
    "hostile_links": "frame",
    "hostile_pipe": "frame",
    "hostile_size": "frame",
    "hostile_pixels": "frame",
    "endless_file": "frame",
    "hangs": "end",
}

#: What the option `form` may say; the first is meant when it is left out.
FORMS = {
    "render": tuple(RENDER_FORMS),
    "no_user_envs": ("missing", "null", "empty"),
    "odd_price": ("missing", "null", "zero", "negative"),
}

GPU_DEVICES = ("OPTIX", "CUDA")

_OPTIONS: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "method": (str,),
    "path": (str,),
    "node_id": (int,),
    "times": (int, type(None)),
    "after": (int,),
    "probability": (int, float),
    "seed": (int,),
    "status": (int,),
    "retry_after": (int, float, str, type(None)),
    "seconds": (int, float),
    "factor": (int, float),
    "reason": (str,),
    "body": (str, dict, list),
    "effect": (bool,),
    "after_effect": (bool,),
    "reset": (bool,),
    "answer": (int, str),
    "form": (str,),
    "fields": (list,),
    "frame": (int,),
    "devices": (list,),
    "scene": (str,),
    "country": (str,),
    "index": (int,),
    "all": (bool,),
}


@dataclass
class Fault:
    """One fault, and how often it has been met.

    Attributes:
        kind: what it does.
        spec: the object that described it.
        seen: matching requests so far.
        met: requests that it changed.
        lifted: set once it is in force no more.
    """

    kind: str
    spec: dict[str, Any]
    seen: int = 0
    met: int = 0
    lifted: asyncio.Event = field(default_factory=asyncio.Event)
    _turns: Counter[str] = field(default_factory=Counter)
    _random: random.Random = field(default_factory=random.Random)

    def option(self, name: str, default: Any) -> Any:
        """An option, or its default."""
        return self.spec.get(name, default)

    def matches(self, method: str, path: str, node_ids: set[int]) -> bool:
        """Whether a request is one that this fault is about."""
        default_method, default_path = _DEFAULTS[self.kind]
        wanted_method = self.option("method", default_method)
        wanted_path = self.option("path", default_path)
        if wanted_method not in ("*", method):
            return False
        about_body = self.kind != "odd_price"
        if about_body and "node_id" in self.spec and self.spec["node_id"] not in node_ids:
            return False
        if wanted_path.startswith("^"):
            return re.search(wanted_path, path) is not None
        return fnmatch.fnmatchcase(path, wanted_path)

    def takes(self, method: str, path: str, node_ids: set[int]) -> bool:
        """Whether a request meets this fault now; counts it."""
        return not self._used_up and self.matches(method, path, node_ids) and self._meets_now()

    def takes_frame(self, question: Mapping[str, Any], node_id: int) -> bool:
        """Whether a process that renders meets this fault now; counts it.

        Args:
            question: its `event` (`start`, `frame` or `end`), and its `frame` or `device`.
            node_id: the node that it runs on.
        """
        return (
            self.kind == "render"
            and not self._used_up
            and RENDER_FORMS[self.spec["form"]] == question.get("event")
            and self.option("node_id", node_id) == node_id
            and self.option("frame", question.get("frame")) == question.get("frame")
            and (self.spec["form"] != "no_device" or question.get("device") in self.option("devices", GPU_DEVICES))
            and self._meets_now()
        )

    def turn(self, session_uuid: str) -> int:
        """How often it met frames of this session before."""
        self._turns[session_uuid] += 1
        return self._turns[session_uuid] - 1

    @property
    def _used_up(self) -> bool:
        times = self.option("times", 1)
        return times is not None and self.met >= times

    def _meets_now(self) -> bool:
        self.seen += 1
        if self.seen <= self.option("after", 0) or self._random.random() >= self.option("probability", 1.0):
            return False
        self.met += 1
        return True

    @property
    def strikes_by_itself(self) -> bool:
        """Whether it needs no request: a node that dies at a time, not at a start."""
        if self.kind == "site_vanishes":
            return True
        return self.kind == "node_dies" and "node_id" in self.spec and not self.spec.keys() & {"path", "method"}

    def report(self) -> dict[str, Any]:
        """The fault and how often it was met."""
        return self.spec | {"seen": self.seen, "met": self.met}


def parse_fault(spec: object) -> Fault:
    """The fault that a JSON object describes.

    Raises:
        OctaConfigError: it is no object, its kind or an option is unknown, or a value has the wrong type.
    """
    if not isinstance(spec, dict):
        raise OctaConfigError(f"A fault is a JSON object with a kind, not {spec!r}.")
    kind = spec.get("kind")
    if kind not in _DEFAULTS:
        raise OctaConfigError(f"There is no fault of kind {kind!r}: use one of {', '.join(KINDS)}.")
    for name, value in spec.items():
        if name not in _OPTIONS:
            raise OctaConfigError(f"A fault has no option {name!r}: use some of {', '.join(_OPTIONS)}.")
        types = _OPTIONS[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise OctaConfigError(f"The fault's {name} cannot be {value!r}.")
    if not 200 <= spec.get("status", 503) <= 599:
        raise OctaConfigError(f"The fault's status cannot be {spec['status']}: give 200 to 599.")
    if not 0 <= spec.get("factor", 5) <= 10**6:
        raise OctaConfigError(f"The fault's factor cannot be {spec['factor']}: give 0 to 1000000.")
    answer = spec.get("answer", 500)
    if answer not in ("drop", "hang") and not (isinstance(answer, int) and 200 <= answer <= 599):
        raise OctaConfigError(f'The fault\'s answer cannot be {answer!r}: give a status, "drop" or "hang".')
    forms = FORMS.get(kind, ("missing",))
    if spec.get("form", None if kind == "render" else "missing") not in forms:
        raise OctaConfigError(f"The fault's form cannot be {spec.get('form')!r}: give one of {', '.join(forms)}.")
    if kind == "site_vanishes" and not spec.get("country"):
        raise OctaConfigError("A site that vanishes has a country: give its name or its ISO code.")
    if spec.get("path", "").startswith("^"):
        try:
            re.compile(spec["path"])
        except re.error as error:
            raise OctaConfigError(f"The fault's path {spec['path']!r} is not a regular expression: {error}.") from None
    return Fault(kind, dict(spec), _random=random.Random(spec.get("seed", 0)))


class Faults:
    """The faults that are in force."""

    def __init__(self) -> None:
        self.active: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a fault in force, after those that are."""
        self.active.append(fault)

    def clear(self) -> None:
        """Lift every fault; what one of them delays goes on at once."""
        for fault in self.active:
            fault.lifted.set()
        self.active.clear()

    def take(self, method: str, path: str, node_ids: set[int]) -> list[Fault]:
        """The faults that a request meets, in order, up to one that answers it."""
        met = []
        for fault in self.active:
            if not fault.strikes_by_itself and fault.takes(method, path, node_ids):
                met.append(fault)
                if fault.kind in FINAL_KINDS:
                    break
        return met
