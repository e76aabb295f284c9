"""Whatever a stranger's machine sends as a picture: whole or broken, by an error of ours, in bounded memory."""

from __future__ import annotations

import struct
import tempfile
from contextlib import suppress
from pathlib import Path

from fuzzing import ODD_TEXT, bounded, fuzzed
from hypothesis import strategies as st

from octa_provider.errors import OctaConfigError
from octa_provider.render.containers import read_picture
from octa_provider.render.frame_files import FilePattern, find_patterns
from octa_provider.render.picture import BrokenPictureError
from octa_provider.render.pictures import flaw_of
from octa_provider.render.stamp import STAMP_NAMES, stamp_of

FOLDER = Path(__file__).resolve().parents[1] / "data" / "pictures"
WHOLE = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir())}
NUMBERS = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63, 255, 65535]) | st.integers(0, 2**64 - 1)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["byte", "four", "eight", "cut", "drop", "twice", "zeros"]),
        # Headers are where the lengths are.
        st.floats(0, 1) | st.floats(0, 0.15),
        NUMBERS,
    ),
    min_size=1,
    max_size=6,
)
MOST_BYTES = 16 * 1024 * 1024


def changed(data: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    """The bytes after these changes, each at a share of their length."""
    for how, share, number in changes:
        at = int(share * len(data))
        count = number % 64
        new = {
            "byte": bytes([number % 256]),
            "four": struct.pack("<I" if number % 2 else ">I", number % 2**32),
            "eight": struct.pack("<Q" if number % 2 else ">Q", number % 2**64),
            "zeros": bytes(count),
        }.get(how, b"")
        if how == "cut":
            data = data[:at]
        elif how == "drop":
            data = data[:at] + data[at + count :]
        elif how == "twice":
            data = data[:at] + data[at : at + count] * 2 + data[at + count :]
        else:
            data = data[:at] + new + data[at + len(new) :]
    return data


def look(data: bytes) -> None:
    """Read it as every caller does."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with suppress(BrokenPictureError):
            found = read_picture(file.name)
            assert found.width > 0
            assert found.height > 0
            assert found.decoded_bytes is None or found.decoded_bytes > 0
        for name in ("a.png", "a.exr", "a.jpg", "a.tif", "a.tga"):
            assert "\n" not in flaw_of(file.name, name)


@fuzzed(st.sampled_from(sorted(WHOLE)), CHANGES, share=3.0)
def test_a_picture_that_was_changed_anyhow_is_whole_or_broken(name: str, changes: list[tuple[str, float, int]]) -> None:
    data = changed(WHOLE[name], changes)
    bounded(lambda: look(data), most_s=2.0, most_bytes=MOST_BYTES)


@fuzzed(
    st.builds(
        bytes.__add__,
        st.sampled_from(
            [b"\x76\x2f\x31\x01\x02\0\0\0", b"\x76\x2f\x31\x01\x02\x10\0\0", b"\xff\xd8\xff", b"II*\0", b"MM\0+"]
        ),
        st.binary(max_size=400),
    )
)
def test_what_begins_as_a_picture_is_whole_or_broken(data: bytes) -> None:
    bounded(lambda: look(data), most_s=2.0, most_bytes=MOST_BYTES)


@fuzzed(st.dictionaries(st.sampled_from(sorted(STAMP_NAMES)), ODD_TEXT))
def test_a_stamp_is_plain_whatever_it_says(texts: dict[str, str]) -> None:
    stamp = stamp_of(texts)
    for name in (stamp.scene, stamp.camera):
        assert name is None or ("\n" not in name and "\x1b" not in name and len(name) <= 256)


@fuzzed(
    ODD_TEXT | st.from_regex(r"[a-z/.]{0,5}(\{frame(:0?[0-9]{1,2}d)?\}|#{1,6})[a-z/.{}]{0,8}"), st.integers(0, 10**9)
)
def test_a_pattern_is_refused_or_names_each_frame_within_the_folder(text: str, frame: int) -> None:
    try:
        pattern = FilePattern(text)
    except OctaConfigError:
        return
    assert pattern.name(frame) != pattern.name(frame + 1)
    parts = pattern.name(frame).split("/")
    assert ".." not in parts
    assert not pattern.name(frame).startswith("/")


@fuzzed(st.lists(st.text(st.sampled_from("ab_#{}0129.pngexr-"), min_size=1, max_size=14), max_size=8), share=0.5)
def test_any_names_in_a_folder_give_patterns_that_find_them(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in set(names) - {".", ".."}:
            (Path(folder) / name).touch()
        for pattern in find_patterns(Path(folder)).patterns:
            for frame in pattern.frames_in(Path(folder)):
                assert (Path(folder) / pattern.name(frame)).exists()
