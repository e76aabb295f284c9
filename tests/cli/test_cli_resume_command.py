"""The command that goes on with a batch: what a shell makes of it when it is pasted."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from octa_provider.cli.output.resume_command import resume_command


@pytest.mark.parametrize(
    "name",
    [
        "out",
        "two words",
        "-out",
        "it's",
        "$(touch x)",
        "ümlaut",
        "new\nline",
        "\x1b[31mred\x07's \\",
        os.fsdecode(b"\xff9"),
    ],
)
def test_it_names_the_folder_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    command = resume_command(tmp_path / name)
    assert command.isprintable()
    words = subprocess.run(
        ["bash", "-c", command.replace("octa-provider", "printf '%s\\0'", 1)], stdout=subprocess.PIPE, check=True
    ).stdout.split(b"\0")
    assert words == [b"render", b"--resume", os.fsencode(tmp_path / name), b""]


def test_a_relative_folder_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resume_command("out") == f"octa-provider render --resume {tmp_path / 'out'}"
