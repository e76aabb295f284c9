"""The shell script that renders frames with a user's command: our loop, his words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from octa_provider.batch.renderers.command_template import CommandTemplate, Place
from octa_provider.batch.renderers.file_pattern import FilePattern
from octa_provider.batch.renderers.frame_words import frame_arguments, own_first, own_in_a_row, runs
from octa_provider.batch.renderers.shell_words import beginning, each, forget_empty

__all__ = ["template_script"]


def template_script(
    template: CommandTemplate,
    files: Sequence[FilePattern],
    frames: Sequence[int],
    main: str,
    *,
    can_skip: bool,
    most: int | None,
    turn: int,
    turns: int,
) -> str:
    """The script of a process; see `Renderer.process_script`."""
    top = beginning(shlex.quote(main), turn, turns, None)
    if template.is_of_one_frame:
        own = frames[turn::turns]
        ordered = own_first(frames, turn, turns)
        return top + _forget_claims(files, own) + _one_frame(template, files) + each("render", ordered) + "\n"
    if not can_skip:
        # Nobody can help: each process has a piece of its own.
        ordered = own_in_a_row(frames, turn, turns)
        return top + "".join(_commands(template, ordered, most))
    own = own_in_a_row(frames, turn, turns)
    taken = set(own)
    ordered = [*own, *(frame for frame in frames if frame not in taken)]
    return top + forget_empty(files[0], own) + "".join(_commands(template, ordered, most))


def _forget_claims(files: Sequence[FilePattern], frames: Sequence[int]) -> str:
    """Lines that give up what was claimed by a process that died before its picture was there."""
    return (
        f'mkdir -p "$OUT"/.claim || exit 1\n'
        f'forget() {{ pad "$1" {files[0].width}; file="$OUT"/{files[0].in_shell()}\n'
        '  [ -s "$file" ] || [ ! -e "$OUT/.claim/$1" ] || rm -f "$file" "$OUT/.claim/$1"; }\n'
        f'if [ -n "${{OCTA_MINE+set}}" ]; then each forget $OCTA_MINE; else\n{each("forget", frames)}\nfi\n'
    )


def _one_frame(template: CommandTemplate, files: Sequence[FilePattern]) -> str:
    """The function that claims a frame, renders it beside, and shows it under its name when all of it is there."""
    widths = sorted({place.spec for place in template.places if place.name == "frame"})
    lines = [
        # What a process left that was killed goes.
        'for part in "$OUT"/.part/*; do kill -0 "${part##*/}" 2>/dev/null || rm -rf "$part"; done',
        'part="$OUT"/.part/$$',
        "render() {",
        '  claim="$OUT/.claim/$1"; FRAME=$1; export FRAME',
        '  if [ -e "$claim" ]; then return; fi',
        '  set -C; { true > "$claim"; } 2>/dev/null; claimed=$?; set +C',
        '  if [ "$claimed" != 0 ]; then',
        '    if [ -e "$claim" ]; then return; fi',
        '    true > "$claim"; exit 1',
        "  fi",
        '  rm -rf "$part"; mkdir -p ' + " ".join(sorted({_in_part(file.folder) for file in files})) + " || exit 1",
        *(f'  pad "$1" {width}; frame_{width}=$padded' for width in widths),
        f'  OUT="$part" {_command(template)} || exit',
    ]
    for file in files:
        lines += [
            f'  pad "$1" {file.width}; file={file.in_shell()}',
            '  if ! [ -e "$part/$file" ]; then',
            '    echo "octa-scene-error: the command of frame $1 ended well and did not write $file, but:" '
            '$(cd "$part" && find . -type f | head -n 5)',
            "    exit 1",
            "  fi",
        ]
    # The picture comes last: where it is, all is.
    for file in reversed(files):
        made = f'mkdir -p "$OUT"/{shlex.quote(file.folder)} && ' if file.folder else ""
        lines.append(
            f'  pad "$1" {file.width}; file={file.in_shell()}; {made}mv -f "$part/$file" "$OUT/$file" || exit 1'
        )
    lines += ['  rm -rf "$part"', "}", ""]
    return "\n".join(lines)


def _in_part(folder: str) -> str:
    return f'"$part"/{shlex.quote(folder)}' if folder else '"$part"'


def _command(template: CommandTemplate, numbers: dict[str, str] | None = None) -> str:
    """The command as a line for the shell, every word quoted."""
    values = {"scene": '"$SCENE"', "output": '"$OUT"' if numbers is not None else '"$part"', **(numbers or {})}

    def text(part: str | Place) -> str:
        if isinstance(part, str):
            return shlex.quote(part)
        return f'"$frame_{part.spec}"' if part.name == "frame" else values[part.name]

    # A word without parts is an empty one.
    return " ".join("".join(text(part) for part in word) or "''" for word in template.parts)


def _commands(template: CommandTemplate, frames: Sequence[int], most: int | None) -> Iterator[str]:
    if template.is_of_a_range:
        for first, last in runs(frames):
            step = most or last - first + 1
            for start in range(first, last + 1, step):
                numbers = {"start": str(start), "end": str(min(last, start + step - 1))}
                yield f"{_command(template, numbers)} || exit\n"
        return
    mark = next(place.spec for place in template.places if place.name == "frames")
    step = most or len(frames) or 1
    for at in range(0, len(frames), step):
        for argument in frame_arguments(frames[at : at + step], mark):
            yield f"{_command(template, {'frames': argument})} || exit\n"
