"""Who has no Blender is told in one sentence what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from demo import blender_environment
from demo.blender_environment import (
    NOTHING_FITS,
    NoBlenderError,
    first_missing,
    make_environment,
    missing_libraries_sentence,
    version_of,
)


def test_a_missing_library_names_its_package() -> None:
    error = "ImportError: libXrender.so.1: cannot open shared object file: No such file or directory"
    assert missing_libraries_sentence(first_missing(error)) == (
        "Blender needs system libraries that are missing here (libXrender.so.1): "
        "run `apt-get install --no-install-recommends libxrender1`."
    )


def test_several_libraries_are_one_sentence() -> None:
    sentence = missing_libraries_sentence(["libGL.so.1", "libSM.so.6", "libnew.so.2"])
    assert "apt-get install --no-install-recommends libgl1 libsm6` and install" in sentence
    assert "provide libnew.so.2." in sentence


def test_another_error_names_no_library() -> None:
    assert first_missing("ImportError: something else") == []


def test_a_command_that_does_not_run_has_no_version(tmp_path: Path) -> None:
    broken = tmp_path / "python3.11"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert version_of(str(broken)) is None
    assert version_of(sys.executable) == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_without_a_fitting_python_an_installed_blender_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blender = tmp_path / "bin" / "blender"
    blender.parent.mkdir()
    blender.write_text("#!/bin/sh\n")
    blender.chmod(0o755)
    monkeypatch.setattr(blender_environment, "find_python", lambda _uv: None)
    monkeypatch.setenv("PATH", str(blender.parent))
    assert str(blender) in make_environment(tmp_path / "env", tmp_path / "uv", tmp_path / "constraints")
    assert not (tmp_path / "env" / "bin" / "python").exists()


def test_with_neither_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blender_environment, "find_python", lambda _uv: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBlenderError) as told:
        make_environment(tmp_path / "env", tmp_path / "uv", tmp_path / "constraints")
    assert str(told.value) == NOTHING_FITS
