"""SSH connections that stay open between two looks at a job: a new one costs several round trips, and a login."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from octa_provider.errors import OctaError
from octa_provider.remote.machine import RemoteMachine
from octa_provider.remote.target import SshTarget

__all__ = ["kept_machine", "let_all_go"]

#: One that nobody has used for so long is closed.
IDLE_S = 180.0
#: More than so many are not kept: each is a file descriptor here.
KEPT = 64

_lock = threading.Lock()
_kept: dict[SshTarget, tuple[float, RemoteMachine]] = {}
_owner = os.getpid()


@contextmanager
def kept_machine(target: SshTarget) -> Iterator[RemoteMachine]:
    """A machine to use, over the connection that an earlier use has left open, if any.

    Args:
        target: where to connect, and as whom. Once its host key was seen it is that of later uses too.
    """
    machine = _taken(target) or RemoteMachine(target, connect_within_s=0.0)
    try:
        yield machine
    except BaseException:
        with suppress(OctaError):
            machine.close()
        raise
    _put_back(target, machine)


def let_all_go() -> None:
    """Close every connection that is kept: the next use makes its own."""
    for target in tuple(_kept):
        if (machine := _taken(target)) is not None:
            machine.close()


def _taken(target: SshTarget) -> RemoteMachine | None:
    with _lock:
        _forget_those_of_a_parent()
        _, machine = _kept.pop(target, (0.0, None))
        return machine


def _put_back(target: SshTarget, machine: RemoteMachine) -> None:
    now = time.monotonic()
    with _lock:
        _forget_those_of_a_parent()
        # A job knows the key of its machine from its first look on.
        after = SshTarget(**{**target.__dict__, "host_key": machine.host_key})
        old = [_kept.pop(after, None)]
        _kept[after] = (now, machine)
        idle = [one for one, (used_at, _) in _kept.items() if now - used_at > IDLE_S]
        idle += list(_kept)[: max(0, len(_kept) - KEPT)]
        old += [_kept.pop(one, None) for one in idle]
    for entry in old:
        if entry is not None and entry[1] is not machine:
            entry[1].close()


def _forget_those_of_a_parent() -> None:
    global _owner
    if os.getpid() != _owner:
        # Their connections are the parent's, which goes on using them.
        _kept.clear()
        _owner = os.getpid()
