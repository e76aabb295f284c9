"""A look that falls inside a character: what the API shows in its place is not yet what was printed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider import JobSpec
from octa_provider.logs.log_stream import SpooledText, spool_logs
from octa_provider.logs.new_lines import LogFollower
from tests.core.job_bench import Bench, bench, emulator

__all__ = ["bench", "emulator"]

TEXTS = st.text(st.sampled_from("ab\n é漢😀🎬"), max_size=60)


def utf8_cut(text: str, at: int) -> str:
    """What a service shows that replaces a broken end by one character."""
    return text.encode()[:at].decode("utf-8", "replace")


def byte_cut(text: str, at: int) -> str:
    """What one shows that replaces each byte of it."""
    data = text.encode()[:at]
    whole = data.decode("utf-8", "ignore")
    return whole + "\ufffd" * (len(data) - len(whole.encode()))


def utf16_cut(text: str, at: int) -> str:
    """What one shows that counts in UTF-16, as JavaScript and Java do: half a surrogate pair."""
    units = text.encode("utf-16-le", "surrogatepass")
    return units[: 2 * at].decode("utf-16-le", "surrogatepass")


@settings(deadline=None, max_examples=300)
@given(
    TEXTS,
    st.lists(st.integers(0, 150), max_size=12),
    st.sampled_from([utf8_cut, byte_cut, utf16_cut]),
    st.booleans(),
)
def test_each_line_comes_once_wherever_a_look_cuts_a_character(
    text: str, looks: list[int], cut: object, ascii_only: bool
) -> None:
    assert callable(cut)
    follower, lines = LogFollower(), []
    for at in sorted(looks):
        body = json.dumps({"container": cut(text, at)}, ensure_ascii=True).encode()
        with spool_logs([body]) as logs:
            lines += follower.feed(logs.container)
    lines += follower.feed(SpooledText.of(text), is_last=True)
    lines += follower.finish()
    assert follower.cursor.gaps == 0
    assert lines == [*text.split("\n")[:-1], *([text.split("\n")[-1]] if text.split("\n")[-1] else [])]


def test_what_stays_torn_at_the_end_comes_with_the_end() -> None:
    follower = LogFollower()
    torn = SpooledText.of("one\ntwo \ufffd")
    assert list(follower.feed(torn)) == ["one"]
    assert [*follower.feed(torn, is_last=True), *follower.finish()] == ["two \ufffd"]


def test_a_log_that_was_cut_inside_a_character_is_no_other_log() -> None:
    follower = LogFollower()
    printed = "".join(f"zeile {number} größe 漢字\n" for number in range(40))
    assert len(list(follower.feed(SpooledText.of(printed)))) == 40
    data = (printed + "new\n").encode()
    start = data.index("ö".encode()) + 1
    assert list(follower.feed(SpooledText.of(data[start:].decode("utf-8", "replace")))) == ["new"]
    assert follower.cursor.gaps == 0


def test_a_job_whose_output_is_looked_at_inside_a_character_gives_each_line_once(bench: Bench) -> None:
    lines: list[str] = []
    command = r"for i in 1 2 3; do echo epoch $i; done; printf 'caf\303'; sleep 2; printf '\251 ok\n'; echo last"
    bench.client.jobs.run(JobSpec("ubuntu:24.04", command, timeout_s=600), bench.key, on_line=lines.append, poll_s=0.2)
    assert lines == ["epoch 1", "epoch 2", "epoch 3", "café ok", "last"]


@pytest.mark.parametrize("end", ["\ufffd", "\ufffd\ufffd\ufffd"])
def test_a_replacement_character_that_was_printed_is_given_with_its_line(end: str) -> None:
    follower = LogFollower()
    assert list(follower.feed(SpooledText.of(f"a{end}"))) == []
    assert list(follower.feed(SpooledText.of(f"a{end}\n"))) == [f"a{end}"]
