"""Both ends of a job's files, settled before any money is spent, and what is in the inputs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from octa_provider import JobSpec, OctaConfigError, Requirements
from octa_provider.files.limits import TransferLimits, shown_size
from octa_provider.files.local_files import LocalTree, digest_of


def spec(**changes: Any) -> JobSpec:
    return JobSpec(**({"image": "ubuntu:24.04", "command": "true"} | changes))


def names(job: JobSpec) -> list[str]:
    return sorted(
        f"{one.remote}/{os.fsdecode(file.name)}".rstrip("/") for one in job.check_inputs() for file in one.tree.files
    )


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "a.blend").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "there"),
    [
        ({"b.txt": "."}, ["b.txt"]),
        ({"b.txt": "./"}, ["b.txt"]),
        ({"b.txt": "data/"}, ["data/b.txt"]),
        ({"b.txt": "data/."}, ["data/b.txt"]),
        ({"b.txt": "/data/"}, ["/data/b.txt"]),
        ({"b.txt": "c"}, ["c"]),
        ({"scene": "."}, ["scene/a.blend"]),
        ({"scene/": "."}, ["scene/a.blend"]),
        ({"scene": "data"}, ["data/a.blend"]),
        ({"scene": "data", "b.txt": "data"}, ["data/a.blend", "data/b.txt"]),
        ({"scene": "./data//x/"}, ["data/x/scene/a.blend"]),
    ],
)
def test_targets_there_are_read_as_scp_would(files: Path, inputs: dict[str, str], there: list[str]) -> None:
    assert names(spec(inputs=inputs)) == there


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"b.txt": "x", "scene/a.blend": "x"}, "would both be sent as x"),
        ({"b.txt": ".", "scene/a.blend": "b.txt"}, "would both be sent as b.txt"),
        ({"b.txt": "x", "scene": "x/y"}, "would be the file x, and x/y/a.blend needs a folder there"),
        ({"missing": "x"}, "missing does not exist"),
        ({"b.txt/x": "x"}, "does not exist"),
        ({"/dev/null": "x"}, "is a pipe, socket or device"),
    ],
)
def test_inputs_that_cannot_be_sent_are_refused(files: Path, inputs: dict[str, str], sentence: str) -> None:
    with pytest.raises(OctaConfigError, match=sentence):
        spec(inputs=inputs).check_inputs()


def test_an_input_that_may_not_be_read_is_refused_by_name(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "a.blend")
    with pytest.raises(OctaConfigError, match=r"scene/a\.blend can't be read by this user"):
        spec(inputs={"scene": "x"}).check_inputs()


def test_inputs_that_do_not_fit_on_the_disk_are_refused(files: Path) -> None:
    with (files / "b.txt").open("wb") as file:
        file.truncate(11 * 10**9)
    with pytest.raises(OctaConfigError, match=r"the inputs are 11\.0 GB, the disk 10 GB"):
        spec(inputs={"b.txt": "x"}).check_inputs()
    spec(inputs={"b.txt": "x"}, disk_gb=20).check_inputs()


def test_links_that_lead_in_circles_end_and_so_do_folders_without_end(files: Path) -> None:
    (files / "scene" / "self").symlink_to(".")
    (files / "scene" / "up").symlink_to("..")
    (files / "back").symlink_to("scene")
    assert names(spec(inputs={"scene": "x"})) == ["x/a.blend", "x/up/b.txt"]
    with pytest.raises(OctaConfigError, match="holds more than 1 files and folders"):
        LocalTree.at(files, TransferLimits(max_entries=1))
    deep = files / "scene"
    for _ in range(70):
        deep /= "d"
    deep.mkdir(parents=True)
    with pytest.raises(OctaConfigError, match="folders nested deeper than 64"):
        spec(inputs={"scene": "x"}).check_inputs()


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ({"r": "b.txt/x"}, r"b\.txt is in the way"),
        ({"r": "b.txt/x/y"}, r"b\.txt is in the way"),
        ({"r": "b.txt/"}, r"b\.txt is a file, no folder"),
        ({"r": "/proc/nope/x"}, "can't go to /proc/nope/x"),
        ({"r": "/dev/null"}, "/dev/null is no file or folder"),
        ({"r": "x" * 300 + "/y"}, "File name too long"),
    ],
)
def test_places_that_nothing_can_be_written_to_are_refused(files: Path, outputs: dict[str, str], sentence: str) -> None:
    with pytest.raises(OctaConfigError, match=sentence):
        spec(outputs=outputs).check_outputs()


@pytest.mark.parametrize("local", [".", "scene", "scene/", "new/", "new/deep/x", "b.txt", "nowhere/"])
def test_places_that_can_be_written_to_are_and_nothing_is_left_behind(files: Path, local: str) -> None:
    before = sorted(files.rglob("*"))
    spec(outputs={"r": local}).check_outputs()
    assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"outputs": {"o": None}},
        {"outputs": {"o": 5}},
        {"outputs": {"o": ""}},
        {"outputs": None},
        {"inputs": {5: "x"}},
        {"inputs": {"": "x"}},
        {"inputs": ["x"]},
        {"requirements": None},
        {"envs": None},
        {"command": None},
        {"command": 5},
        {"http_ports": None},
        {"ports": 5},
        {"ready_timeout_s": 10**400},
        {"timeout_s": "1"},
        {"inputs": {"x": "~/x"}},
        {"outputs": {"~": "x"}},
    ],
    ids=repr,
)
def test_an_argument_of_the_wrong_type_is_refused_when_the_job_is_described(wrong: dict[str, Any]) -> None:
    with pytest.raises(OctaConfigError):
        spec(**wrong)


def fingerprint(job: JobSpec) -> str:
    return job.fingerprint_of(job.check_inputs())


@pytest.mark.parametrize(
    "change",
    [
        lambda files: (files / "scene" / "a.blend").write_text("z"),
        lambda files: (files / "scene" / "a.blend").rename(files / "scene" / "z.blend"),
        lambda files: (files / "scene" / "new").write_text(""),
        lambda files: (files / "scene" / "empty").mkdir(),
        lambda files: (files / "scene" / "a.blend").chmod(0o755),
        lambda files: (files / "scene" / "a.blend").unlink(),
    ],
    ids=["contents", "name", "another file", "another folder", "may be executed", "gone"],
)
def test_whatever_changes_in_the_inputs_makes_another_job(files: Path, change: Callable[[Path], object]) -> None:
    job = spec(inputs={"scene": "scene"})
    before = fingerprint(job)
    assert fingerprint(job) == before
    change(files)
    assert fingerprint(job) != before


def test_the_same_inputs_elsewhere_and_at_another_time_are_the_same_job(files: Path) -> None:
    before = fingerprint(spec(inputs={"scene": "scene"}))
    (files / "scene").rename(files / "moved")
    os.utime(files / "moved" / "a.blend", (1, 1))
    (files / "link").symlink_to("moved")
    assert fingerprint(spec(inputs={"link": "scene"})) == before
    assert fingerprint(spec(inputs={"moved": "other"})) != before
    assert fingerprint(spec()) == spec().fingerprint


def test_the_sum_of_a_large_file_is_remembered_only_while_nothing_about_it_changes(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = files / "large"
    large.write_bytes(b"a" * 2_000_000)
    monkeypatch.setattr("octa_provider.files.local_files.SETTLED_NS", 0)
    first, info = digest_of(large), large.stat()
    monkeypatch.setattr("octa_provider.files.local_files.sha256_of", lambda path: "asked again")
    assert digest_of(large) == first
    time.sleep(0.02)
    # The same size, and the time of change set back.
    large.write_bytes(b"b" * 2_000_000)
    os.utime(large, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert digest_of(large) == "asked again"


def test_describing_a_job_imports_no_network_library() -> None:
    heavy = "('asyncssh', 'requests', 'asyncio', 'octa_provider.files.placed')"
    script = f"import sys, octa_provider.job.spec; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_requirements_are_of_their_type() -> None:
    assert spec(requirements=Requirements()).requirements == Requirements()


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (10**12, "1.0 TB")])
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert shown_size(size) == text


@pytest.mark.parametrize("odd", [0, -1, float("nan"), float("inf"), True, "1"])
def test_limits_are_numbers_above_0(odd: Any) -> None:
    with pytest.raises(OctaConfigError, match="max_bytes must be a number above 0"):
        TransferLimits(max_bytes=odd)
