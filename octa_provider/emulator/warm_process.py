"""A process that has the emulator loaded and forks one for each order: a start without the second that importing takes.

It is run by `warm_start`, as `python -m octa_provider.emulator.warm_process FD PID`, gets its orders by that socket,
and ends when nobody holds its other end any more, or PID has ended. Linux alone: elsewhere not all that Python loads
lives through a fork.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import socket
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

from octa_provider.emulator.command import main

#: Before each order's JSON, as text: its length, which the descriptors come with.
LENGTH_BYTES = 16
#: Of an emulator: its folder, standard input, output and error, and where its exit status goes.
DESCRIPTORS = 5


@dataclass
class _Child:
    pid: int
    told: int  # where its exit status goes


def serve(orders: socket.socket, parent: int) -> None:
    """Fork an emulator for each order, answer with its pid, and tell each one's exit status when it has ended.

    Args:
        orders: where they come from.
        parent: pid of the process that gives them.
    """
    # What is loaded is never collected: the children would copy every page that a collection touches.
    gc.collect()
    gc.freeze()
    parent_gone = os.pidfd_open(parent)
    children: dict[int, _Child] = {}
    poll = select.poll()
    for descriptor in (orders.fileno(), parent_gone):
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in children:
                poll.unregister(descriptor)
                os.close(descriptor)
                _tell(children.pop(descriptor))
            elif descriptor == parent_gone:
                return
            else:
                received = _order(orders)
                if received is None:
                    return
                order, passed = received
                pid = os.fork()
                if pid == 0:
                    _live(order, passed, {parent_gone, orders.fileno(), *children})
                for ours in passed[:-1]:
                    os.close(ours)
                ended = os.pidfd_open(pid)
                children[ended] = _Child(pid, passed[-1])
                poll.register(ended, select.POLLIN)
                orders.sendall(str(pid).encode().rjust(LENGTH_BYTES))


def _order(orders: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next one with its descriptors; None when there are no more."""
    length, passed, _, _ = socket.recv_fds(orders, LENGTH_BYTES, DESCRIPTORS)
    if len(length) < LENGTH_BYTES:
        return None
    body = bytearray()
    while len(body) < int(length):
        piece = orders.recv(int(length) - len(body))
        if not piece:
            return None
        body += piece
    return json.loads(body), passed


def _tell(child: _Child) -> None:
    _, status = os.waitpid(child.pid, 0)
    with contextlib.suppress(OSError):  # when nobody asks any more
        os.write(child.told, str(os.waitstatus_to_exitcode(status)).encode())
    os.close(child.told)


def _live(order: dict[str, Any], passed: list[int], others: set[int]) -> NoReturn:
    """The whole life of an emulator."""
    status = 1
    try:
        os.setsid()
        os.fchdir(passed[0])
        for number, descriptor in enumerate(passed[1:4]):
            os.dup2(descriptor, number)
        # The other emulators' too: each of them ends when its standard input closes, and so when nobody holds it.
        os.closerange(3, max(*passed, *others) + 1)
        os.environ.clear()
        os.environ.update(order["environment"])
        # Where temporary files go, and what time of the day it is, has been looked up in the environment of before.
        tempfile.tempdir = None
        time.tzset()
        status = main(order["arguments"])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nobody caught
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as socket_of_orders:
        serve(socket_of_orders, int(sys.argv[2]))
