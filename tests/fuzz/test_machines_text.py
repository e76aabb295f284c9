"""Whatever a rented machine prints, names or answers: text that harms nobody, in bounded time and memory."""

from __future__ import annotations

import json
import math
import tempfile
from collections import deque
from contextlib import suppress
from typing import Any

import pytest
from fuzzing import ANYTHING, ODD_TEXT, SCALARS, TERMINAL, bounded, cost, fuzzed
from hypothesis import strategies as st

from octa_provider.cli.output.wording import shown_lines, shown_text
from octa_provider.errors import OctaConfigError, OctaDecodeError, OctaError
from octa_provider.job.script import lacks_shell, read_marker, read_status
from octa_provider.job.spec import JobSpec
from octa_provider.logs.cursor import LogCursor
from octa_provider.logs.log_stream import SpooledText, read_system, spool_logs
from octa_provider.logs.new_lines import LogFollower
from octa_provider.logs.spool import EndOfText
from octa_provider.market.requirements import Requirements
from octa_provider.models import decode_json
from octa_provider.models.session_progress import means_failed, means_stopping
from octa_provider.render.frames import chunks, parse
from octa_provider.render.picture import BrokenPictureError
from octa_provider.render.pictures import png_size
from octa_provider.render.progress import ProgressTracker
from octa_provider.text.plain_text import plain, plain_message, plain_words
from octa_provider.wire.fields import items, moment, number, port_map, strings

LONG = 64 * 1024
PIECES = (
    *("\x1b[", "\x1b]", "\x1b", "\x9b", "\x9d", "0;", "m", "\r", "\x07", "\x9c", " ", "\t", "1", "1/", "%", "12.5"),
    *("[octa-job n] exit 0", "[octa-job n] exit ", "Sample ", "Rendering ", "Fra:", "Saved: '", "a", "exec", "/bin/sh"),
    *("\\", "\n", "{", '"', "[", "\u2028", "\ud800", "P", "X", "9" * 20, "not found", "::group::", "stop ", "being "),
)
LOOKS = st.lists(
    st.tuples(
        st.sampled_from(["grow", "cut", "replace", "old", "hand over"]),
        st.binary(max_size=60) | st.sampled_from([b"a\n", b"\r", b"\xff", b"\xf0\x9f\x98", b"x" * 70_000, b"Fra:1\n"]),
        st.integers(0, 200),
    ),
    max_size=10,
)


@fuzzed(TERMINAL | ODD_TEXT)
def test_text_is_made_plain(printed: str) -> None:
    shown = plain(printed)
    assert plain(shown) == shown
    assert not [c for c in shown if (ord(c) < 32 and c != "\t") or 0x7F <= ord(c) <= 0x9F or 0xD800 <= ord(c) <= 0xDFFF]
    assert "\x1b" not in shown_lines(printed) + shown_text(printed) + plain_words(printed) + plain_message(printed)
    assert plain_message(plain_message(printed)) == plain_message(printed)


@fuzzed(
    st.lists(
        TERMINAL | st.from_regex(r"(Fra:-?\d{1,12}|\d{1,15} ?/ ?\d{1,15}|\d{1,5}(\.\d{1,12})? ?%){1,5}"), max_size=12
    )
)
def test_progress_never_falls_and_stays_between_0_and_1(lines: list[str]) -> None:
    for tool, total in (
        (None, None),
        ("blender", 10),
        (r"(?P<percent>.+)%", None),
        (r"(?P<done>.+)/(?P<total>.+)", None),
        (None, 7),
        (r"(?P<done>.+)/(?P<total>.+)", 7),
    ):
        tracker, last = ProgressTracker(tool, total), 0.0
        for place, line in enumerate(lines):
            told = tracker.feed_unfinished(line) if place % 3 else tracker.feed(line)
            assert told is None or (last <= told <= 1 and math.isfinite(told))
            last = last if told is None else told
        ProgressTracker(tool, total).restore(json.loads(json.dumps(tracker.to_dict())))


TRACKED = sorted(ProgressTracker().to_dict())


