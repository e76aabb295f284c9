"""Whatever a container prints, only text reaches a terminal."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.text.odd_text import ODD
from octa_provider.text.plain_text import plain


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("plain text, tabs\tand 漢字 stay", "plain text, tabs\tand 漢字 stay"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred\x9b0m", "red"),
        ("\x1b[38;2;1;2;3mcolour", "colour"),
        ("up\x1b[3A\x1b[2Kover", "upover"),
        ("\x1b[?25l\x1b[>4;2mhidden cursor", "hidden cursor"),
        ("unterminated \x1b[31", "unterminated "),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9d52;c;clipboard\x9ctext", "text"),
        ("\x1b]52;c;no end, nothing hidden", "52;c;no end, nothing hidden"),
        ("\x1bPq#0;2\x1b\\sixel", "sixel"),
        ("\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\text", "text"),
        ("\x1b(B\x1b7\x1bcreset\x1b", "reset"),
        ("\x1b\x1b[31m[32mtwice", "[32mtwice"),
        ("bell\x07 back\x08space \x00nul \x7fdel \x0eshift", "bell backspace nul del shift"),
        ("  0%\r 50%\r100%", "100%"),
        ("  0%\r 50%\r100%\r", "100%"),
        ("done\r\x1b[K", "done"),
        ("\r", ""),
        ("\r\r\r", ""),
        ("two\nlines\x0band\x85more\u2028here", "two lines and more here"),
        ("user\u202etxt.exe\u202c \u2066x\u2069\u200f", "usertxt.exe x"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("\U0001f469\u200d\U0001f680 joined", "\U0001f469\u200d\U0001f680 joined"),
        ("::group::stays", "::group::stays"),
    ],
)
def test_what_is_printed_and_what_is_shown(printed: str, shown: str) -> None:
    assert plain(printed) == shown


SPICED = st.lists(
    st.one_of(
        st.sampled_from(
            ["\x1b", "[", "]", "P", "0", ";", "m", "\x07", "\\", "\x9b", "\x9d", "\x9c", "\r", "\n", "\u202e"]
        ),
        st.text(st.characters(), max_size=5),
    ),
    max_size=30,
).map("".join)


@settings(deadline=None)
@given(SPICED)
def test_nothing_but_text_and_tabs_is_left(line: str) -> None:
    shown = plain(line)
    assert all(c == "\t" or unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    assert not any(
        unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI") for c in shown
    )
    assert plain(shown) == shown
    shown.encode()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"])))
def test_visible_text_is_not_touched(line: str) -> None:
    assert plain(line) == line


@pytest.mark.parametrize("nasty", ["\x1b]", "\x9d", "\x1b[", "\x9b0", "\x1bP\x1b", "\r", "\x1b[0;", "\x1b("])
def test_no_line_takes_long(nasty: str) -> None:
    start = time.thread_time()
    plain(nasty * (64 * 1024 // len(nasty)))
    plain(nasty + "0" * 64 * 1024)
    assert time.thread_time() - start < 0.5


def test_what_is_printable_holds_nothing_odd() -> None:
    # Which is why such a line is taken as it is, and not searched.
    assert [hex(code) for code in range(0x110000) if chr(code).isprintable() and ODD.search(chr(code))] == []
