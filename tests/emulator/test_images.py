"""What an image's name puts on the PATH."""

import subprocess
import sys

import pytest

from octa_provider.emulator.container import images as images_module
from octa_provider.emulator.container.images import BLENDER_PYTHON_VARIABLE, Images
from octa_provider.errors import OctaConfigError


@pytest.fixture(autouse=True)
def _no_blender_here(monkeypatch):
    monkeypatch.delenv(BLENDER_PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr(images_module.importlib.util, "find_spec", lambda name: None)
    real = images_module.shutil.which
    monkeypatch.setattr(images_module.shutil, "which", lambda name, **k: None if name == "blender" else real(name, **k))


def run_blender(environment, *arguments):
    env = {"PATH": ":".join(environment.path)}
    return subprocess.run(["/usr/bin/env", "blender", *arguments], env=env, capture_output=True, text=True, check=False)


def fake_python(tmp_path):
    python = tmp_path / "py thon"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    return python


@pytest.mark.parametrize("name", ["blender:4.5", "ghcr.io/x/My-Blender-CUDA:latest", "blender@sha256:00"])
def test_blender_images_have_a_blender_first(tmp_path, name):
    environment = Images(tmp_path / "i", str(fake_python(tmp_path))).environment(name)
    result = run_blender(environment, "-b", "a b.blend")
    assert result.stdout.strip().endswith("blender_command.py -b a b.blend")


def test_the_interpreter_comes_from_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv(BLENDER_PYTHON_VARIABLE, str(fake_python(tmp_path)))
    assert "blender_command.py -v" in run_blender(Images(tmp_path / "i").environment("blender"), "-v").stdout


def test_our_own_interpreter_is_taken_when_it_has_bpy(tmp_path, monkeypatch):
    monkeypatch.setattr(images_module.importlib.util, "find_spec", lambda name: object())
    Images(tmp_path)
    assert sys.executable in (tmp_path / "blender" / "blender").read_text()


def test_an_installed_blender_is_taken_else(tmp_path, monkeypatch):
    monkeypatch.setattr(images_module.shutil, "which", lambda name, **k: "/bin/echo")
    assert run_blender(Images(tmp_path).environment("blender"), "-b").stdout == "-b\n"


def test_without_any_it_says_what_to_install(tmp_path):
    result = run_blender(Images(tmp_path).environment("blender:4.5"), "-b")
    assert result.returncode == 127
    assert "pip install bpy" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_interpreter_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(OctaConfigError, match="/no/python"):
        Images(tmp_path, "/no/python")


def test_a_prefect_image_has_prefect_or_says_what_is_missing(tmp_path, monkeypatch):
    environment = Images(tmp_path / "without").environment("prefecthq/prefect:3.8.8-python3.11")
    result = subprocess.run([f"{environment.path[0]}/prefect", "version"], capture_output=True, text=True, check=False)
    assert (result.returncode, len(result.stderr.splitlines())) == (127, 1)
    monkeypatch.setattr(images_module.importlib.util, "find_spec", lambda name: object())
    environment = Images(tmp_path / "with").environment("prefecthq/prefect:3.8.8-python3.11")
    assert sys.executable in (tmp_path / "with" / "prefect" / "prefect").read_text()
    python = f"{environment.path[0]}/python"
    assert subprocess.run([python, "-c", "print(1)"], capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.mark.parametrize("name", ["ubuntu:24.04", "python:3.11", "nvidia/cuda:12.4.0-base", "blender/tools:1"])
def test_other_images_have_the_machines_commands(tmp_path, name):
    environment = Images(tmp_path).environment(name)
    assert "/usr/bin" in environment.path
    assert not any(folder.endswith("blender") for folder in environment.path)
    python = str(tmp_path / "machine" / "python3")
    assert subprocess.run([python, "-c", "print(1)"], capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.mark.parametrize("name", ["scratch", "example/tool-noshell:2"])
def test_some_images_have_no_shell(tmp_path, name):
    environment = Images(tmp_path).environment(name)
    assert environment.missing_program(("/bin/bash", "-c", "x")) == "/bin/bash"
    assert environment.missing_program(("/bin/echo",)) is None