@fuzzed(st.dictionaries(st.sampled_from(TRACKED), ANYTHING))
def test_progress_of_somewhere_else_is_taken_or_left(state: dict[str, Any]) -> None:
    for tool in ("blender", None):
        tracker = ProgressTracker(tool, 5).restore(state)
        tracker.feed("Fra:3 Mem:1")
        tracker.feed_unfinished("Saved: '/3.png' 10%")
        tracker.feed("Saved: '/3.png' 10% 20%")
        assert tracker.fraction is None or 0 <= tracker.fraction <= 1
        json.dumps(tracker.to_dict())


@fuzzed(ODD_TEXT | st.from_regex(r".{0,20}\[octa-job n0\] exit (\d{1,6}|timeout|restarted|-1|٣)\s{0,3}.{0,3}"))
def test_an_end_is_told_by_our_own_marker_alone(line: str) -> None:
    marker = read_marker(line, "n0")
    assert marker is None or marker.exit_code is None or 0 <= marker.exit_code <= 999
    read_status(line, "n0")
    lacks_shell(line)


@fuzzed(LOOKS, share=0.5)
def test_a_log_that_does_anything_is_followed(looks: list[tuple[str, bytes, int]]) -> None:
    follower, text = LogFollower(), b""
    for how, data, at in looks:
        before = text
        text = {"grow": text + data, "cut": text[at:], "replace": data}.get(how, text)
        shown = before[:at] if how == "old" else text
        with EndOfText(most_bytes=100_000) as kept:
            kept.write(shown)
            for line in follower.feed(kept):
                line.encode()
        if how == "hand over":
            state = json.loads(json.dumps(follower.cursor.to_dict()))
            assert len(json.dumps(state)) < 7000
            follower = LogFollower(LogCursor.from_dict(state))


@fuzzed(
    st.builds(
        lambda container, system, other: json.dumps(
            {"container": container, "system": system, "x": other}, default=str
        ),
        ODD_TEXT | st.lists(ODD_TEXT, max_size=3),
        st.lists(ODD_TEXT, max_size=3) | ANYTHING,
        ANYTHING,
    ).map(lambda body: body.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=60),
    st.lists(st.integers(1, 9), min_size=1, max_size=20),
)
def test_an_answer_with_logs_is_the_same_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    pieces, at = [], 0
    while at < len(body):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(body[at : at + size])
        at += size

    def whole(parts: list[bytes]) -> object:
        try:
            with spool_logs(parts) as logs:
                assert logs.system == read_system(parts)
                return logs.container.read(0, 10**6), logs.system
        except OctaDecodeError:
            return "refused"

    assert whole([body]) == whole(pieces)


