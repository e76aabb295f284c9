"""The coordinator's line to one rented machine: its scene, its processes, its frames. Over SSH."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from octa_provider.batch.machine.look import Look, read_look, read_made
from octa_provider.batch.machine.scripts import (
    LOG_CHARS,
    MOST_NAMES,
    OUT_FOLDER,
    SCENE_FOLDER,
    begin_command,
    clean_command,
    empty_command,
    kill_command,
    log_command,
    look_command,
    made_command,
    prepare_command,
    skip_command,
    with_end,
)
from octa_provider.errors import OctaSshError, OctaUnfetchedError
from octa_provider.files.limits import TransferLimits
from octa_provider.remote.machine import RemoteMachine
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.files.local_files import LocalTree
    from octa_provider.remote.transfer import OnTransfer

__all__ = ["MachineLink"]

log = plain_logger("octa_provider.batch.machine.link")

COMMAND_TIMEOUT_S = 60.0
#: A script without an end of its own, such as a preflight of a scene of some GB.
SCRIPT_TIMEOUT_S = 900.0
#: What an earlier process has left was removed by `clean`, before anybody could lay a file to be skipped.
_CLEANED = "OCTA_MINE=; export OCTA_MINE"
#: What a look may print a name.
_LINE_CHARS = 400


class MachineLink:
    """The line to one machine. Use it in one thread.

    Args:
        remote: the machine over SSH.
        is_cancelled: asked again and again; when it says yes what is under way is given up.

    Raises:
        OctaSshError: from each method: the machine can't be reached, or does not do as it is told.
        OctaCancelledError: from each method: `is_cancelled` said yes.
    """

    def __init__(self, remote: RemoteMachine, is_cancelled: Callable[[], bool]) -> None:
        self._remote = remote
        self._is_cancelled = is_cancelled

    def close(self) -> None:
        """Hang up; what runs there runs on."""
        self._remote.close()

    def prepare(self) -> None:
        """Make the folders of the batch."""
        self._run(prepare_command(), "make the batch's folders")

    def send_scene(self, tree: LocalTree, on_progress: OnTransfer | None = None) -> None:
        """Send the scene: a single file under its own name, of a folder what is in it.

        Args:
            tree: the scene.
            on_progress: called now and then with how far it is.
        """
        place = SCENE_FOLDER if tree.is_folder else f"{SCENE_FOLDER}/{tree.path.name}"
        self._remote.send(tree, place, on_progress=on_progress, is_cancelled=self._is_cancelled)

    def run_script(self, script: str, timeout_s: float = SCRIPT_TIMEOUT_S) -> tuple[int, str]:
        """Run a script in the scene's folder to its end; returns its exit status and the end of its output.

        Args:
            script: plain POSIX shell.
            timeout_s: seconds that it may take.
        """
        line = f"cd {SCENE_FOLDER} && OUT=$(cd ../out && pwd) && export OUT && exec /bin/sh"
        answer = self._remote.run(line, stdin=script, timeout_s=timeout_s, is_cancelled=self._is_cancelled)
        return answer.exit_code, answer.output

    def clean(self, names: Sequence[str]) -> None:
        """Remove empty files that an earlier process has left, before a new one begins.

        Args:
            names: the skip files of its frames.
        """
        self._run(clean_command(), "make way for frames", _lines(names))

    def begin(self, process: int, script: str) -> None:
        """Begin a process, once however often this is called.

        Args:
            process: its number, of which there is one on the machine.
            script: what it does.
        """
        said = self._run(begin_command(process, _CLEANED), "begin a process", with_end(script))
        if said.strip() not in {"begun", "already"}:
            raise OctaSshError(f"the machine could not begin a process: {said.strip()[-500:]}")

    def look(self, processes: Sequence[int], names: Sequence[str]) -> Look:
        """How processes are doing, and which files are there.

        Args:
            processes: their numbers.
            names: of files below the folder of frames.
        """
        lines: list[str] = []
        hear = _hearing(lines, 1000 + len(processes) + len(names))
        self._run(look_command(processes), "tell how it is doing", _lines(names), on_line=hear)
        return read_look("\n".join(lines), processes, names)

    def skip(self, names: Sequence[str]) -> list[str]:
        """Lay empty files at names; returns those that had not begun.

        Args:
            names: the skip files of frames, the last frame first.
        """
        said: list[str] = []
        wanted = set(names)
        self._run(skip_command(), "skip frames", _lines(names), on_line=_hearing(said, 1000 + len(names)))
        return [name for name in dict.fromkeys(said) if name in wanted]

    def empty(self, names: Sequence[str]) -> None:
        """Empty files that are here now: the machine's disk has room again.

        Args:
            names: below the folder of frames.
        """
        self._run(empty_command(), "empty files", _lines(names))

    def kill(self, processes: Sequence[int]) -> None:
        """End processes and all that they have started.

        Args:
            processes: their numbers.
        """
        if processes:
            self._run(kill_command(processes), "end processes")

    def made(self) -> tuple[list[int], list[str]]:
        """What an earlier coordinator has left: the processes it began, and the names of files that are not empty."""
        lines: list[str] = []
        self._run(made_command(), "tell what is there", on_line=_hearing(lines, 2 * MOST_NAMES))
        return read_made("\n".join(lines))

    def log_end(self, process: int) -> str:
        """The end of what a process has printed.

        Args:
            process: its number.
        """
        return self._run(log_command(process), "tell its log")[-LOG_CHARS:]

    def fetch(self, names: Sequence[str], target: Path, limits: TransferLimits) -> tuple[Path, ...]:
        """Fetch files of frames, as they are: whether they are whole pictures is looked at later.

        Args:
            names: below the folder of frames.
            target: the folder here that gets them.
            limits: how much that may be.

        Returns:
            Those that are here; one that is no plain file, or not there, is not.

        Raises:
            OctaLocalFileError: this machine's disk or folder refused.
        """
        try:
            return self._remote.get(
                OUT_FOLDER,
                target,
                limits=limits,
                is_cancelled=self._is_cancelled,
                names=[name for name in names if ".." not in PurePosixPath(name).parts],
                checks_pictures=False,
            )
        except OctaUnfetchedError as error:
            log.warning("%s", error)
            return tuple(Path(path) for path in error.fetched)

    def _run(self, command: str, what: str, stdin: str = "", on_line: Callable[[str], object] | None = None) -> str:
        answer = self._remote.run(
            command, stdin=stdin, timeout_s=COMMAND_TIMEOUT_S, is_cancelled=self._is_cancelled, on_line=on_line
        )
        if answer.exit_code != 0:
            raise OctaSshError(
                f"the machine could not {what} (exit code {answer.exit_code}): {answer.output.strip()[-500:]}"
            )
        return answer.output


def _hearing(lines: list[str], most: int) -> Callable[[str], object]:
    """Keeps what a machine says, line by line; one that talks without end is not listened to."""

    def hear(line: str) -> None:
        if len(lines) < most:
            lines.append(line[:_LINE_CHARS])

    return hear


def _lines(names: Sequence[str]) -> str:
    return "".join(f"{name}\n" for name in names)
