"""A program that blocks are entered and left in while signals come at random moments; run in a process of its own.

    python signal_storm.py SHAPE default|own ROUNDS SEED

Prints how many machines were left, of how many.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from octa_provider.rental.clean_up import cleaned_up_by, stop_signals_raise

LONGEST_S = 1500e-6
SOON_S = 100e-6
NUMBERS = [signal.SIGALRM, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT]


class Machine:
    """What must not be left behind; the process that looks at it is another one."""

    def __init__(self) -> None:
        self.alarm_s = 0.0
        self._counts = mmap.mmap(-1, 3)

    @property
    def rented(self) -> int:
        return self._counts[0]

    @property
    def stopped(self) -> int:
        return self._counts[1]

    @property
    def begun(self) -> int:
        return self._counts[2]

    def begin(self) -> None:
        self._counts[2] = 1

    def rent(self) -> None:
        self._counts[0] += 1
        if self.alarm_s:
            signal.setitimer(signal.ITIMER_REAL, self.alarm_s)

    def stop(self, error: BaseException | None) -> None:
        for _ in range(20):
            # As a real stop, it takes many steps, and deals with errors of its own on the way.
            try:
                raise OSError("not yet")
            except OSError:
                pass
        self._counts[1] += 1


def plain(machine: Machine) -> None:
    with cleaned_up_by(machine.stop):
        machine.rent()


def failing(machine: Machine) -> None:
    with cleaned_up_by(machine.stop):
        machine.rent()
        raise ValueError


@contextmanager
def generated(machine: Machine) -> Iterator[None]:
    with cleaned_up_by(machine.stop):
        machine.rent()
        yield


def by_generator(machine: Machine) -> None:
    with generated(machine):
        sum(range(10))


def by_generator_failing(machine: Machine) -> None:
    with generated(machine):
        raise ValueError


def by_stack(machine: Machine) -> None:
    with ExitStack() as stack:
        stack.enter_context(generated(machine))
        sum(range(10))


def nested(machine: Machine) -> None:
    with stop_signals_raise(), generated(machine), generated(machine):
        sum(range(10))


def one_after_the_other(machine: Machine) -> None:
    with stop_signals_raise():
        plain(machine)
        by_generator(machine)


class Unheard:
    def __del__(self) -> None:
        sum(range(300))


def in_finalizers(machine: Machine) -> None:
    with cleaned_up_by(machine.stop):
        machine.rent()
        Unheard()


SHAPES: dict[str, Callable[[Machine], None]] = {
    shape.__name__: shape
    for shape in (
        plain,
        failing,
        by_generator,
        by_generator_failing,
        by_stack,
        nested,
        one_after_the_other,
        in_finalizers,
    )
}


def raises(number: int, frame: object) -> None:
    """A handler of the program's own, as orchestrators set them."""
    raise SystemExit(number)


def in_child(shape: Callable[[Machine], None], how: str, chance: random.Random) -> Machine:
    """One round, in a process of its own: a signal while it begins or soon after it has rented, and perhaps others."""
    machine = Machine()
    early_s = chance.choice((0.0, chance.random() * LONGEST_S))
    machine.alarm_s = 0.0 if early_s else 1e-6 + chance.random() * SOON_S
    others = chance.choice((0, 1, 2))
    pid = os.fork()
    if pid == 0:
        try:
            for number in NUMBERS if how == "own" else ():
                signal.signal(number, raises)
            machine.begin()
            signal.setitimer(signal.ITIMER_REAL, early_s)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
            shape(machine)
            # A signal that is sent again comes a little later.
            time.sleep(LONGEST_S)
        finally:
            os._exit(0)
    while not (machine.begun if early_s else machine.rented) and os.waitpid(pid, os.WNOHANG) == (0, 0):
        pass
    for _ in range(others):
        for _ in range(chance.randrange(500)):
            pass
        with suppress(ProcessLookupError):
            os.kill(pid, chance.choice(NUMBERS[1:]))
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
    return machine


if __name__ == "__main__":
    name, how, count, seed = sys.argv[1:]
    chance = random.Random(int(seed))
    # A child hears them from when it is ready for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    with suppress(ValueError):
        SHAPES[name](Machine())
    machines = [in_child(SHAPES[name], how, chance) for _ in range(int(count))]
    left = [machine for machine in machines if machine.rented > machine.stopped]
    print(f"{len(left)} left of {sum(machine.rented for machine in machines)}")
