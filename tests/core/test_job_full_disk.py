"""A job whose files find no place: a temporary folder that is full or gone, a log that is no file."""

from __future__ import annotations

import os
import stat
import tempfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from job_bench import Bench, LeapingClock, bench, emulator

from octa_provider import JobOutcome, JobSpec, OctaConfigError, OctaLocalFileError
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.files import limits
from octa_provider.files.scratch import in_scratch
from octa_provider.files.whole_file import whole_file

__all__ = ["bench", "emulator"]

#: Exists, and nobody can make anything in it, not even root.
NO_PLACE = "/proc/self/fdinfo"


def spec(command: str, **changes: object) -> JobSpec:
    return JobSpec(**({"image": "ubuntu:24.04", "command": command, "timeout_s": 600} | changes))  # type: ignore[arg-type]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path], None]:
    """Makes the disk of a folder one with next to no room, as a small tmpfs is; the home folder is the test's own."""
    Usage = namedtuple("Usage", "total used free")
    disks: list[Path] = []
    measured = limits.shutil.disk_usage
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))

    def usage(path: Path) -> object:
        is_full = any(Path(path).is_relative_to(disk) for disk in disks)
        return Usage(10**6, 10**6 - 4096, 4096) if is_full else measured(path)

    monkeypatch.setattr(limits.shutil, "disk_usage", usage)
    return disks.append


@pytest.mark.parametrize("state", ["gone", "full"])
def test_what_was_sent_is_no_result_also_when_the_temporary_folder_is_of_no_use(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: Callable[[Path], None], state: str
) -> None:
    """Without the list of what was sent, a command that made nothing would have succeeded with its own inputs."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scene").write_text("sent")
    small = tmp_path / "small"
    small.mkdir()
    full(small)
    monkeypatch.setattr(tempfile, "tempdir", NO_PLACE if state == "gone" else str(small))
    job = spec("true", inputs={str(tmp_path / "in"): "data"}, outputs={"data": str(tmp_path / "out")})
    result = bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, poll_s=0.1)
    assert (result.outcome, result.outputs) == (JobOutcome.FAILED, ())
    assert "left nothing in data but what was sent" in result.message


@pytest.mark.parametrize("state", ["gone", "full"])
def test_a_value_and_a_log_need_no_room_in_the_temporary_folder(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: Callable[[Path], None], state: str
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    full(small)
    monkeypatch.setattr(tempfile, "tempdir", NO_PLACE if state == "gone" else str(small))
    job = spec("echo said; echo 7 > r.json", result_file="r.json")
    result = bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, poll_s=0.1, log_path=tmp_path / "job.log")
    assert (result.outcome, result.value, result.message) == (JobOutcome.SUCCEEDED, 7, "")
    assert (tmp_path / "job.log").read_text() == "said\n"
    assert list(small.iterdir()) == list((tmp_path / "home").iterdir()) == []


def test_outputs_that_find_no_room_are_saved_on_the_first_disk_that_has_some(
    emulator: EmulatorHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: Callable[[Path], None]
) -> None:
    """The place that was asked for and the temporary folder are often the same disk; the home folder is another."""
    bench = Bench(emulator, "full-disk/elsewhere", LeapingClock())
    small = tmp_path / "small"
    small.mkdir()
    full(small)
    monkeypatch.setattr(tempfile, "tempdir", str(small))
    job = spec(
        "mkdir a b; seq 9999 > a/out; seq 8888 > b/out",
        outputs={"a/out": str(small / "a"), "b/out": str(small / "b")},
    )
    result = bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, poll_s=0.1)
    bench.stop()
    assert result.outcome is JobOutcome.FAILED
    assert "was saved as" in result.message
    # Two of one name do not take each other's place.
    saved = [Path(path) for path in result.outputs]
    assert [path.read_text().splitlines()[-1] for path in saved] == ["9999", "8888"]
    assert all(path.is_relative_to(tmp_path / "home") for path in saved)
    assert list(small.iterdir()) == []


def test_a_place_is_taken_when_an_earlier_one_has_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tried: list[Path] = []

    def work(folder: Path) -> int:
        tried.append(folder)
        if len(tried) == 1:
            raise OctaLocalFileError("no room")
        return len(tried)

    assert in_scratch(work) == 2
    assert tried[1].is_relative_to(tmp_path)
    assert not any(folder.exists() for folder in tried)


@pytest.mark.parametrize("place", ["folder", "pipe", "below a file", "nowhere"])
def test_a_log_that_can_not_be_written_is_refused_before_anything_is_rented(
    bench: Bench, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    path, sentence = {
        "folder": (tmp_path, "is a folder: name a file for the log"),
        "pipe": (tmp_path / "pipe", "pipe is a device or a pipe: name a file for the log"),
        "below a file": (tmp_path / "file" / "job.log", "file is in the way: the log needs a folder there"),
        "nowhere": (f"{NO_PLACE}/x/job.log", "the log can't be written to"),
    }[place]
    with pytest.raises(OctaConfigError, match=sentence):
        bench.client.jobs.run(spec("true"), bench.key, log_path=path)
    assert bench.sessions() == []


def test_a_log_may_lie_in_the_home_folder(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    result = bench.client.jobs.run(spec("echo said"), bench.key, log_path="~/logs/job.log", poll_s=0.1)
    assert (tmp_path / "logs" / "job.log").read_text() == "said\n"
    assert result.logs_path == str(tmp_path / "logs" / "job.log")


def test_a_pipe_or_a_device_is_never_replaced(tmp_path: Path) -> None:
    """Root may replace /dev/null by a file, which breaks the whole machine."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")

    def write(path: Path) -> None:
        with whole_file(path) as file:
            file.write(b"text")

    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="a device or a pipe"):
            write(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        write(tmp_path)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_who_is_told_of_files_that_move_can_not_end_the_job(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(progress: object) -> None:
        raise ValueError("no such bar")

    result = bench.client.jobs.run(
        spec("echo made > out", outputs={"out": tmp_path / "out"}),
        bench.key,
        private_key=bench.ssh_key,
        on_transfer=breaks,
        poll_s=0.1,
    )
    assert (result.outcome, (tmp_path / "out").read_text()) == (JobOutcome.SUCCEEDED, "made\n")
    assert [r.message for r in caplog.records].count(
        "on_transfer failed (ValueError: no such bar): the job goes on, and what else fails there is not told"
    ) == 1
