"""What the library logs reaches the terminal in few lines, each of them readable."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import warnings

import pytest

from octa_provider.cli.output.messages import AGAIN_S, LogMessages

log = logging.getLogger("octa_provider.some.place")


class Clock:
    """Time that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_equal_warnings_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with LogMessages("octa-provider", verbose=False, worded=str):
        for number in range(37):
            log.warning("looking at the job %s: no connection after %.1f s", "cli/one", number / 10)
        log.warning("looking at the job %s: no connection after 1 s", "cli/two")
    assert capsys.readouterr().err.splitlines() == [
        "octa-provider: looking at the job cli/one: no connection after 0.0 s",
        "octa-provider: looking at the job cli/two: no connection after 1 s",
    ]


def test_what_still_holds_much_later_is_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with LogMessages("octa-provider", verbose=False, worded=str, clock=clock):
        for now in (0.0, AGAIN_S - 1, AGAIN_S, AGAIN_S + 1):
            clock.now = now
            log.warning("down")
    assert capsys.readouterr().err == "octa-provider: down\n" * 2


def test_verbose_tells_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    with LogMessages("octa-provider", verbose=True, worded=str):
        for _ in range(2):
            log.info("asked")
    assert capsys.readouterr().err == "octa-provider: asked\n" * 2


def test_what_asyncio_finds_left_over_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with LogMessages("octa-provider", verbose=False, worded=str):
        logging.getLogger("asyncio").error("Task was destroyed but it is pending!")
        log.info("not asked for")
    assert capsys.readouterr().err == ""


def test_a_message_that_can_not_be_put_together_ends_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest's own handlers would raise.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with LogMessages("octa-provider", verbose=False, worded=str):
        log.warning("%d and nothing", "no number")
    assert capsys.readouterr().err == ""


def test_a_message_is_made_fit_for_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with LogMessages("octa-provider", verbose=False, worded=lambda text: text.replace("key", "***")):
        log.warning("with key")
    assert capsys.readouterr().err == "octa-provider: with ***\n"


def test_what_was_set_before_is_set_again() -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level, logging.getLogger("asyncio").level
    with LogMessages("octa-provider", verbose=True, worded=str):
        assert logging.getLogger().handlers[:] != before[0]
    with LogMessages("octa-provider", verbose=False, worded=str):
        pass
    assert (logging.getLogger().handlers[:], logging.getLogger().level, logging.getLogger("asyncio").level) == before


@pytest.mark.parametrize("verbose", [False, True])
def test_what_a_signal_left_between_two_steps_is_not_told(verbose: bool) -> None:
    async def work() -> None:
        pass

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with LogMessages("octa-provider", verbose=verbose, worded=str):
            work()
            gc.collect()
    assert ["never awaited" in str(one.message) for one in told] == [True] * verbose


def test_what_python_finds_on_its_way_out_is_not_told() -> None:
    code = (
        "import asyncio, sys\n"
        "from octa_provider.cli import main\n"
        "async def forever(): await asyncio.get_running_loop().create_future()\n"
        "async def left(): return asyncio.create_task(forever())\n"
        "class Odd:\n    def __del__(self): raise ValueError('left over')\n"
        "kept = [asyncio.new_event_loop(), Odd()]\n"
        "kept.append(kept[0].run_until_complete(left()))\n"
        "sys.argv = ['octa-provider', '--version']\n"
        "sys.exit(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
