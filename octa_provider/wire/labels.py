"""Labels: words of the user's own on a session, by which machines are found and a bill is split.

The API has none. They travel in the session's environment as one variable, which the account and the machine's owner
can read: what comes back may be anybody's text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from octa_provider import errors

__all__ = [
    "LABELS_ENV",
    "MOST_LABELS",
    "MOST_NAME_CHARS",
    "MOST_VALUE_CHARS",
    "checked_labels",
    "label_texts",
    "labels_envs",
    "read_labels",
]

#: In which labels travel, as a JSON object.
LABELS_ENV = "OCTA_LABELS"
MOST_LABELS = 32
MOST_NAME_CHARS = 63
MOST_VALUE_CHARS = 128
#: More than as many labels of that length come to, with every character of theirs escaped; of longer text nothing is
#: read.
_MOST_READ = 80_000


def checked_labels(value: object) -> dict[str, str]:
    """The labels that were given, as a mapping of their own that nobody else changes.

    Args:
        value: what was given: names to values, both plain text on one line. A value may be empty.

    Raises:
        OctaConfigError: they can't be labels, in one sentence that quotes no value.
    """
    if not isinstance(value, Mapping):
        raise errors.OctaConfigError(f"labels must be a mapping of names to texts, not {type(value).__name__}")
    if len(value) > MOST_LABELS:
        raise errors.OctaConfigError(f"labels: a session takes at most {MOST_LABELS}, not {len(value)}")
    for name, text in value.items():
        if not isinstance(name, str) or not 1 <= len(name) <= MOST_NAME_CHARS or not _is_plain(name) or "=" in name:
            raise errors.OctaConfigError(
                f"labels: {_quoted(name)} is no name of a label: 1 to {MOST_NAME_CHARS} printable characters without "
                "= and without blanks around them"
            )
        if not isinstance(text, str) or len(text) > MOST_VALUE_CHARS or not _is_plain(text):
            raise errors.OctaConfigError(
                f"labels: the value of {name} must be text of at most {MOST_VALUE_CHARS} printable characters, without "
                "blanks around them"
            )
    return dict(value)


def labels_envs(labels: Mapping[str, str]) -> dict[str, str]:
    """The environment variable that carries labels; none for none.

    Args:
        labels: as `checked_labels` gave them.
    """
    return {LABELS_ENV: json.dumps(labels, ensure_ascii=False, separators=(",", ":"))} if labels else {}


def read_labels(envs: Mapping[str, str] | None) -> dict[str, str]:
    """The labels that a session's environment tells; none where it tells none that can be read.

    Args:
        envs: as the API echoes it. Whatever is in it, what comes of it is as `checked_labels` would have it.
    """
    text = (envs or {}).get(LABELS_ENV, "")
    if not text or len(text) > _MOST_READ:
        return {}
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    labels: dict[str, str] = {}
    for name, value in told.items():
        if len(labels) == MOST_LABELS:
            break
        if isinstance(value, str):
            name, value = _cleaned(name.replace("=", " "), MOST_NAME_CHARS), _cleaned(value, MOST_VALUE_CHARS)
            if name:
                labels.setdefault(name, value)
    return labels


def label_texts(labels: Mapping[str, str]) -> list[str]:
    """Labels as a person writes them: `project=atlas`, each.

    Args:
        labels: names to values.
    """
    return [f"{name}={value}" for name, value in labels.items()]


def _is_plain(text: str) -> bool:
    return text.isprintable() and text == text.strip()


def _cleaned(text: str, most: int) -> str:
    from octa_provider.text.plain_text import plain_words

    return "".join(c for c in plain_words(text) if c.isprintable()).strip()[:most].strip()


def _quoted(name: object) -> str:
    if not isinstance(name, str):
        return f"a {type(name).__name__}"
    return ascii(name if len(name) <= MOST_NAME_CHARS else f"{name[:MOST_NAME_CHARS]}...")
