"""What strangers wrote reaches our logs and messages as words: no escapes, no lines of their own, no folding marks."""

from __future__ import annotations

import ast
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import octa_provider
from octa_provider.errors import OctaSshError
from octa_provider.text.loggers import plain_logger
from octa_provider.text.plain_text import MESSAGE_CHARS, plain_message, plain_words

ROOT = Path(octa_provider.__file__).parent.parent
EVIL = "l\x1b]0;OWNED\x07\x1b[2J\nocta-provider: FORGED all is well\r::group::hidden"
ODD_TEXT = st.text(st.characters(categories=None), max_size=60) | st.text(
    st.sampled_from("\x1b[]0;m\x07\x9b\r\n\t :group end\u202e\u2028\x00\ud800"), max_size=60
)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a terminal would get of a logger of ours."""
    sink = io.StringIO()
    handler = logging.StreamHandler(sink)
    handler.setFormatter(logging.Formatter("octa-provider: %(message)s"))
    logger = plain_logger("octa_provider.test_plain_log")
    logger.addHandler(handler)
    logger.propagate = False
    yield sink
    logger.removeHandler(handler)


LOG = plain_logger("octa_provider.test_plain_log")


@pytest.mark.parametrize("argument", [EVIL, OctaSshError(EVIL), ValueError(EVIL), Path(EVIL), (EVIL,), {"name": EVIL}])
def test_a_name_that_a_stranger_chose_is_words_in_a_log_line(argument: object, written: io.StringIO) -> None:
    LOG.warning("left out %s: %s", argument, "why")
    lines = written.getvalue().splitlines()
    assert lines[0].startswith("octa-provider: left out ")
    assert all(line.startswith(plain_words("  ")) for line in lines[1:])
    assert not set("\x1b\x07\r\x00") & set(written.getvalue())
    assert "::group::" not in written.getvalue()


def test_a_message_without_arguments_is_made_plain_too(written: io.StringIO) -> None:
    LOG.warning(EVIL)
    assert "\x1b" not in written.getvalue()
    assert "\nocta-provider: FORGED" not in written.getvalue()


def test_numbers_stay_numbers_and_named_arguments_work(written: io.StringIO) -> None:
    LOG.warning("%d of %.1f, %5d", 3, 2.5, 7)
    LOG.warning("%(a)s", {"a": EVIL})
    assert written.getvalue().startswith("octa-provider: 3 of 2.5,     7\n")
    assert "\x1b" not in written.getvalue()


def test_an_argument_that_can_not_be_shown_fails_no_call(written: io.StringIO) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RecursionError("too deep")

    LOG.warning("got %s", Broken())
    assert "Broken that can't be shown" in written.getvalue()


@given(ODD_TEXT)
def test_a_message_is_text_and_twice_is_once(text: str) -> None:
    shown = plain_message(text)
    assert plain_message(shown) == shown
    assert all(c.isprintable() or c in "\t\n" or c.isspace() or ord(c) > 0x9F for c in shown)
    assert all(line.startswith("  ") or not line for line in shown.split("\n")[1:])
    assert "::group::" not in shown.lower()
    assert "::endgroup::" not in shown.lower()
    shown.encode()


@given(ODD_TEXT)
def test_words_are_one_line(text: str) -> None:
    words = plain_words(text)
    assert words.splitlines() in ([], [words])
    assert plain_words(words) == words


def test_words_hide_nothing_with_a_carriage_return() -> None:
    assert plain_words("session a failed\rall is well") == "session a failed all is well"


@pytest.mark.parametrize("mark", ["::group::", "::endgroup::", "::GROUP::", "::group::::group::", ":::group::"])
def test_a_mark_that_folds_a_log_is_broken(mark: str) -> None:
    assert "::group::" not in plain_words(f"x {mark} y").lower()
    assert "::endgroup::" not in plain_words(mark).lower()
    assert plain_words("a::b ::c:: group") == "a::b ::c:: group"


def test_a_long_message_with_many_lines_is_cut_once() -> None:
    text = "\n".join(f"line {n}" for n in range(100_000))
    assert len(plain_message(text)) <= MESSAGE_CHARS
    assert plain_message(plain_message(text)) == plain_message(text)


def test_every_logger_of_ours_is_a_plain_one() -> None:
    raw = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("octa_provider", "airflow_provider", "prefect_blocks")
        for path in sorted((ROOT / package).rglob("*.py"))
        if "emulator" not in path.parts and path.name != "plain_log.py"
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and "getLogger" in ast.unparse(node.value)
    ]
    assert raw == []
