"""The parser of the command line. What it does not understand it names, in one line, with what to write instead."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from octa_provider.cli.output.wording import shown_text

#: What looks like an option's name, and is short enough not to be a key that was pasted in the wrong place.
_OPTION_NAME = re.compile(r"--?[A-Za-z][A-Za-z0-9_-]{0,30}")
#: A longer word may be a key: it is not repeated.
_SHOWN_WORD = 20


class CommandParser(argparse.ArgumentParser):
    """Reads the words of one command, or of the whole line.

    No abbreviations: `--api-key X` must not pass for `--api-key-file X`. Wrong words are found before argparse reads
    any: else a command that was given without `--` would be blamed for the first of its options that we have too.

    Args:
        options: those of `argparse.ArgumentParser`.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", _Help)
        super().__init__(allow_abbrev=False, **options)

    def check(self, words: Sequence[str], command: Sequence[str] | None) -> None:
        """Refuse what is not understood; otherwise nothing happens.

        Args:
            words: of the line, without what stands after `--`.
            command: what stands after `--`; None when there is no `--`.
        """
        for at, word in self._own_words(words):
            if word.startswith("-") and word != "-":
                self.error(self._no_option(word))
            chosen = self._commands().get(word)
            if chosen is None:
                near = get_close_matches(word, self._commands(), n=1)
                meant = f": did you mean {near[0]}?" if near else f": choose from {', '.join(self._commands())}"
                self.error(f"there is no command {_quoted(word)}{meant}")
            chosen.check_command(words, at + 1, command)
            return

    def check_command(self, words: Sequence[str], begin: int, command: Sequence[str] | None) -> None:
        """The same for the words of this command.

        Args:
            words: of the whole line.
            begin: where this command's begin.
            command: what stands after `--`; None when there is no `--`.
        """
        if self.get_default("takes_anything"):
            return
        # Counted, unless the command takes any number of them.
        places = [action for action in self._actions if not action.option_strings]
        room = len(places) if all(action.nargs is None for action in places) else len(words)
        found = 0
        for at, word in self._own_words(words[begin:]):
            if word.startswith("-") and word != "-" and not _is_negative(word):
                self.error(self._no_option(word))
            found += 1
            if found <= room:
                continue
            if self.get_default("takes_command"):
                line = [*words[: begin + at], "--", *words[begin + at :]]
                line += [] if command is None else ["--", *command]
                text = f"{_quoted(word)} is not understood: the command goes after --. Write:"
                # On a line of its own, to be copied.
                self._end(text, f"  octa-provider {shlex.join(_without_values(line))}")
            self.error(f"{_quoted(word)} is one word too many")

    def error(self, message: str) -> NoReturn:
        """One line on standard error, and exit status 2; the key that the environment holds never shows."""
        text = message.removeprefix("argument ").rstrip(".")
        end = " " if text.endswith("?") else ". "
        self._end(f"{text}{end}See: {self.prog} --help")

    def _end(self, *lines: str) -> NoReturn:
        text = "\n".join(shown_text(line) for line in lines)
        key = (os.environ.get("OCTA_API_KEY") or "").strip()
        self.exit(2, f"{self.prog}: {text.replace(key, '***') if key else text}\n")

    def _own_words(self, words: Sequence[str]) -> Iterator[tuple[int, str]]:
        """Where the words are that are neither an option of this parser nor one's value."""
        options = {name: action for action in self._actions for name in action.option_strings}
        skip = 0
        for at, word in enumerate(words):
            if skip:
                skip -= 1
                continue
            name, given, _ = word.partition("=")
            action = options.get(name)
            if action is None or not word.startswith("-"):
                yield at, word
            elif not given and (action.nargs is None or (action.nargs == "?" and _is_value(words[at + 1 :]))):
                skip = 1

    def _no_option(self, word: str) -> str:
        name = word.partition("=")[0]
        if not _OPTION_NAME.fullmatch(name):
            return "an option is not understood"
        known = [name for action in self._actions for name in action.option_strings if action.help != argparse.SUPPRESS]
        beginning = [other for other in known if name.startswith("--") and other.startswith(name)]
        near = beginning or (get_close_matches(name, known, n=2) if name.startswith("--") else [])
        of = [command for command, parser in self._commands().items() if name in parser.option_names()]
        text = f"there is no option {name}"
        if of:
            return f"{text} before the command: write it after the word {_either(of)}"
        return f"{text}: did you mean {_either(near)}?" if near else text

    def option_names(self) -> set[str]:
        """Every spelling of every option."""
        return {name for action in self._actions for name in action.option_strings}

    def _commands(self) -> dict[str, CommandParser]:
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}


class _Help(argparse.RawDescriptionHelpFormatter):
    """Folds a description to the terminal, and leaves the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def add_renamed(parser: Any, name: str, *others: str, **options: Any) -> None:
    """An option with other spellings, which work as well and are not shown.

    Args:
        parser: a parser or a group of one.
        name: the spelling that is the same in all commands.
        others: those that some command once had.
        options: as for `add_argument`.
    """
    dest = name.lstrip("-").replace("-", "_")
    parser.add_argument(name, dest=dest, **options)
    for other in others:
        parser.add_argument(other, dest=dest, **{**options, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS})


_NEGATIVE = re.compile(r"-\d+(\.\d*)?")


def _is_value(rest: Sequence[str]) -> bool:
    return bool(rest) and not rest[0].startswith("-")


def _is_negative(word: str) -> bool:
    return _NEGATIVE.fullmatch(word) is not None


def _quoted(word: str) -> str:
    return f"'{word}'" if len(word) <= _SHOWN_WORD else f"a word of {len(word)} characters"


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _without_values(words: Sequence[str]) -> list[str]:
    """The words, without the values of environment variables, which may be secrets: a log keeps what is printed."""
    shown: list[str] = []
    for word in words:
        if shown[-1:] in (["--env"], ["--secret-env"]) and "--" not in shown:
            word = word.partition("=")[0]
        elif word.startswith(("--env=", "--secret-env=")) and "--" not in shown:
            word = "=".join(word.split("=")[:2])
        shown.append(word)
    return shown