@fuzzed(
    st.binary(max_size=200) | st.builds(lambda size, rest: _png(size, rest), st.integers(0, 2**32 - 1), st.binary())
)
def test_a_picture_is_whole_or_broken(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with suppress(BrokenPictureError):
            png_size(file.name)


def _png(size: int, rest: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + size.to_bytes(4, "big") + b"IHDR" + rest


@fuzzed(ODD_TEXT | st.from_regex(r"[-0-9x, :y]{0,30}", fullmatch=True))
def test_a_range_of_frames_is_read_or_refused(text: str) -> None:
    with suppress(OctaConfigError):
        assert len(parse(text)) <= 10**6
        chunks(text, parts=3)


@fuzzed(
    st.fixed_dictionaries(
        {"image": st.just("ubuntu"), "command": SCALARS | st.lists(SCALARS, max_size=3)},
        optional={
            **dict.fromkeys(("timeout_s", "ready_timeout_s", "via", "max_cost_usd", "disk_gb"), SCALARS),
            **{
                name: st.dictionaries(ODD_TEXT, SCALARS, max_size=2) | SCALARS for name in ("envs", "inputs", "outputs")
            },
            **{name: st.lists(SCALARS, max_size=2) | SCALARS for name in ("ports", "http_ports")},
        },
    )
)
def test_a_job_is_described_or_refused(arguments: dict[str, Any]) -> None:
    try:
        spec = JobSpec(**arguments)
    except OctaConfigError:
        return
    assert len(spec.fingerprint) == 16


@fuzzed(st.dictionaries(st.sampled_from([*Requirements.__dataclass_fields__, "x"]), SCALARS | st.lists(SCALARS)))
def test_requirements_are_taken_or_refused(values: dict[str, Any]) -> None:
    with suppress(OctaError):
        Requirements.from_mapping(values)


# -- growth -----------------------------------------------------------------------------------------------------------


def states(text: str) -> list[str]:
    """The states of the lines of a log that have not ended, or are drawn anew."""
    told: deque[str] = deque(maxlen=1000)
    for _ in LogFollower(on_unfinished=told.append).feed(SpooledText.of(text)):
        pass
    return list(told)


def _readers(text: str) -> dict[str, Any]:
    data = text.encode("utf-8", "replace")
    tail = __import__("base64").b64encode(data[:4096].ljust(4096, b"x")[-4096:]).decode()
    cursor = {"seen": 4096, "tail": tail, "held": 0, "head": "", "stale": 5, "gaps": 0}
    return {
        "plain": lambda: plain(text),
        "plain_message": lambda: plain_message(text),
        "lacks_shell": lambda: lacks_shell(text),
        "read_marker": lambda: read_marker(text, "n"),
        "read_status": lambda: read_status(text, "n"),
        "progress": lambda: ProgressTracker("blender", 5).feed(text),
        "any progress": lambda: ProgressTracker(None).feed(text),
        "progress of a bar": lambda: [ProgressTracker(None, 5).feed_unfinished(state) for state in states(text)],
        "failed": lambda: means_failed(text),
        "stopping": lambda: means_stopping(text),
        "fields": lambda: (moment(text), number(text), strings(text), items(text), port_map(text)),
        "follow": lambda: sum(1 for _ in LogFollower(LogCursor.from_dict(cursor)).feed(SpooledText.of(data[7:]))),
        "follow a bar": lambda: states(text),
        "message": lambda: str(OctaError(text)),
    }


@fuzzed(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4),
    st.sampled_from(PIECES),
    st.sampled_from(PIECES),
    share=0.3,
)
def test_64_kb_of_a_strangers_text_take_no_reader_long(unit: list[str], begin: str, end: str) -> None:
    repeated = "".join(unit)
    text = (begin + repeated * (LONG // len(repeated)) + end)[: LONG + 100]
    slowest = {name: cost(read)[0] for name, read in _readers(text).items()}
    # What is slower than linear takes minutes; that the tests' coverage is measured makes ten times of a tenth.
    assert max(slowest.values()) < 5.0, slowest


@pytest.mark.parametrize("unit", ["exec/bin/sh", "\x1b]", "\r", "\n", "[", '{"a":', "9", "\x1b[31m", "Sample 1/", "é"])
def test_what_a_reader_holds_grows_with_the_text_alone(unit: str) -> None:
    # As much for each byte of a longer one, whose million lines would take ten seconds to count the memory of.
    text = unit * (256 * 1024 // len(unit))
    for read in _readers(text).values():
        bounded(read, most_s=60.0, most_bytes=16 * 1024 * 1024)


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b"1,", b'"\\ud800",', b"[],", b"1e999,"])
def test_what_decoding_holds_grows_with_the_answer_alone(unit: bytes) -> None:
    body = b"[" + unit * (1024 * 1024 // len(unit)) + b"1]"

    def decode() -> None:
        try:
            decode_json(body)
        except ValueError:
            return

    bounded(decode, most_s=5.0, most_bytes=200 * 1024 * 1024)


def test_a_log_of_100_mb_is_read_in_a_few_mb() -> None:
    def pieces() -> Any:
        yield b'{"container": "'
        for _ in range(1600):
            yield b"x" * 99 * 10 + b"\\n" * 33 + b"y" * 64_000
        yield b'", "system": []}'

    def read() -> None:
        with spool_logs(pieces(), most_bytes=8 * 1024 * 1024) as logs:
            assert logs.container.size == 8 * 1024 * 1024
            assert sum(1 for _ in LogFollower().feed(logs.container)) > 1000

    bounded(read, most_s=60.0, most_bytes=24 * 1024 * 1024)
