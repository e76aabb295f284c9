"""Frames: which are asked for, how far they are, whether each picture is whole."""
