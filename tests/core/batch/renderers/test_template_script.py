"""A command's script renders each frame once, shows it when it is whole, and stops where the command fails."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from octa_provider.batch.renderers.renderer import Renderer

#: Writes its frame after a while, and says so.
WRITES = 'printf x > "{output}/f_{frame:03d}.txt"; echo "made $FRAME"'


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    for name in ("scene", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "scene" / "it's a $cene.txt").write_text("scene")
    return tmp_path


def renderer(command: str, **arguments: object) -> Renderer:
    return Renderer("image", ["sh", "-c", command], files=("f_{frame:03d}.txt",), **arguments)  # type: ignore[arg-type]


def start(machine: Path, script: str, shell: str = "sh", **environment: str) -> subprocess.Popen[str]:
    (machine / f"script-{len(list(machine.iterdir()))}").write_text(script)
    return subprocess.Popen(
        [shell, machine / f"script-{len(list(machine.iterdir())) - 1}"],
        cwd=machine / "scene",
        env={"PATH": os.environ["PATH"], "OUT": str(machine / "out"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(machine: Path, script: str, shell: str = "sh", **environment: str) -> tuple[int, str]:
    process = start(machine, script, shell, **environment)
    said, _ = process.communicate(timeout=600)
    return process.returncode, said


def made(machine: Path) -> list[str]:
    return sorted(path.relative_to(machine / "out").as_posix() for path in (machine / "out").rglob("*.txt"))


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_each_frame_is_rendered_in_the_order_given(machine: Path, shell: str) -> None:
    script = renderer(WRITES).process_script([3, 1, 2, 1200, -4], "it's a $cene.txt")
    status, said = run(machine, script, shell)
    assert (status, said.split("\n")[:-1]) == (0, ["made 3", "made 1", "made 2", "made 1200", "made -4"])
    assert made(machine) == ["f_-04.txt", "f_001.txt", "f_002.txt", "f_003.txt", "f_1200.txt"]


def test_the_command_sees_the_scene_by_its_whole_path_and_its_words_as_they_are(machine: Path) -> None:
    command = ["cp", "{scene}", "{output}/a b$HOME;'\"{frame}.txt"]
    made_by = Renderer("image", command, files=("a b$HOME;'\"{frame}.txt",))
    assert run(machine, made_by.process_script([7], "it's a $cene.txt")) == (0, "")
    assert (machine / "out" / "a b$HOME;'\"7.txt").read_text() == "scene"


def test_an_empty_word_stays_one(machine: Path) -> None:
    command = ["sh", "-c", 'echo "$#:$1:$2" > "$OUT/1.txt"', "", "", "{frame}"]
    assert run(machine, Renderer("i", command, files=("{frame}.txt",)).process_script([1], "s"))[0] == 0
    assert (machine / "out" / "1.txt").read_text() == "2::1\n"


def test_two_processes_of_a_machine_render_each_frame_once_and_help_each_other(machine: Path) -> None:
    slow = renderer('[ "$CUDA_VISIBLE_DEVICES" = 0 ] && sleep 0.3; ' + WRITES)
    frames = list(range(1, 13))
    two = [start(machine, slow.process_script(frames, "s", turn=turn, turns=2)) for turn in (0, 1)]
    said = [process.communicate(timeout=600)[0].split("\n")[:-1] for process in two]
    assert sorted(said[0] + said[1]) == sorted(f"made {frame}" for frame in frames)
    assert said[0][0] == "made 1"
    assert said[1][0] == "made 2"
    # The quick one has rendered frames of the slow one's turn.
    assert any(int(line.split()[1]) % 2 for line in said[1])
    assert len(made(machine)) == 12


def test_a_file_laid_while_it_runs_skips_a_frame_that_has_not_begun_and_no_other(machine: Path) -> None:
    waits = renderer(f"while [ {{frame}} = 1 ] && ! [ -e ../go ]; do sleep 0.02; done; {WRITES}")
    process = start(machine, waits.process_script([1, 2, 3], "s"))
    out = machine / "out"
    until = time.monotonic() + 600
    while not (out / waits.skip_file(1)).exists():
        assert time.monotonic() < until
        time.sleep(0.02)

    def steal(frame: int) -> bool:
        lay = f"set -C; : > {shlex.quote(str(out / waits.skip_file(frame)))}"
        return subprocess.run(["sh", "-c", lay], stderr=subprocess.DEVNULL, check=False).returncode == 0

    assert not steal(1)
    assert steal(2)
    (machine / "go").touch()
    assert process.communicate(timeout=600)[0] == "made 1\nmade 3\n"
    assert made(machine) == ["f_001.txt", "f_003.txt"]


def test_what_a_killed_process_had_begun_is_begun_again_and_what_it_made_is_not(machine: Path) -> None:
    hangs = renderer(f"[ {{frame}} = 2 ] && printf half > {{output}}/f_002.txt && kill -9 $PPID; {WRITES}")
    status, _ = run(machine, hangs.process_script([1, 2, 3], "s"))
    assert status != 0
    # Half a picture is not to be seen.
    assert [path.name for path in (machine / "out").iterdir() if path.is_file()] == ["f_001.txt"]
    assert run(machine, renderer(WRITES).process_script([1, 2, 3], "s")) == (0, "made 2\nmade 3\n")
    assert made(machine) == ["f_001.txt", "f_002.txt", "f_003.txt"]
    assert not any((machine / "out" / ".part").iterdir())


def test_only_the_frames_that_are_named_are_begun_again(machine: Path) -> None:
    (machine / "out" / ".claim").mkdir()
    for frame in (1, 2, 3):
        (machine / "out" / ".claim" / str(frame)).touch()
    script = renderer(WRITES).process_script([1, 2, 3, 4], "s")
    assert run(machine, script, OCTA_MINE="2") == (0, "made 2\nmade 4\n")
    assert run(machine, script, OCTA_MINE="") == (0, "")
    assert run(machine, script) == (0, "made 1\nmade 3\n")


def test_it_ends_with_the_status_of_the_command_that_failed(machine: Path) -> None:
    fails = renderer(f"[ {{frame}} = 2 ] && exit 37; {WRITES}")
    status, said = run(machine, fails.process_script([1, 2, 3], "s"))
    assert (status, said) == (37, "made 1\n")
    assert (machine / "out" / fails.skip_file(2)).exists()
    failure = fails.failure_of(said, status)
    assert failure is not None
    assert (failure.kind, failure.message) == ("failed", "exit code 37: made 1")


def test_a_command_that_writes_another_name_is_told_with_what_it_wrote(machine: Path) -> None:
    other = renderer('printf x > "{output}/other{frame}.txt"')
    status, said = run(machine, other.process_script([1, 2], "s"))
    failure = other.failure_of(said, status)
    assert failure is not None
    assert failure.kind == "scene error"
    assert "the command of frame 1 ended well and did not write f_001.txt, but: ./other1.txt" in failure.message


def test_a_frame_s_picture_comes_after_its_other_files(machine: Path) -> None:
    both = Renderer(
        "i",
        ["sh", "-c", 'printf x > "$OUT/b_$FRAME.txt"; printf x > "$OUT/deep/z_$FRAME.txt"', "{frame}"],
        files=("b_{frame}.txt", "deep/z_{frame}.txt"),
    )
    script = both.process_script([5], "s")
    assert run(machine, script) == (0, "")
    assert made(machine) == ["b_5.txt", "deep/z_5.txt"]
    assert script.index('mv -f "$part/$file"') < script.rindex('mv -f "$part/$file"')
    assert script.rindex("b_") > script.rindex("deep/z_")


def test_a_place_that_can_t_be_written_ends_it_and_is_told(machine: Path) -> None:
    (machine / "out" / ".claim").write_text("a file")
    status, _ = run(machine, renderer(WRITES).process_script([1], "s"))
    assert status == 1
    assert made(machine) == []


def calls(machine: Path, made_by: Renderer, frames: list[int], **arguments: int) -> list[str]:
    status, said = run(machine, made_by.process_script(frames, "s", **arguments))
    assert status == 0
    return said.split("\n")[:-1]


def test_a_range_s_command_gets_frames_that_follow_each_other_and_never_one_too_many(machine: Path) -> None:
    said = Renderer("i", "echo {start} {end} {output}", max_frames_per_process=3)
    out = machine / "out"
    assert calls(machine, said, [1, 2, 3, 4, 7, 9, 10]) == [f"{part} {out}" for part in ("1 3", "4 4", "7 7", "9 10")]
    unlimited = Renderer("i", "echo {start} {end}")
    assert calls(machine, unlimited, [1, 2, 3, 7]) == ["1 3", "7 7"]


def test_processes_that_can_t_skip_never_get_the_same_frame(machine: Path) -> None:
    said = Renderer("i", "echo {frames}")
    assert calls(machine, said, [1, 2, 3, 4, 9], turn=0, turns=2) == ["1..2"]
    assert calls(machine, said, [1, 2, 3, 4, 9], turn=1, turns=2) == ["3..4,9"]
    helps = Renderer("i", "echo {frames:-}", can_skip=True)
    assert calls(machine, helps, [1, 2, 3, 4, 9], turn=1, turns=2) == ["3-4,9,1-2"]


def test_frames_that_do_not_fit_into_one_argument_are_several_commands(machine: Path) -> None:
    said = Renderer("i", ["sh", "-c", 'printf "%s\\n" "${{#1}}"', "x", "{frames}"])
    lengths = [int(line) for line in calls(machine, said, list(range(0, 100_000, 2)))]
    assert len(lengths) > 1
    assert max(lengths) <= 100_000


def test_a_script_of_a_million_frames_is_no_slower_than_its_frames(machine: Path) -> None:
    script = renderer("exit 9 # {frame}").process_script(list(range(0, 1_000_000, 2)), "s", turn=1, turns=2)
    assert run(machine, script, OCTA_MINE="") == (9, "")
