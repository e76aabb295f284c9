"""`Renderer`: what renders frames, as the shell script of a process on a rented machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from octa_provider.batch.renderers.command_template import CommandTemplate
from octa_provider.batch.renderers.file_pattern import FilePattern
from octa_provider.batch.renderers.log_rule import Failure, LogRule, failure_in
from octa_provider.batch.renderers.preflight import Preflight, read_preflight
from octa_provider.batch.renderers.template_script import template_script
from octa_provider.errors import OctaConfigError
from octa_provider.text.plain_text import plain

__all__ = ["RULES_OF_ALL", "Renderer"]

MOST_FRAMES_A_PROCESS = 1_000_000
#: What any program says that found no room.
RULES_OF_ALL = (
    LogRule(r"No space left on device|Disk quota exceeded", "disk full"),
    LogRule(r"\b[Oo]ut of memory\b|\bstd::bad_alloc\b|Cannot allocate memory", "out of memory"),
    LogRule(r"^octa-scene-error: ", "scene error"),
)


@dataclass(frozen=True)
class Renderer:
    """What renders frames: a command, once a frame or once for many.

    Args:
        image: the container image.
        command: the command, as text that is split into words as a shell does it, or as a list of words. In a word
            stand `{frame}` (or `{frame:04d}`: the command renders one frame), or `{start}` and `{end}` (the first and
            last of frames that follow each other), or `{frames}` (such as `1,3,5..8`; `{frames:-}` is `1,3,5-8`);
            `{scene}` is the path of the scene's file, `{output}` that of the folder for the frames.
            The command of one frame also has FRAME, SCENE and OUT in its environment, for `sh -c`; its `{output}` is a
            folder of its own, whose files are moved when it has ended well, so that none is seen half written.
        files: the names of a frame's files below `{output}`; the first one is the picture that is looked at.
        progress: how progress is told from the log, as `ProgressTracker` takes it.
        log_rules: what lines of the log mean, before the rules that hold for all.
        can_skip: whether the command leaves out frames whose first file is there already, and lays an empty one when
            it begins a frame. A command with `{frame}` always can, since our script does it.
        max_frames_per_process: start the command again after so many frames; None never does.

    Raises:
        OctaConfigError: an argument that can't work.

    Example:
        >>> Renderer("povray:3.7", "povray {scene} +O{output}/frame_{frame:04d}.png +K{frame} -D").can_skip
        True
    """

    image: str
    command: str | Sequence[str]
    files: tuple[str, ...] = ("frame_{frame:04d}.png",)
    progress: str | None = None
    log_rules: tuple[LogRule, ...] = ()
    can_skip: bool | None = None
    max_frames_per_process: int | None = None

    kind: ClassVar[str] = "command"

    def __post_init__(self) -> None:
        put = object.__setattr__
        if not isinstance(self.image, str) or not self.image.strip() or plain(self.image) != self.image:
            raise OctaConfigError(f"image must be the name of a container image, not {self.image!r}")
        given: object = self.files
        if not self.files or isinstance(given, str):
            raise OctaConfigError(f"files must be a list of names such as frame_{{frame:04d}}.png, not {self.files!r}")
        put(self, "files", tuple(self.files))
        if len({FilePattern.parse(name) for name in self.files}) < len(self.files):
            raise OctaConfigError("files must have each name once")
        put(self, "log_rules", tuple(self.log_rules))
        if any(not isinstance(rule, LogRule) for rule in self.log_rules):
            raise OctaConfigError("log_rules must be of LogRule")
        most = self.max_frames_per_process
        if most is not None and (
            isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_FRAMES_A_PROCESS
        ):
            raise OctaConfigError(f"max_frames_per_process must be a whole number above 0, not {most!r}")
        self._settle()

    def _settle(self) -> None:
        """Check and complete what is the command's own."""
        template = CommandTemplate.parse(self.command)
        put = object.__setattr__
        put(self, "command", self.command if isinstance(self.command, str) else template.words)
        put(self, "can_skip", True if template.is_of_one_frame else bool(self.can_skip))

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices to be tried on a machine, in this order; empty when there is nothing to choose."""
        return ()

    @property
    def main_file(self) -> FilePattern:
        """The first of a frame's files."""
        return FilePattern.parse(self.files[0])

    def check_frames(self, frames: Iterable[int]) -> None:
        """Refuse frames that can't be rendered.

        Raises:
            OctaConfigError: there are some.
        """

    def scenes_in(self, folder: Path) -> list[str]:
        """Which files of a folder can be the scene: relative, with `/`."""
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def skip_file(self, frame: int) -> str:
        """The file, below the folder of the frames, that is laid when a frame begins, and skips it if laid before."""
        if CommandTemplate.parse(self.command).is_of_one_frame:
            return f".claim/{frame}"
        return self.main_file.name(frame)

    def process_script(
        self, frames: Sequence[int], main: str, *, device: str | None = None, turn: int = 0, turns: int = 1
    ) -> str:
        """The shell script of a process that renders these frames in this order.

        It is run in the folder of the scene, with the folder for the frames in OUT; its exit status is the command's.

        Args:
            frames: the frames.
            main: the scene's file, relative.
            device: one of `devices`.
            turn: which process of the machine this is, from 0: each has the same frames, begins with its own and helps
                with the others'.
            turns: how many processes the machine has.

        Raises:
            OctaConfigError: a frame that can't be rendered.
        """
        self.check_frames(frames)
        return template_script(
            CommandTemplate.parse(self.command),
            tuple(FilePattern.parse(name) for name in self.files),
            frames,
            main,
            can_skip=bool(self.can_skip),
            most=self.max_frames_per_process,
            turn=turn,
            turns=turns,
        )

    def preflight_script(self, main: str) -> str | None:
        """A shell script that asks the scene what it says of itself, see `read_preflight`; None when nothing can."""
        return None

    def read_preflight(self, output: str) -> Preflight:
        """Read what the preflight script printed."""
        return read_preflight(output)

    def failure_of(self, log_tail: str, exit_code: int | None) -> Failure | None:
        """Why a process failed.

        Args:
            log_tail: the end of its log.
            exit_code: None when nobody saw it.

        Returns:
            Why; None when the exit code is 0 and the log has nothing that says otherwise.
        """
        return failure_in((*self.log_rules, *self._rules(), *RULES_OF_ALL), log_tail, exit_code)

    def _rules(self) -> tuple[LogRule, ...]:
        return ()

    def settings(self) -> dict[str, Any]:
        """All that decides about the pictures, as JSON: two that are equal render the same."""
        command = self.command if isinstance(self.command, str) else list(self.command)
        return {"kind": self.kind, "image": self.image, "command": command, "files": list(self.files)}

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; see `from_dict`."""
        return {
            **self.settings(),
            "progress": self.progress,
            "log_rules": [{"pattern": rule.pattern, "kind": rule.kind} for rule in self.log_rules],
            "can_skip": self.can_skip,
            "max_frames_per_process": self.max_frames_per_process,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Renderer:
        """The renderer that gave `data` by `to_dict`.

        Raises:
            OctaConfigError: it is of none.
        """
        from octa_provider.batch.renderers.blender_renderer import BlenderRenderer

        fields = dict(data)
        kind = fields.pop("kind", None)
        wanted: type[Renderer] | None = {"command": Renderer, "blender": BlenderRenderer}.get(str(kind))
        if wanted is None:
            raise OctaConfigError(f"there is no renderer of the kind {kind!r}: it was written by another version")
        try:
            rules = tuple(LogRule(**rule) for rule in fields.pop("log_rules"))
            return wanted(**{**fields, "log_rules": rules})
        except (TypeError, KeyError) as error:
            raise OctaConfigError(f"the renderer was written by another version: {error}") from None
