"""Numbers drawn into a picture: which fonts a machine has is not known."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["DIGIT_HEIGHT", "draw_number", "number_width"]

#: Each line of a digit is a number of three bits.
_SHAPES = {
    "0": (7, 5, 5, 5, 7),
    "1": (2, 6, 2, 2, 7),
    "2": (7, 1, 7, 4, 7),
    "3": (7, 1, 7, 1, 7),
    "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7),
    "6": (7, 4, 7, 5, 7),
    "7": (7, 1, 2, 2, 2),
    "8": (7, 5, 7, 5, 7),
    "9": (7, 5, 7, 1, 7),
    "-": (0, 0, 7, 0, 0),
}
_DOT = 2
_STEP = 4 * _DOT
#: In pixels.
DIGIT_HEIGHT = 5 * _DOT


def number_width(number: int) -> int:
    """How wide a number is when it is drawn, in pixels."""
    return _STEP * len(str(number)) - _DOT


def draw_number(pixels: Any, number: int, left: int, top: int, colour: tuple[int, int, int]) -> None:
    """Draw a number; what does not fit is cut.

    Args:
        pixels: a numpy array of lines, columns and three bytes.
        number: a whole number.
        left: of its first digit, in pixels.
        top: of its digits.
        colour: red, green and blue, 0 to 255.
    """
    np = import_module("numpy")
    for place, character in enumerate(str(number)):
        rows = [[bool(bits >> (2 - column) & 1) for column in range(3)] for bits in _SHAPES[character]]
        mask = np.repeat(np.repeat(np.array(rows), _DOT, axis=0), _DOT, axis=1)
        begin = left + place * _STEP
        piece = pixels[top : top + DIGIT_HEIGHT, begin : begin + 3 * _DOT]
        piece[mask[: piece.shape[0], : piece.shape[1]]] = colour
