"""JSON read in pieces: for answers too big to hold, of which one text matters.

A plain search finds the ends of strings, so that a gigabyte of text passes at the speed of `bytes.replace`, and each
piece is unescaped by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

import msgspec

from octa_provider.errors import OctaDecodeError
from octa_provider.text.carried import whole_pairs
from octa_provider.text.open_character import open_character
from octa_provider.wire.exact_json import decode_json

__all__ = ["JsonPieces"]

MAX_KEY_BYTES = 64 * 1024

_SPACE = b" \t\r\n"
_SCALAR_END = re.compile(rb'[\s,\]}:"\[{]')
# What a piece of a JSON string must not end in: half an escape, or half a surrogate pair.
_INCOMPLETE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z|\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z")
_LONGEST_INCOMPLETE = 11
_SMALL_WINDOW = 512


class JsonPieces:
    """Walks over one JSON document in pieces, and checks its outline. Its methods raise OctaDecodeError.

    Half a surrogate pair, and what is not UTF-8, becomes U+FFFD, wherever the chunks end.

    Args:
        chunks: the document, in pieces of any size.
        what: what is read, for the errors.
    """

    def __init__(self, chunks: Iterable[bytes], what: str) -> None:
        self._chunks = iter(chunks)
        self._what = what
        self._buffer = b""
        self._at = 0

    def members(self) -> Iterator[bytes]:
        """The keys of the top object; the caller reads each one's value before it asks for the next."""
        self._expect(b"{")
        if self.next_byte() == b"}":
            self._expect(b"}")
        else:
            more = True
            while more:
                key, _ = self._bounded(self.string(), MAX_KEY_BYTES)
                self._expect(b":")
                yield key
                more = self._comma_before(b"}")
        if self._find_byte() is not None:
            raise self._odd("something follows its end")

    def items(self) -> Iterator[None]:
        """One turn for each item of an array; the caller reads the item in it."""
        self._expect(b"[")
        if self.next_byte() == b"]":
            self._expect(b"]")
            return
        while True:
            yield
            if not self._comma_before(b"]"):
                return

    def string(self) -> Iterator[bytes]:
        """A string's text as UTF-8, in pieces."""
        self._expect(b'"')
        return map(self._unescaped, self._raw_string())

    def value(self, limit: int) -> object:
        """Any value, decoded; one that is longer than `limit` bytes gives a note instead, and is skipped.

        Args:
            limit: bytes.
        """
        raw, cut = self._bounded(self._raw_value(), limit)
        if cut:
            return f"(an entry of more than {limit} bytes was left out)"
        try:
            return decode_json(raw)
        except ValueError as error:
            raise self._odd(str(error)) from None

    def next_byte(self) -> bytes:
        """The next byte that is not white space; it is not taken."""
        byte = self._find_byte()
        if byte is None:
            raise self._odd("it breaks off")
        return byte

    def _find_byte(self) -> bytes | None:
        while True:
            while self._at < len(self._buffer):
                byte = self._buffer[self._at : self._at + 1]
                if byte not in _SPACE:
                    return byte
                self._at += 1
            if not self._grow():
                return None

    def _expect(self, byte: bytes) -> None:
        if self.next_byte() != byte:
            raise self._odd(f"{self.next_byte().decode('latin-1')!r} stands where {byte.decode()!r} belongs")
        self._at += 1

    def _comma_before(self, end: bytes) -> bool:
        """Take the comma and return True, or take the end and return False."""
        if self.next_byte() == end:
            self._at += 1
            return False
        self._expect(b",")
        return True

    def _grow(self) -> bool:
        """Let go of what was read and take another chunk; False at the end."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return True

    @staticmethod
    def _bounded(pieces: Iterable[bytes], limit: int) -> tuple[bytes, bool]:
        """The pieces together, up to a limit, and whether that cut them; all of them are read."""
        kept = bytearray()
        cut = False
        for piece in pieces:
            if len(kept) + len(piece) > limit:
                cut = True
            else:
                kept += piece
        return bytes(kept), cut

    def _raw_value(self) -> Iterator[bytes]:
        """A value as it stands in the document, in pieces."""
        depth = 0
        while True:
            byte = self.next_byte()
            if byte == b'"':
                self._at += 1
                yield b'"'
                yield from self._raw_string()
                yield b'"'
            elif byte in b"[{":
                self._at += 1
                depth += 1
                yield byte
            elif byte in b"]}" and depth:
                self._at += 1
                depth -= 1
                yield byte
            elif byte in b",:" and depth:
                self._at += 1
                yield byte
            elif byte in b"]},:":
                raise self._odd("a value is missing")
            else:
                yield from self._raw_scalar()
            if not depth:
                return

    def _raw_scalar(self) -> Iterator[bytes]:
        """A number, `true`, `false` or `null`."""
        while True:
            end = _SCALAR_END.search(self._buffer, self._at)
            stop = end.start() if end else len(self._buffer)
            yield self._buffer[self._at : stop]
            self._at = stop
            if end:
                # Two words in a row must not become one.
                yield b" "
                return
            if not self._grow():
                raise self._odd("it breaks off")

    def _raw_string(self) -> Iterator[bytes]:
        """A string's inside, in pieces that split no escape, no character and no surrogate pair."""
        # Most strings are short: a small window first, so that each one of many doesn't cost a look at a whole chunk.
        window = _SMALL_WINDOW
        while True:
            piece = self._buffer[self._at : self._at + window]
            # Escaped backslashes and quotes are painted over, so that a plain search finds the string's end. Left to
            # right from the start of an escape is right: a run of backslashes pairs up from its first one.
            painted = piece.replace(b"\\\\", b"__").replace(b'\\"', b"__")
            end = painted.find(b'"')
            if end >= 0:
                self._at += end + 1
                yield piece[:end]
                return
            whole = len(piece) - max(_open_escape(painted), open_character(piece))
            self._at += whole
            yield piece[:whole]
            if len(piece) < window and not self._grow():
                raise self._odd("it breaks off")
            window = max(_SMALL_WINDOW, len(self._buffer) + 1)

    def _unescaped(self, raw: bytes) -> bytes:
        """The UTF-8 text of a piece of a JSON string."""
        if b"\\" not in raw:
            return raw if raw.isascii() else raw.decode("utf-8", "replace").encode()
        try:
            return msgspec.json.decode(b'"' + raw + b'"', type=str).encode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        try:
            text = json.loads(f'"{raw.decode("utf-8", "replace")}"', strict=False)
        except ValueError as error:
            raise self._odd(f"a text in it has an escape that JSON does not know ({error})") from None
        return whole_pairs(str(text)).encode()

    def _odd(self, why: str) -> OctaDecodeError:
        return OctaDecodeError(f"{self._what}: the answer is not what it must be: {why}", what=self._what)


def _open_escape(painted: bytes) -> int:
    """How many bytes at the end belong to an escape that is not complete."""
    end = painted[-_LONGEST_INCOMPLETE:]
    found = _INCOMPLETE.search(end)
    return len(end) - found.start() if found else 0
