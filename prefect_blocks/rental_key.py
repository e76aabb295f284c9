"""Which rental key a run's work has: the same for every try of it, another for every other work.

Prefect gives a task run a random name and id, and another one when its flow run is tried again. So the key is made of
what stays: the flow run's id, the task's name, and what is rented. Of several that are all the same, each gets a
number; which gets which does not matter, since they are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from prefect.context import FlowRunContext, TaskRunContext

from octa_provider.errors import OctaConfigError
from octa_provider.rental.key import key_parts
from octa_provider.rental.key import rental_key as join_parts

if TYPE_CHECKING:
    from octa_provider.market.request import Request
    from octa_provider.market.requirements import Requirements

__all__ = ["PREFIX", "flow_run_of", "is_worker_key", "name_in", "rental_key", "rented_on", "task_run_of", "worker_key"]

PREFIX = "prefect"
_WORKER = "worker"
_TASK_RUN = "task-run"
_NO_RUN = "no-run"
_DIGEST = re.compile("[0-9a-f]{12}")


@dataclass
class _Numbers:
    """The numbers given out in one try of one flow run."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    next: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    calls: defaultdict[tuple[UUID, int, str], int] = field(default_factory=lambda: defaultdict(int))
    given: dict[tuple[UUID, int, str], int] = field(default_factory=dict)

    def number(self, digest: str, task: TaskRunContext | None) -> int:
        """The number of this call; a task run that is tried again gets its own numbers again, in the same order."""
        with self.lock:
            if task is None:
                return self._new(digest)
            call = self.calls[task.task_run.id, task.task_run.run_count, digest]
            self.calls[task.task_run.id, task.task_run.run_count, digest] += 1
            place = (task.task_run.id, call, digest)
            if place not in self.given:
                self.given[place] = self._new(digest)
            return self.given[place]

    def _new(self, digest: str) -> int:
        self.next[digest] += 1
        return self.next[digest] - 1


_numbers: dict[int, _Numbers] = {}
_numbers_lock = threading.Lock()


def rented_on(request: Request, requirements: Requirements) -> list[object]:
    """What is rented, for `rental_key`. Not its labels: with others it is the same work.

    Args:
        request: what to rent.
        requirements: which machine.
    """
    return [request.service, _unlabelled(asdict(request)), asdict(requirements)]


def rental_key(rented: object, name: str | None = None) -> str:
    """The work key of something rented here and now: `prefect/<flow run>/<task or "flow">/<digest>-<number>`.

    Args:
        rented: what is rented, as a JSON value.
        name: instead of task and digest: names the work within the flow run. Give one where runs that look the same
            are not, and where tasks run in other processes than their flow.

    Returns:
        The key. Outside any run it is new every time.

    Raises:
        OctaConfigError: the parameters can't name what is rented; give a name.
    """
    flow, task = FlowRunContext.get(), TaskRunContext.get()
    if flow is None or flow.flow_run is None:
        if task is None:
            return join_parts(PREFIX, _NO_RUN, name or uuid4())
        return join_parts(PREFIX, _TASK_RUN, task.task_run.id, name or _digest(rented))
    flow_run_id = flow.flow_run.id
    if name is not None:
        return join_parts(PREFIX, flow_run_id, name)
    if task is not None and task.task_run.flow_run_id != flow_run_id:
        # A flow that was called by a task: the task is another run's.
        task = None
    parameters: Mapping[str, Any] = {} if task is None else task.parameters
    if task is not None and task.task.fn.__module__.startswith(f"{__package__}."):
        parameters = _unlabelled(parameters)
    digest = _digest([rented, parameters])
    place = "flow" if task is None else task.task.name
    if flow.detached and task is not None:
        # In another process than the flow: nobody here knows which numbers were given out.
        return join_parts(PREFIX, flow_run_id, place, f"{digest}-{task.task_run.id}")
    return join_parts(PREFIX, flow_run_id, place, f"{digest}-{_of_try(flow).number(f'{place}/{digest}', task)}")


def worker_key(flow_run_id: UUID, run_count: int) -> str:
    """The work key of the machine that a worker rents for a flow run.

    Args:
        flow_run_id: the flow run.
        run_count: how often it has begun to run: one that is run again gets a machine of its own.
    """
    return join_parts(PREFIX, flow_run_id, _WORKER, run_count)


def is_worker_key(key: str) -> bool:
    """Whether a key is one of `worker_key`'s.

    Args:
        key: with or without a namespace.
    """
    parts = _work_parts(key)
    return len(parts) == 4 and parts[2] == _WORKER and parts[3].isdecimal() and flow_run_of(key) is not None


def flow_run_of(key: str) -> UUID | None:
    """The flow run that a key belongs to; None when it is no such key.

    Args:
        key: with or without a namespace.
    """
    parts = _work_parts(key)
    return _uuid(parts[1]) if parts[0] == PREFIX and len(parts) > 2 else None


def task_run_of(key: str) -> UUID | None:
    """The task run without a flow that a key belongs to; None when it is no such key.

    Args:
        key: with or without a namespace.
    """
    parts = _work_parts(key)
    return _uuid(parts[2]) if parts[:2] == [PREFIX, _TASK_RUN] and len(parts) > 2 else None


def name_in(key: str) -> str:
    """What `rental_key` was given as the work's name; empty where it was given none, or the key is none of its own.

    Args:
        key: with or without a namespace.
    """
    parts = _work_parts(key)
    named = parts[3:] if parts[:2] == [PREFIX, _TASK_RUN] else parts[2:]
    if parts[0] != PREFIX or len(named) != 1 or _DIGEST.fullmatch(named[0]) or _uuid(named[0]) is not None:
        return ""
    return key_parts(named[0])[0]


def _work_parts(key: str) -> list[str]:
    # No namespace is what keys themselves begin with.
    parts = key.split("/")
    return parts[1:] if parts[0] != PREFIX and parts[1:2] == [PREFIX] else parts


def _of_try(flow: FlowRunContext) -> _Numbers:
    # Each try of a flow run has a context of its own, which its threads share.
    with _numbers_lock:
        if id(flow) not in _numbers:
            _numbers[id(flow)] = _Numbers()
            forget: Callable[..., object] = _numbers.pop
            weakref.finalize(flow, forget, id(flow), None)
        return _numbers[id(flow)]


def _unlabelled(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "labels"}


def _digest(value: object) -> str:
    try:
        text = json.dumps(value, sort_keys=True, default=_told_by)
    except (TypeError, ValueError) as error:
        raise OctaConfigError(f"these parameters can't name what is rented ({error}): give it a key=") from error
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _told_by(value: object) -> str:
    """How something that is no JSON counts: by its type alone where its text could differ from process to process."""
    return str(value) if isinstance(value, (os.PathLike, UUID, date, Decimal)) else type(value).__qualname__


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
